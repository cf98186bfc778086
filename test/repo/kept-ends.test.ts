// Ends of a remote's segments, kept on this machine: a census reads each from the remote once, and believes what is kept as little as
// what a remote answers.

import test from 'ava';
import { Census } from '../../src/repo/census.ts';
import { KeptEnds } from '../../src/repo/kept-ends.ts';
import { Repository } from '../../src/repo/repository.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { seededRandom } from '../crypto/random.ts';
import { commitFiles, KEYS, makeRepository, openRepository, TIME_MS } from './support.ts';

/** Counts what of the log is read. */
class Counted {
  reads = 0;
  readonly storage: Storage;

  constructor(inner: Storage) {
    this.storage = {
      label: inner.label,
      createOnce: (name, parts) => inner.createOnce(name, parts),
      read: (name, range) => {
        if (name.startsWith('log/')) this.reads += 1;
        return inner.read(name, range);
      },
      stat: (name) => inner.stat(name),
      list: (prefix, startAfter) => inner.list(prefix, startAfter),
      delete: (name) => inner.delete(name),
      close: () => inner.close(),
    };
  }
}

async function makeRemote() {
  const storage = new MemoryStorage({ now: () => TIME_MS }, 'remote');
  const repository = await makeRepository(storage);
  // Small segments are read whole, large ones by their ends.
  for (let count = 0; count < 6; count += 1)
    await commitFiles(repository, { a: seededRandom(`content ${count}`).bytes(count % 2 === 0 ? 100 : 60_000) });
  return storage;
}

/** Takes a census with what is kept; returns how often the log was read for it, and what was counted. */
async function count(storage: Storage, cache: Storage | undefined, goneThrough = 0) {
  const counted = new Counted(storage);
  const ports = { clock: { now: () => TIME_MS }, random: seededRandom('census') };
  const ends = cache === undefined ? undefined : await KeptEnds.open(cache);
  const repository = await Repository.open(counted.storage, KEYS, { ...ports, ...(ends !== undefined && { ends }) });
  counted.reads = 0;
  const census = await Census.take(repository);
  const { reads } = counted;
  for (const { id } of await repository.index.listCommits()) await census.markCommit(id);
  census.count();
  await ends?.save(goneThrough);
  const found = census.containers.map(({ ref, liveShare, isDamaged }) => ({ ref, liveShare, isDamaged }));
  const sorted = found.toSorted((a, b) => (JSON.stringify(a.ref) < JSON.stringify(b.ref) ? -1 : 1));
  return { reads, found: sorted, previous: [...census.previous].toSorted(([a], [b]) => a - b) };
}

test('a census reads the end of each segment once, and counts the same with what is kept', async (t) => {
  const storage = await makeRemote();
  const cache = new MemoryStorage({ now: () => TIME_MS }, 'ends');
  const without = await count(storage, undefined);
  const first = await count(storage, cache);
  t.deepEqual(first, without);
  t.true(first.reads >= 6);
  const second = await count(storage, cache);
  t.is(second.reads, 0);
  t.deepEqual({ ...second, reads: 0 }, { ...first, reads: 0 });
  const grown = await openRepository(storage);
  await commitFiles(grown, { a: Buffer.from('one more') });
  t.true((await count(storage, cache)).reads <= 2, 'only what is new');
  t.is((await count(storage, cache)).reads, 0);
});

test('what is kept and not what was sealed is read anew', async (t) => {
  const storage = await makeRemote();
  const without = await count(storage, undefined);
  const good = new MemoryStorage({ now: () => TIME_MS }, 'ends');
  await count(storage, good);
  const [bundle] = await names(good);
  const bytes = await good.read(bundle ?? '');
  if (bundle === undefined || bytes === undefined) throw new Error('nothing is kept');
  for (let at = 0; at < bytes.length; at += 97) {
    const cache = new MemoryStorage({ now: () => TIME_MS }, 'ends');
    const flipped = Buffer.from(bytes);
    flipped.writeUInt8((flipped[at] ?? 0) ^ 0x55, at);
    await cache.createOnce(bundle, [flipped]);
    const { found, previous } = await count(storage, cache);
    t.deepEqual({ found, previous }, { found: without.found, previous: without.previous }, `byte ${at}`);
    // What of the bundle was good and used is kept by the next one.
    await count(storage, cache);
    t.is((await count(storage, cache)).reads, 0, `byte ${at} is put right`);
  }
  const cut = new MemoryStorage({ now: () => TIME_MS }, 'ends');
  await cut.createOnce(bundle, [bytes.subarray(0, bytes.length >> 1)]);
  t.deepEqual((await count(storage, cut)).found, without.found);
});

test('what is kept of segments that are gone is forgotten', async (t) => {
  const storage = await makeRemote();
  const cache = new MemoryStorage({ now: () => TIME_MS }, 'ends');
  await count(storage, cache);
  t.is((await names(cache)).length, 1);
  await count(storage, cache, 1000);
  t.deepEqual(await names(cache), []);
});

async function names(storage: Storage): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of storage.list('')) found.push(name);
  return found;
}
