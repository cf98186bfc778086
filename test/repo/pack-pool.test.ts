// PackPool: what goes in comes out of packs, memory is bounded, and nothing hangs, whatever happens to workers or storage.

import { once } from 'node:events';
import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import test from 'ava';
import { chunkId } from '../../src/crypto/ids.ts';
import { BLOCK_BYTES, ENCODING, OBJECT, PACK_BYTES } from '../../src/format/layout.ts';
import { MoltError } from '../../src/model/error.ts';
import type { EncodedPlainBlock } from '../../src/repo/pack-pool.ts';
import { PackPool } from '../../src/repo/pack-pool.ts';
import type { Repository } from '../../src/repo/repository.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { randomContent, textContent } from '../chunk/content.ts';
import { listNames, makeRepository } from './support.ts';

const MIB = 1 << 20;

// These tests watch for workers of this process, so they run one after the other. Node tells of a worker in the next turn of the
// event loop.
const workers: Worker[] = [];
process.on('worker', (worker) => workers.push(worker));
test.serial.beforeEach(() => {
  workers.length = 0;
});

/** Returns a block of one chunk. */
function blockOf(repository: Repository, bytes: Buffer, encoding: 'plain' | 'raw' = 'plain'): EncodedPlainBlock {
  const memory = new SharedArrayBuffer(Math.max(bytes.length, BLOCK_BYTES));
  new Uint8Array(memory).set(bytes);
  const length = bytes.length;
  const key = chunkId(repository.keys.idKey, bytes);
  const object = { key, type: OBJECT.chunk, offsetBytes: 0, lengthBytes: length, objectBytes: length, base: undefined };
  return { group: 'content', memory, plainBytes: length, usedBytes: length, encoding, objects: [object] };
}

function poolOf(repository: Repository, options?: { workers?: number }): PackPool {
  return new PackPool(repository.storage, () => repository.containerSpec(), options);
}

test.serial('chunks come back from the packs of several threads, whatever they hold', async (t) => {
  const repository = await makeRepository();
  const pool = poolOf(repository, { workers: 2 });
  const plains = [
    ...Array.from({ length: 80 }, (_, index) => textContent(index, 500_000)),
    ...Array.from({ length: 70 }, (_, index) => randomContent(index, 500_000)),
    ...Array.from({ length: 30 }, (_, index) => textContent(`small ${index}`, 3000)),
  ];
  for (const plain of plains) {
    pool.add(blockOf(repository, plain));
    await pool.ready();
  }
  const { packs, entries, storedBytes } = await pool.finish();
  t.is(workers.length, 2);
  t.is(entries.length, plains.length);
  const found = new Set<string>();
  for (const { key, place } of entries) found.add((await repository.objects.readPlace(key, place)).toString('latin1'));
  t.true(plains.every((plain) => found.has(plain.toString('latin1'))));
  t.deepEqual((await listNames(repository.storage)).filter((name) => name.startsWith('packs/')).length, packs.length);
  t.is(
    packs.filter(({ sizeBytes }) => sizeBytes !== PACK_BYTES).length,
    2,
    'each thread ends with one that is not full',
  );
  t.is(
    storedBytes,
    packs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  );
  await pool.close();
});

test.serial('secrets are stored as they are, text is not', async (t) => {
  const repository = await makeRepository();
  const pool = poolOf(repository);
  pool.add(blockOf(repository, textContent('secret', 100_000), 'raw'));
  pool.add(blockOf(repository, textContent('text', 100_000)));
  const { entries } = await pool.finish();
  t.deepEqual(
    entries.map(({ place }) => place.encoding),
    [ENCODING.raw, ENCODING.zstd],
  );
  await pool.close();
});

test.serial('little is packed without a worker, and more may follow', async (t) => {
  const repository = await makeRepository();
  const pool = poolOf(repository);
  const first = await pool.packHere([blockOf(repository, textContent(1, 500_000))]);
  t.is(first.packs.length, 1);
  const both = await pool.packHere([blockOf(repository, textContent(2, 500_000))]);
  t.is(both.packs.length, 2);
  t.is(both.entries.length, 2);
  await pool.close();
  t.is(workers.length, 0);
});

test.serial('after the end more may follow, in a pack of its own', async (t) => {
  const repository = await makeRepository();
  const pool = poolOf(repository, { workers: 1 });
  for (const seed of [1, 2]) {
    pool.add(blockOf(repository, textContent(seed, 500_000)));
    t.is((await pool.finish()).packs.length, seed);
  }
  t.is((await pool.finish()).packs.length, 2);
  await pool.close();
});

test.serial('a large object has a pack of its own, on workers as on the calling thread', async (t) => {
  const repository = await makeRepository();
  const large = randomContent('large', 15 * MIB);
  for (const pack of [true, false]) {
    const pool = poolOf(repository, { workers: 1 });
    const blocks = [textContent(1, 500_000), large, textContent(2, 500_000)].map((plain) => blockOf(repository, plain));
    for (const block of pack ? blocks : []) pool.add(block);
    const { packs, entries } = pack ? await pool.finish() : await pool.packHere(blocks);
    t.is(packs.length, 3);
    for (const { key, place } of entries) t.truthy(await repository.objects.readPlace(key, place));
    await pool.close();
  }
});

test.serial('ready() bounds the memory in flight', async (t) => {
  const repository = await makeRepository();
  const pool = poolOf(repository, { workers: 2 });
  const plain = textContent(5, 500_000);
  const taken = new Set<SharedArrayBuffer>();
  for (let count = 0; count < 200; count += 1) {
    const memory = pool.takeMemory();
    taken.add(memory);
    pool.add({ ...blockOf(repository, plain), memory });
    await pool.ready();
  }
  await pool.finish();
  t.true(taken.size * BLOCK_BYTES <= 24 * MIB, `${taken.size} blocks`);
  await pool.close();
});

test.serial('the death of a worker fails what is under way and all that follows', async (t) => {
  const repository = await makeRepository();
  const pool = poolOf(repository, { workers: 1 });
  pool.add(blockOf(repository, textContent(1, 500_000)));
  await eventLoopTurn();
  t.is(workers.length, 1);
  await workers[0]?.terminate();
  await t.throwsAsync(pool.finish(), { instanceOf: MoltError, code: 'IO' });
  await t.throwsAsync(pool.ready(), { instanceOf: MoltError, code: 'IO' });
  await pool.close();
});

test.serial('what the storage fails with is the failure', async (t) => {
  const repository = await makeRepository();
  const storage = new MemoryStorage({ now: () => 0 });
  storage.createOnce = () => Promise.reject(new MoltError('IO', 'no space left'));
  const pool = new PackPool(storage, () => repository.containerSpec(), { workers: 1 });
  pool.add(blockOf(repository, textContent(1, 500_000)));
  await t.throwsAsync(pool.finish(), { message: 'no space left' });
  await pool.close();
});

test.serial('close() stops the workers and fails what is under way', async (t) => {
  const repository = await makeRepository();
  const pool = poolOf(repository, { workers: 1 });
  for (let seed = 0; seed < 3; seed += 1) pool.add(blockOf(repository, textContent(seed, 500_000)));
  const finishing = t.throwsAsync(pool.finish(), { code: 'INTERRUPTED' });
  await eventLoopTurn();
  const exits = workers.map((worker) => once(worker, 'exit'));
  t.is(exits.length, 1);
  await pool.close();
  await Promise.all([...exits, finishing]);
});

test.serial('a transaction that is given up takes its packs along', async (t) => {
  const repository = await makeRepository();
  const bytes = randomContent('given up', 40 * MIB);
  await t.throwsAsync(
    repository.transact({ packs: true }, async (transaction) => {
      const blob = transaction.openBlob({ chunking: 'content', sizesBytes: [bytes.length] });
      await blob.write(bytes);
      await blob.finish();
      throw new Error('changed my mind');
    }),
    { message: 'changed my mind' },
  );
  t.deepEqual(await listNames(repository.storage), ['format.json']);
});
