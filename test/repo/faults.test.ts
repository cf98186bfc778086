// Every operation of the repository, cut at every single call of the storage: what is left opens, is whole, and takes the operation
// again.

import test from 'ava';
import { isMoltError, MoltError } from '../../src/model/error.ts';
import type { GitId } from '../../src/model/ids.ts';
import { writeCheckpoint } from '../../src/repo/checkpoints.ts';
import { peelToCommit } from '../../src/repo/git.ts';
import { claimStorage, type Repository } from '../../src/repo/repository.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { randomContent } from '../chunk/content.ts';
import { type Fault, FaultStorage, ProcessDeath } from '../storage/fault-storage.ts';
import {
  commitFiles,
  copyStorage,
  IDS,
  listChain,
  listNames,
  MAIN,
  makeRepository,
  openRepository,
  readFiles,
  TIME_MS,
} from './support.ts';

const FAULTS: readonly Fault[] = ['error', 'lost-answer', 'death'];

interface Case {
  /** What is in the storage before. */
  readonly prepare: () => Promise<Storage>;
  readonly act: (storage: Storage) => Promise<void>;
}

/** Opens what is left and reads all of it; returns the refs. */
async function checkWhole(storage: Storage): Promise<ReadonlyMap<string, GitId>> {
  const repository = await openRepository(storage);
  if (repository.problems.length > 0) throw new Error(`problems: ${JSON.stringify(repository.problems)}`);
  for (const id of repository.refs.values()) {
    await readFiles(repository, await peelToCommit(repository, id));
  }
  for (const { id } of await repository.index.listCommits()) await readFiles(repository, id);
  await listChain(repository);
  return repository.refs;
}

const cutEverywhere = test.macro({
  title: (what) => `${what}, cut at any call of the storage, leaves the old refs or the new ones, all of it whole`,
  async exec(t, { prepare, act }: Case) {
    const before = await prepare();
    const oldRefs = await checkWhole(before);
    const counting = new FaultStorage(await copyStorage(before));
    await act(counting);
    const count = counting.operations.length;
    t.true(counting.operations.some((operation) => operation.startsWith('createOnce log/')));
    for (const fault of FAULTS) {
      for (let at = 1; at <= count; at += 1) {
        const where = `${fault} at ${at}: ${counting.operations[at - 1]}`;
        const inner = await copyStorage(before);
        const faulty = new FaultStorage(inner);
        faulty.failAt(at, fault);
        const error: unknown = await act(faulty).then(
          () => undefined,
          (cause: unknown) => cause,
        );
        t.true(
          error === undefined || error instanceof ProcessDeath || isMoltError(error),
          `${where}: ${String(error)}`,
        );
        const left = await checkWhole(inner);
        const isOld = left.size === oldRefs.size && [...oldRefs].every(([name, id]) => left.get(name) === id);
        // What reported success stands; what failed may stand only if the process died or could not hear of it.
        if (error === undefined) t.false(isOld, `${where}: reported as done, and is not`);
        else if (fault === 'error') t.true(isOld, `${where}: reported as failed, and stands`);
        await act(inner);
        t.not((await checkWhole(inner)).get(MAIN), oldRefs.get(MAIN), `${where}: and again`);
      }
    }
  },
});

async function someCommits(count: number): Promise<Repository> {
  const repository = await makeRepository();
  for (let index = 0; index < count; index += 1) {
    await commitFiles(repository, {
      db: { bytes: versionOf(index), chunking: 'fixed' },
      [`f${index}`]: `text ${index}`,
    });
  }
  return repository;
}

function versionOf(index: number): Buffer {
  const bytes = randomContent('faults', 70_000);
  bytes.writeUInt32LE(index, 100);
  return bytes;
}

let attempts = 0;

async function commitOnce(storage: Storage, full: boolean): Promise<void> {
  const repository = await openRepository(storage);
  attempts += 1;
  const files = { db: { bytes: versionOf(1000 + attempts), chunking: 'fixed' as const }, new: `attempt ${attempts}` };
  await commitFiles(repository, files, { full });
}

test('a commit', cutEverywhere, {
  prepare: async () => (await someCommits(3)).storage,
  act: (storage) => commitOnce(storage, false),
});

test('a full backup, which writes packs, a merged index run and a checkpoint', cutEverywhere, {
  prepare: async () => {
    const repository = await someCommits(2);
    await writeCheckpoint(repository, { atLeisure: true });
    await commitFiles(repository, { db: { bytes: versionOf(7), chunking: 'fixed' }, more: 'more' });
    return repository.storage;
  },
  act: (storage) => commitOnce(storage, true),
});

test('an empty repository, cut while it is made, can be made again or opened', async (t) => {
  for (const fault of FAULTS) {
    for (let at = 1; at <= 8; at += 1) {
      const inner = new MemoryStorage({ now: () => TIME_MS });
      const faulty = new FaultStorage(inner);
      faulty.failAt(at, fault);
      const error: unknown = await initialise(faulty).then(
        () => undefined,
        (cause: unknown) => cause,
      );
      t.true(error === undefined || error instanceof ProcessDeath || isMoltError(error), String(error));
      if (!(await listNames(inner)).includes('format.json')) await claimStorage(inner, IDS);
      await commitOnce(inner, false);
      t.true((await checkWhole(inner)).has(MAIN));
    }
  }
});

async function initialise(storage: Storage): Promise<void> {
  await claimStorage(storage, IDS);
  await commitFiles(await openRepository(storage), { first: 'file' }, { full: true });
}

test('a writer whose answer was lost learns that its segment stands, and commits on top of it', async (t) => {
  const inner = (await makeRepository()).storage;
  const create = inner.createOnce.bind(inner);
  let lost = 0;
  inner.createOnce = async (name, parts) => {
    const created = await create(name, parts);
    if (name !== 'log/000000000002' || lost > 0) return created;
    lost += 1;
    throw new MoltError('REMOTE_UNREACHABLE', 'the answer was lost');
  };
  const repository = await openRepository(inner);
  await commitFiles(repository, { a: '1' });
  const id = await commitFiles(repository, { a: '2' });
  t.is(lost, 1);
  t.is(repository.refs.get(MAIN), id);
  await commitFiles(repository, { a: '3' });
  t.is((await listChain(await openRepository(inner))).length, 3);
  t.deepEqual(await listNames(inner, 'log/'), ['log/000000000001', 'log/000000000002', 'log/000000000003']);
});

test('a storage that repeats a write by itself and then finds the name taken does not make the commit twice', async (t) => {
  const inner = (await makeRepository()).storage;
  const create = inner.createOnce.bind(inner);
  inner.createOnce = async (name, parts) => {
    await create(name, parts);
    return create(name, parts);
  };
  const repository = await openRepository(inner);
  await commitFiles(repository, { a: '1' });
  t.deepEqual(await listNames(inner, 'log/'), ['log/000000000001']);
  t.is((await listChain(repository)).length, 1);
});

test('a segment that stands but can’t be made durable is not reported as done', async (t) => {
  const inner = (await makeRepository()).storage;
  const create = inner.createOnce.bind(inner);
  inner.createOnce = async (name, parts) => {
    await create(name, parts);
    throw new MoltError('IO', 'it is there, but may not survive a power loss');
  };
  const repository = await openRepository(inner);
  const error = await t.throwsAsync(commitFiles(repository, { a: '1' }));
  t.true(isMoltError(error, 'IO'));
});
