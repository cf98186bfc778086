// `molt restore` on the command line: where it restores to, what it asks, and what of a moment it brings back.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import test, { type ExecutionContext } from 'ava';
import { runProgram } from '../../src/cli/program.ts';
import { fakeHost, recordingStream } from './fakes.ts';
import { makeAgentMachine, type AgentMachine } from './agent.ts';

const FILES = { 'MEMORY.md': 'first\n', 'skills/tea.md': 'steep\n' };

async function makeTwoMoments(t: ExecutionContext): Promise<AgentMachine> {
  const machine = await makeAgentMachine(t, FILES);
  await machine.write('MEMORY.md', 'second\n');
  await machine.json(['commit']);
  return machine;
}

function memoryOf({ stateDir }: AgentMachine): Promise<string> {
  return readFile(path.join(stateDir, 'MEMORY.md'), 'utf8');
}

test('without a terminal, restore of an agent that is there names both ways and does neither', async (t) => {
  const machine = await makeTwoMoments(t);
  for (const argv of [['restore', 'bot', 'HEAD~1'], ['restore'], ['restore', '--timestamp', 'now', '--dry-run']]) {
    const { status, stdout, stderr } = await machine.run(argv);
    t.deepEqual([status, stdout], [2, '']);
    t.true(
      stderr.includes(machine.stateDir) && stderr.includes('--target NEW') && stderr.includes('--in-place'),
      stderr,
    );
  }
  t.is(await memoryOf(machine), 'second\n');
  t.is((await machine.json(['log'])).length, 2);
  // An answer beforehand is one.
  await machine.text(['restore', 'bot', 'HEAD~1', '--yes']);
  t.is(await memoryOf(machine), 'first\n');
});

/** Runs restore on a terminal, types a line, and returns how it ended and what was asked. */
async function answer(machine: AgentMachine, line: string): Promise<{ status: number; asked: string }> {
  const stdin = Object.assign(new PassThrough(), { isTTY: true });
  const stderr = recordingStream(true);
  stdin.write(`${line}\n`);
  const env = { HOME: machine.home, TZ: 'UTC' };
  const host = fakeHost(['restore', 'bot', 'HEAD~1'], { env, cwd: machine.home, stdin, stderr });
  const status = await runProgram({ ...host, clock: { now: () => Date.now() } });
  return { status, asked: stderr.text() };
}

test('on a terminal restore asks once, and only a clear yes changes anything', async (t) => {
  const machine = await makeTwoMoments(t);
  for (const line of ['', 'no', 'what?']) {
    const { status, asked } = await answer(machine, line);
    t.is(status, 130);
    t.true(asked.includes('Restore in place? [y/N]') && asked.includes('--target NEW'), asked);
    t.true(asked.includes('nothing was changed'), asked);
    t.is(await memoryOf(machine), 'second\n');
  }
  t.is((await answer(machine, 'yes')).status, 0);
  t.is(await memoryOf(machine), 'first\n');
  await machine.text(['restore', '--undo']);
  t.is(await memoryOf(machine), 'second\n');
});

test('an agent whose folder is gone or empty is brought back without a question', async (t) => {
  const machine = await makeTwoMoments(t);
  for (const isEmpty of [false, true]) {
    await rm(machine.stateDir, { recursive: true });
    if (isEmpty) await mkdir(machine.stateDir);
    const result = await machine.json(['restore', 'bot']);
    t.like(result, { mode: 'in-place', files: { written: 2 } });
    t.false('safety' in result);
    t.is(await memoryOf(machine), 'second\n');
  }
  // There was nothing to save, and so the newest commit is still the one before.
  t.is((await machine.json(['log'])).length, 2);
});

test('only the components that are named are restored, and an unknown one is told the five', async (t) => {
  const machine = await makeTwoMoments(t);
  const unknown = await machine.run(['restore', 'bot', '--in-place', '--component', 'skill']);
  t.is(unknown.status, 2);
  t.true(unknown.stderr.includes('configuration, state, skills, runtime, custom'), unknown.stderr);
  // Everything in a folder that is no OpenClaw is custom.
  const { id } = (await machine.json(['log'])).at(-1);
  const moment = ['restore', 'bot', id, '--in-place', '--component', 'skills', '--component', 'state'];
  const planned = await machine.json([...moment, '--dry-run']);
  t.like(planned, { components: ['state', 'skills'], dryRun: true, files: { written: 0, removed: 0, unchanged: 0 } });
  t.like(await machine.json(moment), { components: ['state', 'skills'], files: { written: 0 } });
  t.is(await memoryOf(machine), 'second\n');
  const text = await machine.text(['restore', 'bot', id, '--in-place', '--component', 'custom']);
  t.true(text.includes('in place (custom alone): 1 file written'), text);
  t.is(await memoryOf(machine), 'first\n');
  const dir = path.join(machine.home, 'new');
  t.like(await machine.json(['restore', 'bot', '--to', dir, '--component', 'skills']), { files: { written: 0 } });
  t.deepEqual(await readdir(dir), []);
  await rm(dir, { recursive: true });
  await machine.json(['restore', 'bot', id, '--to', dir, '--component', 'custom']);
  await cp(path.join(dir, 'state/MEMORY.md'), path.join(machine.home, 'copy'));
  t.is(await readFile(path.join(machine.home, 'copy'), 'utf8'), 'first\n');
});

test('an agent that runs is stopped by its lifecycle, and one that does not start again is told beside the result', async (t) => {
  const machine = await makeTwoMoments(t);
  const [, first] = await machine.json(['log']);
  const hold = `require('node:fs').openSync(process.argv[1], 'a'); console.log('up'); setInterval(() => {}, 1000)`;
  const child = spawn(process.execPath, ['-e', hold, path.join(machine.stateDir, 'MEMORY.md')]);
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  const argv = ['restore', 'bot', first.id, '--in-place', '--json'];
  const refused = await machine.run(argv);
  t.is(refused.status, 11);
  t.true(JSON.parse(refused.stderr).error.hint.includes('agents/bot.json'), refused.stderr);
  const file = path.join(machine.home, '.molt/agents/bot.json');
  const stop = [process.execPath, '-e', 'process.kill(Number(process.argv[1]))', String(child.pid)];
  const pod = { lifecycle: { stop, start: [process.execPath, '-e', 'process.exit(9)'] } };
  await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')), pod }));
  const { status, stdout, stderr } = await machine.run(argv);
  t.is(status, 3, stderr);
  t.like(JSON.parse(stdout), { mode: 'in-place', lifecycle: { stopped: true, started: false } });
  t.true(JSON.parse(stderr).error.message.includes('ended with status 9'), stderr);
  t.is(await memoryOf(machine), 'first\n');
});

test('the name of a backup tells which agent is restored beside what is there', async (t) => {
  const machine = await makeTwoMoments(t);
  await machine.text(['backup', 'create', '--name', 'bot-backup']);
  const beside = ['restore', 'bot-backup', '--no-start', '--target'];
  await machine.text([...beside, 'restored']);
  // Two agents share the repository and its tags by now.
  t.like(await machine.json([...beside, 'again']), { agent: 'bot', target: 'again' });
  const { status, stderr } = await machine.run(['restore', 'bot-backup', '--in-place', '--yes']);
  t.is(status, 2);
  t.true(stderr.includes('which agent?'), stderr);
});
