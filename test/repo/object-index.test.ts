// The object index: lookups in runs of several blocks, which of several places wins, times and short ids.

import { createHash } from 'node:crypto';
import test from 'ava';
import {
  buildIndexRun,
  indexName,
  RUN_BLOCK_ENTRIES,
  type CommitEntry,
  type IndexEntry,
  type Place,
} from '../../src/format/index-run.ts';
import { ENCODING, KIND, OBJECT } from '../../src/format/layout.ts';
import type { RunNote } from '../../src/format/checkpoint.ts';
import type { CommitId, PackId, SegmentSeq } from '../../src/model/ids.ts';
import { Containers } from '../../src/repo/containers.ts';
import { gitKey } from '../../src/repo/keys.ts';
import { isBetter, ObjectIndex } from '../../src/repo/object-index.ts';
import { deriveRepositoryKeys } from '../../src/repo/secrets.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { seededRandom } from '../crypto/random.ts';
import { IDS, KEYS, must, TIME_MS } from './support.ts';

const SECRETS = deriveRepositoryKeys(KEYS.roots);
const PACK = 'ab'.repeat(32) as PackId;

const place = (seq: number, change: Partial<Place> = {}): Place => ({
  container: { seq: seq as SegmentSeq },
  block: 1,
  blockOffsetBytes: 128,
  blockSealedBytes: 1000,
  blockPlainBytes: 5000,
  encoding: ENCODING.zstd,
  offsetBytes: 17,
  lengthBytes: 40,
  objectBytes: 40,
  type: OBJECT.chunk,
  ...change,
});

const keyOf = (index: number): Buffer => createHash('sha256').update(`key ${index}`).digest();
const commitId = (text: string): CommitId => createHash('sha1').update(text).digest('hex') as CommitId;
const commitEntry = (index: number, timeMs: number, seq = index + 1): CommitEntry => {
  return { id: commitId(`commit ${index}`), timeMs, seq: seq as SegmentSeq, kind: 'incremental' };
};

interface RunContent {
  readonly entries: readonly IndexEntry[];
  readonly commits?: readonly CommitEntry[];
}

/** Stores runs and returns an index over them, oldest first. */
async function indexOf(...runs: readonly RunContent[]): Promise<ObjectIndex> {
  const storage = new MemoryStorage({ now: () => TIME_MS });
  const containers = new Containers(storage, IDS, SECRETS.epochKeys);
  const notes: RunNote[] = [];
  for (const [at, { entries, commits = [] }] of runs.entries()) {
    const entropy = { random: seededRandom(`run ${at}`), writer: Buffer.alloc(16), pid: 1, timeMs: TIME_MS };
    const spec = { ...IDS, kind: KIND.index, seq: at + 1, sealing: SECRETS.sealing, entropy };
    const range = { fromSeq: at + 1, toSeq: at + 1 };
    const run = buildIndexRun(
      spec,
      range,
      entries.toSorted((a, b) => a.key.compare(b.key)),
      commits,
    );
    await storage.createOnce(indexName(run.sha256), run.parts);
    notes.push({ id: run.sha256, ...range, objects: run.objects });
  }
  const index = new ObjectIndex(containers, async () => {
    throw new Error('nothing here needs to be rebuilt');
  });
  index.reset(notes);
  return index;
}

for (const count of [
  0,
  1,
  RUN_BLOCK_ENTRIES - 1,
  RUN_BLOCK_ENTRIES,
  RUN_BLOCK_ENTRIES + 1,
  5 * RUN_BLOCK_ENTRIES + 7,
]) {
  test(`a run of ${count} objects finds each of them and no other`, async (t) => {
    const entries = Array.from({ length: count }, (_, at) => ({
      key: keyOf(at),
      place: place(at + 1, at % 3 === 0 ? { container: { pack: PACK } } : {}),
    }));
    const index = await indexOf({ entries });
    for (const { key, place: expected } of entries) {
      t.deepEqual(await index.find(key), expected);
    }
    for (let at = 0; at < 200; at += 1) {
      t.is(await index.find(keyOf(-1 - at)), undefined);
    }
    t.is(await index.find(Buffer.alloc(32)), undefined);
    t.is(await index.find(Buffer.alloc(32, 0xff)), undefined);
    const listed = [];
    for (const run of index.runs) for await (const entry of run.entries()) listed.push(entry.key);
    t.is(listed.length, count);
    t.deepEqual(
      listed,
      listed.toSorted((a, b) => a.compare(b)),
    );
  });
}

test('of two places the one in a pack is better, then the whole one', (t) => {
  const delta = place(1, { encoding: ENCODING.deltas });
  const packed = place(1, { container: { pack: PACK } });
  t.true(isBetter(place(2), delta));
  t.true(isBetter(packed, delta));
  t.true(isBetter(packed, place(2)));
  for (const worse of [delta, place(2)]) t.false(isBetter(worse, packed));
  t.false(isBetter(delta, place(2)));
  t.false(isBetter(place(2), place(3)));
});

test('of an object in several runs the best place is found, in whatever order they came', async (t) => {
  const delta = place(1, { encoding: ENCODING.deltas });
  const packed = place(1, { container: { pack: PACK } });
  const key = keyOf(0);
  for (const [older, newer, best] of [
    [place(1), delta, place(1)],
    [delta, place(1), place(1)],
    [packed, place(2), packed],
    [place(2), packed, packed],
    [place(1), place(2), place(2)],
  ] as const) {
    const index = await indexOf({ entries: [{ key, place: older }] }, { entries: [{ key, place: newer }] });
    t.deepEqual(await index.find(key), best);
  }
});

test('of an object that the tail has as a delta the whole copy in a run is found when it is needed', async (t) => {
  const key = keyOf(0);
  const index = await indexOf({ entries: [{ key, place: place(1) }] });
  const delta = place(2, { encoding: ENCODING.deltas });
  index.add([{ key, place: delta }], []);
  t.deepEqual(await index.find(key), delta);
  t.deepEqual(await index.findWhole(key), place(1));
  const alone = await indexOf();
  alone.add([{ key, place: delta }], []);
  t.is(await alone.findWhole(key), undefined);
});

test('the newest commit at or before a time is found across runs and tail; of several at that time the last in the log', async (t) => {
  const first = Array.from({ length: 2500 }, (_, at) => commitEntry(at, TIME_MS + Math.floor(at / 3) * 1000));
  const second = Array.from({ length: 30 }, (_, at) => commitEntry(3000 + at, TIME_MS + 50_000 + at));
  const tail = [commitEntry(4000, TIME_MS + 50_010), commitEntry(4001, TIME_MS - 5000)];
  const index = await indexOf({ entries: [], commits: first }, { entries: [], commits: second });
  index.add([], [must(tail[0])]);
  index.add([], [must(tail[1])]);
  const all = [...first, ...second, ...tail];
  const expected = (timeMs: number): CommitId | undefined =>
    all
      .filter((commit) => commit.timeMs <= timeMs)
      .toSorted((a, b) => a.timeMs - b.timeMs || a.seq - b.seq)
      .at(-1)?.id;
  for (const offset of [
    -6000, -5000, -1, 0, 1, 999, 1000, 49_999, 50_000, 50_010, 50_029, 341_000, 341_999, 10_000_000,
  ]) {
    t.is((await index.findCommitAt(TIME_MS + offset))?.id, expected(TIME_MS + offset), `${offset}`);
  }
  const listed = await index.listCommits();
  t.is(listed.length, all.length);
  t.deepEqual(
    listed.map(({ timeMs }) => timeMs),
    all.map(({ timeMs }) => timeMs).toSorted((a, b) => a - b),
  );
});

test('a short id finds the commits that begin so, in runs of several blocks and in the tail, and nothing but commits', async (t) => {
  const commits = Array.from({ length: 3000 }, (_, at) => ({
    key: gitKey(commitId(`commit ${at}`)),
    place: place(1, { type: OBJECT.commit }),
  }));
  const trees = Array.from({ length: 3000 }, (_, at) => ({
    key: gitKey(commitId(`tree ${at}`)),
    place: place(1, { type: OBJECT.tree }),
  }));
  const inTail = { key: gitKey(commitId('in the tail')), place: place(9, { type: OBJECT.commit }) };
  const index = await indexOf({ entries: [...commits.slice(0, 2000), ...trees] }, { entries: commits.slice(1500) });
  index.add([inTail], []);
  const all = [...commits, inTail].map(({ key }) => key.toString('hex', 0, 20)).toSorted();
  for (const id of [must(all[0]), must(all.at(-1)), commitId('in the tail'), ...all.slice(100, 160)]) {
    for (const length of [4, 5, 8, 39, 40]) {
      const prefix = id.slice(0, length);
      t.deepEqual(
        await index.findCommitsByPrefix(prefix),
        all.filter((other) => other.startsWith(prefix)) as CommitId[],
      );
    }
  }
  t.deepEqual(await index.findCommitsByPrefix(commitId('tree 7')), []);
  t.deepEqual(await index.findCommitsByPrefix('0000'), all.filter((id) => id.startsWith('0000')) as CommitId[]);
  t.deepEqual(await index.findCommitsByPrefix('ffff'), all.filter((id) => id.startsWith('ffff')) as CommitId[]);
});
