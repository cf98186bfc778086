// The traps of reading a live database in place, and of the ways that are taken instead: each is set by a real process at the one
// moment of a capture at which it would do harm. docs/design.md lists which rule each of these tests holds.

import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  copyFileSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import ava from 'ava';
import { knowsNoop, readSnapshot } from '../../src/agent/sqlite-snapshot.ts';
import { Actor } from './processes.ts';
import { EVERYWHERE, NAME, TOTAL, descriptorsOf, executeElsewhere, liveDatabases, locksOf } from './sqlite-live.ts';
import { captureContext, getCaptured } from './support.ts';

// Elsewhere databases are not read in place, and /proc doesn't tell of locks.
const test = process.platform === 'linux' ? ava.serial : ava.skip;
const { makeFolder, spawn, startActor, capture, checkpointed, inspect } = liveDatabases(ava);
const SIDES = ['', '-wal', '-shm'];
const OTHERWISE = EVERYWHERE.replace('changed', 'CHANGED');

/** Copies a database and its log from within a capture: another process does it, so that no lock of this one is dropped. */
function copyElsewhere(path: string, to: string): void {
  for (const suffix of ['', '-wal']) spawnSync('cp', [path + suffix, to + suffix]);
}

function overwrite(path: string, bytes: Buffer, offset: number): void {
  const descriptor = openSync(path, 'r+');
  writeSync(descriptor, bytes, 0, bytes.length, offset);
  closeSync(descriptor);
}

function readAt(path: string, sizeBytes: number, offset: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  const descriptor = openSync(path, 'r');
  readSync(descriptor, bytes, 0, sizeBytes, offset);
  closeSync(descriptor);
  return bytes;
}

/** Returns the newest round in the rows at the end of the file. */
function lateRound(bytes: Buffer): unknown {
  return select(bytes, 'max(CAST(text AS INTEGER)) AS value FROM filler WHERE rowid >= 2000');
}

/** Returns how many rounds there are in the rows that each round writes. */
function countRounds(bytes: Buffer): unknown {
  return select(
    bytes,
    `count(DISTINCT round) AS value FROM
    (SELECT round FROM progress UNION ALL SELECT CAST(text AS INTEGER) FROM filler WHERE rowid % 10 = 0)`,
  );
}

function select(bytes: Buffer, expression: string): unknown {
  const path = join(makeFolder(), 'copy');
  writeFileSync(path, bytes);
  const database = new DatabaseSync(path);
  const row = database.prepare(`SELECT ${expression}`).get();
  database.close();
  return row?.['value'];
}

test('commits made between the start of the transaction and the question how long the log is are captured whole', async (t) => {
  const dir = makeFolder();
  const path = join(dir, NAME);
  const actor = await startActor(path);
  await actor.run('PRAGMA wal_checkpoint(TRUNCATE); UPDATE progress SET round = 1');
  const copy = join(makeFolder(), 'copy');
  const { bytes, blobs, method } = await capture(
    dir,
    {},
    {
      beforeHandle: (number) => {
        if (number !== 2) return;
        executeElsewhere(path, `PRAGMA wal_checkpoint(PASSIVE); ${EVERYWHERE}`);
        copyElsewhere(path, copy);
      },
      // What the transaction's read mark allows to be written into the main file, and what it doesn't.
      midway: () => actor.run(`PRAGMA wal_checkpoint(PASSIVE); ${OTHERWISE}; PRAGMA wal_checkpoint(PASSIVE)`),
    },
  );
  t.is(method, 'in place');
  t.is(blobs.aborted, 0);
  t.true(bytes.equals(checkpointed(copy)));
  await actor.close();
});

test('a writer that never rests and a checkpoint amid each capture: what is captured is one commit, first page to last', async (t) => {
  const dir = makeFolder();
  const path = join(dir, NAME);
  const writer = await startActor(path);
  const other = await Actor.start(spawn, path);
  await writer.repeat(`BEGIN; UPDATE progress SET round = round + 1;
    UPDATE filler SET text = (SELECT round FROM progress) || ' ' || substr(text, 10)
      WHERE rowid = (SELECT 2000 + round * 7 % 1900 FROM progress); COMMIT`);
  const rounds = new Set<unknown>();
  while (rounds.size < 30) {
    // So that the log is short, and most pages are only in the main file.
    await other.row('PRAGMA wal_checkpoint(RESTART)');
    const { bytes } = await capture(dir, {}, async () => void (await other.row('PRAGMA wal_checkpoint(PASSIVE)')));
    const { check, rounds: early } = inspect(bytes);
    t.is(check, 'ok');
    t.is(lateRound(bytes), early[0]);
    rounds.add(early[0]);
  }
  await writer.kill();
  await other.close();
});

test('asking how long the log is writes nothing, neither into the database nor into the log', async (t) => {
  const dir = makeFolder();
  const path = join(dir, NAME);
  const actor = await startActor(path);
  const progress = await actor.row('PRAGMA wal_checkpoint(NOOP)');
  t.like(progress, { busy: 0, checkpointed: 0 });
  const look = () => ['', '-wal'].map((suffix) => readFileSync(path + suffix, 'base64'));
  const before = look();
  t.is((await capture(dir)).method, 'in place');
  t.deepEqual(look(), before);
  t.deepEqual(await actor.row('PRAGMA wal_checkpoint(NOOP)'), progress);
  await actor.close();
});

test('the question is put only to an SQLite that doesn’t take it for a checkpoint', (t) => {
  const versions = ['3.7.0', '3.50.4', '3.51.0', '3.51', '3.53.4', '4.0.0', 'unknown'];
  t.deepEqual(versions.filter(knowsNoop), ['3.51.0', '3.51', '3.53.4', '4.0.0']);
});

test('SQLite’s locks are held until the last byte has been read and checked', async (t) => {
  const dir = makeFolder();
  const path = join(dir, NAME);
  const actor = await startActor(path);
  const looks: unknown[] = [];
  await capture(dir, {}, { atEnd: () => looks.push([descriptorsOf(`${path}-shm`), locksOf(path)]) });
  t.deepEqual(looks, [[1, { main: 1, shm: 2 }]]);
  await actor.close();
});

for (const moment of ['before its log is measured', 'while it is read'] as const) {
  test(`a database that is replaced ${moment} is read anew`, async (t) => {
    const dir = makeFolder();
    const path = join(dir, NAME);
    const actor = await startActor(path);
    const other = join(makeFolder(), NAME);
    const replacer = await startActor(other);
    await replacer.run(`PRAGMA wal_checkpoint(TRUNCATE); UPDATE progress SET round = 7`);
    const replace = () => SIDES.forEach((suffix) => renameSync(other + suffix, path + suffix));
    const { bytes, blobs, method } = await capture(
      dir,
      {},
      {
        beforeHandle: (number) => {
          if (number === 2 && moment === 'before its log is measured') replace();
        },
        midway: async () => {
          if (moment === 'while it is read') replace();
          await replacer.run(`${EVERYWHERE}; PRAGMA wal_checkpoint(PASSIVE)`);
        },
      },
    );
    t.is(blobs.aborted, 1);
    t.is(method, 'in place');
    t.true(bytes.equals(checkpointed(path)));
    t.deepEqual(inspect(bytes), { check: 'ok', total: TOTAL, rounds: [7, 7] });
    await replacer.close();
    await actor.close();
  });
}

test('a database that leaves WAL mode as its capture begins is copied, and nothing appears beside it', async (t) => {
  const dir = makeFolder();
  const path = join(dir, NAME);
  const actor = await startActor(path);
  await actor.kill();
  t.deepEqual(readdirSync(dir), [NAME, `${NAME}-shm`, `${NAME}-wal`]);
  const { bytes, method } = await capture(
    dir,
    {},
    { beforeHandle: (number) => number === 1 && executeElsewhere(path, 'PRAGMA journal_mode = DELETE') },
  );
  t.is(method, 'backup');
  t.like(inspect(bytes), { check: 'ok', total: TOTAL });
  t.deepEqual(readdirSync(dir), [NAME]);
});

test('a header that doesn’t tell how many pages there are is not believed', async (t) => {
  const dir = makeFolder();
  const path = join(dir, NAME);
  const first = await startActor(path);
  await first.close();
  // As an SQLite older than 3.7.0 leaves them: the count is of an earlier time, and so is the counter that says of which.
  overwrite(path, Buffer.from([0, 0, 0, 5]), 28);
  overwrite(path, Buffer.from([0, 0, 0, 1]), 92);
  const reader = await Actor.start(spawn, path);
  await reader.row('SELECT count(*) FROM filler');
  t.deepEqual(readdirSync(dir), [NAME, `${NAME}-shm`, `${NAME}-wal`]);
  const { bytes, method } = await capture(dir);
  t.is(method, 'backup');
  t.is(bytes.length, statSync(path).size);
  t.like(inspect(bytes), { check: 'ok', total: TOTAL });
  await reader.close();
});

test('what lies behind the last page of a database is not captured', async (t) => {
  const dir = makeFolder();
  const path = join(dir, NAME);
  const first = await startActor(path);
  await first.close();
  const expected = readFileSync(path);
  overwrite(path, Buffer.alloc(3 * 4096, 'behind'), expected.length);
  const reader = await Actor.start(spawn, path);
  await reader.row('SELECT count(*) FROM filler');
  const { bytes, method } = await capture(dir);
  t.is(method, 'in place');
  t.true(bytes.equals(expected));
  await reader.close();
});

test('a live database that lacks pages is reported, though SQLite reads them as zeros', async (t) => {
  const dir = makeFolder();
  const path = join(dir, NAME);
  const actor = await startActor(path);
  await actor.run('PRAGMA wal_checkpoint(TRUNCATE); UPDATE progress SET round = 1');
  truncateSync(path, statSync(path).size - 8192);
  const { outcome, method } = await capture(dir);
  t.is(method, 'backup');
  t.regex(getCaptured(outcome).damage ?? '', /\S/);
  await actor.kill();
});

test('a log that takes too long to read ends the capture before anything of it is stored', async (t) => {
  const dir = makeFolder();
  const actor = await startActor(join(dir, NAME));
  let nowMs = 1_760_000_000_000;
  // The log is looked through in five pieces, from the third look at the clock on.
  const { outcome, blobs } = await capture(
    dir,
    { clock: { now: () => nowMs }, deadlineMs: nowMs },
    { atClock: (number) => void (nowMs += number === 5 ? 1 : 0) },
  );
  t.deepEqual(outcome, { status: 'unreadable', reason: 'a database that could not be copied in time' });
  t.deepEqual(blobs.opened, []);
  await actor.close();
});

test('a page that is only in the log is found beyond the page of SQLite’s locks, which is in no file', async (t) => {
  const dir = makeFolder();
  const path = join(dir, NAME);
  const first = await startActor(path, 'PRAGMA page_size = 65536');
  await first.close();
  // A gigabyte of nothing, so that the next new page lies beyond the lock page, which a commit skips.
  const pageCount = 0x40000000 / 65_536;
  const descriptor = openSync(path, 'r+');
  ftruncateSync(descriptor, 0x40000000);
  closeSync(descriptor);
  const count = Buffer.alloc(4);
  count.writeUInt32BE(pageCount);
  overwrite(path, count, 28);
  const actor = await Actor.start(spawn, path);
  await actor.run(`PRAGMA wal_autocheckpoint = 0; UPDATE progress SET round = 9;
    INSERT INTO filler VALUES (hex(zeroblob(100000)))`);
  let sizeBytes = 0;
  let tail = Buffer.alloc(0);
  const read = await readSnapshot(path, captureContext(makeFolder()), () => (bytes) => {
    sizeBytes += bytes.length;
    tail = Buffer.from(bytes);
  });
  t.deepEqual(read, { damage: undefined });
  t.is(statSync(path).size, 0x40000000, 'the rest is only in the log');
  await actor.run('PRAGMA wal_checkpoint(TRUNCATE)');
  t.is(sizeBytes, statSync(path).size);
  t.true(sizeBytes > 0x40000000 + 65_536);
  t.true(tail.equals(readAt(path, tail.length, sizeBytes - tail.length)));
  await actor.close();
});

test('a planted link in the log’s place is not followed', async (t) => {
  const dir = makeFolder();
  const path = join(dir, NAME);
  const actor = await startActor(path);
  const elsewhere = join(makeFolder(), 'log');
  renameSync(`${path}-wal`, elsewhere);
  symlinkSync(elsewhere, `${path}-wal`);
  t.deepEqual((await capture(dir)).outcome, { status: 'unreadable', reason: 'it became something else' });
  await actor.kill();
});

test('a backup of several steps is of the moment at which it began, whatever is committed between them', async (t) => {
  const dir = makeFolder();
  const path = join(dir, NAME);
  const actor = await startActor(path, 'PRAGMA page_size = 512');
  const expected = checkpointed(path);
  let looks = 0;
  const { bytes, method } = await capture(
    dir,
    { maxLogBytes: 0 },
    {
      atClock: (number) => {
        looks = number;
        if (number > 2 && number < 20) executeElsewhere(path, EVERYWHERE);
      },
    },
  );
  t.is(method, 'backup');
  t.true(looks > 3, 'it took several steps');
  t.is(bytes.length, expected.length);
  t.true(bytes.subarray(512).equals(expected.subarray(512)));
  await actor.close();
});

test('a database that one process keeps for itself and writes is captured at a committed moment, or not at all', async (t) => {
  const dir = makeFolder();
  const path = join(dir, NAME);
  const actor = await startActor(path, 'PRAGMA locking_mode = EXCLUSIVE');
  t.deepEqual(readdirSync(dir), [NAME, `${NAME}-wal`]);
  await actor.repeat(`BEGIN; UPDATE progress SET round = round + 1;
    UPDATE filler SET text = (SELECT round FROM progress) || ' ' || substr(text, 10) WHERE rowid % 10 = 0; COMMIT;
    PRAGMA wal_checkpoint(PASSIVE)`);
  for (let turn = 0; turn < 30; turn += 1) {
    // By this clock no stamp is too young to tell.
    const { outcome, bytes, method } = await capture(dir, { clock: { now: () => 0 } });
    if (outcome.status === 'unreadable') t.is(outcome.reason, 'a database whose log keeps changing');
    else {
      t.is(method, 'pair');
      t.is(inspect(bytes).check, 'ok');
      t.is(countRounds(bytes), 1);
    }
  }
  await actor.kill();
  t.is(countRounds((await capture(dir)).bytes), 1);
});

test('a log written so lately that its stamp can’t tell is waited for, as long as there is patience', async (t) => {
  const dir = makeFolder();
  const path = join(dir, NAME);
  const actor = await startActor(path, 'PRAGMA locking_mode = EXCLUSIVE');
  const stoppedMs = Math.ceil(statSync(`${path}-wal`).ctimeMs);
  const stopped = await capture(dir, { clock: { now: () => stoppedMs } });
  t.deepEqual(stopped.outcome, { status: 'unreadable', reason: 'a database whose log keeps changing' });
  t.is((await capture(dir, { clock: { now: () => stoppedMs + 1000 } })).method, 'pair');
  await actor.close();
  // The same for one at rest, which is copied then.
  const restedMs = Math.ceil(statSync(path).ctimeMs);
  t.not((await capture(dir, { clock: { now: () => restedMs } })).method, 'resting');
  t.is((await capture(dir, { clock: { now: () => restedMs + 1000 } })).method, 'resting');
});

test('a resting database that somebody opens while it is read is read as a live one', async (t) => {
  const dir = makeFolder();
  const path = join(dir, NAME);
  const first = await startActor(path);
  await first.close();
  const later = { clock: { now: () => Date.now() + 60_000 } };
  let opener: Actor | undefined;
  const { bytes, blobs, method } = await capture(dir, later, async () => {
    opener = await Actor.start(spawn, path);
    await opener.run('PRAGMA wal_autocheckpoint = 0; UPDATE progress SET round = 3');
  });
  t.is(blobs.aborted, 1);
  t.is(method, 'backup');
  t.deepEqual(inspect(bytes).rounds, [3, 3]);
  await opener?.close();
  const written = await capture(dir, later, () => executeElsewhere(path, 'UPDATE progress SET round = 4'));
  t.is(written.blobs.aborted, 1);
  t.deepEqual(inspect(written.bytes).rounds, [4, 4]);
});

test('beside shared memory alone nothing appears', async (t) => {
  const dir = makeFolder();
  const path = join(dir, NAME);
  const actor = await startActor(path);
  await actor.close();
  writeFileSync(`${path}-shm`, '');
  const { bytes, method } = await capture(dir);
  t.is(method, 'pair');
  t.like(inspect(bytes), { check: 'ok', total: TOTAL });
  t.deepEqual(readdirSync(dir), [NAME, `${NAME}-shm`]);
});

test('a log beside a main file that knows of none is captured with it, and nothing appears', async (t) => {
  const dir = makeFolder();
  const path = join(dir, NAME);
  const actor = await startActor(path);
  const expected = checkpointed(path);
  await actor.kill();
  rmSync(`${path}-shm`);
  overwrite(path, Buffer.from([1, 1]), 18);
  const { bytes, method } = await capture(dir);
  t.is(method, 'pair');
  t.true(bytes.equals(expected));
  t.deepEqual(readdirSync(dir), [NAME, `${NAME}-wal`]);
});

test('temporary copies are private, whoever may read the database', async (t) => {
  for (const mode of ['WAL', 'DELETE']) {
    const dir = makeFolder();
    const path = join(dir, NAME);
    const actor = await startActor(path);
    await actor.run(`PRAGMA journal_mode = ${mode}`);
    await actor.kill();
    rmSync(`${path}-shm`, { force: true });
    chmodSync(path, 0o644);
    const tempDir = join(makeFolder(), 'temp');
    const modes: number[] = [];
    const { method } = await capture(dir, { tempDir }, () => {
      for (const name of ['.', ...readdirSync(tempDir, { recursive: true })])
        modes.push(statSync(join(tempDir, String(name))).mode & 0o077);
    });
    t.is(method, mode === 'WAL' ? 'pair' : 'backup');
    t.deepEqual(modes.slice(0, 2), [0, 0], 'the folders');
    t.true(modes.length > 2);
    if (mode === 'WAL') t.true(modes.every((bits) => bits === 0));
    t.deepEqual(readdirSync(tempDir), []);
  }
});

test('a full’s check finds damage in a copy; a damaged database with anything beside it keeps its last good version', async (t) => {
  const dir = makeFolder();
  const path = join(dir, NAME);
  const actor = await startActor(path);
  await actor.run('PRAGMA journal_mode = DELETE');
  await actor.close();
  overwrite(path, Buffer.alloc(4096, 0xee), statSync(path).size - 3 * 4096);
  const full = await capture(dir, { quickCheck: true });
  t.is(full.method, 'backup');
  t.regex(getCaptured(full.outcome).damage ?? '', /\S/);
  t.is(getCaptured((await capture(dir)).outcome).damage, undefined);
  truncateSync(path, statSync(path).size - 8192);
  t.is(getCaptured((await capture(dir)).outcome).damage, 'a damaged database');
  writeFileSync(`${path}-shm`, '');
  t.deepEqual((await capture(dir)).outcome, { status: 'unreadable', reason: 'a damaged database' });
});

const CAPTURE = new URL('sqlite-elsewhere.ts', import.meta.url).pathname;

// A user's own mounts need no rights where the system allows them at all, and end with the process.
const MOUNTS = ['-rm', 'sh', '-c'] as const;
const mounted = spawnSync('unshare', [...MOUNTS, 'mount -t ramfs none /tmp']).status === 0 ? test : ava.skip;

mounted('a database on a file system that is not known to share locks and memory is copied', async (t) => {
  const dir = makeFolder();
  const target = join(makeFolder(), 'bytes');
  // ramfs is as good as tmpfs, but not in the table.
  const script = `mount -t ramfs none "$1" && cp "$2"* "$1" && exec "$3" "$4" "$1" "$5" "$6"`;
  const actor = await startActor(join(makeFolder(), NAME));
  const source = join(makeFolder(), NAME);
  const expected = checkpointed(actor.path);
  for (const suffix of SIDES) copyFileSync(actor.path + suffix, source + suffix);
  const args = [dir, source, process.execPath, CAPTURE, makeFolder(), target];
  const { stdout, stderr } = spawnSync('unshare', [...MOUNTS, script, 'sh', ...args], { encoding: 'utf8' });
  t.is(stdout, 'backup', stderr);
  t.is(readFileSync(target).length, expected.length);
  t.like(inspect(readFileSync(target)), { check: 'ok', total: TOTAL });
  await actor.close();
});

test('a database whose shared memory molt may only read is copied, and stays as it is', async (t) => {
  const dir = makeFolder();
  const path = join(dir, NAME);
  const actor = await startActor(path);
  await actor.run(`PRAGMA wal_checkpoint(PASSIVE); ${EVERYWHERE}`);
  const expected = checkpointed(path);
  for (const suffix of SIDES) chmodSync(path + suffix, 0o444);
  chmodSync(dir, 0o555);
  const own = makeFolder();
  const target = join(own, 'bytes');
  // Root may write everything, so it becomes nobody, who must be able to come this far.
  const uids = process.getuid?.() === 0 ? [65_534] : [];
  for (const uid of uids) {
    chmodSync(join(dir, '..'), 0o711);
    chownSync(own, uid, uid);
  }
  const before = SIDES.map((suffix) => readFileSync(path + suffix, 'base64'));
  const { stdout, stderr } = spawnSync(process.execPath, [CAPTURE, dir, own, target, ...uids.map(String)], {
    encoding: 'utf8',
  });
  t.is(stdout, 'backup', stderr);
  t.true(readFileSync(target).subarray(4096).equals(expected.subarray(4096)));
  t.deepEqual(
    SIDES.map((suffix) => readFileSync(path + suffix, 'base64')),
    before,
  );
  chmodSync(dir, 0o700);
  await actor.close();
});
