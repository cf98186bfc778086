// Checkpoints and index runs are caches: whatever happens to them, the same refs, objects and commits are found.

import test from 'ava';
import { MoltError } from '../../src/model/error.ts';
import { ENTRY_ROW_BYTES } from '../../src/format/index-run.ts';
import type { CommitId } from '../../src/model/ids.ts';
import { writeCheckpoint } from '../../src/repo/checkpoints.ts';
import type { Repository } from '../../src/repo/repository.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { randomContent } from '../chunk/content.ts';
import {
  commitFiles,
  copyStorage,
  flipMiddle,
  listChain,
  listNames,
  MAIN,
  makeRepository,
  must,
  openRepository,
  readFiles,
  replaceObject,
  TIME_MS,
} from './support.ts';

/** Makes a repository of 40 commits, enough for checkpoints after 16 and 32, and with a tail. */
async function makeHistory(): Promise<Repository> {
  const repository = await makeRepository();
  for (let index = 0; index < 40; index += 1) {
    await commitFiles(
      repository,
      { [`file ${index}`]: randomContent(index, 3000) },
      { timeMs: TIME_MS + index * 1000 },
    );
  }
  return repository;
}

interface Seen {
  readonly refs: ReadonlyMap<string, string>;
  readonly chain: readonly CommitId[];
  readonly commits: readonly { readonly id: CommitId; readonly seq: number }[];
  readonly byPrefix: readonly CommitId[];
  readonly files: readonly string[];
}

async function lookAround(repository: Repository): Promise<Seen> {
  const chain = await listChain(repository);
  const files: string[] = [];
  for (const id of chain) {
    for (const [path, bytes] of await readFiles(repository, id))
      files.push(`${path} ${bytes.toString('hex', 0, 8)} ${bytes.length}`);
  }
  return {
    refs: new Map(repository.refs),
    chain,
    commits: (await repository.index.listCommits()).map(({ id, seq }) => ({ id, seq })),
    byPrefix: await repository.index.findCommitsByPrefix(must(chain[30]).slice(0, 8)),
    files,
  };
}

async function newestName(storage: Storage): Promise<string> {
  return must((await listNames(storage, 'checkpoint/')).at(-1));
}

/** Harms all runs: those of the newest checkpoint, and those that only the one before it names. */
async function harmRuns(storage: Storage, change: (bytes: Buffer) => Buffer): Promise<void> {
  for (const name of await listNames(storage, 'index/')) await replaceObject(storage, name, change);
}

test('a checkpoint is written after every 16 segments, and opening replays only what came after it', async (t) => {
  const { storage } = await makeHistory();
  const names = await listNames(storage, 'checkpoint/');
  t.deepEqual(
    names.map((name) => Number(name.slice(11, 23))),
    [16, 32],
  );
  const read: string[] = [];
  const counting = await copyStorage(storage);
  const readObject = counting.read.bind(counting);
  counting.read = async (object, range) => {
    read.push(object);
    return readObject(object, range);
  };
  await openRepository(counting);
  const numbers = read.filter((object) => object.startsWith('log/')).map((object) => Number(object.slice(4)));
  t.is(Math.min(...numbers), 32);
  t.deepEqual(
    numbers.filter((seq) => seq < 33),
    [32],
    'of the segments before only the one that it is believed for',
  );
});

for (const [what, harm] of [
  ['a deleted checkpoint', async (storage: Storage) => storage.delete(await newestName(storage))],
  ['a damaged checkpoint', async (storage: Storage) => replaceObject(storage, await newestName(storage), flipMiddle)],
  [
    'an empty checkpoint',
    async (storage: Storage) => replaceObject(storage, await newestName(storage), () => Buffer.alloc(0)),
  ],
  [
    'deleted runs',
    async (storage: Storage) => {
      for (const name of await listNames(storage, 'index/')) await storage.delete(name);
    },
  ],
  ['damaged runs', async (storage: Storage) => harmRuns(storage, (bytes) => flipAll(bytes))],
  ['cut runs', async (storage: Storage) => harmRuns(storage, (bytes) => bytes.subarray(0, -1))],
  ['other bytes in place of runs', async (storage: Storage) => harmRuns(storage, () => Buffer.from('x'))],
  [
    'no caches',
    async (storage: Storage) => {
      for (const name of await listNames(storage)) {
        if (/^(index|checkpoint)\//.test(name)) await storage.delete(name);
      }
    },
  ],
] as const) {
  test(`with ${what} everything is found as before`, async (t) => {
    const repository = await makeHistory();
    const expected = await lookAround(await openRepository(await copyStorage(repository.storage)));
    await harm(repository.storage);
    const again = await openRepository(repository.storage);
    const kept = await listNames(repository.storage, 'index/');
    for (const { note } of again.index.runs)
      t.true(kept.includes(`index/${note.id}`), 'a checkpoint without its runs is not believed');
    t.deepEqual(await lookAround(again), expected);
    t.deepEqual(again.problems, []);
  });

  test(`with ${what} in a process's back it finds everything as before, and the next checkpoint is good`, async (t) => {
    const repository = await makeHistory();
    const expected = await lookAround(await openRepository(await copyStorage(repository.storage)));
    const running = await openRepository(repository.storage);
    await harm(repository.storage);
    t.deepEqual(await lookAround(running), expected);
    for (let index = 0; index < 33; index += 1) {
      await commitFiles(running, { [`more ${index}`]: `more ${index}` });
    }
    const after = await openRepository(repository.storage);
    t.deepEqual(after.index.runs.length > 0, true);
    t.is((await listChain(after)).length, 73);
    t.is((await after.index.listCommits()).length, 73);
    for (const run of after.index.runs) {
      const { entries, packs } = await run.readContent();
      t.is(entries.length, run.note.objects * ENTRY_ROW_BYTES);
      t.deepEqual(packs, []);
    }
  });
}

test('what other processes committed meanwhile counts once when the index is made anew', async (t) => {
  const repository = await makeHistory();
  const running = await openRepository(repository.storage);
  await commitFiles(repository, { theirs: '1' });
  await commitFiles(repository, { theirs: '2' });
  await harmRuns(repository.storage, flipAll);
  t.is((await running.index.listCommits()).length, 42);
  await running.refresh();
  t.is((await running.index.listCommits()).length, 42);
  t.is(running.refs.get(MAIN), repository.refs.get(MAIN));
});

test('a run whose damage only shows when it is merged is replaced by the next checkpoint', async (t) => {
  const repository = await makeHistory();
  const running = await openRepository(repository.storage);
  const run = must(running.index.runs[0]);
  const { commits } = await run.tables();
  const footer = await running.containers.readIndexFooter(run.note.id);
  const { offsetBytes } = must(footer.blocks[must(commits[0]).block]);
  await replaceObject(repository.storage, `index/${run.note.id}`, (bytes) => {
    bytes[offsetBytes] = (bytes[offsetBytes] ?? 0) ^ 1;
    return bytes;
  });
  for (let index = 0; index < 60; index += 1) await commitFiles(running, { [`more ${index}`]: `more ${index}` });
  const after = await openRepository(repository.storage);
  t.true(after.index.runs.length > 0);
  t.false(after.index.runs.some(({ note }) => note.id === run.note.id));
  t.is((await after.index.listCommits()).length, 100);
});

test('a checkpoint of another history of the same repository is not believed', async (t) => {
  const one = await makeRepository();
  const other = await openRepository(await copyStorage(one.storage));
  for (let index = 0; index < 33; index += 1) {
    await commitFiles(one, { a: `one ${index}` });
    await commitFiles(other, { a: `other ${index}` });
  }
  for (const prefix of ['checkpoint/', 'index/']) {
    for (const name of await listNames(one.storage, prefix)) {
      await other.storage.createOnce(name, [must(await one.storage.read(name))]);
    }
  }
  const again = await openRepository(other.storage);
  t.deepEqual(again.refs, other.refs);
  t.is((await listChain(again)).length, 33);
});

test('a checkpoint of a longer log than there is, is not believed', async (t) => {
  const { storage } = await makeHistory();
  for (let seq = 20; seq <= 40; seq += 1) {
    await storage.delete(`log/${String(seq).padStart(12, '0')}`);
  }
  const again = await openRepository(storage);
  t.is(again.log.tip.seq, 19 as never);
  t.is((await listChain(again)).length, 19);
});

test('a publish whose checkpoint can not be written has still succeeded, and says so', async (t) => {
  const storage = new MemoryStorage({ now: () => TIME_MS });
  const create = storage.createOnce.bind(storage);
  storage.createOnce = async (name, parts) => {
    if (/^(index|checkpoint)\//.test(name)) throw new MoltError('IO', 'the disk is full');
    return create(name, parts);
  };
  const repository = await makeRepository(storage);
  for (let index = 0; index < 35; index += 1) {
    await commitFiles(repository, { a: `${index}` });
  }
  t.is((await listChain(await openRepository(storage))).length, 35);
});

test('while something is wrong no checkpoint hides it: a pack that was missing for a time is found when it is back', async (t) => {
  const repository = await makeRepository();
  const id = await commitFiles(repository, { big: randomContent('big', 100_000) });
  const full = await commitFiles(repository, { bigger: randomContent('bigger', 100_000) }, { full: true });
  const copy = new MemoryStorage({ now: () => TIME_MS });
  const names = (await listNames(repository.storage)).filter((name) => !/^(packs|index|checkpoint)\//.test(name));
  for (const name of names) await copy.createOnce(name, [must(await repository.storage.read(name))]);
  const early = await openRepository(copy);
  t.is(early.problems.length, 1);
  for (let index = 0; index < 34; index += 1) {
    await commitFiles(early, { a: `${index}` }, { ref: 'refs/heads/other' });
  }
  t.deepEqual(await listNames(copy, 'checkpoint/'), []);
  for (const name of await listNames(repository.storage, 'packs/')) {
    await copy.createOnce(name, [must(await repository.storage.read(name))]);
  }
  const late = await openRepository(copy);
  t.deepEqual(late.problems, []);
  t.is((await readFiles(late, full)).size, 1);
  t.is((await readFiles(late, id)).size, 1);
});

test('many checkpoints leave two, and runs that cover the whole log', async (t) => {
  const repository = await makeHistory();
  for (let index = 0; index < 6; index += 1) {
    await commitFiles(repository, { a: `again ${index}` });
    await writeCheckpoint(repository, { atLeisure: false });
  }
  t.is((await listNames(repository.storage, 'checkpoint/')).length, 2);
  const again = await openRepository(repository.storage);
  const ranges = again.index.runs.map(({ note }) => [note.fromSeq, note.toSeq] as const);
  t.is(ranges[0]?.[0], 1);
  t.is(ranges.at(-1)?.[1], 46);
  for (const [index, [from]] of ranges.entries()) t.is(from, (ranges[index - 1]?.[1] ?? 0) + 1);
  t.is((await listChain(again)).length, 46);
  t.is(again.refs.get(MAIN), repository.refs.get(MAIN));
});

/** Changes every byte behind the header, so that no read of any part succeeds. */
function flipAll(bytes: Buffer): Buffer {
  for (let at = 128; at < bytes.length - 60; at += 1) bytes[at] = (bytes[at] ?? 0) ^ 0x55;
  return bytes;
}
