// Logs that a real SQLite wrote, read without it, whole and damaged.

import { closeSync, copyFileSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import test from 'ava';
import { type DatabaseLog, FRAME_HEADER_BYTES, isSameLog, readLog } from '../../src/agent/sqlite-log.ts';
import { reseal } from './log-bytes.ts';
import { tempFolders } from './support.ts';

const makeFolder = tempFolders(test);
const PAGE_SIZE = 512;
const FRAME_BYTES = FRAME_HEADER_BYTES + PAGE_SIZE;
const buffer = Buffer.allocUnsafeSlow(128 * 1024);

/** Makes a database whose log ends with a commit, runs more statements, and returns the log's bytes. */
function makeLog(statements = ''): Buffer {
  const path = join(makeFolder(), 'database');
  const database = new DatabaseSync(path);
  database.exec(`PRAGMA page_size = ${PAGE_SIZE}; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
    CREATE TABLE filler (text TEXT); ${statements}`);
  copyFileSync(`${path}-wal`, `${path}-copy`);
  database.close();
  return readFileSync(`${path}-copy`);
}

function read(bytes: Buffer, frameCount: number, pageSize = PAGE_SIZE): DatabaseLog | undefined {
  return withFile(bytes, (fd) => readLog(fd, { frameCount, pageSize, buffer, onStep: () => {} }));
}

function withFile<T>(bytes: Buffer, use: (fd: number) => T): T {
  const path = join(base, 'log');
  writeFileSync(path, bytes);
  const fd = openSync(path, 'r');
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

const base = makeFolder();

function countFrames(bytes: Buffer): number {
  return (bytes.length - 32) / FRAME_BYTES;
}

test('the newest frame of each page is found, and the page count of the last commit', (t) => {
  const many = 'WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 900)';
  const bytes = makeLog(
    `${many} INSERT INTO filler SELECT hex(zeroblob(300)) FROM n; UPDATE filler SET text = 'x' WHERE rowid % 50 = 0`,
  );
  const frames = countFrames(bytes);
  t.true(frames * FRAME_BYTES > 3 * buffer.length, 'it takes several buffers');
  const pages = new Map<number, number>();
  for (let frame = 0; frame < frames; frame += 1) {
    pages.set(bytes.readUInt32BE(32 + frame * FRAME_BYTES), 32 + frame * FRAME_BYTES + FRAME_HEADER_BYTES);
  }
  const log = read(bytes, frames);
  t.deepEqual(log?.pages, pages);
  t.true(pages.size < frames, 'some pages have several frames');
  t.is(log?.pageCount, bytes.readUInt32BE(32 + (frames - 1) * FRAME_BYTES + 4));
});

test('a log with any byte changed up to its last frame is not read', (t) => {
  const bytes = makeLog("INSERT INTO filler VALUES ('one')");
  const frames = countFrames(bytes);
  t.not(read(bytes, frames), undefined);
  for (let at = 0; at < bytes.length; at += 1) {
    bytes[at] = (bytes[at] ?? 0) ^ 0x10;
    if (read(bytes, frames) !== undefined) t.fail(`byte ${at}`);
    bytes[at] = (bytes[at] ?? 0) ^ 0x10;
  }
});

test('a log that is cut, or whose last frame commits nothing, is not read', (t) => {
  const bytes = makeLog('INSERT INTO filler VALUES (hex(zeroblob(1000)))');
  const frames = countFrames(bytes);
  t.not(read(bytes, frames), undefined);
  t.is(read(bytes.subarray(0, -1), frames), undefined, 'although the buffer still has the last byte');
  t.is(read(bytes.subarray(0, 20), frames), undefined);
  t.is(read(Buffer.alloc(0), frames), undefined);
  t.is(read(bytes, frames + 1), undefined);
  t.is(bytes.readUInt32BE(32 + (frames - 2) * FRAME_BYTES + 4), 0);
  t.is(read(bytes, frames - 1), undefined);
});

test('frames that an earlier log left behind the newer ones are not read', (t) => {
  const old = makeLog('INSERT INTO filler VALUES (hex(zeroblob(2000)))');
  const bytes = makeLog(`INSERT INTO filler VALUES (hex(zeroblob(2000)));
    PRAGMA wal_checkpoint(RESTART); UPDATE filler SET text = 'a' || text`);
  t.is(bytes.length, old.length, 'the file has not become shorter');
  let frames = 0;
  while (bytes.compare(bytes, 16, 24, 32 + frames * FRAME_BYTES + 8, 32 + frames * FRAME_BYTES + 16) === 0) frames += 1;
  t.true(frames > 0 && frames < countFrames(bytes));
  t.not(read(bytes, frames), undefined);
  t.is(read(bytes, frames + 1), undefined);
});

test('a log of another page size, version or byte order is not read', (t) => {
  const bytes = makeLog();
  const frames = countFrames(bytes);
  t.true(reseal(bytes, PAGE_SIZE).equals(bytes));
  for (const [field, value] of [
    [0, 0x377f0683],
    [4, 3_007_001],
    [8, 1024],
  ] as const) {
    const other = Buffer.from(bytes);
    other.writeUInt32BE(value, field);
    t.is(read(reseal(other, PAGE_SIZE), frames), undefined);
  }
  const foreign = Buffer.from(bytes);
  foreign.writeUInt32BE(0x377f0683, 0);
  t.is(read(reseal(foreign, PAGE_SIZE, 'BE'), frames), undefined);
});

test('a frame of no page is not read', (t) => {
  const bytes = makeLog();
  const frames = countFrames(bytes);
  bytes.writeUInt32BE(0, 32);
  t.is(read(reseal(bytes, PAGE_SIZE), frames), undefined);
});

test('a log that began anew or was cut is no longer the same', (t) => {
  const bytes = makeLog();
  const log = read(bytes, countFrames(bytes));
  const renewed = Buffer.from(bytes);
  renewed.writeUInt32BE(renewed.readUInt32BE(16) + 1, 16);
  t.deepEqual(
    [bytes, renewed, Buffer.alloc(0)].map((other) => withFile(other, (fd) => log !== undefined && isSameLog(fd, log))),
    [true, false, false],
  );
});
