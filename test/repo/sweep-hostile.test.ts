// Sweeps that somebody without the keys plants, and sweeps that say what is not so: nobody believes the ones, nothing breaks by the
// others.

import test from 'ava';
import { packName, segmentName } from '../../src/format/segment.ts';
import type { LogBase } from '../../src/format/log-base.ts';
import { isMoltError, type MoltError } from '../../src/model/error.ts';
import type { CommitId, PackId, RepositoryId } from '../../src/model/ids.ts';
import { createRootKeys } from '../../src/crypto/roots.ts';
import { claimStorage, type Repository } from '../../src/repo/repository.ts';
import { sweep, type SweepOrder } from '../../src/repo/sweep.ts';
import { deleteSwept, LOG_GRACE_MS } from '../../src/repo/sweep-delete.ts';
import { checkStorage } from '../../src/repo/verify.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { seededRandom } from '../crypto/random.ts';
import { randomContent } from '../chunk/content.ts';
import {
  commitFiles,
  copyStorage,
  IDS,
  listNames,
  MAIN,
  makeRepository,
  must,
  openRepository,
  readFiles,
  tickingClock,
  TIME_MS,
} from './support.ts';

const LATER_MS = TIME_MS + LOG_GRACE_MS + 3_600_000;

async function makeBackups(repository: Repository, count: number): Promise<CommitId[]> {
  const ids: CommitId[] = [];
  for (let at = 0; at < count; at += 1) {
    const files = { db: randomContent(`backup ${at}`, 20_000), note: `backup ${at}` };
    ids.push(await commitFiles(repository, files, { full: at % 3 === 0, timeMs: TIME_MS + at * 1000 }));
  }
  return ids;
}

function keeping(repository: Repository, kept: readonly CommitId[]): () => Promise<SweepOrder> {
  return async () => {
    const commits = (await repository.index.listCommits()).filter(({ isExpired }) => !isExpired);
    const isKept = ({ id }: { readonly id: CommitId }): boolean => kept.includes(id);
    return { keep: commits.filter(isKept), expire: commits.filter((one) => !isKept(one)), dropRefs: [] };
  };
}

async function withoutCaches(storage: Storage): Promise<MemoryStorage> {
  const bare = await copyStorage(storage);
  for (const name of await listNames(bare)) if (/^(index|checkpoint)\//.test(name)) await bare.delete(name);
  return bare;
}

async function verify(storage: Storage): Promise<{ problems: string[]; notes: number }> {
  const { id, storageId, keys } = await openRepository(storage);
  const { report } = await checkStorage(
    { storage, repositoryId: id, storageId, keys },
    { readShare: 1, random: () => 0 },
  );
  // These repositories have keys and no keyring.
  const problems = report.problems.filter(({ object }) => !object.startsWith('keys/'));
  return { problems: problems.map(({ object, problem }) => `${object}: ${problem}`), notes: report.notes.length };
}

/** Seals a sweep that says what it is told, as only who has the keys can. */
async function sealSweep(storage: Storage, change: (base: LogBase, tip: number) => Partial<LogBase>): Promise<void> {
  const repository = await openRepository(storage);
  await repository.transact({ packs: false }, async (transaction) => {
    await transaction.publish([], [], (stored) => {
      const { begin, tip, refs, tagged } = repository.log;
      const honest = { ...begin, refs, tagged, packs: stored.packs };
      return { packs: stored.packs, base: { ...honest, ...change(honest, tip.seq) } };
    });
  });
}

const absent = 'ab'.repeat(32) as PackId;

test('a sweep by somebody without the keys is a hole, and nothing is taken away by it', async (t) => {
  const repository = await makeRepository();
  const { storage } = repository;
  const ids = await makeBackups(repository, 4);
  // Another repository of the same ids whose owner has other keys, and sweeps all of it.
  const other = new MemoryStorage({ now: () => TIME_MS });
  await claimStorage(other, IDS);
  const keys = { roots: createRootKeys(seededRandom('the intruder’s')), generation: 1 };
  const forger = await openRepository(other, tickingClock(), keys);
  const forged = await makeBackups(forger, 4);
  t.truthy(await sweep(forger, keeping(forger, forged.slice(-1)), { orphanedBeforeMs: 0 }));
  const names = await listNames(storage, 'log/');
  const planted = must(await other.read(segmentName(forger.log.tip.seq)));
  for (let seq = names.length + 1; seq <= names.length + 3; seq += 1)
    t.true(await storage.createOnce(segmentName(seq), [planted]));
  const opened = await openRepository(storage);
  t.is(opened.log.begin.sweepSeq, 0);
  t.is(opened.problems.length, 3);
  const next = await commitFiles(opened, { note: 'after' });
  for (const one of [storage, await withoutCaches(storage)]) {
    const again = await openRepository(one);
    t.is(again.log.begin.sweepSeq, 0);
    t.is(again.refs.get(MAIN), next);
    t.is((await deleteSwept(again, { nowMs: LATER_MS, packGraceMs: 0 })).objects, 0);
    for (const id of [...ids, next]) t.true((await readFiles(again, id)).size > 0);
    t.deepEqual((await verify(one)).problems, []);
  }
});

test('a genuine sweep under another number, or of another storage of the repository, is a hole', async (t) => {
  const repository = await makeRepository();
  const ids = await makeBackups(repository, 5);
  const before = await copyStorage(repository.storage);
  t.truthy(await sweep(repository, keeping(repository, ids.slice(-2)), { orphanedBeforeMs: 0 }));
  const { seq } = repository.log.tip;
  const genuine = must(await repository.storage.read(segmentName(seq)));
  const stranger = new MemoryStorage({ now: () => TIME_MS });
  await claimStorage(stranger, { ...IDS, storageId: '0c'.repeat(16) as typeof IDS.storageId });
  const there = await openRepository(stranger);
  const theirs = await makeBackups(there, 5);
  for (const [storage, at] of [
    [before, seq + 1],
    [stranger, seq],
  ] as const) {
    for (let gap = 6; gap < at; gap += 1) await storage.createOnce(segmentName(gap), [Buffer.from('garbage')]);
    t.true(await storage.createOnce(segmentName(at), [genuine]));
    const opened = await openRepository(storage);
    t.is(opened.log.begin.sweepSeq, 0);
    await commitFiles(opened, { note: 'after' });
    t.is((await openRepository(await withoutCaches(storage))).log.begin.sweepSeq, 0);
    for (const id of storage === before ? ids : theirs) t.true((await readFiles(opened, id)).size > 0);
    t.deepEqual((await verify(storage)).problems, []);
  }
});

for (const [what, plant] of [
  ['garbage', async () => Buffer.from('garbage')],
  ['what stood there', async (name: string, old: Storage) => must(await old.read(name))],
  [
    'some of what stood there, and garbage',
    async (name: string, old: Storage) => (name.endsWith('1') ? must(await old.read(name)) : Buffer.from('garbage')),
  ],
] as const) {
  test(`${what}, planted where the log’s beginning was deleted, hides nothing`, async (t) => {
    const repository = await makeRepository();
    const { storage } = repository;
    const ids = await makeBackups(repository, 8);
    const old = await copyStorage(storage);
    const kept = ids.slice(-3);
    t.truthy(await sweep(repository, keeping(repository, kept), { orphanedBeforeMs: 0 }));
    t.true((await deleteSwept(repository, { nowMs: LATER_MS, packGraceMs: 0 })).objects > 0);
    const { begin } = repository.log;
    t.true(begin.seq >= 4);
    for (let seq = 1; seq <= begin.seq; seq += 1) {
      const name = segmentName(seq);
      t.true(await storage.createOnce(name, [await plant(name, old)]));
    }
    for (const one of [storage, await withoutCaches(storage)]) {
      const opened = await openRepository(one);
      t.deepEqual(opened.problems, []);
      t.deepEqual(opened.log.begin, begin);
      for (const id of kept) t.is((await readFiles(opened, id)).size, 2);
      for (const id of ids) t.is(await opened.isExpired(id), !kept.includes(id));
      t.is((await opened.index.listCommits()).length, ids.length);
      t.deepEqual((await verify(one)).problems, []);
      await commitFiles(opened, { note: 'after' });
      t.deepEqual((await openRepository(one)).problems, []);
      // It goes again, in its time.
      await deleteSwept(opened, { nowMs: LATER_MS, packGraceMs: 0 });
      t.false((await listNames(one, 'log/')).includes(segmentName(1)));
    }
  });
}

test('a sweep that says that packs count which are not there is told of, and what is there can be read', async (t) => {
  for (const isHistory of [false, true]) {
    const repository = await makeRepository();
    const { storage } = repository;
    const [first, , , last] = await makeBackups(repository, 4);
    const lives = [...(await packsOf(storage)), absent].map((id) => ({ id, sizeBytes: 1000 }));
    await sealSweep(storage, ({ history }) => ({ packs: lives, history: isHistory ? [...history, absent] : history }));
    for (const one of [storage, await withoutCaches(storage)]) {
      const opened = await openRepository(one);
      for (const id of [first, last]) t.is((await readFiles(opened, must(id))).size, 2);
      const { problems } = await verify(one);
      t.true(
        problems.some((problem) => problem.includes(packName(absent)) && problem.includes('missing')),
        problems.join(),
      );
      // It is no reason to take anything away, nor to save nothing.
      await deleteSwept(opened, { nowMs: LATER_MS, packGraceMs: 0 });
      await commitFiles(opened, { note: 'after' });
      for (const id of [first, last]) t.is((await readFiles(await openRepository(one), must(id))).size, 2);
    }
  }
});

async function packsOf(storage: Storage): Promise<PackId[]> {
  return (await listNames(storage, 'packs/')).map((name) => name.slice(name.lastIndexOf('/') + 1) as PackId);
}

test('a sweep that forgets a pack that is needed is told of as what it is: content that is missing', async (t) => {
  const repository = await makeRepository();
  const { storage } = repository;
  const ids = await makeBackups(repository, 4);
  await sealSweep(storage, (_, tip) => ({ seq: tip - 1, packs: [] }));
  for (const one of [storage, await withoutCaches(storage)]) {
    const opened = await openRepository(one);
    const error = await t.throwsAsync(readFiles(opened, must(ids[0])));
    t.true(isMoltError(error, 'DAMAGED', 'NOT_FOUND'), String(error));
    t.true((await verify(one)).problems.length > 0);
  }
});

test('a sweep that takes away itself, or a pack that it says counts, is never written', async (t) => {
  const repository = await makeRepository();
  const { storage } = repository;
  const ids = await makeBackups(repository, 4);
  const names = await listNames(storage);
  for (const change of [
    (_: LogBase, tip: number) => ({ seq: tip + 1 }),
    (_: LogBase, tip: number) => ({ seq: tip + 1000 }),
    () => ({ packs: [{ id: absent, sizeBytes: 1 }], swept: [absent] }),
  ]) {
    const error = await t.throwsAsync(sealSweep(storage, change));
    t.true(isMoltError(error, 'DAMAGED'));
    t.regex(error.message, /takes away what it says counts/);
  }
  t.deepEqual(await listNames(storage), names);
  for (const id of ids) t.is((await readFiles(await openRepository(storage), id)).size, 2);
});

test('a sweep whose refs lead nowhere does not keep the rest from being read', async (t) => {
  const repository = await makeRepository();
  const { storage } = repository;
  const ids = await makeBackups(repository, 4);
  const nowhere = 'cd'.repeat(20) as CommitId;
  const lives = (await packsOf(storage)).map((id) => ({ id, sizeBytes: 1000 }));
  await sealSweep(storage, () => ({ packs: lives, refs: new Map([[MAIN, nowhere]]) }));
  for (const one of [storage, await withoutCaches(storage)]) {
    const opened = await openRepository(one);
    t.is(opened.refs.get(MAIN), nowhere);
    for (const id of ids) t.is((await readFiles(opened, id)).size, 2);
    t.true((await verify(one)).problems.some((problem) => problem.includes(nowhere)));
    await t.throwsAsync(sweep(opened, keeping(opened, ids.slice(-1)), { orphanedBeforeMs: 0 }), {
      code: 'DAMAGED',
    } as MoltError);
    for (const id of ids) t.is((await readFiles(opened, id)).size, 2);
  }
});

test('ids of another repository don’t fit', async (t) => {
  const repository = await makeRepository();
  await makeBackups(repository, 2);
  const other = new MemoryStorage({ now: () => TIME_MS });
  await claimStorage(other, { ...IDS, repositoryId: '0f'.repeat(16) as RepositoryId });
  const there = await openRepository(other);
  const theirs = await makeBackups(there, 3);
  t.truthy(await sweep(there, keeping(there, theirs.slice(-1)), { orphanedBeforeMs: 0 }));
  const { seq } = there.log.tip;
  for (let at = 3; at <= seq; at += 1)
    await repository.storage.createOnce(segmentName(at), [must(await other.read(segmentName(at)))]);
  const opened = await openRepository(repository.storage);
  t.is(opened.log.begin.sweepSeq, 0);
  await commitFiles(opened, { note: 'after' });
  t.deepEqual((await verify(repository.storage)).problems, []);
});
