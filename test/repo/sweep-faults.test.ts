// A sweep and the deletion after it, cut at every single call of the storage: what is kept is whole whatever happens, and doing it again
// ends as if nothing had happened.

import test from 'ava';
import { packName, parseSegmentName } from '../../src/format/segment.ts';
import { isMoltError } from '../../src/model/error.ts';
import type { CommitId, PackId } from '../../src/model/ids.ts';
import { Census } from '../../src/repo/census.ts';
import { peelToCommit, readCommit } from '../../src/repo/git.ts';
import type { Repository } from '../../src/repo/repository.ts';
import { sweep, type SweepOrder } from '../../src/repo/sweep.ts';
import { deleteSwept, LOG_GRACE_MS } from '../../src/repo/sweep-delete.ts';
import { checkStorage } from '../../src/repo/verify.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { randomContent } from '../chunk/content.ts';
import { type Fault, FaultStorage, ProcessDeath } from '../storage/fault-storage.ts';
import {
  commitFiles,
  copyStorage,
  listNames,
  MAIN,
  makeRepository,
  openRepository,
  readFiles,
  TIME_MS,
} from './support.ts';

const FAULTS: readonly Fault[] = ['error', 'lost-answer', 'death'];
/** By then everything that was written before is old enough to go. */
const LATER_MS = TIME_MS + LOG_GRACE_MS + 3_600_000;
const BACKUPS = 9;

type Files = Readonly<Record<string, Buffer>>;

interface Backup {
  readonly id: CommitId;
  readonly files: Files;
  readonly message: string;
}

/** A database that changes a little, as deltas hold it, a file that comes and goes, and now and then all of it in packs. */
async function makeBackups(repository: Repository): Promise<Backup[]> {
  const backups: Backup[] = [];
  const db = randomContent('sweep faults', 90_000);
  for (let at = 0; at < BACKUPS; at += 1) {
    db.writeUInt32LE(at, 100);
    const files = {
      'a/db': Buffer.from(db),
      [`b/${at % 3}`]: Buffer.from(`text of backup ${at}\n`.repeat(40)),
      c: randomContent(`since full ${Math.floor(at / 4)}`, 30_000),
    };
    const message = `backup ${at}\n`;
    const full = at % 4 === 0;
    const given = { ...files, 'a/db': { bytes: files['a/db'] ?? Buffer.alloc(0), chunking: 'fixed' as const } };
    backups.push({
      id: await commitFiles(repository, given, { full, timeMs: TIME_MS + at * 1000, message }),
      files,
      message,
    });
  }
  return backups;
}

/** Sweeps as pruning does: what an earlier time left is deleted first. */
async function pruneTo(storage: Storage, kept: ReadonlySet<CommitId>, dropRefs: readonly string[]): Promise<void> {
  const repository = await openRepository(storage);
  const decide = async (): Promise<SweepOrder> => {
    const commits = (await repository.index.listCommits()).filter(({ isExpired }) => !isExpired);
    return {
      keep: commits.filter(({ id }) => kept.has(id)),
      expire: commits.filter(({ id }) => !kept.has(id)),
      dropRefs: dropRefs.filter((name) => repository.refs.has(name)),
    };
  };
  const when = { nowMs: LATER_MS, packGraceMs: 0 };
  await deleteSwept(repository, when);
  await sweep(repository, decide, { orphanedBeforeMs: LATER_MS });
  await deleteSwept(repository, when);
}

interface Wanted {
  readonly backups: readonly Backup[];
  readonly kept: ReadonlySet<CommitId>;
  /** What is gone for good. */
  readonly gone: ReadonlySet<CommitId>;
}

/** Opens what is left, with and without its caches; says what is wrong with it, and whether the sweep counts. */
async function judge(
  storage: Storage,
  { backups, kept, gone }: Wanted,
): Promise<{ wrong: string[]; isSwept: boolean }> {
  const wrong: string[] = [];
  let isSwept = false;
  const bare = await copyStorage(storage);
  for (const name of await listNames(bare)) if (/^(index|checkpoint)\//.test(name)) await bare.delete(name);
  for (const one of [storage, bare]) {
    const repository = await openRepository(one);
    wrong.push(
      ...repository.problems.map(
        ({ seq, problem }) => `${one === bare ? 'without caches' : 'with caches'}, ${seq}: ${problem}`,
      ),
    );
    for (const { id, files, message } of backups) {
      if ((await readCommit(repository, id)).message !== message) wrong.push(`${message} lost its line`);
      const isExpired = await repository.isExpired(id);
      isSwept = !gone.has(id) && !kept.has(id) ? isExpired : isSwept;
      if (kept.has(id) && isExpired) wrong.push(`${message} has expired`);
      if (isExpired) continue;
      const found = await readFiles(repository, id);
      if (found.size !== Object.keys(files).length) wrong.push(`${message} has ${found.size} files`);
      for (const [path, bytes] of Object.entries(files))
        if (found.get(path)?.equals(bytes) !== true) wrong.push(`${path} of ${message} is another`);
    }
    const listed = await repository.index.listCommits();
    if (listed.length !== backups.length) wrong.push(`${listed.length} commits are listed`);
    for (const id of repository.refs.values()) await peelToCommit(repository, id);
  }
  return { wrong, isSwept };
}

/** Says whether everything that is there counts: every pack is named, and no number is before the log's beginning. */
async function listGarbage(storage: Storage): Promise<string[]> {
  const repository = await openRepository(storage);
  const { packs } = await Census.take(repository);
  const named = new Set([...packs.keys()].map((id: PackId) => packName(id)));
  const names = await listNames(storage);
  return names.filter(
    (name) =>
      (name.startsWith('packs/') && !named.has(name)) ||
      (parseSegmentName(name) ?? Infinity) <= repository.log.begin.seq,
  );
}

async function listProblems(storage: Storage): Promise<string[]> {
  const { id, storageId, keys } = await openRepository(storage);
  const check = await checkStorage({ storage, repositoryId: id, storageId, keys }, { readShare: 1, random: () => 0 });
  // These repositories have keys and no keyring.
  return check.report.problems.filter(({ object }) => !object.startsWith('keys/')).map(({ problem }) => problem);
}

interface Case {
  /** What was swept before, by the number of the backup. */
  readonly before: (at: number) => boolean;
  readonly keep: (at: number) => boolean;
}

const cutEverywhere = test.macro({
  title: (what) =>
    `${what}, cut at any call of the storage, leaves every kept commit whole, and done again ends the same`,
  async exec(t, { before, keep }: Case) {
    const start = new MemoryStorage({ now: () => TIME_MS });
    const repository = await makeRepository(start);
    const backups = await makeBackups(repository);
    const tag = 'refs/tags/full/old';
    const first = backups[0]?.id;
    await repository.transact({ packs: false }, (transaction) =>
      transaction.publish([{ name: tag, from: undefined, to: first }], []),
    );
    const left = new Set(backups.filter((_, at) => before(at)).map(({ id }) => id));
    if (left.size < backups.length) await pruneTo(start, left, []);
    const gone = new Set(backups.filter(({ id }) => !left.has(id)).map(({ id }) => id));
    const kept = new Set(backups.filter((_, at) => keep(at)).map(({ id }) => id));
    const wanted = { backups, kept, gone };
    t.deepEqual(await judge(start, wanted), { wrong: [], isSwept: false });
    const counting = new FaultStorage(await copyStorage(start));
    await pruneTo(counting, kept, [tag]);
    const { operations } = counting;
    t.true(operations.some((operation) => operation.startsWith('createOnce log/')));
    t.true(operations.some((operation) => operation.startsWith('delete log/')));
    t.true(operations.some((operation) => operation.startsWith('delete packs/')));
    let [swept, stayed] = [0, 0];
    for (const fault of FAULTS) {
      for (let at = 1; at <= operations.length; at += 1) {
        const operation = operations[at - 1] ?? '';
        // What only reads does nothing that could be done without being heard of.
        if (fault === 'lost-answer' && !/^(createOnce|delete) /.test(operation)) continue;
        const where = `${fault} at ${at}: ${operation}`;
        const inner = await copyStorage(start);
        const faulty = new FaultStorage(inner);
        faulty.failAt(at, fault);
        const error: unknown = await pruneTo(faulty, kept, [tag]).then(
          () => undefined,
          (cause: unknown) => cause,
        );
        t.true(
          error === undefined || error instanceof ProcessDeath || isMoltError(error),
          `${where}: ${String(error)}`,
        );
        const cut = await judge(inner, wanted);
        t.deepEqual(cut.wrong, [], where);
        if (cut.isSwept) swept += 1;
        else stayed += 1;
        if (error === undefined) t.true(cut.isSwept, `${where}: reported as done, and is not`);
        await pruneTo(inner, kept, [tag]);
        t.deepEqual(await judge(inner, wanted), { wrong: [], isSwept: true }, `${where}: and again`);
        t.deepEqual(await listGarbage(inner), [], `${where}: and again`);
        t.deepEqual(await listProblems(inner), [], `${where}: and again`);
        const again = await openRepository(inner);
        t.false(again.refs.has(tag));
        t.true(again.refs.has(MAIN));
        await commitFiles(again, { 'a/db': backups[0]?.files['a/db'] ?? '', after: where });
      }
    }
    t.log(`${operations.length} calls, ${swept} cuts after the event, ${stayed} before it`);
    t.true(swept > 0 && stayed > 0);
  },
});

test('a first sweep', cutEverywhere, { before: () => true, keep: (at) => at === 5 || at >= 7 });
test('a sweep after another one', cutEverywhere, { before: (at) => at >= 2, keep: (at) => at === 6 || at >= 7 });
