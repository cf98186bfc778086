// A restore that was killed after it had stopped an agent owes it the start; but not once somebody else has started it, or stopped it on
// purpose.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { findRunning } from '../../src/agent/running.ts';
import { MoltError } from '../../src/model/error.ts';
import { renameAgent } from '../../src/ops/agent.ts';
import { backUp } from '../../src/ops/backup.ts';
import { getPod } from '../../src/ops/pod-look.ts';
import { removePod } from '../../src/ops/pod-removal.ts';
import { listPods, startPod, stopPod } from '../../src/ops/pods.ts';
import { writeRestoreNote } from '../../src/ops/restore-journal.ts';
import { isStoppedNoted, noteStopped } from '../../src/ops/stopped-note.ts';
import { askNotes, commitOf, makePodded, readNotes, writeNote } from './podded.ts';
import { killedAt, makeCopy, restoreIt, type PoddedCopy } from './podded-copy.ts';
import { startRun } from './running.ts';
import { stepping } from './steps.ts';

/** A pod that a restore stopped, and was killed before it changed anything. */
async function makeOwed(t: ExecutionContext): Promise<PoddedCopy> {
  const copy = await makeCopy(t, { front: false });
  t.true(killedAt(copy.home, 'in-place', 'copy', copy.wanted, 'save'));
  t.like((await listPods(copy.context))[0], { state: 'stopped' });
  t.true(await isStoppedNoted(copy.context.home, 'copy'));
  return copy;
}

async function staysStopped(t: ExecutionContext, { context, wanted, agent }: PoddedCopy): Promise<void> {
  const { lifecycle } = await restoreIt(context, 'copy', wanted);
  t.is(lifecycle, undefined);
  t.like((await listPods(context))[0], { state: 'stopped' });
  t.deepEqual(readNotes((await agent('copy')).stateDir), ['one', 'two']);
}

test('an agent that a killed restore had stopped is started by the next, under its new name too', async (t) => {
  const copy = await makeOwed(t);
  await renameAgent(copy.context, 'copy', 'renamed');
  const warnings: string[] = [];
  const reporter = { ...copy.context.reporter, warn: (text: string) => void warnings.push(text) };
  const done = await restoreIt({ ...copy.context, reporter }, 'renamed', copy.wanted);
  t.like(done, { lifecycle: { stopped: true, started: true } });
  t.deepEqual(warnings, ['an earlier restore stopped renamed and was killed: it is started after this one']);
  t.deepEqual(await askNotes(copy.endpoint), ['one', 'two']);
  t.false(await isStoppedNoted(copy.context.home, 'renamed'));
});

test('one that was to be left stopped is owed nothing, also when its restore fails', async (t) => {
  const copy = await makeCopy(t, { front: false });
  const stop = new AbortController();
  const { context } = stepping({ ...copy.context, signal: stop.signal }, (_, what) => {
    if (what === 'save') stop.abort(new MoltError('INTERRUPTED', 'interrupted'));
  });
  await t.throwsAsync(restoreIt(context, 'copy', copy.wanted, { isStartWanted: false }), {
    code: 'INTERRUPTED',
    message: 'interrupted; no file was changed, and copy is stopped',
  });
  t.false(await isStoppedNoted(copy.context.home, 'copy'));
  await staysStopped(t, copy);
});

test('one that was told to stay stopped since is not started', async (t) => {
  const copy = await makeOwed(t);
  t.false(await stopPod(copy.context, await getPod(copy.context, 'copy')));
  await staysStopped(t, copy);
});

test('one that was started and stopped since is not started', async (t) => {
  const copy = await makeOwed(t);
  await startPod(copy.context, await getPod(copy.context, 'copy'));
  t.false(await isStoppedNoted(copy.context.home, 'copy'));
  await stopPod(copy.context, await getPod(copy.context, 'copy'));
  await staysStopped(t, copy);
});

test('one whose pod was removed since is owed nothing', async (t) => {
  const copy = await makeOwed(t);
  await removePod(copy.context, await getPod(copy.context, 'copy'));
  t.false(await isStoppedNoted(copy.context.home, 'copy'));
});

test('a pod whose files are half restored is not started, and the same again or the way back ends it', async (t) => {
  const copy = await makeOwed(t);
  const { context, wanted } = copy;
  const agent = await copy.agent('copy');
  const safety = await commitOf(context, 'copy');
  await writeRestoreNote(context.home, agent, { phase: 'under-way', commit: wanted, safety });
  const refused = startPod(context, await getPod(context, 'copy'));
  await t.throwsAsync(refused, { code: 'CONFLICT', message: /broke off among its files; nothing was started/ });
  t.like(await restoreIt(context, 'copy', wanted), { lifecycle: { stopped: true, started: true } });
  t.deepEqual(await askNotes(copy.endpoint), ['one', 'two']);
});

/** A process of the agent's that nobody told molt of: it holds the database open. */
const BY_HAND = `const { DatabaseSync } = require('node:sqlite');
  const database = new DatabaseSync(process.argv[1]);
  database.exec('CREATE TABLE IF NOT EXISTS held(a); INSERT INTO held VALUES (1)');
  console.log('up');
  process.stdin.on('end', () => process.exit()).resume()`;

test('one that something else runs is owed nothing once a commit has seen it run', async (t) => {
  const machine = await makePodded(t);
  const { context, stateDir } = machine;
  const { home } = context;
  const failing = [process.execPath, '-e', 'process.exit(5)'];
  await home.updateAgent({ ...(await machine.agent()), pod: { lifecycle: { stop: failing, start: failing } } });
  writeNote(stateDir, 'two');
  const wanted = (await machine.commit()).id;
  await noteStopped(home, 'bot');
  await backUp(context, 'bot', { kind: 'incremental', trigger: 'test' });
  t.true(await isStoppedNoted(home, 'bot'), 'nothing runs');
  const child = spawn(process.execPath, ['-e', BY_HAND, join(stateDir, 'notes.db')], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  await backUp(context, 'bot', { kind: 'incremental', trigger: 'test' });
  t.false(await isStoppedNoted(home, 'bot'));
  // A command that could not stop it leaves no debt either.
  await t.throwsAsync(restoreIt(context, 'bot', wanted), { code: 'RUNNING', message: /nothing was changed/ });
  t.false(await isStoppedNoted(home, 'bot'));
  child.stdin.end();
  await once(child, 'exit');
  t.is(findRunning(stateDir, [stateDir]), undefined);
  t.is((await restoreIt(context, 'bot', wanted)).lifecycle, undefined);
});

test('one that molt run starts is owed nothing', async (t) => {
  const machine = await makePodded(t);
  let nowMs = Date.parse('2026-03-01T00:00:00Z');
  const context = {
    ...machine.context,
    clock: { now: () => nowMs },
    at(time: number) {
      nowMs = time;
    },
  };
  await noteStopped(context.home, 'bot');
  const run = await startRun(t, context, { label: 'bot', port: machine.port });
  await run.up();
  t.false(await isStoppedNoted(context.home, 'bot'));
  await run.stop();
});
