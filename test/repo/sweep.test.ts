// Sweeps of one storage: what stays is whole, what goes is gone, whoever opens it and however.

import test from 'ava';
import { segmentName } from '../../src/format/segment.ts';
import type { CommitId } from '../../src/model/ids.ts';
import { checkArrival } from '../../src/repo/closure.ts';
import { readCommit } from '../../src/repo/git.ts';
import { gitKey } from '../../src/repo/keys.ts';
import type { Repository } from '../../src/repo/repository.ts';
import { sweep, type SweepOrder } from '../../src/repo/sweep.ts';
import { deleteSwept, LOG_GRACE_MS } from '../../src/repo/sweep-delete.ts';
import { checkStorage } from '../../src/repo/verify.ts';
import { transfer } from '../../src/repo/transfer.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { seededRandom } from '../crypto/random.ts';
import {
  commitFiles,
  copyStorage,
  flipMiddle,
  listBlobs,
  listNames,
  MAIN,
  makeRepository,
  must,
  openRepository,
  replaceObject,
  TIME_MS,
} from './support.ts';

const OPTIONS = { orphanedBeforeMs: 0 };
const HOUR_MS = 3_600_000;

/** Decides by ids: everything else of the table goes. */
function keeping(repository: Repository, ids: readonly CommitId[], dropRefs: readonly string[] = []) {
  return async (): Promise<SweepOrder> => {
    const commits = (await repository.index.listCommits()).filter(({ isExpired }) => !isExpired);
    const kept = new Set(ids);
    return {
      keep: commits.filter(({ id }) => kept.has(id)),
      expire: commits.filter(({ id }) => !kept.has(id)),
      dropRefs,
    };
  };
}

async function readAll(repository: Repository, commit: CommitId): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const [path, blob] of await listBlobs(repository, commit)) {
    files[path] = (await repository.objects.readBlobWhole(blob, 1 << 26)).toString('latin1');
  }
  return files;
}

function bytesOf(label: string, length: number): Buffer {
  return seededRandom(label).bytes(length);
}

async function makeHistory(clock: { now(): number }, count: number) {
  const storage = new MemoryStorage(clock);
  const repository = await makeRepository(storage);
  const commits: { id: CommitId; files: Record<string, string> }[] = [];
  const big = bytesOf('big', 700_000);
  for (let at = 0; at < count; at += 1) {
    big.write(`change ${at}`, (at * 40_000) % 600_000);
    const files = {
      'a/big': Buffer.from(big),
      'a/note': Buffer.from(`note ${at}\n`.repeat(50)),
      [`b/${at % 3}`]: bytesOf(`b${at}`, 3000),
    };
    const full = at % 5 === 0;
    const id = await commitFiles(repository, files, {
      full,
      timeMs: TIME_MS + at * 300_000,
      message: `commit ${at}\n`,
    });
    commits.push({
      id,
      files: Object.fromEntries(Object.entries(files).map(([path, bytes]) => [path, bytes.toString('latin1')])),
    });
  }
  return { storage, repository, commits };
}

async function checkWhole(t: { deepEqual(a: unknown, b: unknown): void }, repository: Repository): Promise<void> {
  const { report } = await checkStorage(
    {
      storage: repository.storage,
      repositoryId: repository.id,
      storageId: repository.storageId,
      keys: repository.keys,
    },
    { readShare: 1, random: () => 0 },
  );
  // These repositories have keys and no keyring.
  t.deepEqual(
    report.problems.filter(({ object }) => !object.startsWith('keys/')),
    [],
  );
}

for (const [name, pick] of [
  ['the newest ones', (at: number) => at >= 15],
  ['fulls and the newest ones', (at: number) => at % 5 === 0 || at >= 17],
  ['some in between', (at: number) => at % 4 === 3],
] as const) {
  test(`a sweep that keeps ${name}`, async (t) => {
    let nowMs = TIME_MS;
    const { storage, repository, commits } = await makeHistory({ now: () => nowMs }, 20);
    const kept = commits.filter((_, at) => pick(at) || at === 19);
    const before = (await listNames(storage)).length;
    const outcome = await sweep(
      repository,
      keeping(
        repository,
        kept.map(({ id }) => id),
      ),
      OPTIONS,
    );
    t.is(outcome?.expired, commits.length - kept.length);
    nowMs += LOG_GRACE_MS + HOUR_MS;
    const check = async (opened: Repository): Promise<void> => {
      for (const { id, files } of kept) t.deepEqual(await readAll(opened, id), files);
      const table = await opened.index.listCommits();
      t.is(table.length, commits.length);
      for (const [at, { id }] of commits.entries()) {
        t.is((await readCommit(opened, id)).message, `commit ${at}\n`);
        t.is(await opened.isExpired(id), !kept.some((one) => one.id === id), `${at}`);
        t.is(table.find((one) => one.id === id)?.isExpired, !kept.some((one) => one.id === id));
      }
      t.deepEqual(opened.problems, []);
    };
    await check(repository);
    await check(await openRepository(storage));
    const deleted = await deleteSwept(repository, { nowMs, packGraceMs: 0 });
    t.true(deleted.objects > 0);
    t.is(deleted.laterObjects, 0);
    t.true((await listNames(storage)).length < before);
    await check(repository);
    await check(await openRepository(storage));
    // Without any cache.
    for (const cache of await listNames(storage)) if (/^(index|checkpoint)\//.test(cache)) await storage.delete(cache);
    const bare = await openRepository(storage);
    await check(bare);
    // And with the newest of the two that say where the log begins gone bad.
    const copy = await copyStorage(storage);
    await replaceObject(copy, segmentName(bare.log.begin.sweepSeq), flipMiddle);
    const second = await openRepository(copy);
    t.is(second.log.begin.sweepSeq, bare.log.begin.sweepSeq - 1);
    for (const { id, files } of kept) t.deepEqual(await readAll(second, id), files);
    await commitFiles(bare, { 'a/note': 'after' });
    await checkWhole(t, await openRepository(storage));
    t.is(
      await sweep(
        await openRepository(storage),
        keeping(bare, [...kept.map(({ id }) => id), bare.refs.get('refs/heads/main') as CommitId]),
        OPTIONS,
      ),
      undefined,
    );
  });
}

test('a process that slept while the log was pruned beyond what it saw does its work anew, on what is there', async (t) => {
  let nowMs = TIME_MS;
  const { storage, commits } = await makeHistory({ now: () => nowMs }, 8);
  const slept = await openRepository(storage);
  const other = await openRepository(storage);
  for (let at = 0; at < 12; at += 1) {
    const files = { 'a/big': bytesOf(`later ${at}`, 90_000) };
    commits.push({ id: await commitFiles(other, files, { full: at === 11 }), files: {} });
  }
  const last = commits.slice(-1).map(({ id }) => id);
  await sweep(other, keeping(other, last), OPTIONS);
  t.true(other.log.begin.seq > slept.log.tip.seq);
  nowMs += LOG_GRACE_MS + HOUR_MS;
  await deleteSwept(other, { nowMs, packGraceMs: 0 });
  const ref = 'refs/heads/slept';
  const id = await commitFiles(slept, { 'a/note': 'at last' }, { ref });
  t.deepEqual(await readAll(slept, id), { 'a/note': 'at last' });
  t.is(slept.refs.get('refs/heads/main'), last[0]);
  t.deepEqual(slept.log.begin, other.log.begin);
  t.deepEqual(slept.problems, []);
  for (const one of [slept, await openRepository(storage)]) {
    t.is(one.refs.get(ref), id);
    t.is((await one.index.listCommits()).length, commits.length + 1);
    t.is(
      (await listNames(storage)).filter((name) => name <= segmentName(one.log.begin.seq) && name > 'log/').length,
      0,
    );
  }
  await checkWhole(t, slept);
});

test('a full backup whose content goes is found after its pack has gone too, sweep after sweep', async (t) => {
  let nowMs = TIME_MS;
  const clock = { now: () => nowMs };
  const storage = new MemoryStorage(clock);
  await makeRepository(storage);
  const options = { nowMs, packGraceMs: 0 };
  for (let day = 0; day < 22; day += 1) {
    const writer = await openRepository(storage, clock);
    for (let hour = 0; hour < 24; hour += 1) {
      nowMs += HOUR_MS;
      const choices = { timeMs: nowMs, full: hour === 23, message: `m ${day} ${hour}\n` };
      await commitFiles(writer, { a: `${day} ${hour}` }, choices);
    }
    const repository = await openRepository(storage, clock);
    const commits = (await repository.index.listCommits()).filter(({ isExpired }) => !isExpired);
    const newest = commits.slice(-72).map(({ id }) => id);
    await sweep(repository, keeping(repository, newest), { orphanedBeforeMs: nowMs - LOG_GRACE_MS });
    await deleteSwept(repository, { ...options, nowMs });
  }
  const repository = await openRepository(storage, clock);
  const all = await repository.index.listCommits();
  t.is(all.length, 22 * 24);
  for (const { id } of all) await t.notThrowsAsync(readCommit(repository, id));
});

test('a commit that expired, whose object lies in a pack that stays, is listed in a copy too, which is whole', async (t) => {
  let nowMs = TIME_MS;
  const storage = new MemoryStorage({ now: () => nowMs });
  const repository = await makeRepository(storage);
  const [gone, lasting] = [bytesOf('gone', 400_000), bytesOf('lasting', 300_000)];
  const choices = (full: boolean) => ({ full, timeMs: (nowMs += HOUR_MS), message: `at ${nowMs}\n` });
  const ids = [
    await commitFiles(repository, { gone }, choices(true)),
    await commitFiles(repository, { gone, lasting }, choices(false)),
    await commitFiles(repository, { lasting }, choices(false)),
    await commitFiles(repository, { lasting, more: 'more' }, choices(true)),
  ];
  const expiring = must(ids[1]);
  for (const kept of [ids.slice(1), ids.slice(2)]) {
    await sweep(repository, keeping(repository, kept), OPTIONS);
    nowMs += LOG_GRACE_MS + HOUR_MS;
    await deleteSwept(repository, { nowMs, packGraceMs: 0 });
  }
  const place = must(await repository.index.find(gitKey(expiring)));
  t.true('pack' in place.container && !repository.log.begin.history.includes(place.container.pack));
  await checkWhole(t, repository);
  const target = await makeRepository();
  const moves = [{ name: MAIN, from: undefined, to: must(repository.refs.get(MAIN)) }];
  await transfer(repository, target, { isKnown: () => false, moves: async () => moves });
  for (const copy of [target, await openRepository(target.storage)]) {
    const table = await copy.index.listCommits();
    t.deepEqual(
      table.map(({ id, isExpired }) => [id, isExpired]),
      ids.map((id, at) => [id, at < 2]),
    );
    t.true(await copy.isExpired(expiring));
    await checkWhole(t, copy);
    await t.notThrowsAsync(checkArrival(copy, undefined));
  }
});

test('a copy of what was swept takes from elsewhere what new commits share with those that expired', async (t) => {
  const repository = await makeRepository();
  const [gone, lasting] = [bytesOf('gone', 400_000), bytesOf('lasting', 300_000)];
  const commit = async (count: number, files: Record<string, Buffer>) =>
    commitFiles(repository, files, { full: true, timeMs: TIME_MS + count * HOUR_MS, message: `${count}\n` });
  for (let count = 0; count < 20; count += 1) await commit(count, count === 0 ? { gone } : { lasting });
  const elsewhere = await openRepository(await copyStorage(repository.storage));
  const newest = must(repository.refs.get(MAIN)) as CommitId;
  await sweep(repository, keeping(repository, [newest]), OPTIONS);
  const copy = await makeRepository();
  const copyFrom = async (source: Repository) => {
    const moves = async () => [{ name: MAIN, from: copy.refs.get(MAIN), to: must(source.refs.get(MAIN)) }];
    await transfer(source, copy, { isKnown: () => false, moves });
  };
  await copyFrom(repository);
  t.is(copy.log.begin.sweepSeq, 0);
  const back = await commitFiles(elsewhere, { gone }, { timeMs: TIME_MS + 20 * HOUR_MS, message: '20\n' });
  await copyFrom(elsewhere);
  t.deepEqual(await readAll(copy, back), { gone: gone.toString('latin1') });
  await checkWhole(t, copy);
});
