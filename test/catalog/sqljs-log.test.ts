// The embedded backup log: the contract, and what is special about a database that is sealed whole on disk.

import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { SqlJsLog, type SqlJsLogOptions } from '../../src/catalog/sqljs-log.ts';
import { isMoltError } from '../../src/model/error.ts';
import { sealLocalFile } from '../../src/repo/local-file.ts';
import { newFolder } from '../storage/place.ts';
import { backupLogContract } from './contract.ts';
import { BEGAN_MS, entry, newKey, random, REPOSITORY, unchanged } from './entries.ts';

backupLogContract(test, 'sql.js', async (t) => {
  const options = makeOptions(t);
  return async () => {
    const log = await SqlJsLog.open(options, { isKept: true });
    return {
      query: (filter) => log.query(filter),
      append: async (entries) => {
        await log.append(entries);
        await log.save();
      },
      [Symbol.asyncDispose]: () => log[Symbol.asyncDispose](),
    };
  };
});

function makeOptions(t: ExecutionContext, nowMs = BEGAN_MS): SqlJsLogOptions & { readonly path: string } {
  const home = newFolder(t);
  const dir = join(home, 'runs');
  const { key } = newKey();
  const clock = { now: () => nowMs };
  return { dir, tempDir: join(home, 'tmp'), repository: REPOSITORY, key, clock, random, path: join(dir, 'log') };
}

/** Keeps entries in a log. */
async function keep(options: SqlJsLogOptions, entries: Parameters<SqlJsLog['append']>[0]): Promise<void> {
  await using log = await SqlJsLog.open(options, { isKept: true });
  await log.append(entries);
  await log.save();
}

test('the first log lacks what was before, until that is filled in', async (t) => {
  const options = makeOptions(t);
  await keep(options, [entry(1)]);
  {
    await using log = await SqlJsLog.open(options, { isKept: true });
    t.is(log.lack, 'new');
    const rebuilt = [entry(0, { isRebuilt: true, commit: undefined })];
    // oxlint-disable-next-line unicorn/no-array-fill-with-reference-type -- a log, not an array
    await log.fill(rebuilt);
    await log.save();
  }
  await using log = await SqlJsLog.open(options, { isKept: false });
  t.is(log.lack, undefined);
  t.is((await log.query({ limit: 9 })).length, 2);
});

test('what the history tells of a commit gives way to what the log knows of it, whichever comes first', async (t) => {
  const rebuilt = entry(1, { isRebuilt: true, durationMs: undefined });
  const known = entry(2, { startedMs: BEGAN_MS + 61_000 });
  for (const order of [
    [rebuilt, known],
    [known, rebuilt],
  ]) {
    const options = makeOptions(t);
    for (const one of order) await keep(options, [one]);
    await using log = await SqlJsLog.open(options, { isKept: false });
    t.deepEqual(await log.query({ limit: 9 }), [known]);
  }
  // That a later run found that commit unchanged says nothing of when it was made.
  const options = makeOptions(t);
  await keep(options, [unchanged(5), rebuilt]);
  await using log = await SqlJsLog.open(options, { isKept: false });
  t.deepEqual(await log.query({ limit: 9 }), [unchanged(5), rebuilt]);
});

test('a log is sealed, and private', async (t) => {
  const options = makeOptions(t);
  await keep(options, [entry(1, { detail: 'very-secret-word' })]);
  const bytes = readFileSync(options.path);
  t.false(bytes.includes('SQLite') || bytes.includes('very-secret') || bytes.includes('bot'));
  t.is(statSync(options.path).mode & 0o777, 0o600);
  t.is(statSync(options.dir).mode & 0o777, 0o700);
});

test('a log with any byte flipped, cut short, or of another repository is as if it were not there, and says so', async (t) => {
  const options = makeOptions(t);
  await keep(options, [entry(1)]);
  const whole = readFileSync(options.path);
  const lackOf = async (bytes: Buffer, others: Partial<SqlJsLogOptions> = {}): Promise<string | undefined> => {
    writeFileSync(options.path, bytes);
    await using log = await SqlJsLog.open({ ...options, ...others }, { isKept: false });
    return `${log.lack} ${(await log.query({ limit: 9 })).length}`;
  };
  t.is(await lackOf(whole), 'new 1');
  const { offset, length } = { offset: 7, length: whole.length };
  for (let at = offset; at < length; at += 53) {
    const flipped = Buffer.from(whole);
    flipped[at] = (flipped[at] ?? 0) ^ 0x10;
    t.true(['damaged 0', 'new 1'].includes((await lackOf(flipped)) ?? ''), `byte ${at}`);
  }
  for (let size = 0; size < length; size += 101)
    t.is(await lackOf(whole.subarray(0, size)), 'damaged 0', `${size} bytes`);
  t.is(await lackOf(whole, { key: newKey().key }), 'damaged 0');
  const stranger = { name: 'x', repositoryId: REPOSITORY, storageId: undefined, key: options.key };
  const other = sealLocalFile(stranger, { record: { holds: 'something else' }, content: Buffer.alloc(10) }, options);
  t.is(await lackOf(other), 'damaged 0');
});

test('a log of a newer molt is refused, and stays', async (t) => {
  const options = makeOptions(t);
  const spec = { name: 'x', repositoryId: REPOSITORY, storageId: undefined, key: options.key };
  await keep(options, [entry(1)]);
  const newer = sealLocalFile(spec, { record: { holds: 'runs', version: 2 }, content: Buffer.alloc(10) }, options);
  writeFileSync(options.path, newer);
  const error = await t.throwsAsync(SqlJsLog.open(options, { isKept: true }));
  t.true(isMoltError(error, 'NEWER_FORMAT'));
  t.deepEqual(readFileSync(options.path), newer);
});

test('one process at a time keeps entries; another reads what is there', async (t) => {
  const options = makeOptions(t);
  await keep(options, [entry(1)]);
  await using first = await SqlJsLog.open(options, { isKept: true });
  await using second = await SqlJsLog.open(options, { isKept: true });
  t.true(first.isKept);
  t.false(second.isKept);
  await second.append([entry(2)]);
  t.is((await second.query({ limit: 9 })).length, 2);
  await t.throwsAsync(second.save());
  await first.append([entry(3)]);
  await first.save();
  await using third = await SqlJsLog.open(options, { isKept: false });
  t.deepEqual(await third.query({ limit: 9 }), [entry(3), entry(1)]);
});

test('a log keeps a year, a month of what changed nothing, and no more rows than it can be replaced with', async (t) => {
  const DAY = 1440;
  const options = makeOptions(t, BEGAN_MS + 400 * DAY * 60_000);
  const numbered = (number: number): string => (1_000_000 + number).toString(16).padStart(32, '0');
  const many = Array.from({ length: 15_100 }, (_, number) => entry(399 * DAY, { id: numbered(number) }));
  const failed = { result: 'failed', error: { code: 'IO', message: 'full' } } as const;
  const old = [entry(34 * DAY), entry(36 * DAY, failed), entry(37 * DAY), unchanged(369 * DAY), unchanged(371 * DAY)];
  await keep(options, old);
  {
    await using log = await SqlJsLog.open(options, { isKept: false });
    t.deepEqual(await log.query({ limit: 9 }), [unchanged(371 * DAY), entry(37 * DAY), entry(36 * DAY, failed)]);
  }
  await keep(options, [entry(398 * DAY, { verb: 'drill' }), ...many]);
  await using log = await SqlJsLog.open(options, { isKept: false });
  const left = await log.query({ limit: 60_000 });
  // What went wrong, and what is no daily business, outlasts it.
  t.is(left.length, 15_002);
  t.deepEqual(left.slice(-2), [entry(398 * DAY, { verb: 'drill' }), entry(36 * DAY, failed)]);
});
