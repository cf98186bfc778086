// Databases in WAL mode read in place. What a capture must be is known from SQLite itself: the main file of a private copy after its
// checkpoint. What happens while it is read is done by other processes, between two pieces of it.

import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, copyFileSync, openSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ava from 'ava';
import { appendCommit } from './log-bytes.ts';
import { EVERYWHERE, NAME, TOTAL, descriptorsOf, liveDatabases, locksOf } from './sqlite-live.ts';

// Elsewhere databases are not read in place, and /proc doesn't tell of locks. One after the other: each is soon done, however busy
// the machine is.
const test = process.platform === 'linux' ? ava.serial : ava.skip;
const { makeFolder, spawn, startActor, capture, checkpointed, inspect } = liveDatabases(ava);

function logHeader(path: string): string {
  return readFileSync(`${path}-wal`).toString('hex', 0, 32);
}

/** Waits until one of the writers has committed a round that it began after this call. */
async function anyRound(writers: readonly ChildProcess[], turn: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const hear = (answer: unknown): void => {
    if (answer === turn) resolve();
  };
  for (const writer of writers) writer.on('message', hear).send(turn);
  await promise;
  for (const writer of writers) writer.off('message', hear);
}

for (const pageSize of [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536]) {
  test(`pages of ${pageSize} bytes are read as a checkpoint would leave them, whatever the log holds`, async (t) => {
    const dir = makeFolder();
    const path = join(dir, NAME);
    const actor = await startActor(path, `PRAGMA page_size = ${pageSize}`);
    const sizes: number[] = [];
    for (const [what, statements] of [
      ['a main file of one page', ''],
      ['a log all of which is in the main file', 'PRAGMA wal_checkpoint(PASSIVE)'],
      ['a new log before the frames of the old one', EVERYWHERE],
      ['a database that grows', 'INSERT INTO filler SELECT text FROM filler LIMIT 1000'],
      ['a database that shrinks', 'DELETE FROM filler WHERE rowid > 2000; PRAGMA incremental_vacuum'],
      ['a log of which a part is in the main file', `PRAGMA wal_checkpoint(PASSIVE); ${EVERYWHERE}`],
      ['a database moved by VACUUM', 'DELETE FROM filler WHERE rowid % 3 = 0; VACUUM'],
      ['an empty log', 'PRAGMA wal_checkpoint(TRUNCATE)'],
    ] as const) {
      await actor.run(statements);
      const expected = checkpointed(path);
      const { bytes, method } = await capture(dir);
      t.is(method, 'in place', what);
      t.true(bytes.equals(expected), what);
      t.like(inspect(bytes), { check: 'ok', total: TOTAL }, what);
      sizes.push(bytes.length - statSync(path).size);
    }
    t.true(Math.max(...sizes) > 0 && Math.min(...sizes) < 0, 'main files shorter and longer than the database');
    await actor.close();
  });
}

test('two writers, every kind of checkpoint and rollbacks: each capture is one committed moment, none older than what was committed before it', async (t) => {
  const dir = makeFolder();
  const path = join(dir, NAME);
  const actor = await startActor(path);
  const records = [1, 2].map((number) => join(makeFolder(), String(number)));
  const committed = (): number[] => records.map((record) => Number(readFileSync(record, 'utf8')));
  const writers = records.map((record, at) => spawn('sqlite-churn.ts', [path, String(at + 1), record]));
  for (const writer of writers) await once(writer, 'message');
  const seen = new Set<string>();
  let inPlace = 0;
  // A writer that is stopped while it publishes a commit makes a capture go another way.
  for (let turn = 1; inPlace < 40; turn += 1) {
    const before = committed();
    const { outcome, bytes, method } = await capture(dir);
    t.is(outcome.status, 'captured');
    const { check, total, rounds } = inspect(bytes);
    t.is(check, 'ok');
    t.is(total, TOTAL);
    t.true(
      rounds.every((round, at) => Number(round) >= (before[at] ?? 0)),
      `${rounds.join()} after ${before.join()}`,
    );
    seen.add(rounds.join());
    if (method === 'in place') inPlace += 1;
    await anyRound(writers, turn);
    t.is(seen.size, turn, 'a writer wrote between captures');
  }
  t.log(`${inPlace} of ${seen.size} in place, at rounds ${committed().join(' and ')}`);
  for (const writer of writers) {
    const ended = once(writer, 'exit');
    writer.send('stop');
    await ended;
  }
  await actor.close();
});

test('a checkpoint that writes the main file while it is read changes nothing', async (t) => {
  const dir = makeFolder();
  const path = join(dir, NAME);
  const actor = await startActor(path);
  await actor.run(`PRAGMA wal_checkpoint(TRUNCATE); ${EVERYWHERE}`);
  const expected = checkpointed(path);
  const main = readFileSync(path);
  const { bytes, method } = await capture(dir, {}, async () => {
    await actor.run(`PRAGMA wal_checkpoint(PASSIVE); ${EVERYWHERE.replace('changed', 'CHANGED')}; DELETE FROM filler WHERE rowid > 3000;
      PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(PASSIVE)`);
  });
  t.false(readFileSync(path).equals(main), 'it was written');
  t.is(method, 'in place');
  t.true(bytes.equals(expected));
  t.deepEqual({ ...(await actor.row('PRAGMA wal_checkpoint(TRUNCATE)')) }, { busy: 0, log: 0, checkpointed: 0 });
  await actor.close();
});

test('a log that begins anew while the main file is read changes nothing', async (t) => {
  const dir = makeFolder();
  const path = join(dir, NAME);
  const actor = await startActor(path);
  await actor.run('PRAGMA wal_checkpoint(PASSIVE)');
  const expected = checkpointed(path);
  const header = logHeader(path);
  const { bytes, method } = await capture(dir, {}, async () => {
    await actor.run(EVERYWHERE);
    t.not(logHeader(path), header);
    t.like(await actor.row('PRAGMA wal_checkpoint(PASSIVE)'), { checkpointed: 0 });
  });
  t.is(method, 'in place');
  t.true(bytes.equals(expected));
  await actor.close();
});

test('the last other process that closes the database does not take the log away from under a capture', async (t) => {
  const dir = makeFolder();
  const path = join(dir, NAME);
  const actor = await startActor(path);
  const expected = checkpointed(path);
  const { bytes, method } = await capture(dir, {}, async () => {
    await actor.run(EVERYWHERE);
    await actor.close();
    t.deepEqual(readdirSync(dir), [NAME, `${NAME}-shm`, `${NAME}-wal`]);
  });
  t.is(method, 'in place');
  t.true(bytes.equals(expected));
});

for (const [what, before, midway, ends] of [
  ['a log that was deleted', '', EVERYWHERE, true],
  ['a log that began anew', '', `PRAGMA wal_checkpoint(RESTART); ${EVERYWHERE}`, false],
  [
    'a main file that was written',
    'PRAGMA wal_checkpoint(TRUNCATE)',
    `${EVERYWHERE}; PRAGMA wal_checkpoint(RESTART); INSERT INTO filler VALUES ('more')`,
    false,
  ],
] as const) {
  test(`a capture whose locks were dropped by other descriptors is not kept: ${what}`, async (t) => {
    const dir = makeFolder();
    const path = join(dir, NAME);
    const actor = await startActor(path);
    await actor.run(before);
    const { bytes, blobs, method } = await capture(dir, {}, async () => {
      for (const suffix of ['', '-shm']) closeSync(openSync(path + suffix, 'r'));
      t.deepEqual(locksOf(path), { main: 0, shm: 0 });
      await actor.run(midway);
      if (ends) await actor.close();
    });
    t.is(blobs.aborted, 1);
    t.is(method, ends ? 'pair' : 'in place', 'it was read again');
    t.true(bytes.equals(ends ? readFileSync(path) : checkpointed(path)));
    if (!ends) await actor.close();
  });
}

test('a capture holds SQLite’s locks, opens -shm no second time, and leaves no descriptor behind', async (t) => {
  const dir = makeFolder();
  const path = join(dir, NAME);
  const actor = await startActor(path);
  const look = () => [descriptorsOf(`${path}-shm`), descriptorsOf(path) > 0, locksOf(path)] as const;
  const looks: ReturnType<typeof look>[] = [];
  await capture(dir, {}, () => void looks.push(look()));
  looks.push(look());
  // On -shm: that somebody is there, and the read mark. On the main file: that somebody reads.
  t.deepEqual(looks, [
    [1, true, { main: 1, shm: 2 }],
    [0, false, { main: 0, shm: 0 }],
  ]);
  await actor.close();
});

test('a commit that was written but never published is not captured, nor what overwrites it', async (t) => {
  const dir = makeFolder();
  const path = join(dir, NAME);
  const actor = await startActor(path);
  const expected = checkpointed(path);
  const pageCount = expected.length / 4096;
  const ghost = Buffer.alloc(4096, 'ghost');
  writeFileSync(`${path}-wal`, appendCommit(readFileSync(`${path}-wal`), ghost, pageCount, pageCount));
  t.true(checkpointed(path).subarray(-4096).equals(ghost), 'by the file alone it is a commit');
  const { bytes, method } = await capture(dir, {}, () => actor.run(EVERYWHERE));
  t.is(method, 'in place');
  t.true(bytes.equals(expected));
  await actor.close();
});

test('a writer killed in the middle of a transaction leaves a log whose committed part is captured', async (t) => {
  const dir = makeFolder();
  const path = join(dir, NAME);
  const actor = await startActor(path);
  const expected = checkpointed(path);
  const size = statSync(`${path}-wal`).size;
  await actor.run(`PRAGMA cache_size = 5; BEGIN; UPDATE left_side SET amount = 1; ${EVERYWHERE}`);
  await actor.kill();
  t.true(statSync(`${path}-wal`).size > size, 'a part of the transaction is in the log');
  const other = makeFolder();
  for (const suffix of ['', '-wal']) copyFileSync(path + suffix, join(other, NAME + suffix));
  const captured = [await capture(dir), await capture(other)];
  t.deepEqual(
    captured.map(({ method }) => method),
    ['in place', 'pair'],
  );
  for (const { bytes } of captured) t.true(bytes.equals(expected));
});

test('a full checks what it reads in place, and backup() differs only in four fields of the header', async (t) => {
  const dir = makeFolder();
  const actor = await startActor(join(dir, NAME));
  const inPlace = await capture(dir);
  const full = await capture(dir, { quickCheck: true });
  const backup = await capture(dir, { maxLogBytes: 100_000 });
  t.deepEqual(
    [inPlace, full, backup].map(({ method }) => method),
    ['in place', 'in place', 'backup'],
  );
  t.true(full.bytes.equals(inPlace.bytes));
  t.is(backup.bytes.length, inPlace.bytes.length);
  const fields = new Set<number>();
  inPlace.bytes.forEach((byte, at) => byte !== backup.bytes[at] && fields.add(at - (at % 4)));
  // Change counter, schema cookie, the counter again, and the version of SQLite that wrote last: section 1.3 of the file format.
  for (const field of fields) t.true([24, 40, 92, 96].includes(field), String(field));
  await actor.close();
});

test('a capture that is not done by its deadline is given up, and holds nothing up afterwards', async (t) => {
  const dir = makeFolder();
  const actor = await startActor(join(dir, NAME));
  let nowMs = 1_760_000_000_000;
  const options = { clock: { now: () => nowMs }, deadlineMs: nowMs + 1000 };
  const { outcome, blobs } = await capture(dir, options, () => void (nowMs += 2000));
  t.deepEqual(outcome, { status: 'unreadable', reason: 'a database that could not be copied in time' });
  t.is(blobs.aborted, 1);
  t.like(await actor.row('PRAGMA wal_checkpoint(TRUNCATE)'), { busy: 0, log: 0 });
  await actor.close();
});

test('what the blob’s writer throws passes through, and holds nothing up afterwards', async (t) => {
  const dir = makeFolder();
  const actor = await startActor(join(dir, NAME));
  await t.throwsAsync(
    capture(dir, {}, () => {
      throw new Error('disk full');
    }),
    { message: 'disk full' },
  );
  t.like(await actor.row('PRAGMA wal_checkpoint(TRUNCATE)'), { busy: 0, log: 0 });
  await actor.close();
});

test('a database with a rollback journal, or held by one process alone, is not read in place', async (t) => {
  const dir = makeFolder();
  const path = join(dir, NAME);
  const actor = await startActor(path);
  await actor.run(`PRAGMA locking_mode = EXCLUSIVE; ${EVERYWHERE}`);
  t.deepEqual(readdirSync(dir), [NAME, `${NAME}-shm`, `${NAME}-wal`]);
  const { outcome } = await capture(dir, { busyTimeoutMs: 20 });
  t.deepEqual(outcome, { status: 'unreadable', reason: 'a database that another process keeps locked' });
  await actor.run('PRAGMA locking_mode = NORMAL; PRAGMA journal_mode = DELETE');
  const quiet = await capture(dir);
  t.is(quiet.method, 'backup');
  t.like(inspect(quiet.bytes), { check: 'ok', total: TOTAL });
  await actor.close();
  rmSync(path);
  const alone = await startActor(path, 'PRAGMA locking_mode = EXCLUSIVE');
  t.deepEqual(readdirSync(dir), [NAME, `${NAME}-wal`]);
  const pair = await capture(dir);
  t.is(pair.method, 'pair');
  t.like(inspect(pair.bytes), { check: 'ok', total: TOTAL });
  await alone.close();
});
