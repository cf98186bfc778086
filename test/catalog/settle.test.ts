// Entries on their way from a machine to its log: the embedded one.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { LocalRuns, runsDir, waitingRuns } from '../../src/catalog/local-runs.ts';
import { readEmbedded } from '../../src/catalog/read-runs.ts';
import { openEmbedded, settleEmbedded } from '../../src/catalog/settle.ts';
import { isMoltError, MoltError } from '../../src/model/error.ts';
import type { RunEntry } from '../../src/model/run-entry.ts';
import { newFolder } from '../storage/place.ts';
import { BEGAN_MS, entry, newKey, random, REPOSITORY, unchanged } from './entries.ts';

function makeMachine(t: ExecutionContext) {
  const homeDir = newFolder(t);
  const warnings: string[] = [];
  const outside = { homeDir, random, clock: { now: () => BEGAN_MS } };
  const key = newKey();
  return {
    outside,
    key,
    warnings,
    dir: runsDir(homeDir, REPOSITORY),
    runs: waitingRuns(homeDir, REPOSITORY, [key]),
    log: new LocalRuns({ ...outside, findUrl: async () => undefined, warn: (text) => warnings.push(text) }),
  };
}

const everything = { limit: 10_000 };
const nothingKnown = async (): Promise<readonly RunEntry[]> => [];

test('a few entries wait, and SQLite is not asked; hundreds are taken in', async (t) => {
  const { log, key, dir, outside, runs } = makeMachine(t);
  await log.append(entry(0), key);
  await log.settle();
  t.deepEqual(readdirSync(dir), ['waiting-repository']);
  for (let number = 1; number < 300; number += 1) await log.append(entry(number), key);
  await log.settle();
  t.deepEqual(readdirSync(dir).toSorted(), ['lock', 'log']);
  await using kept = await openEmbedded(outside, runs, { isKept: false });
  t.is((await kept?.query(everything))?.length, 300);
});

test('what is read is the log and what waits, in one', async (t) => {
  const { log, key, outside, runs, dir } = makeMachine(t);
  await log.append(entry(1), key);
  t.deepEqual((await readEmbedded(outside, runs, everything, nothingKnown)).entries, [entry(1)]);
  await log.append(entry(2), key);
  t.deepEqual((await readEmbedded(outside, runs, everything, nothingKnown)).entries, [entry(2), entry(1)]);
  t.deepEqual(readdirSync(dir).toSorted(), ['lock', 'log']);
});

test('killed between the log’s having them and their being forgotten, entries are in the log once', async (t) => {
  const { log, key, outside, runs } = makeMachine(t);
  for (const one of [unchanged(1), unchanged(2), entry(3)]) await log.append(one, key);
  {
    await using kept = await openEmbedded(outside, runs, { isKept: true });
    for (const { entries } of runs.spool.take(runs.keys)) await kept?.append(entries);
    await kept?.save();
  }
  await log.append(entry(4), key);
  await settleEmbedded(outside, [runs]);
  const { entries } = await readEmbedded(outside, runs, everything, nothingKnown);
  t.deepEqual(
    entries.map(({ id, count }) => [Number(`0x${id}`), count]),
    [
      [4, 1],
      [3, 1],
      [1, 2],
    ],
  );
});

test('while another process has the log, entries wait, and are read all the same', async (t) => {
  const { log, key, outside, runs, dir } = makeMachine(t);
  await log.append(entry(1), key);
  {
    await using other = await openEmbedded(outside, runs, { isKept: true });
    t.true(other?.isKept);
    await settleEmbedded(outside, [runs]);
    t.true(readdirSync(dir).includes('waiting-repository'));
    t.deepEqual((await readEmbedded(outside, runs, everything, nothingKnown)).entries, [entry(1)]);
    t.true(readdirSync(dir).includes('waiting-repository'));
  }
  t.deepEqual((await readEmbedded(outside, runs, everything, nothingKnown)).entries, [entry(1)]);
  t.deepEqual(readdirSync(dir).toSorted(), ['lock', 'log']);
});

test('a log that was lost is filled in from the history once, and what waits is in it too', async (t) => {
  const { log, key, outside, runs, dir } = makeMachine(t);
  await log.append(entry(1), key);
  await readEmbedded(outside, runs, everything, nothingKnown);
  writeFileSync(join(dir, 'log'), 'garbage');
  await log.append(entry(5), key);
  const rebuilt = [3, 5].map((number) =>
    entry(number, { id: `e${number}`.padEnd(32, '0'), isRebuilt: true, commit: `${number}`.repeat(40) as never }),
  );
  const found = await readEmbedded(outside, runs, everything, async () => rebuilt);
  t.is(found.rebuilt, 'damaged');
  t.is(found.entries.length, 3);
  const again = await readEmbedded(outside, runs, everything, () => Promise.reject(new Error('asked twice')));
  t.is(again.rebuilt, undefined);
  t.deepEqual(again.entries, found.entries);
});

test('a damaged log that a daemon replaced before anybody read it still says so', async (t) => {
  const { log, key, outside, runs, dir } = makeMachine(t);
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'log'), 'garbage');
  await log.append(entry(1), key);
  await settleEmbedded(outside, [runs]);
  const found = await readEmbedded(outside, runs, everything, async () => []);
  t.is(found.rebuilt, 'damaged');
  t.deepEqual(found.entries, [entry(1)]);
});

test('a log that can’t be written is read all the same, and the problem is told', async (t) => {
  const { log, key, outside, runs, dir } = makeMachine(t);
  await log.append(entry(1), key);
  // Where the new log would be written first.
  writeFileSync(join(outside.homeDir, 'tmp'), '');
  const found = await readEmbedded(outside, runs, everything, nothingKnown);
  t.deepEqual(found.entries, [entry(1)]);
  t.is(found.problem?.code, 'IO');
  rmSync(join(outside.homeDir, 'tmp'));
  t.deepEqual((await readEmbedded(outside, runs, everything, nothingKnown)).entries, [entry(1)]);
  t.deepEqual(readdirSync(dir).toSorted(), ['lock', 'log']);
});

test('settling never throws; it warns once of one and the same', async (t) => {
  const { outside, key, warnings } = makeMachine(t);
  const log = new LocalRuns({
    ...outside,
    findUrl: () => Promise.reject(new MoltError('USAGE', 'no URL')),
    warn: (text) => warnings.push(text),
  });
  for (const number of [1, 2]) {
    await log.append(entry(number), key);
    await log.settle();
  }
  t.deepEqual(warnings, ['the backup log lacks entries, which wait on this machine: no URL']);
});

test('an entry that can’t be put down is an error to whoever notes it', async (t) => {
  const { log, key, outside } = makeMachine(t);
  writeFileSync(join(outside.homeDir, 'runs'), '');
  const error = await t.throwsAsync(log.append(entry(1), key));
  t.true(isMoltError(error, 'IO'));
});

test('processes that are killed while they note and take in lose no entry, and double none', async (t) => {
  const { outside, key, runs } = makeMachine(t);
  const secret = key.key.export().toString('hex');
  const script = fileURLToPath(new URL('./settle-process.ts', import.meta.url));
  const noted: string[] = [];
  for (let round = 0; round < 6; round += 1) {
    const child = spawn(process.execPath, [script, outside.homeDir, secret], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (more: string) => {
      text += more;
      // Some lines after it began, each round at another place.
      if (text.split('\n').length > 12 + round * 7) child.kill('SIGKILL');
    });
    await once(child, 'close');
    noted.push(...text.split('\n').filter((line) => line.length === 32));
  }
  const { entries, problem } = await readEmbedded(outside, runs, { limit: 100_000 }, nothingKnown);
  t.is(problem, undefined);
  const found = entries.map(({ id }) => id);
  t.is(new Set(found).size, found.length);
  t.deepEqual(
    noted.filter((id) => !found.includes(id)),
    [],
  );
  t.true(noted.length >= 6 * 12);
});
