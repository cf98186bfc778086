// Capturing real databases while real processes write them. The writers keep an invariant over two tables, so a capture that is
// not one committed moment shows.

import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  closeSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import test from 'ava';
import { type CaptureContext, captureFile } from '../../src/agent/capture.ts';
import { getProfile } from '../../src/agent/profile.ts';
import { sweepTemp } from '../../src/agent/temp.ts';
import {
  MemoryBlobs,
  captureBytes,
  captureContext,
  getCaptured,
  getEntry,
  scanRoots,
  tempFolders,
  unpackFixture,
} from './support.ts';

const makeFolder = tempFolders(test);
const generic = getProfile('generic');
const children = new Set<ChildProcess>();
test.after.always(() => {
  for (const child of children) child.kill('SIGKILL');
});

const TOTAL = 100_000;

/** Makes a database of two tables and returns its path. */
function makeDatabase(dir: string, mode: 'wal' | 'delete'): string {
  const path = join(dir, 'memory.sqlite');
  const database = new DatabaseSync(path);
  database.exec(`PRAGMA journal_mode = ${mode};
    CREATE TABLE left_side (id INTEGER PRIMARY KEY, amount INTEGER);
    CREATE TABLE right_side (id INTEGER PRIMARY KEY, amount INTEGER);
    CREATE TABLE filler (text TEXT);
    WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 50)
      INSERT INTO left_side SELECT i, ${TOTAL / 100} FROM n;
    INSERT INTO right_side SELECT id, amount FROM left_side;
    WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO filler SELECT hex(zeroblob(400)) FROM n`);
  database.close();
  return path;
}

async function startWriter(
  path: string,
  mode: string,
  job: 'write' | 'hold' | 'open',
  number = 1,
): Promise<{ stop: () => Promise<void>; commit: () => Promise<void> }> {
  const child = fork(new URL('sqlite-writer.ts', import.meta.url).pathname, [path, mode, job, String(number)]);
  children.add(child);
  const hear = () =>
    new Promise<void>((done, failed) => {
      const gone = (code: number | null): void => failed(new Error(`the writer ended with ${code}`));
      child.once('exit', gone);
      child.once('message', () => {
        child.off('exit', gone);
        done();
      });
    });
  await hear();
  return {
    commit: async () => {
      const heard = hear();
      child.send('commit');
      await heard;
    },
    stop: async () => {
      const ended = once(child, 'exit');
      child.send('stop');
      await ended;
      children.delete(child);
    },
  };
}

/** Scans the folder and captures one file of it. */
async function capture(dir: string, options: Partial<CaptureContext> = {}, name = 'memory.sqlite') {
  const entry = getEntry(scanRoots(generic, await generic.findRoots(dir, { home: '/nowhere' })), `state/${name}`);
  const blobs = new MemoryBlobs();
  const temp = makeFolder();
  const outcome = await captureFile(entry, blobs.open, captureContext(temp, options));
  return { outcome, blobs, bytes: outcome.status === 'captured' ? blobs.get(outcome.id) : undefined, temp };
}

/** Opens captured bytes and returns what the two tables add up to, and how many rows of filler there are. */
function inspect(bytes: Buffer | undefined): { check: unknown; total: unknown; filler: number } {
  const path = join(makeFolder(), 'copy');
  writeFileSync(path, bytes ?? '');
  const database = new DatabaseSync(path);
  const check = database.prepare('PRAGMA integrity_check').get()?.['integrity_check'];
  const total = database
    .prepare('SELECT (SELECT sum(amount) FROM left_side) + (SELECT sum(amount) FROM right_side) AS total')
    .get()?.['total'];
  const filler = Number(database.prepare('SELECT count(*) AS rows FROM filler').get()?.['rows']);
  database.close();
  return { check, total, filler };
}

/** Returns what a folder looks like from outside: names, sizes, times and content. `-shm` has no content of its own. */
function look(dir: string): unknown[] {
  return readdirSync(dir)
    .sort()
    .map((name) => {
      const stats = statSync(join(dir, name), { bigint: true });
      const digest = createHash('sha256')
        .update(readFileSync(join(dir, name)))
        .digest('hex');
      return name.endsWith('-shm') ? [name, stats.ino] : [name, stats.size, stats.mtimeNs, stats.ino, digest];
    });
}

/** Makes files look as if written long ago, so that no clock tick is in doubt. */
function age(dir: string): void {
  for (const name of readdirSync(dir)) utimesSync(join(dir, name), 1e9, 1e9);
}

for (const [mode, how, options] of [
  ['wal', 'in any way', {}],
  ['wal', 'by backup()', { maxLogBytes: 0 }],
  ['delete', 'by backup()', {}],
] as const) {
  test.serial(
    `a database in ${mode} mode under two writers is captured ${how} at one committed moment, every time`,
    async (t) => {
      const dir = makeFolder();
      const path = makeDatabase(dir, mode);
      const writers = [await startWriter(path, mode, 'write', 1), await startWriter(path, mode, 'write', 2)];
      const contents = new Set<string>();
      for (let round = 0; round < 12; round += 1) {
        const { outcome, bytes, blobs } = await capture(dir, options);
        const { kind } = getCaptured(outcome);
        t.is(kind, 'sqlite');
        t.deepEqual(blobs.opened, ['fixed']);
        t.like(inspect(bytes), { check: 'ok', total: TOTAL });
        contents.add(getCaptured(outcome).id);
        await writers[round % 2]?.commit();
      }
      for (const writer of writers) await writer.stop();
      t.is(contents.size, 12, 'the writers wrote between captures');
    },
  );
}

test('an idle database gives the same bytes each time, and its folder stays as it was', async (t) => {
  for (const [mode, job] of [
    ['wal', 'open'],
    ['delete', 'open'],
    ['wal', undefined],
    ['delete', undefined],
  ] as const) {
    const dir = makeFolder();
    const path = makeDatabase(dir, mode);
    const other = job === undefined ? undefined : await startWriter(path, mode, job);
    const before = look(dir);
    const captured = [await capture(dir), await capture(dir), await capture(dir, { quickCheck: true })];
    t.deepEqual(look(dir), before, `${mode} ${job}`);
    t.is(new Set(captured.map(({ outcome }) => getCaptured(outcome).id)).size, 1, `${mode} ${job}`);
    t.like(inspect(captured[0]?.bytes), { check: 'ok', total: TOTAL, filler: 3000 });
    for (const { temp } of captured) t.deepEqual(readdirSync(temp), []);
    await other?.stop();
  }
});

test('a resting database in WAL mode is captured byte for byte, and nothing appears beside it', async (t) => {
  const dir = makeFolder();
  const path = makeDatabase(dir, 'wal');
  age(dir);
  // Its change time can't be set back, so the clock is set forward.
  const { bytes, temp } = await capture(dir, { clock: { now: () => Date.now() + 60_000 }, deadlineMs: Infinity });
  t.true(bytes?.equals(readFileSync(path)));
  t.deepEqual(readdirSync(dir), ['memory.sqlite']);
  t.deepEqual(readdirSync(temp), []);
});

test('what is only in the log is captured, from a copy of the pair when the shared memory is gone', async (t) => {
  const dir = makeFolder();
  const path = makeDatabase(dir, 'wal');
  const database = new DatabaseSync(path);
  database.exec("PRAGMA wal_autocheckpoint = 0; INSERT INTO filler VALUES ('only in the log')");
  const other = makeFolder();
  for (const suffix of ['', '-wal']) copyFileSync(path + suffix, join(other, `memory.sqlite${suffix}`));
  const before = look(other);
  t.is(inspect((await capture(dir)).bytes).filler, 3001);
  database.close();
  t.is(inspect((await capture(other)).bytes).filler, 3001);
  t.deepEqual(look(other), before);
});

test('a journal left by a crash is rolled back in the capture, not in the agent’s folder', async (t) => {
  const dir = makeFolder();
  const path = makeDatabase(dir, 'delete');
  const script = `
    const { DatabaseSync } = require('node:sqlite');
    const db = new DatabaseSync(process.argv[1]);
    db.exec("PRAGMA cache_size = 5; PRAGMA cache_spill = 5; BEGIN; UPDATE left_side SET amount = amount + 1; UPDATE filler SET text = 'torn'");
    process.kill(process.pid, 'SIGKILL');`;
  t.is(spawnSync(process.execPath, ['-e', script, path]).signal, 'SIGKILL');
  t.true(existsSync(`${path}-journal`));
  const before = look(dir);
  const { bytes, outcome } = await capture(dir);
  t.like(inspect(bytes), { check: 'ok', total: TOTAL, filler: 3000 });
  t.true((getCaptured(outcome).journal?.sizeBytes ?? 0) > 0);
  t.deepEqual(look(dir), before);
});

test('a database that another process keeps locked is reported within the bound', async (t) => {
  const dir = makeFolder();
  const holder = await startWriter(makeDatabase(dir, 'delete'), 'delete', 'hold');
  const { outcome, blobs } = await capture(dir, { busyTimeoutMs: 50 });
  t.deepEqual(outcome, { status: 'unreadable', reason: 'a database that another process keeps locked' });
  t.is(blobs.blobs.size, 0);
  await holder.stop();
  t.is((await capture(dir)).outcome.status, 'captured');
});

test('a copy that is not done by its deadline is given up, and leaves no temporary file', async (t) => {
  const dir = makeFolder();
  const path = makeDatabase(dir, 'delete');
  const database = new DatabaseSync(path);
  database.exec(
    'WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO filler SELECT zeroblob(16000) FROM n',
  );
  database.close();
  const { outcome, temp } = await capture(dir, { deadlineMs: 0 });
  t.deepEqual(outcome, { status: 'unreadable', reason: 'a database that could not be copied in time' });
  t.deepEqual(readdirSync(temp), []);
});

test('a file that only begins like a database is captured as the plain file that it is', async (t) => {
  const contents = {
    short: Buffer.from('SQLite format 3\0'),
    text: Buffer.from(`SQLite format 3\0 is how a database begins, ${'and so on, '.repeat(1000)}`),
    noise: Buffer.concat([Buffer.from('SQLite format 3\0'), Buffer.alloc(8000, 9)]),
  };
  for (const [name, content] of Object.entries(contents)) {
    const dir = makeFolder();
    writeFileSync(join(dir, name), content);
    const { outcome, bytes } = await capture(dir, {}, name);
    t.true(bytes?.equals(content), name);
    t.is(getCaptured(outcome).kind, 'plain', name);
    t.deepEqual(readdirSync(dir), [name]);
  }
});

/** Overwrites a part of a file. */
function writeAt(path: string, bytes: Buffer, offset: number): void {
  const descriptor = openSync(path, 'r+');
  writeSync(descriptor, bytes, 0, bytes.length, offset);
  closeSync(descriptor);
}

test('a damaged database is taken as it is, and reported by a full’s check', async (t) => {
  const dir = makeFolder();
  const path = makeDatabase(dir, 'delete');
  truncateSync(path, statSync(path).size - 8192);
  const { outcome, bytes } = await capture(dir, { quickCheck: true });
  t.is(bytes?.length, statSync(path).size);
  t.regex(getCaptured(outcome).damage ?? '', /\S/);
});

test('a full’s check finds damage in a database at rest and in one that is read in place, and leaves nothing behind', async (t) => {
  for (const isOpen of [false, true]) {
    const dir = makeFolder();
    const path = makeDatabase(dir, 'wal');
    // The third page from the end belongs to a table; what is over it is none.
    writeAt(path, Buffer.alloc(4096, 0xee), statSync(path).size - 3 * 4096);
    const writer = isOpen ? new DatabaseSync(path) : undefined;
    writer?.exec('PRAGMA wal_autocheckpoint = 0; CREATE TABLE later (a)');
    const before = readdirSync(dir);
    const { outcome } = await capture(dir, { quickCheck: true });
    t.is(getCaptured(outcome).method, isOpen ? 'in place' : 'resting');
    t.regex(getCaptured(outcome).damage ?? '', /\S/);
    t.is(getCaptured((await capture(dir)).outcome).damage, undefined, 'other commits do not look');
    t.deepEqual(readdirSync(dir), before);
    writer?.close();
  }
});

test('a database that vanishes is no trouble', async (t) => {
  const dir = makeFolder();
  const path = makeDatabase(dir, 'wal');
  writeFileSync(`${path}-wal`, '');
  const entry = getEntry(scanRoots(generic, await generic.findRoots(dir, { home: '/nowhere' })), 'state/memory.sqlite');
  rmSync(path);
  t.deepEqual(await captureFile(entry, new MemoryBlobs().open, captureContext(makeFolder())), { status: 'vanished' });
});

test('two names of one database give the content that its log makes', async (t) => {
  const dir = makeFolder();
  const path = makeDatabase(dir, 'wal');
  linkSync(path, join(dir, 'alias'));
  const database = new DatabaseSync(path);
  database.exec("PRAGMA wal_autocheckpoint = 0; INSERT INTO filler VALUES ('only in the log')");
  for (const name of ['memory.sqlite', 'alias']) t.is(inspect((await capture(dir, {}, name)).bytes).filler, 3001, name);
  database.close();
});

test('all databases of the recorded states are whole, with what their logs hold, and the states untouched', async (t) => {
  const openclaw = getProfile('openclaw');
  let rows: unknown;
  for (const [version, count] of [
    ['2026.9.6', 4],
    ['2026.5.28', 2],
  ] as const) {
    const stateDir = unpackFixture(version, makeFolder());
    const { entries } = scanRoots(openclaw, await openclaw.findRoots(stateDir, { home: '/nowhere' }));
    const databases = entries.filter((entry) => entry.path.endsWith('.sqlite'));
    t.is(databases.length, count);
    for (const entry of databases) {
      const before = look(join(String(entry.native), '..'));
      const bytes = await captureBytes(entry, captureContext(makeFolder(), { quickCheck: true }));
      t.deepEqual(look(join(String(entry.native), '..')), before, entry.path);
      const path = join(makeFolder(), 'copy');
      writeFileSync(path, bytes);
      const database = new DatabaseSync(path);
      t.is(database.prepare('PRAGMA integrity_check').get()?.['integrity_check'], 'ok', entry.path);
      if (entry.path === 'state/tasks/runs.sqlite')
        rows = database.prepare('SELECT count(*) AS tables FROM sqlite_schema').get()?.['tables'];
      database.close();
    }
  }
  t.true(Number(rows) > 0, 'tables that were only in the 2 MB log of tasks/runs.sqlite');
});

test('temporary copies of dead processes are swept, those of living ones stay', (t) => {
  const temp = makeFolder();
  const dead = spawnSync(process.execPath, ['-e', '']).pid;
  const names = [
    `capture-${dead}-0123456789ab-1`,
    `capture-${process.pid}-0123456789ab-1`,
    `capture-${process.ppid}-0123456789ab-1`,
    'other',
  ];
  for (const name of names) {
    mkdirSync(join(temp, name));
    writeFileSync(join(temp, name, 'database'), 'x');
  }
  t.is(sweepTemp(temp), 2);
  t.deepEqual(new Set(readdirSync(temp)), new Set([names[2], 'other']));
  t.is(sweepTemp(join(temp, 'missing')), 0);
});
