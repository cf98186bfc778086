// Restores into and of pods on the command line, by the real entry: texts, documents, and the statuses that scripts go by.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { lockRestore } from '../../src/ops/agent-lock.ts';
import { Home } from '../../src/ops/home.ts';
import { podDir } from '../../src/ops/pod-record.ts';
import { askNotes, readNotes, tellNote, writeNote } from '../ops/podded.ts';
import { freePort, killAtEnd, NOTES_AGENT, notesSpec, script, until } from '../pod/agent.ts';
import { makeAgentMachine, type AgentMachine } from './agent.ts';
import { COMPILE_CACHE, MAIN } from './built.ts';

interface PodMachine extends AgentMachine {
  readonly molt: Home;
  readonly port: number;
  /** Sees to it that what runs of a pod ends with the test. */
  kill(name: string): void;
}

/** A machine whose agent `bot` is the notes agent; its newest commit has the notes `one` and `two`, that before only the first. */
async function makeBot(t: ExecutionContext, more: Readonly<Record<string, unknown>> = {}): Promise<PodMachine> {
  const machine = await makeAgentMachine(t, { 'notes.md': 'remember\n' });
  const molt = new Home(path.join(machine.home, '.molt'));
  const port = await freePort();
  const agent = await molt.findAgent('bot');
  if (agent === undefined) throw new Error('the machine has an agent');
  await molt.updateAgent({ ...agent, pod: notesSpec(port, more) });
  for (const note of ['one', 'two']) {
    writeNote(machine.stateDir, note);
    await machine.json(['commit']);
  }
  return { ...machine, molt, port, kill: (name) => killAtEnd(t, { name, dir: podDir(molt, name) }) };
}

/** Runs molt, which has to fail, and returns its status and the error of its document. */
async function failure(machine: AgentMachine, argv: readonly string[]) {
  const { status, stdout, stderr } = await machine.run([...argv, '--json']);
  const { error } = JSON.parse(stderr) as { error: { code: string; message: string; hint?: string } };
  return { status, stdout, ...error };
}

/** Replaces what differs from run to run, so that whole texts can be compared. */
function plain(text: string, { home, port }: PodMachine): string {
  return text
    .replaceAll(home, 'HOME')
    .replaceAll(String(port), 'PORT')
    .replaceAll(process.execPath, 'node')
    .replaceAll(/\b[0-9a-f]{10}\b/g, 'COMMIT')
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, 'TIME')
    .replaceAll(/\b[\d.]+(ms|s|min)\b/g, 'SPAN')
    .replaceAll(/node \S*agent\.mjs/g, 'node agent.mjs')
    .replaceAll(/ {2,}SPAN$/gm, ' SPAN')
    .replaceAll(/[\d.]+KB/g, 'SIZE');
}

const PHASES = ['plan', 'provision', 'rehydrate', 're-bind', 'flush', 'start', 'health check'];

test('a restore into a new pod shows its plan, then its steps and its endpoint, and the rest is left alone', async (t) => {
  const machine = await makeBot(t);
  machine.kill('copy');
  const argv = ['restore', 'bot', 'HEAD~1', '--target', 'copy'];
  t.is(
    plain(await machine.text([...argv, '--dry-run']), machine),
    `would restore COMMIT of TIME as the new pod "copy"; bot is left alone
  into      HOME/.molt/pods/copy/gen-1/state
  writes    2 files, SIZE, in about SPAN
  starts    node agent.mjs --port {port:http}
  hazards   none seen
`,
  );
  const dir = path.join(machine.molt.dir, 'pods/copy/gen-1/state');
  const planned = await machine.json([...argv, '--dry-run']);
  t.like(planned, { agent: 'bot', target: 'copy', dir, mode: 'pod', dryRun: true, hazards: [] });
  t.deepEqual(planned.files, { written: 2, removed: 0, unchanged: 0 });
  t.is(typeof planned.estimateMs, 'number');
  t.false(existsSync(podDir(machine.molt, 'copy')));
  t.is(
    plain(await machine.text(argv), machine),
    `restored COMMIT of TIME as pod "copy": 2 files, SIZE
  plan SPAN
  provision SPAN
  rehydrate SPAN
  re-bind SPAN
  flush SPAN
  start SPAN
  health check SPAN
endpoint active: http://127.0.0.1:PORT
`,
  );
  t.deepEqual(await askNotes(`http://127.0.0.1:${machine.port}`), ['one']);
  t.deepEqual(readNotes(machine.stateDir), ['one', 'two']);
  t.deepEqual(
    (await machine.json(['agents'])).map(({ agent }: { agent: string }) => agent),
    ['bot', 'copy'],
  );
  const again = await machine.run(argv);
  t.deepEqual([again.status, again.stdout], [1, '']);
  // On a busy machine it says before what it is at.
  t.is(
    again.stderr.slice(again.stderr.indexOf('molt: ')),
    'molt: there is an agent "copy" already\nhint: choose another name for --target; --in-place puts an agent itself back\n',
  );
});

test('a restore into a new pod as a document, with and without a start', async (t) => {
  const machine = await makeBot(t);
  for (const name of ['started', 'later']) machine.kill(name);
  const done = await machine.json(['restore', 'bot', '--target', 'started']);
  const dir = path.join(machine.molt.dir, 'pods/started/gen-1/state');
  t.like(done, { agent: 'bot', target: 'started', dir, mode: 'pod', dryRun: false, hazards: [], rebound: [] });
  t.like(done, { files: { written: 2, removed: 0, unchanged: 0 } });
  t.deepEqual(
    done.phases.map(({ name }: { name: string }) => name),
    PHASES,
  );
  const endpoint = `http://127.0.0.1:${machine.port}`;
  t.deepEqual(done.pod, { name: 'started', endpoint, healthy: true, generation: 1, dir });
  const later = await machine.json(['restore', 'bot', '--target', 'later', '--no-start']);
  t.false('pod' in later);
  t.deepEqual(
    later.phases.map(({ name }: { name: string }) => name),
    PHASES.slice(0, 5),
  );
  const lines = await machine.text(['restore', 'bot', '--target', 'text', '--no-start']);
  t.regex(lines, /\nnot started: molt pod start text does\n$/);
  t.like(await machine.json(['pod', 'start', 'later']), { name: 'later', state: 'running', healthy: true });
});

test('a pod that goes back in place says which way, what there was before, and where it is found', async (t) => {
  const machine = await makeBot(t);
  machine.kill('copy');
  const { pod } = await machine.json(['restore', 'bot', 'HEAD~1', '--target', 'copy']);
  await tellNote(pod.endpoint, 'three');
  const argv = ['restore', 'copy', 'HEAD', '--in-place'];
  t.is(
    plain(await machine.text([...argv, '--dry-run']), machine),
    `would restore COMMIT of TIME in place: 2 files written (SIZE), 0 removed, 0 unchanged
  time      about SPAN
  beside    another generation is started beside it, and takes over once it is healthy
`,
  );
  t.like(await machine.json([...argv, '--dry-run']), { dryRun: true, switch: 'beside', target: pod.dir });
  t.deepEqual(await askNotes(pod.endpoint), ['one', 'three']);
  t.is(
    plain(await machine.text(argv), machine),
    `restored COMMIT of TIME in place: 2 files written (SIZE), 0 removed, 0 unchanged
  rehydrate SPAN
  re-bind SPAN
  start beside, and switch SPAN
  save what was there SPAN
  health check SPAN
what was there before is COMMIT: molt restore --undo brings it back
the next commit records what is there now
endpoint active: http://127.0.0.1:PORT
`,
  );
  t.deepEqual(await askNotes(pod.endpoint), ['one']);
  const undone = await machine.json(['restore', 'copy', '--undo']);
  const dir = path.join(machine.molt.dir, 'pods/copy/gen-3/state');
  t.like(undone, { agent: 'copy', mode: 'in-place', switch: 'beside', target: dir, dir });
  t.deepEqual(undone.pod, { ...pod, generation: 3, dir });
  t.deepEqual(await askNotes(pod.endpoint), ['one', 'three']);
  // A part needs the agent stopped.
  const part = ['restore', 'copy', undone.safety, '--in-place', '--component', 'custom'];
  t.regex(await machine.text([...part, '--dry-run']), /\n {2}stop-first {2}what differs is staged while it runs; then/);
  const stopped = await machine.json(part);
  t.like(stopped, { components: ['custom'], lifecycle: { stopped: true, started: true }, pod: { healthy: true } });
  t.deepEqual(await askNotes(pod.endpoint), ['one']);
});

test('pods are listed, asked, read, stopped, started and removed as documents', async (t) => {
  const machine = await makeBot(t);
  machine.kill('copy');
  const { pod } = await machine.json(['restore', 'bot', '--target', 'copy']);
  const { endpoint, dir } = pod;
  const [listed, ...others] = await machine.json(['pod', 'list']);
  t.deepEqual(others, []);
  const { pid, since, ...stable } = listed;
  const known = { name: 'copy', agent: 'copy', provider: 'process', restarts: 0, generation: 1, dir, endpoint };
  t.deepEqual(stable, { ...known, state: 'running', healthy: true });
  t.deepEqual([typeof pid, new Date(since).toISOString()], ['number', since]);
  const { durationMs, ...health } = await machine.json(['pod', 'health', 'copy']);
  const answer = 'GET /healthz answered 200';
  t.deepEqual(health, { name: 'copy', state: 'running', endpoint, healthy: true, answer, restarts: 0 });
  t.is(typeof durationMs, 'number');
  const { name, lines } = await machine.json(['pod', 'logs', '-a', 'copy']);
  t.is(name, 'copy');
  t.regex(lines.join('\n'), /^listening on port \d+$/);
  t.deepEqual(await machine.json(['pod', 'stop', 'copy']), { name: 'copy', state: 'stopped', wasRunning: true });
  const [stopped] = await machine.json(['pod', 'list']);
  t.deepEqual(stopped, { ...known, state: 'stopped' });
  t.regex(await machine.text(['pod', 'list']), /^copy {2}stopped {2}http:\S+ +generation 1 +\//);
  const started = await machine.json(['pod', 'start']);
  t.like(started, { ...known, state: 'running', healthy: true });
  t.is(typeof started.durationMs, 'number');
  t.is(await machine.text(['pod', 'stop']), 'copy is stopped\n');
  t.deepEqual(await machine.json(['pod', 'remove', 'copy', '--yes']), {
    name: 'copy',
    agent: 'copy',
    dir: podDir(machine.molt, 'copy'),
    removed: true,
  });
  t.false(existsSync(dir));
  // Its agent and what it saved are still there.
  t.is((await machine.json(['log', 'copy'])).length, 3);
});

test('a pod that is in the way, or somebody is at, is status 11', async (t) => {
  const machine = await makeBot(t);
  machine.kill('copy');
  await machine.json(['restore', 'bot', '--target', 'copy']);
  for (const argv of [
    ['pod', 'start', 'copy'],
    ['pod', 'remove', 'copy', '--yes'],
  ]) {
    const { status, stdout, code, message, hint } = await failure(machine, argv);
    t.deepEqual([status, stdout, code, hint], [11, '', 'RUNNING', 'molt pod stop copy']);
    t.regex(message, /^pod "copy" runs \(process \d+, http:/);
  }
  using _ = lockRestore(machine.molt, 'copy');
  const refused = await failure(machine, ['restore', 'copy', 'HEAD', '--in-place']);
  t.deepEqual(refused, {
    status: 11,
    stdout: '',
    code: 'LOCKED',
    message: 'agent "copy" is being restored by another molt; nothing was changed',
    hint: 'try again when that has ended',
  });
  t.like((await machine.json(['pod', 'list']))[0], { state: 'running', healthy: true, generation: 1 });
});

test('a pod that does not become healthy is status 17, and it is said where its state is and what to do', async (t) => {
  const machine = await makeBot(t, { command: script('console.log("no luck"); process.exit(4)') });
  machine.kill('copy');
  const made = await machine.run(['restore', 'bot', '--target', 'copy']);
  t.deepEqual([made.status, made.stdout], [17, '']);
  const { dir } = (await machine.json(['pod', 'list']))[0];
  t.is(
    plain(made.stderr.slice(made.stderr.indexOf('molt: ')), machine),
    `molt: copy ended before it was healthy: it ended with status 4; its log is HOME/.molt/pods/copy/log, it ends with:
    no luck
the restored state is whole in "HOME/.molt/pods/copy/gen-1/state"
hint: molt pod logs copy shows all of it; molt pod start copy tries again, molt pod remove copy gives it up
`,
  );
  t.deepEqual(readNotes(dir), ['one', 'two']);
  t.like(await failure(machine, ['pod', 'health', 'copy']), {
    status: 17,
    code: 'UNHEALTHY',
    message: 'pod "copy" is not healthy: it is stopped',
    hint: 'molt pod start copy',
  });
  t.like(await failure(machine, ['pod', 'start', 'copy']), { status: 17, code: 'UNHEALTHY' });
  t.is(await machine.text(['pod', 'logs', 'copy', '-n', '1']), 'no luck\n');
});

test('a pod that does not answer is shown so, and is status 17', async (t) => {
  const liveness = { intervalMs: 20, timeoutMs: 50, failures: 10_000 };
  const health = { http: { path: '/healthz' }, intervalMs: 20, timeoutMs: 60_000, liveness };
  const machine = await makeBot(t, { health });
  machine.kill('copy');
  await machine.json(['restore', 'bot', '--target', 'copy']);
  const [{ pid }] = await machine.json(['pod', 'list']);
  process.kill(pid, 'SIGSTOP');
  const listed = await until(async () => {
    const { stdout, stderr } = await machine.run(['pod', 'list']);
    return stderr !== '' && { stdout, stderr };
  });
  t.regex(listed.stdout, /^copy {2}running, not healthy {2}/);
  t.regex(
    listed.stderr,
    /^copy: it gave no answer (once|\d+ times in a row): GET \/healthz did not answer within 50 ms/,
  );
  const asked = await machine.run(['pod', 'health', 'copy', '--json']);
  t.is(asked.status, 17);
  t.like(JSON.parse(asked.stdout), { name: 'copy', state: 'running', healthy: false, restarts: 0 });
  t.regex(JSON.parse(asked.stdout).problem, /^it gave no answer \d+ times in a row: /);
  process.kill(pid, 'SIGCONT');
  await until(async () => (await machine.json(['pod', 'list']))[0].problem === undefined);
  t.like(await machine.json(['pod', 'health', 'copy']), { healthy: true, restarts: 0 });
});

test('a pod that runs, and whose history can’t be brought here, is status 3, and says how to go on', async (t) => {
  const machine = await makeBot(t);
  const url = `file://${path.join(machine.home, 'remote')}`;
  await machine.text(['remote', 'add', 'origin', url, '--single-writer']);
  await machine.text(['push']);
  const other = ['--home', path.join(machine.home, 'other')];
  const env = { MOLT_PASSPHRASE: 'first' };
  await machine.text(['clone', url, 'bot', '--state', path.join(machine.home, 'elsewhere'), ...other], { env });
  writeNote(machine.stateDir, 'three');
  await machine.text(['commit']);
  await machine.text(['push']);
  killAtEnd(t, { name: 'copy', dir: path.join(machine.home, 'other/pods/copy') });
  const argv = ['restore', '--from', url, '--target', 'copy', '--yes', ...other];
  const { status, stderr } = await machine.run(argv, { env });
  t.is(status, 3, stderr);
  t.regex(
    stderr,
    /molt: pod "copy" runs, but its history could not be brought here: the history here, of agent "bot", does not have that moment yet\nhint: molt fetch -a bot; molt restore --from \S+ --target copy tries again\n$/,
  );
  const [pod] = await machine.json(['pod', 'list', ...other]);
  t.like(pod, { name: 'copy', state: 'running', healthy: true });
  t.deepEqual(await askNotes(pod.endpoint), ['one', 'two', 'three']);
  await machine.text(['fetch', '-a', 'bot', ...other]);
  await machine.text(argv, { env });
  t.is((await machine.json(['pod', 'list', ...other]))[0].pid, pod.pid);
  t.like(await machine.json(['status', 'copy', ...other]), { agent: 'copy' });
});

/** Runs molt until something is so, interrupts it, and returns what it said and how it ended. */
async function interrupt(
  t: ExecutionContext,
  { home }: AgentMachine,
  words: readonly string[],
  steps: { readonly when: () => boolean; readonly after?: () => void },
): Promise<{ readonly status: number | null; readonly said: string }> {
  const env = { HOME: home, TZ: 'UTC', PATH: process.env['PATH'], NODE_COMPILE_CACHE: COMPILE_CACHE };
  const child = spawn(process.execPath, [MAIN, ...words], { cwd: home, env, stdio: ['ignore', 'ignore', 'pipe'] });
  t.teardown(() => child.kill('SIGKILL'));
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const ended = once(child, 'close');
  await until(steps.when);
  child.kill('SIGINT');
  steps.after?.();
  const [status] = await ended;
  return { status, said };
}

test('a restore into a pod that is interrupted says where its state is, and is status 130', async (t) => {
  const machine = await makeBot(t, { health: { http: { path: '/nowhere' }, intervalMs: 20, timeoutMs: 60_000 } });
  machine.kill('copy');
  const note = path.join(podDir(machine.molt, 'copy'), 'supervisor.json');
  const { status, said } = await interrupt(t, machine, ['restore', 'bot', '--target', 'copy'], {
    when: () => existsSync(note) && /"agents":\[\{/.test(readFileSync(note, 'utf8')),
  });
  t.is(status, 130);
  t.regex(
    said,
    /molt: interrupted; the restored state is whole in "\S+gen-1\/state"\nhint: molt pod start copy tries again, molt pod remove copy gives it up\n$/,
  );
  t.like((await machine.json(['pod', 'list']))[0], { name: 'copy', state: 'stopped' });
  t.deepEqual(readNotes(path.join(podDir(machine.molt, 'copy'), 'gen-1/state')), ['one', 'two']);
});

/** The notes agent, but one that tells by a file that it is asked to end, and waits for another one. */
const SLOW = `process.on('SIGUSR2', () => {
    const { existsSync, writeFileSync } = require('node:fs');
    writeFileSync('../stopping', '');
    setInterval(() => existsSync('../go') && process.exit(), 10);
  });
  import(${JSON.stringify(NOTES_AGENT)})`;

test('a restore in place that is interrupted while it stops the agent starts it again before it ends', async (t) => {
  const command = [process.execPath, '-e', SLOW, '--', '--port', '{port:http}'];
  const machine = await makeBot(t, { command, front: false, stop: { signal: 'SIGUSR2', graceMs: 60_000 } });
  machine.kill('copy');
  const { pod } = await machine.json(['restore', 'bot', 'HEAD~1', '--target', 'copy']);
  await tellNote(pod.endpoint, 'three');
  const file = (name: string): string => path.join(podDir(machine.molt, 'copy'), 'gen-1', name);
  const { status, said } = await interrupt(t, machine, ['restore', 'copy', 'HEAD', '--in-place'], {
    when: () => existsSync(file('stopping')),
    after: () => writeFileSync(file('go'), ''),
  });
  t.is(status, 130);
  t.regex(said, /molt: interrupted; no file was changed, and copy was started again\n$/);
  t.like((await machine.json(['pod', 'list']))[0], { name: 'copy', state: 'running', healthy: true });
  t.deepEqual(await askNotes(pod.endpoint), ['one', 'three']);
});
