// Restoring where the agent lives: only what differs is written, what was there comes back by undo, and neither a crash nor a
// refusal leaves anything that can't be finished.

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import test from 'ava';
import { isMoltError } from '../../src/model/error.ts';
import { lockAgent } from '../../src/ops/agent-lock.ts';
import { backUp } from '../../src/ops/backup.ts';
import { renameAgent } from '../../src/ops/agent.ts';
import { findUndo, planInPlace, restoreInPlace } from '../../src/ops/in-place.ts';
import { readRestoreNote } from '../../src/ops/restore-journal.ts';
import { makeOneAgent, type OneAgent } from './one-agent.ts';

function compare(a: string, b: string): void {
  execFileSync('diff', ['-r', '--no-dereference', a, b], { stdio: 'pipe' });
}

function addRows(path: string, from: number, to: number): void {
  const database = new DatabaseSync(path);
  database.exec(`PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS t(a INTEGER); CREATE TABLE IF NOT EXISTS pad(b BLOB);
    INSERT INTO pad SELECT zeroblob(300000) UNION ALL SELECT randomblob(600000) WHERE NOT EXISTS (SELECT 1 FROM pad)`);
  for (let row = from; row < to; row += 1) database.prepare('INSERT INTO t VALUES (?)').run(row);
  database.close();
}

function fillPad(path: string): void {
  const database = new DatabaseSync(path);
  database.exec('UPDATE pad SET b = randomblob(300000) WHERE rowid = 1; INSERT INTO pad VALUES (randomblob(200000))');
  database.close();
}

function countRows(path: string): unknown {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const [check] = database.prepare('PRAGMA integrity_check').all();
    const [count] = database.prepare('SELECT count(*) AS n FROM t').all();
    return [check?.['integrity_check'], count?.['n']];
  } finally {
    database.close();
  }
}

/** Changes every kind of entry of the agent's state. */
function changeState({ stateDir }: OneAgent): void {
  addRows(join(stateDir, 'memory.sqlite'), 100, 500);
  // What is large is mostly made of what is there: also where the moment has zeroes, and where it is shorter.
  fillPad(join(stateDir, 'memory.sqlite'));
  writeFileSync(join(stateDir, 'a.b'), 'changed');
  writeFileSync(join(stateDir, 'new-file'), 'new');
  mkdirSync(join(stateDir, 'new-dir/deep'), { recursive: true });
  writeFileSync(join(stateDir, 'new-dir/deep/file'), 'new');
  rmSync(join(stateDir, 'workspace'), { recursive: true });
  unlinkSync(join(stateDir, 'a0'));
  mkdirSync(join(stateDir, 'a0'));
  writeFileSync(join(stateDir, 'a0/in'), 'a folder where a file was');
  rmSync(join(stateDir, 'empty'), { recursive: true });
  writeFileSync(join(stateDir, 'empty'), 'a file where a folder was');
  unlinkSync(join(stateDir, 'a-dir/link'));
  symlinkSync('elsewhere', join(stateDir, 'a-dir/link'));
  linkSync(join(stateDir, 'new-file'), join(stateDir, 'same-file'));
  chmodSync(join(stateDir, 'git~1'), 0o600);
}

/** Makes an agent with a database, its first moment, a second one, and copies of both. */
async function makeMoments(t: Parameters<typeof makeOneAgent>[0]) {
  const agent = await makeOneAgent(t);
  addRows(join(agent.stateDir, 'memory.sqlite'), 0, 100);
  const first = await agent.commit();
  cpSync(agent.stateDir, join(agent.dir, 'first'), {
    recursive: true,
    verbatimSymlinks: true,
    preserveTimestamps: true,
  });
  changeState(agent);
  cpSync(agent.stateDir, join(agent.dir, 'second'), { recursive: true, verbatimSymlinks: true });
  return { agent, first };
}

test('a moment comes back in place, and undo brings back what was there', async (t) => {
  const { agent, first } = await makeMoments(t);
  const { context, open, stateDir, dir } = agent;
  const large = statSync(join(stateDir, 'large.bin')).ino;
  const planned = await planInPlace(context, open, first);
  t.notThrows(() => compare(join(dir, 'second'), stateDir));
  const done = await restoreInPlace(context, open, first);
  const { phases, rebound, safety } = done;
  t.deepEqual({ ...planned, phases, rebound, safety }, done);
  t.notThrows(() => compare(join(dir, 'first'), stateDir));
  t.deepEqual(countRows(join(stateDir, 'memory.sqlite')), ['ok', 100]);
  t.is(statSync(join(stateDir, 'large.bin')).ino, large, 'an unchanged file was written');
  t.is(lstatSync(join(stateDir, 'git~1')).mode, lstatSync(join(dir, 'first/git~1')).mode);
  t.true([...open.repository.refs].some(([name]) => name.startsWith('refs/tags/safety/')));
  await restoreInPlace(context, open, await findUndo(context, open));
  t.notThrows(() => compare(join(dir, 'second'), stateDir));
  t.deepEqual(countRows(join(stateDir, 'memory.sqlite')), ['ok', 500]);
  t.is(lstatSync(join(stateDir, 'new-file')).ino, lstatSync(join(stateDir, 'same-file')).ino);
  await restoreInPlace(context, open, await findUndo(context, open));
  t.notThrows(() => compare(join(dir, 'first'), stateDir));
});

test('a second restore of the same moment writes nothing, and a commit afterwards records what is there', async (t) => {
  const { agent, first } = await makeMoments(t);
  await restoreInPlace(agent.context, agent.open, first);
  const again = await restoreInPlace(agent.context, agent.open, first);
  t.deepEqual([again.files.written, again.files.removed], [0, 0]);
  const next = await agent.commit();
  const plan = await planInPlace(agent.context, agent.open, next);
  t.deepEqual([plan.files.written, plan.files.removed], [0, 0]);
});

test('an old log is not played into a restored database', async (t) => {
  const { agent, first } = await makeMoments(t);
  const path = join(agent.stateDir, 'memory.sqlite');
  // A process that is killed leaves its log.
  const script = `const { DatabaseSync } = require('node:sqlite'); const d = new DatabaseSync(process.argv[1]);
    d.exec('PRAGMA wal_autocheckpoint = 0; INSERT INTO t VALUES (9)'); process.kill(process.pid, 'SIGKILL')`;
  spawnSync(process.execPath, ['-e', script, path]);
  t.true(statSync(`${path}-wal`).size > 0);
  await restoreInPlace(agent.context, agent.open, first);
  t.deepEqual(countRows(path), ['ok', 100]);
});

test('what is never captured stays', async (t) => {
  const { agent } = await makeMoments(t);
  mkdirSync(join(agent.stateDir, 'node_modules/x'), { recursive: true });
  writeFileSync(join(agent.stateDir, 'node_modules/x/y'), 'code');
  writeFileSync(join(agent.stateDir, '.moltignore'), 'node_modules/\n');
  const moment = await agent.commit();
  writeFileSync(join(agent.stateDir, 'a.b'), 'changed again');
  await restoreInPlace(agent.context, agent.open, moment);
  t.is(readFileSync(join(agent.stateDir, 'a.b'), 'utf8'), 'changed');
  t.is(readFileSync(join(agent.stateDir, 'node_modules/x/y'), 'utf8'), 'code');
});

test('a state folder that was deleted comes back', async (t) => {
  const { agent, first } = await makeMoments(t);
  rmSync(agent.stateDir, { recursive: true });
  await restoreInPlace(agent.context, agent.open, first);
  t.notThrows(() => compare(join(agent.dir, 'first'), agent.stateDir));
});

test('an agent that runs is refused, and nothing is changed', async (t) => {
  const { agent, first } = await makeMoments(t);
  const script = `const d = new (require('node:sqlite').DatabaseSync)(process.argv[1]); d.exec('SELECT * FROM t');
    console.log('open'); process.stdin.resume()`;
  const child = spawn(process.execPath, ['-e', script, join(agent.stateDir, 'memory.sqlite')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  const error = await t.throwsAsync(restoreInPlace(agent.context, agent.open, first));
  const ended = once(child, 'exit');
  child.stdin.end();
  await ended;
  t.true(isMoltError(error, 'RUNNING'), String(error));
  t.is(readFileSync(join(agent.stateDir, 'a.b'), 'utf8'), 'changed');
  t.is(await readRestoreNote(agent.context.home, agent.open.agent), undefined);
});

test('while an agent is restored, it is neither restored elsewhere nor committed nor renamed', async (t) => {
  const { agent, first } = await makeMoments(t);
  const { context, open, stateDir, dir } = agent;
  const script = join(import.meta.dirname, 'lock-process.ts');
  const child = spawn(process.execPath, [script, context.home.dir, 'restore'], { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  const backup = { kind: 'incremental', trigger: 'test' } as const;
  for (const act of [
    () => restoreInPlace(context, open, first),
    () => backUp(context, 'it', backup),
    () => renameAgent(context, 'it', 'other'),
  ]) {
    const error = await t.throwsAsync(act);
    t.true(isMoltError(error, 'LOCKED'), String(error));
  }
  t.notThrows(() => compare(join(dir, 'second'), stateDir));
  // However its holder ends, a lock goes with it.
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
  await restoreInPlace(context, open, first);
  t.notThrows(() => compare(join(dir, 'first'), stateDir));
});

test('commits of an agent go on beside each other, and keep a restore away', async (t) => {
  const { agent, first } = await makeMoments(t);
  const { context, open } = agent;
  {
    using _ = lockAgent(context.home, open.agent, 'commit');
    t.true(isMoltError(await t.throwsAsync(restoreInPlace(context, open, first)), 'LOCKED'));
    await t.notThrowsAsync(backUp(context, 'it', { kind: 'incremental', trigger: 'test' }));
  }
  await open.repository.refresh();
  await t.notThrowsAsync(restoreInPlace(context, open, first));
});

test('damage in what is to be restored changes nothing', async (t) => {
  const { agent, first } = await makeMoments(t);
  const { context, open, stateDir, dir } = agent;
  const { find } = open.repository.index;
  const { objects } = open.repository;
  const broken = await objects.readBlobRecord(await blobOf(agent, first, 'state/a0'));
  open.repository.index.find = (key) =>
    key.toString('hex') === broken.root ? undefined : find.call(open.repository.index, key);
  t.true(isMoltError(await t.throwsAsync(restoreInPlace(context, open, first)), 'DAMAGED'));
  t.notThrows(() => compare(join(dir, 'second'), stateDir));
  t.false(existsSync(join(stateDir, '.molt-restore')));
});

test('what is written to after it was saved is neither replaced nor removed', async (t) => {
  const { agent, first } = await makeMoments(t);
  const { context, open, stateDir, dir } = agent;
  const { find } = open.repository.index;
  const { root } = await open.repository.objects.readBlobRecord(await blobOf(agent, first, 'state/a0'));
  for (const name of ['a.b', 'new-dir/deep/file', 'memory.sqlite']) {
    const path = join(stateDir, name);
    open.repository.index.find = (key) => {
      // Only the staging asks for this chunk.
      if (key.toString('hex') === root) {
        if (name.endsWith('.sqlite')) addRows(path, 500, 501);
        else writeFileSync(path, 'written meanwhile');
        cpSync(path, join(dir, 'second', name));
      }
      return find.call(open.repository.index, key);
    };
    const error = await t.throwsAsync(restoreInPlace(context, open, first));
    t.true(isMoltError(error, 'RUNNING') && error.message.includes(name), String(error));
    t.notThrows(() => compare(join(dir, 'second'), stateDir));
    t.is(await readRestoreNote(context.home, open.agent), undefined);
  }
  open.repository.index.find = find;
  await restoreInPlace(context, open, first);
  t.notThrows(() => compare(join(dir, 'first'), stateDir));
});

test('a restore that fails leaves the one before it to be undone', async (t) => {
  const { agent, first } = await makeMoments(t);
  const { context, open, stateDir, dir } = agent;
  const { safety } = await restoreInPlace(context, open, first);
  const { find } = open.repository.index;
  open.repository.index.find = () => Promise.reject(new Error('the disk is full'));
  await t.throwsAsync(restoreInPlace(context, open, safety ?? first));
  open.repository.index.find = find;
  t.notThrows(() => compare(join(dir, 'first'), stateDir));
  await restoreInPlace(context, open, await findUndo(context, open));
  t.notThrows(() => compare(join(dir, 'second'), stateDir));
});

async function blobOf({ open }: OneAgent, commit: Awaited<ReturnType<OneAgent['commit']>>, path: string) {
  const { readCommitView, readRestoreEntries } = await import('../../src/ops/commit-files.ts');
  const entries = await readRestoreEntries(open.repository, await readCommitView(open.repository, commit));
  const blob = entries.find((entry) => entry.path === path)?.blob;
  if (blob === undefined) throw new Error(`no ${path}`);
  return blob;
}

for (const at of [1, 3, 5]) {
  for (const finish of ['again', 'undo'] as const) {
    test(`a restore that is killed at rename ${at} is finished by ${finish}`, async (t) => {
      const { agent, first } = await makeMoments(t);
      const { context, open, stateDir, dir } = agent;
      const child = join(import.meta.dirname, 'in-place-process.ts');
      const { signal } = spawnSync(process.execPath, [child, context.home.dir, first, 'kill', String(at)], {
        stdio: 'inherit',
      });
      t.is(signal, 'SIGKILL');
      t.is((await readRestoreNote(context.home, open.agent))?.phase, 'under-way');
      await open.repository.refresh();
      await restoreInPlace(context, open, finish === 'again' ? first : await findUndo(context, open));
      t.notThrows(() => compare(join(dir, finish === 'again' ? 'first' : 'second'), stateDir));
      t.deepEqual(countRows(join(stateDir, 'memory.sqlite')), ['ok', finish === 'again' ? 100 : 500]);
      t.false(readdirSync(stateDir).includes('.molt-restore'));
      if (finish === 'undo') return;
      await restoreInPlace(context, open, await findUndo(context, open));
      t.notThrows(() => compare(join(dir, 'second'), stateDir));
    });
  }
}

for (const at of [0, 1])
  test(`a disk that has room for ${at} MB of copies keeps none from being restored`, async (t) => {
    const { agent, first } = await makeMoments(t);
    const { context, stateDir, dir } = agent;
    const child = join(import.meta.dirname, 'in-place-process.ts');
    const args = [child, context.home.dir, first, 'full-copies', String(at)];
    const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
    t.is(status, 0);
    t.notThrows(() => compare(join(dir, 'first'), stateDir));
  });
