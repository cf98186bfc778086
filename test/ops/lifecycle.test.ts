// Restoring an agent that runs: it is stopped and started by the commands of its lifecycle, and whatever goes wrong, the user hears
// what is on the disk, and whether the agent runs.

import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import test, { type ExecutionContext } from 'ava';
import { findRunning } from '../../src/agent/running.ts';
import { isMoltError, type MoltError } from '../../src/model/error.ts';
import type { Reporter } from '../../src/model/ports.ts';
import { findUndo, restoreInPlace } from '../../src/ops/in-place.ts';
import type { InPlaceOptions } from '../../src/ops/in-place-result.ts';
import { findLifecycle } from '../../src/ops/lifecycle.ts';
import { readRestoreNote } from '../../src/ops/restore-journal.ts';
import { makeOneAgent } from './one-agent.ts';

/** Holds the database open, and ends a little after it was told to. */
const AGENT = `const { DatabaseSync } = require('node:sqlite');
  const database = new DatabaseSync(process.argv[1]);
  database.exec('PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS t(a); INSERT INTO t VALUES (1)');
  require('node:fs').writeFileSync(process.argv[2], String(process.pid));
  process.on('SIGTERM', () => setTimeout(() => { database.close(); process.exit(0); }, 100));
  setInterval(() => {}, 1000)`;

/** Starts the agent in the background, as a service manager would, and ends when it is up. */
const START = `const { spawn } = require('node:child_process');
  const { existsSync, appendFileSync } = require('node:fs');
  const [database, pid, log, agent] = process.argv.slice(1);
  appendFileSync(log, 'start ' + ('MOLT_PASSPHRASE' in process.env) + '\\n');
  spawn(process.execPath, ['-e', agent, database, pid], { detached: true, stdio: 'inherit' }).unref();
  const wait = () => (existsSync(pid) ? process.exit(0) : setTimeout(wait, 10));
  wait()`;

const STOP = `const fs = require('node:fs');
  const [pid, log] = process.argv.slice(1);
  fs.appendFileSync(log, 'stop ' + ('MOLT_PASSPHRASE' in process.env) + '\\n');
  process.kill(Number(fs.readFileSync(pid, 'utf8')), 'SIGTERM');
  fs.unlinkSync(pid)`;

process.env['MOLT_PASSPHRASE'] = 'nobody else’s business';

interface Setup {
  readonly stop?: readonly string[];
  readonly start?: readonly string[];
  readonly timeoutMs?: number;
}

/** Makes an agent that runs, and a moment of it from before. */
async function makeRunning(t: ExecutionContext, setup: Setup = {}) {
  const { context: quiet, open, stateDir, dir, commit } = await makeOneAgent(t);
  const heard = { phase: (_phase: string): void => undefined };
  const reporter: Reporter = { progress: ({ phase }) => heard.phase(phase), warn() {} };
  const context = { ...quiet, reporter };
  const database = join(stateDir, 'memory.sqlite');
  const pid = join(dir, 'pid');
  const log = join(dir, 'log');
  const node = (script: string, ...words: string[]): string[] => [process.execPath, '-e', script, ...words];
  const start = node(START, '{state}/memory.sqlite', pid, log, AGENT);
  const stop = node(STOP, pid, log);
  const first = await commit();
  cpSync(stateDir, join(dir, 'first'), { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
  execFileSync(
    start[0] ?? '',
    start.slice(1).map((word) => word.replace('{state}', stateDir)),
    { stdio: 'ignore' },
  );
  t.teardown(() => {
    if (existsSync(pid)) process.kill(Number(readFileSync(pid, 'utf8')), 'SIGKILL');
  });
  writeFileSync(join(stateDir, 'a.b'), 'changed');
  rmSync(log);
  const pod = { lifecycle: { stop, start, ...setup } };
  const running = { ...open, agent: { ...open.agent, pod } };
  return {
    dir,
    stateDir,
    database,
    first,
    pid,
    isRunning: () => findRunning(stateDir, [stateDir]) !== undefined,
    restore: (options?: InPlaceOptions) => restoreInPlace(context, running, first, options),
    restoreWithout: () => restoreInPlace(context, open, first),
    undo: async () => restoreInPlace(context, running, await findUndo(context, running)),
    note: () => readRestoreNote(context.home, open.agent),
    log: () => (existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : []),
    index: open.repository.index,
    heard,
    memory: () => readFileSync(join(stateDir, 'a.b'), 'utf8'),
  };
}

function isFailure(t: ExecutionContext, error: unknown, code: MoltError['code'], ...texts: string[]): void {
  for (const text of texts) t.true(isMoltError(error, code) && error.message.includes(text), String(error));
}

test('an agent that runs is stopped, restored and started again, and the way back is the same', async (t) => {
  const agent = await makeRunning(t);
  const { lifecycle } = await agent.restore();
  t.deepEqual(lifecycle, { stopped: true, started: true });
  t.is(agent.memory(), 'a.b\n');
  t.true(agent.isRunning());
  // Neither command saw the passphrase.
  t.deepEqual(agent.log(), ['stop false', 'start false']);
  await agent.undo();
  t.is(agent.memory(), 'changed');
  t.true(agent.isRunning());
  const database = new DatabaseSync(agent.database, { readOnly: true });
  // What it had written before it was stopped, and after the last start.
  t.is(database.prepare('SELECT count(*) AS n FROM t').get()?.['n'], 2);
  database.close();
});

test('an agent that was stopped for a restore can be left stopped', async (t) => {
  const agent = await makeRunning(t);
  t.deepEqual((await agent.restore({ isStartWanted: false })).lifecycle, { stopped: true, started: false });
  t.false(agent.isRunning());
  t.notThrows(() => execFileSync('diff', ['-r', '--no-dereference', join(agent.dir, 'first'), agent.stateDir]));
  // It doesn't run, so that it is neither stopped nor started.
  t.is((await agent.undo()).lifecycle, undefined);
  t.deepEqual(agent.log(), ['stop false']);
});

test('an agent whose command does not stop it is refused, and nothing is changed', async (t) => {
  const fails = await makeRunning(t, {
    stop: [process.execPath, '-e', 'console.error("no such unit\\n\\x1b[2Jx"); process.exit(5)'],
  });
  isFailure(
    t,
    await t.throwsAsync(fails.restore()),
    'RUNNING',
    'ended with status 5',
    'no such unit | ^[[2Jx',
    'nothing was changed',
  );
  const missing = await makeRunning(t, { stop: ['/nowhere/stop'] });
  isFailure(t, await t.throwsAsync(missing.restore()), 'RUNNING', '"/nowhere/stop" can’t be started (ENOENT)');
  const idle = await makeRunning(t, { stop: [process.execPath, '-e', ''], timeoutMs: 2000 });
  isFailure(
    t,
    await t.throwsAsync(idle.restore()),
    'RUNNING',
    'still runs 2 s after',
    'no file was changed, and it runs',
  );
  const hangs = await makeRunning(t, {
    stop: [process.execPath, '-e', 'setInterval(() => {}, 1000)'],
    timeoutMs: 1000,
  });
  isFailure(t, await t.throwsAsync(hangs.restore()), 'RUNNING', 'did not end within 1 s', 'nothing was changed');
  for (const agent of [fails, missing, idle, hangs]) {
    t.true(agent.isRunning());
    t.is(agent.memory(), 'changed');
    t.false(existsSync(join(agent.stateDir, '.molt-restore')));
    t.is(await agent.note(), undefined);
    t.deepEqual(agent.log(), []);
  }
});

test('a restore that fails before it changes a file starts the agent again', async (t) => {
  const agent = await makeRunning(t);
  const { find } = agent.index;
  let isStopped = false;
  agent.index.find = (key) => {
    isStopped ||= !agent.isRunning();
    return isStopped && agent.log().length > 0 ? Promise.resolve(undefined) : find.call(agent.index, key);
  };
  const error = await t.throwsAsync(agent.restore());
  agent.index.find = find;
  isFailure(t, error, 'DAMAGED', 'no file was changed, and it was started again');
  t.is(agent.memory(), 'changed');
  t.true(agent.isRunning());
  t.deepEqual(agent.log(), ['stop false', 'start false']);
});

test('what can’t be restored is no reason to stop the agent', async (t) => {
  const agent = await makeRunning(t);
  const { find } = agent.index;
  agent.index.find = () => Promise.resolve(undefined);
  t.true(isMoltError(await t.throwsAsync(agent.restore()), 'DAMAGED'));
  agent.index.find = find;
  t.true(agent.isRunning());
  t.deepEqual(agent.log(), []);
});

test('an agent whose files are half restored is not started', async (t) => {
  const agent = await makeRunning(t);
  // Something stands in the way of a file that no commit has, and that appears too late to be seen.
  const place = join(agent.stateDir, 'empty');
  agent.heard.phase = (phase) => {
    if (phase !== 'switch' || !existsSync(place)) return;
    rmSync(place, { recursive: true });
    writeFileSync(place, 'a file where a folder is to be');
  };
  const error = await t.throwsAsync(agent.restore());
  agent.heard.phase = () => undefined;
  isFailure(t, error, 'IO', 'the restore broke off among its files, and it is stopped');
  t.false(agent.isRunning());
  t.is((await agent.note())?.phase, 'under-way');
  t.deepEqual(agent.log(), ['stop false']);
  renameSync(place, join(agent.dir, 'aside'));
  mkdirSync(place);
  await agent.undo();
  t.is(agent.memory(), 'changed');
});

test('a start that fails is told beside what was restored', async (t) => {
  const start = [process.execPath, '-e', 'console.log("port is taken"); process.exit(1)'];
  const agent = await makeRunning(t, { start });
  const { lifecycle, files } = await agent.restore();
  t.like(lifecycle, { stopped: true, started: false });
  t.true(lifecycle?.problem?.includes('ended with status 1, and said: port is taken'));
  t.true(files.written > 0);
  t.is(agent.memory(), 'a.b\n');
});

test('a lifecycle is two lists of words', async (t) => {
  const { open } = await makeOneAgent(t);
  const find = (lifecycle: unknown) => () => findLifecycle({ ...open.agent, pod: { lifecycle } });
  t.deepEqual(find({ stop: ['a'], start: ['b', 'c'] })(), { stop: ['a'], start: ['b', 'c'], timeoutMs: 60_000 });
  t.is(find(undefined)(), undefined);
  const bad = ['stop', {}, { stop: 'a', start: ['b'] }, { stop: ['a'], start: [] }, { stop: ['a', 1], start: ['b'] }];
  for (const one of [...bad, { stop: ['a'], start: ['b'], timeoutMs: -1 }])
    t.true(isMoltError(t.throws(find(one)), 'USAGE'), JSON.stringify(one));
});

test('without a lifecycle the refusal tells of it', async (t) => {
  const agent = await makeRunning(t);
  const error = await t.throwsAsync(agent.restoreWithout());
  t.true(isMoltError(error, 'RUNNING') && error.hint?.includes('"lifecycle"'), String(error));
  t.is(agent.memory(), 'changed');
  t.true(agent.isRunning());
});
