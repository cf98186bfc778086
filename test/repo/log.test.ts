// The log: one chain, whoever writes, and what is wrong with one number never costs the others.

import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import test from 'ava';
import { parseSegmentName, type RefMove } from '../../src/format/segment.ts';
import { isMoltError } from '../../src/model/error.ts';
import type { GitId } from '../../src/model/ids.ts';
import type { Repository } from '../../src/repo/repository.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { seededRandom } from '../crypto/random.ts';
import {
  commitFiles,
  commitInRace,
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
  writeFiles,
} from './support.ts';

const segment = (seq: number): string => `log/${String(seq).padStart(12, '0')}`;

async function makeLog(commits: number): Promise<Repository> {
  const repository = await makeRepository();
  for (let index = 1; index <= commits; index += 1)
    await commitFiles(repository, { [`file ${index}`]: `content ${index}` });
  return repository;
}

/** A memory in which something else than an object stands under some names, as a folder does in a directory. */
class PlantedStorage extends MemoryStorage {
  readonly planted = new Set<string>();

  override async createOnce(name: string, parts: readonly Uint8Array[]): Promise<boolean> {
    await this.#check(name);
    return super.createOnce(name, parts);
  }

  override async read(
    name: string,
    range?: { readonly start: number; readonly end: number },
  ): Promise<Buffer | undefined> {
    await this.#check(name);
    return super.read(name, range);
  }

  async #check(name: string): Promise<void> {
    const { MoltError } = await import('../../src/model/error.ts');
    if (this.planted.has(name)) throw new MoltError('HOSTILE', `${name} is no object`);
  }
}

test('a publish on a ref that moved meanwhile is a conflict, changes nothing, and works with the new ref', async (t) => {
  const repository = await makeLog(1);
  const other = await openRepository(repository.storage);
  await repository.transact({ packs: false }, async (transaction) => {
    const from = repository.refs.get(MAIN);
    const stale = await writeFiles(repository, transaction, { mine: 'mine' });
    const winner = await commitFiles(other, { theirs: 'theirs' });
    const move = (to: GitId, at: GitId | undefined): RefMove[] => [{ name: MAIN, from: at, to }];
    await t.throwsAsync(transaction.publish(move(stale, from), []), { code: 'CONFLICT' });
    t.is(repository.refs.get(MAIN), winner);
    t.deepEqual([...(await readFiles(repository, winner)).keys()], ['theirs'], 'what won is known at once');
    const id = await writeFiles(repository, transaction, { mine: 'mine' });
    await transaction.publish(move(id, winner), []);
    t.deepEqual(await listChain(await openRepository(repository.storage)), [id, winner, must(from)]);
  });
  t.deepEqual(await listNames(repository.storage, 'log/'), [segment(1), segment(2), segment(3)]);
});

test('a ref that could not be read back is refused before anything is written', async (t) => {
  const repository = await makeLog(1);
  for (const name of ['refs/heads/a b', 'refs/tags/x..y', 'main', `refs/tags/${'x'.repeat(300)}`]) {
    await t.throwsAsync(commitFiles(repository, {}, { ref: name }), { code: 'USAGE' });
  }
  await t.throwsAsync(commitFiles(repository, {}, { timeMs: 0.5 }), { code: 'DAMAGED' });
  t.deepEqual(await listNames(repository.storage, 'log/'), [segment(1)]);
});

test('refs can be made and deleted, several in one segment', async (t) => {
  const repository = await makeLog(1);
  const to = repository.refs.get(MAIN);
  await commitFiles(
    repository,
    {},
    {
      moves: [
        { name: 'refs/tags/a', from: undefined, to },
        { name: 'refs/heads/b', from: undefined, to },
      ],
    },
  );
  await commitFiles(repository, {}, { moves: [{ name: 'refs/tags/a', from: to, to: undefined }] });
  const again = await openRepository(repository.storage);
  t.deepEqual([...again.refs.keys()].toSorted(), ['refs/heads/b', MAIN]);
});

test('several repositories that race on one storage lose no commit and leave one chain', async (t) => {
  const { storage } = await makeRepository();
  const writers = await Promise.all(Array.from({ length: 8 }, () => openRepository(storage)));
  await Promise.all(
    writers.map(async (writer, index) => {
      for (let round = 0; round < 10; round += 1) {
        await commitInRace(writer, { [`file ${index}`]: `${index} ${round}` }, `writer ${index} round ${round}\n`);
      }
    }),
  );
  const again = await openRepository(storage);
  t.deepEqual(again.problems, []);
  const chain = await listChain(again);
  t.is(new Set(chain).size, 80);
  t.deepEqual(
    (await listNames(storage, 'log/')).map(parseSegmentName),
    Array.from({ length: 80 }, (_, index) => index + 1) as never,
  );
  t.is((await again.index.listCommits()).length, 80);
  for (const writer of writers) {
    await writer.refresh();
    t.deepEqual(writer.problems, []);
    t.is(writer.refs.get(MAIN), chain[0]);
  }
});

test('two transactions of one process may publish at the same time', async (t) => {
  const repository = await makeLog(1);
  const publish = (name: string) => commitFiles(repository, { [name]: name }, { ref: `refs/heads/${name}` });
  const ids = await Promise.all(['a', 'b', 'c', 'd'].map(publish));
  t.is((await repository.index.listCommits()).length, 5);
  const again = await openRepository(repository.storage);
  t.deepEqual(again.problems, []);
  t.deepEqual(
    ['a', 'b', 'c', 'd'].map((name) => again.refs.get(`refs/heads/${name}`)),
    ids,
  );
  t.deepEqual(repository.refs, again.refs);
});

test('a bad object at the next number becomes a hole, which the next segment declares', async (t) => {
  const repository = await makeLog(2);
  await repository.storage.createOnce(segment(3), [Buffer.from('not a segment')]);
  const id = await commitFiles(repository, { after: 'the hole' });
  t.deepEqual(repository.problems, [], 'the writer itself declared it');
  const again = await openRepository(repository.storage);
  t.deepEqual(again.problems, []);
  t.deepEqual(again.log.holes, [3]);
  t.is(again.refs.get(MAIN), id);
  t.is((await listChain(again)).length, 3);
  await commitFiles(again, { more: 'more' });
  t.deepEqual((await openRepository(repository.storage)).log.tip.seq, 5 as never);
});

test('a bad object at the next number is reported until a segment declares it', async (t) => {
  const repository = await makeLog(2);
  await repository.storage.createOnce(segment(3), [Buffer.from('not a segment')]);
  const again = await openRepository(repository.storage);
  t.deepEqual(
    again.problems.map(({ seq }) => seq),
    [3 as never],
  );
  t.is(again.refs.get(MAIN), repository.refs.get(MAIN));
});

test('a squatted future number stops nobody', async (t) => {
  const repository = await makeLog(1);
  await repository.storage.createOnce(segment(4), [Buffer.from('squatter')]);
  await repository.storage.createOnce(segment(999), [Buffer.from('squatter')]);
  for (let index = 0; index < 4; index += 1) await commitFiles(repository, { a: `${index}` });
  const again = await openRepository(repository.storage);
  t.deepEqual(again.problems, []);
  t.deepEqual(again.log.holes, [4]);
  t.is((await listChain(again)).length, 5);
});

test('a folder planted under a coming number, or under the one behind it, stops nobody', async (t) => {
  const storage = new PlantedStorage({ now: () => TIME_MS });
  const repository = await makeRepository(storage);
  await commitFiles(repository, { a: '1' });
  for (const planted of [3, 5, 6]) storage.planted.add(segment(planted));
  t.deepEqual((await openRepository(storage)).problems, []);
  for (let index = 2; index < 6; index += 1) {
    const writer = index % 2 === 0 ? repository : await openRepository(storage);
    await writer.refresh();
    await commitFiles(writer, { a: `${index}` });
  }
  const again = await openRepository(storage);
  t.is((await listChain(again)).length, 5);
  t.deepEqual(again.log.holes, [3, 5, 6]);
  t.deepEqual(again.problems, []);
});

for (const gap of [1, 2, 3, 4]) {
  test(`${gap} missing in the middle of the log are reported, and what follows is read`, async (t) => {
    const repository = await makeLog(8);
    for (let seq = 3; seq < 3 + gap; seq += 1) {
      await repository.storage.delete(segment(seq));
    }
    const again = await openRepository(repository.storage);
    const missing = again.problems.filter(({ problem }) => problem.includes('is missing'));
    t.deepEqual(
      missing.map(({ seq }) => seq),
      Array.from({ length: gap }, (_, index) => 3 + index) as never,
    );
    t.is(again.refs.get(MAIN), repository.refs.get(MAIN));
    await t.notThrowsAsync(readFiles(again, must(again.refs.get(MAIN))));
    await commitFiles(again, { more: 'more' });
    t.is((await listNames(repository.storage, 'log/')).at(-1), segment(9), 'nobody writes into the gap');
  });
}

for (const [what, change] of [
  ['a flipped bit', flipMiddle],
  ['a cut', (bytes: Buffer) => bytes.subarray(0, bytes.length >>> 1)],
  ['no bytes', () => Buffer.alloc(0)],
  [
    'another version in its header',
    (bytes: Buffer) => Buffer.concat([bytes.subarray(0, 8), Buffer.of(9), bytes.subarray(9)]),
  ],
  [
    'another key epoch in its header',
    (bytes: Buffer) => Buffer.concat([bytes.subarray(0, 12), Buffer.of(9), bytes.subarray(13)]),
  ],
] as const) {
  test(`a segment in the middle with ${what} is reported and leaves later commits readable`, async (t) => {
    const repository = await makeLog(6);
    await replaceObject(repository.storage, segment(3), change);
    const again = await openRepository(repository.storage);
    t.true(again.problems.some(({ seq }) => seq === (3 as never)));
    t.deepEqual(again.log.holes, [3]);
    t.is(again.refs.get(MAIN), repository.refs.get(MAIN));
    t.deepEqual([...(await readFiles(again, must(again.refs.get(MAIN)))).keys()], ['file 6']);
    await commitFiles(again, { more: 'more' });
    t.true(
      (await openRepository(repository.storage)).problems.some(({ seq }) => seq === (3 as never)),
      'nothing hides it afterwards',
    );
  });
}

test('a segment under another number is a hole, not a second event', async (t) => {
  const repository = await makeLog(3);
  const bytes = must(await repository.storage.read(segment(2)));
  await repository.storage.createOnce(segment(4), [bytes]);
  const again = await openRepository(repository.storage);
  t.deepEqual(again.log.holes, [4]);
  t.is(again.refs.get(MAIN), repository.refs.get(MAIN));
  t.is((await again.index.listCommits()).length, 3);
});

test('a repository opened with the wrong keys is never taken for an empty one', async (t) => {
  const { storage } = await makeLog(3);
  const { createRootKeys } = await import('../../src/crypto/roots.ts');
  const wrong = { roots: createRootKeys(seededRandom('other roots')), generation: 1 };
  const error = await t.throwsAsync(openRepository(storage, undefined, wrong));
  t.true(isMoltError(error));
});

test('a storage without format.json holds no repository, and one with another says so for each segment', async (t) => {
  await t.throwsAsync(openRepository(new MemoryStorage({ now: () => TIME_MS })), { code: 'NO_REPOSITORY' });
  const { storage } = await makeLog(2);
  const copy: Storage = await copyStorage(storage);
  await replaceObject(copy, 'format.json', (bytes) => Buffer.from(bytes.toString().replaceAll('0a', '0c')));
  await t.throwsAsync(openRepository(copy), { code: 'DAMAGED' });
  const moved = await copyStorage(storage);
  await replaceObject(moved, 'format.json', (bytes) => Buffer.from(bytes.toString().replaceAll('0b', '0c')));
  await t.throwsAsync(openRepository(moved), { code: 'DAMAGED' });
});

test('a writer that sees the number behind a missing one looks again before it calls it a gap', async (t) => {
  const repository = await makeLog(2);
  const full = await copyStorage(repository.storage);
  const more = await openRepository(full);
  await commitFiles(more, { a: '3' });
  await commitFiles(more, { a: '4' });
  // The reader asks for number 3, is told that it is not there, and then two other writers are quick.
  const slow = await copyStorage(repository.storage);
  const read = slow.read.bind(slow);
  slow.read = async (name, range) => {
    const bytes = await read(name, range);
    if (name !== segment(3) || bytes !== undefined) return bytes;
    for (const seq of [3, 4]) {
      await slow.createOnce(segment(seq), [must(await full.read(segment(seq)))]);
    }
    return undefined;
  };
  const reader = await openRepository(slow);
  t.deepEqual(reader.problems, []);
  t.is(reader.log.tip.seq, 4 as never);
  t.is((await listChain(reader)).length, 4);
});

test('a folder planted under the very number that a writer is about to take stops nobody', async (t) => {
  const storage = new PlantedStorage({ now: () => TIME_MS });
  const repository = await makeRepository(storage);
  await commitFiles(repository, { a: '1' });
  storage.planted.add(segment(2));
  await commitFiles(repository, { a: '2' });
  const again = await openRepository(storage);
  t.deepEqual(again.log.holes, [2]);
  t.deepEqual(await listChain(again), await listChain(repository));
});

test('a transaction that another one of its process has already come across in the log counts once', async (t) => {
  const storage = new MemoryStorage({ now: () => TIME_MS });
  const create = storage.createOnce.bind(storage);
  storage.createOnce = async (name, parts) => {
    const created = await create(name, parts);
    if (!created) return false;
    // The winner hears of it late, when the loser has long read what stands there.
    for (let turn = 0; turn < 20; turn += 1) await eventLoopTurn();
    return true;
  };
  const repository = await makeRepository(storage);
  const names = ['a', 'b', 'c'];
  const ids = await Promise.all(
    names.map((name) => commitFiles(repository, { [name]: name }, { ref: `refs/heads/${name}` })),
  );
  t.deepEqual((await repository.index.listCommits()).map(({ id }) => id).toSorted(), ids.toSorted());
  t.is(repository.log.tip.seq, 3 as never);
  t.deepEqual(repository.problems, []);
});
