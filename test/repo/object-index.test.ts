// The object index: lookups in runs of several blocks, which of several places wins, lists of commits and short ids.

import { createHash } from 'node:crypto';
import test from 'ava';
import { ContainerWriter } from '../../src/format/container.ts';
import { encodeCommitRow, COMMIT_ROW_BYTES, type CommitEntry } from '../../src/format/commit-rows.ts';
import {
  buildIndexRun,
  containerName,
  encodeEntry,
  ENTRY_ROW_BYTES,
  indexName,
  placeOf,
  PREFIX_BYTES,
  RUN_TABLES,
  type ContainerRef,
  type IndexEntry,
  type Place,
} from '../../src/format/index-run.ts';
import { BLOCK, ENCODING, KIND, OBJECT } from '../../src/format/layout.ts';
import type { RunNote } from '../../src/format/checkpoint.ts';
import { ROWS_PER_BLOCK, sortRows } from '../../src/format/rows.ts';
import type { CommitId, PackId, SegmentSeq } from '../../src/model/ids.ts';
import { Containers } from '../../src/repo/containers.ts';
import { isBetter, ObjectIndex } from '../../src/repo/object-index.ts';
import { deriveRepositoryKeys } from '../../src/repo/secrets.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { seededRandom } from '../crypto/random.ts';
import { IDS, KEYS, must, TIME_MS } from './support.ts';

const SECRETS = deriveRepositoryKeys(KEYS.roots);

const keyOf = (index: number): Buffer => createHash('sha256').update(`key ${index}`).digest();
const commitId = (text: string): CommitId => createHash('sha1').update(text).digest('hex') as CommitId;
const commitEntry = (index: number, timeMs: number, seq = index + 1): CommitEntry => ({
  id: commitId(`commit ${index}`),
  timeMs,
  seq: seq as SegmentSeq,
  kind: 'incremental',
  parentSeq: undefined,
  hasPaths: false,
  isExpired: false,
});

/** A storage with containers of objects and runs over them. */
class Shelf {
  readonly storage = new MemoryStorage({ now: () => TIME_MS });
  readonly containers = new Containers(this.storage, IDS, SECRETS.epochKeys);
  readonly #notes: RunNote[] = [];
  #salts = 0;

  /** Stores a container of objects, in a pack or in a segment, whole or as deltas, and returns their places. */
  async put(where: 'pack' | number, keys: readonly Buffer[], isDelta = false): Promise<IndexEntry[]> {
    const seq = where === 'pack' ? 0 : where;
    const kind = where === 'pack' ? KIND.pack : KIND.segment;
    const spec = this.#spec(kind, seq);
    const writer = new ContainerWriter(where === 'pack' ? { ...spec, storageId: undefined } : spec);
    const encoding = isDelta ? ENCODING.deltas : ENCODING.raw;
    writer.add({ type: BLOCK.data, encoding, bytes: Buffer.alloc(100), plainBytes: 100 });
    const base = isDelta ? Buffer.alloc(32, 1) : undefined;
    const objects = keys.map((key) => {
      return { key, type: OBJECT.chunk, block: 0, offsetBytes: 0, lengthBytes: 9, objectBytes: 9, base };
    });
    const container = writer.finish({}, objects, 'padme');
    const ref: ContainerRef = where === 'pack' ? { pack: container.sha256 as PackId } : { seq: seq as SegmentSeq };
    await this.storage.createOnce(containerName(ref), container.parts);
    const footer = { record: {}, blocks: container.blocks, objects };
    return keys.map((key, at) => ({ key, place: must(placeOf(ref, footer, at)) }));
  }

  /** Adds a run, newer than those before. */
  async addRun(entries: readonly IndexEntry[], commits: readonly CommitEntry[] = []): Promise<void> {
    const seq = this.#notes.length + 1;
    const rows = Buffer.alloc(entries.length * ENTRY_ROW_BYTES);
    const packs = new Map<PackId, number>();
    for (const [at, entry] of entries.entries()) encodeEntry(entry, rows, at * ENTRY_ROW_BYTES, packs);
    const commitRows = Buffer.alloc(commits.length * COMMIT_ROW_BYTES);
    for (const [at, commit] of commits.entries()) encodeCommitRow(commit, commitRows, at * COMMIT_ROW_BYTES);
    const content = {
      entries: sortRows(rows, ENTRY_ROW_BYTES, PREFIX_BYTES),
      commits: sortRows(commitRows, COMMIT_ROW_BYTES, RUN_TABLES.commits.keyBytes),
      paths: Buffer.alloc(0),
      packs: [...packs.keys()],
    };
    const run = buildIndexRun(this.#spec(KIND.index, seq), { fromSeq: seq, toSeq: seq }, content);
    await this.storage.createOnce(indexName(run.sha256), run.parts);
    this.#notes.push({ id: run.sha256, fromSeq: seq, toSeq: seq, objects: run.objects });
  }

  index(): ObjectIndex {
    const index = new ObjectIndex(this.containers, async () => {
      throw new Error('nothing here needs to be rebuilt');
    });
    index.reset(this.#notes);
    return index;
  }

  #spec(kind: typeof KIND.index | typeof KIND.pack | typeof KIND.segment, seq: number) {
    this.#salts += 1;
    const random = seededRandom(`salt ${this.#salts}`);
    const entropy = { random, writer: Buffer.alloc(16), pid: 1, timeMs: TIME_MS };
    return { ...IDS, kind, seq, sealing: SECRETS.sealing, entropy };
  }
}

for (const count of [0, 1, ROWS_PER_BLOCK - 1, ROWS_PER_BLOCK, ROWS_PER_BLOCK + 1, 5 * ROWS_PER_BLOCK + 7]) {
  test(`a run of ${count} objects finds each of them and no other`, async (t) => {
    const shelf = new Shelf();
    const keys = Array.from({ length: count }, (_, at) => keyOf(at));
    const inPack = await shelf.put('pack', keys.slice(0, count / 3));
    const entries = [...inPack, ...(await shelf.put(7, keys.slice(count / 3)))];
    await shelf.addRun(entries);
    const index = shelf.index();
    for (const { key, place: expected } of entries) {
      t.deepEqual(await index.find(key), expected);
    }
    for (let at = 0; at < 200; at += 1) {
      t.is(await index.find(keyOf(-1 - at)), undefined);
    }
    t.is(await index.find(Buffer.alloc(32)), undefined);
    t.is(await index.find(Buffer.alloc(32, 0xff)), undefined);
    t.is((await must(index.runs[0]).readContent()).entries.length, count * ENTRY_ROW_BYTES);
  });
}

test('objects whose keys begin alike are told apart, even where they fill more than a block', async (t) => {
  const shelf = new Shelf();
  const alike = (at: number): Buffer =>
    Buffer.concat([Buffer.alloc(PREFIX_BYTES, 5), keyOf(at).subarray(PREFIX_BYTES)]);
  const keys = Array.from({ length: ROWS_PER_BLOCK * 2 + 5 }, (_, at) => alike(at));
  const entries = await shelf.put(7, keys);
  await shelf.addRun([...entries, ...(await shelf.put(8, [keyOf(1), keyOf(2), Buffer.alloc(32)]))]);
  const index = shelf.index();
  for (const { key, place } of [...entries.slice(0, 20), ...entries.slice(-20)])
    t.deepEqual(await index.find(key), place);
  t.is(await index.find(alike(-1)), undefined);
});

test('an object of a container that is damaged or gone is not found, and those of others are', async (t) => {
  const shelf = new Shelf();
  const [lost, damaged, good] = [
    await shelf.put(7, [keyOf(1)]),
    await shelf.put(8, [keyOf(2)]),
    await shelf.put(9, [keyOf(3)]),
  ];
  await shelf.addRun([...lost, ...damaged, ...good]);
  await shelf.storage.delete(containerName({ seq: 7 as SegmentSeq }));
  const name = containerName({ seq: 8 as SegmentSeq });
  const bytes = must(await shelf.storage.read(name));
  await shelf.storage.delete(name);
  await shelf.storage.createOnce(name, [bytes.subarray(0, -9)]);
  const index = shelf.index();
  t.is(await index.find(keyOf(1)), undefined);
  t.is(await index.find(keyOf(2)), undefined);
  t.deepEqual(await index.find(keyOf(3)), must(good[0]).place);
});

test('of two places the one in a pack is better, then the whole one', async (t) => {
  const shelf = new Shelf();
  const placeIn = async (where: 'pack' | number, isDelta = false): Promise<Place> =>
    must((await shelf.put(where, [keyOf(0)], isDelta))[0]).place;
  const [whole, other, delta, packed] = [
    await placeIn(1),
    await placeIn(2),
    await placeIn(3, true),
    await placeIn('pack'),
  ];
  t.true(isBetter(whole, delta));
  t.true(isBetter(packed, delta));
  t.true(isBetter(packed, whole));
  for (const worse of [delta, whole]) t.false(isBetter(worse, packed));
  t.false(isBetter(delta, whole));
  t.false(isBetter(whole, other));
});

test('of an object in several runs the newest whole copy is found, of several in one run the best', async (t) => {
  const key = keyOf(0);
  const shelf = new Shelf();
  const [whole, other, delta, packed] = [
    await shelf.put(1, [key]),
    await shelf.put(2, [key]),
    await shelf.put(3, [key], true),
    await shelf.put('pack', [key]),
  ];
  for (const [older, newer, best] of [
    [whole, delta, whole],
    [delta, whole, whole],
    [whole, packed, packed],
    [whole, other, other],
    [[], [...other, ...packed, ...delta], packed],
    [packed, [...delta, ...other], other],
    [[], delta, delta],
  ] as const) {
    const one = new Shelf();
    for (const name of [whole, other, delta, packed].map((put) => containerName(must(put[0]).place.container)))
      await one.storage.createOnce(name, [must(await shelf.storage.read(name))]);
    await one.addRun(older);
    await one.addRun(newer);
    t.deepEqual(await one.index().find(key), must(best[0]).place);
  }
});

test('of an object that the tail has as a delta the whole copy in a run is found when it is needed', async (t) => {
  const key = keyOf(0);
  const shelf = new Shelf();
  const whole = await shelf.put(1, [key]);
  const delta = await shelf.put(2, [key], true);
  await shelf.addRun(whole);
  const index = shelf.index();
  index.add(delta, []);
  t.deepEqual(await index.find(key), must(delta[0]).place);
  t.deepEqual(await index.findWhole(key), must(whole[0]).place);
  const alone = new Shelf().index();
  alone.add(delta, []);
  t.is(await alone.findWhole(key), undefined);
});

test('commits of all runs and of the tail are listed by time, then by segment', async (t) => {
  const first = Array.from({ length: 2500 }, (_, at) => commitEntry(at, TIME_MS + Math.floor(at / 3) * 1000));
  const second = Array.from({ length: 30 }, (_, at) => commitEntry(3000 + at, TIME_MS + 50_000 + at));
  const tail = [commitEntry(4000, TIME_MS + 50_010), commitEntry(4001, -5000)];
  const shelf = new Shelf();
  await shelf.addRun([], first);
  await shelf.addRun([], second);
  const index = shelf.index();
  for (const { id, timeMs, seq, kind } of tail) index.add([], [{ id, timeMs, seq, kind }]);
  t.deepEqual(
    await index.listCommits(),
    [...first, ...second, ...tail].toSorted((a, b) => a.timeMs - b.timeMs || a.seq - b.seq),
  );
});

test('the newest commits are read without the others, and none between them is left out', async (t) => {
  const commits = Array.from({ length: 5 * ROWS_PER_BLOCK + 100 }, (_, at) => commitEntry(at, TIME_MS + at));
  const shelf = new Shelf();
  const ends = [4 * ROWS_PER_BLOCK + 7, 4 * ROWS_PER_BLOCK + 50, 5 * ROWS_PER_BLOCK];
  for (const [run, end] of ends.entries()) await shelf.addRun([], commits.slice(ends[run - 1] ?? 0, end));
  const index = shelf.index();
  for (const { id, timeMs, seq, kind } of commits.slice(ends.at(-1))) index.add([], [{ id, timeMs, seq, kind }]);
  for (const least of [1, 100, 101, ROWS_PER_BLOCK, ROWS_PER_BLOCK + 93, ROWS_PER_BLOCK + 193, commits.length]) {
    const newest = (await index.readNewestCommits(least)).entries();
    t.true(newest.length >= least && newest.length <= least + 2 * ROWS_PER_BLOCK, `${newest.length} for ${least}`);
    t.deepEqual(newest, commits.slice(-newest.length));
  }
  t.is((await index.readNewestCommits(commits.length + 1)).count, commits.length);
});

test('a short id finds the commits that begin so, in runs of several blocks and in the tail', async (t) => {
  const commits = Array.from({ length: 3000 }, (_, at) => commitEntry(at, TIME_MS + at));
  const inTail = commitEntry(9000, TIME_MS);
  const shelf = new Shelf();
  await shelf.addRun([], commits.slice(0, 2000));
  await shelf.addRun([], commits.slice(2000));
  const index = shelf.index();
  index.add([], [inTail]);
  const all = [...commits, inTail].map(({ id }) => id).toSorted();
  for (const id of [must(all[0]), must(all.at(-1)), inTail.id, ...all.slice(100, 160)]) {
    for (const length of [4, 5, 8, 39, 40]) {
      const prefix = id.slice(0, length);
      t.deepEqual(
        await index.findCommitsByPrefix(prefix),
        all.filter((other) => other.startsWith(prefix)),
      );
    }
  }
  t.deepEqual(await index.findCommitsByPrefix(commitId('tree 7')), []);
  for (const prefix of ['0000', 'ffff'])
    t.deepEqual(
      await index.findCommitsByPrefix(prefix),
      all.filter((id) => id.startsWith(prefix)),
    );
});
