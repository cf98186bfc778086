// BlockEncoder: encodes as encodeBlock does, bounds its memory, and never hangs, whatever happens to its workers.

import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Worker } from 'node:worker_threads';
import test from 'ava';
import { decodeBlock, type EncodedBlock, encodeBlock } from '../../src/chunk/compress.ts';
import { BlockEncoder } from '../../src/chunk/encoder-pool.ts';
import { MoltError } from '../../src/model/error.ts';
import { randomContent, textContent } from './content.ts';

const MIB = 1024 * 1024;

// These tests watch for workers of this process, so they run one after the other. Node tells of a worker in the next turn of the
// event loop.
const workers: Worker[] = [];
process.on('worker', (worker) => workers.push(worker));
test.serial.beforeEach(() => {
  workers.length = 0;
});

function blocksOf(count: number, length: number): Buffer[] {
  return Array.from({ length: count }, (_, index) => textContent(index, length));
}

test.serial('blocks come back encoded as they would be without workers, whatever their size', async (t) => {
  const plains = [
    ...blocksOf(12, 500_000),
    ...blocksOf(50, 3000),
    ...blocksOf(2, 3 * MIB),
    randomContent(1, 500_000),
    randomContent(2, 100_000),
    Buffer.alloc(0),
    Buffer.from('a few bytes'),
  ];
  const encoder = new BlockEncoder({ workers: 2, inlineBytes: 0, level: 2 });
  const promises: Promise<EncodedBlock>[] = [];
  for (const plain of plains) {
    await encoder.ready();
    promises.push(encoder.encode(plain));
  }
  const encoded = await Promise.all(promises);
  for (const [index, plain] of plains.entries()) {
    const expected = encodeBlock(plain, { level: 2 });
    t.is(encoded[index]?.encoding, expected.encoding);
    t.true(encoded[index]?.bytes.equals(expected.bytes));
  }
  t.is(workers.length, 2);
  await encoder.close();
});

test.serial('a small job starts no worker', async (t) => {
  const encoder = new BlockEncoder({ workers: 2 });
  for (const plain of blocksOf(6, 500_000)) {
    const { encoding, bytes } = await encoder.encode(plain);
    t.true(decodeBlock(encoding, bytes, plain.length).equals(plain));
  }
  await eventLoopTurn();
  t.is(workers.length, 0);
  await encoder.close();
});

test.serial('an encoder without workers encodes all the same', async (t) => {
  const encoder = new BlockEncoder({ workers: 0, inlineBytes: 0 });
  const [plain = Buffer.alloc(0)] = blocksOf(1, 500_000);
  t.deepEqual(await encoder.encode(plain), encodeBlock(plain));
  await eventLoopTurn();
  t.is(workers.length, 0);
  await encoder.close();
});

test.serial('incompressible blocks go to no worker', async (t) => {
  const encoder = new BlockEncoder({ workers: 2, inlineBytes: 0 });
  const plain = randomContent(3, 500_000);
  t.is((await encoder.encode(plain)).bytes, plain);
  await eventLoopTurn();
  t.is(workers.length, 0);
  await encoder.close();
});

test.serial('ready() bounds the bytes in flight', async (t) => {
  const encoder = new BlockEncoder({ workers: 2, inlineBytes: 0 });
  const plain = textContent(5, 500_000);
  let pending = 0;
  let mostPending = 0;
  const promises: Promise<void>[] = [];
  for (let count = 0; count < 60; count++) {
    await encoder.ready();
    pending++;
    promises.push(encoder.encode(plain).then(() => void pending--));
    mostPending = Math.max(mostPending, pending);
  }
  await Promise.all(promises);
  t.true(mostPending * plain.length <= 8 * MIB, `${mostPending} blocks`);
  await encoder.close();
});

test.serial('the death of a worker rejects what is under way and all that follows', async (t) => {
  const encoder = new BlockEncoder({ workers: 2, inlineBytes: 0 });
  const [plain = Buffer.alloc(0)] = blocksOf(1, 500_000);
  await encoder.encode(plain);
  const promises = Array.from({ length: 10 }, () => encoder.encode(plain));
  await workers[0]?.terminate();
  const outcomes = await Promise.allSettled(promises);
  const failures = outcomes.filter((outcome) => outcome.status === 'rejected').map(({ reason }) => reason as MoltError);
  t.true(failures.length > 0);
  t.true(failures.every((error) => error instanceof MoltError && error.code === 'IO'));
  await encoder.ready();
  await t.throwsAsync(encoder.encode(plain), { instanceOf: MoltError, code: 'IO' });
  await encoder.close();
});

test.serial('close() rejects what is under way and stops the workers', async (t) => {
  const encoder = new BlockEncoder({ workers: 1, inlineBytes: 0 });
  const promises = blocksOf(10, 500_000).map((plain) => encoder.encode(plain));
  const outcomes = Promise.allSettled(promises);
  await eventLoopTurn();
  const exits = workers.map((worker) => once(worker, 'exit'));
  t.is(exits.length, 1);
  await encoder.close();
  await Promise.all(exits);
  for (const outcome of await outcomes) {
    t.like(outcome, { status: 'rejected', reason: { code: 'INTERRUPTED' } });
  }
  await t.throwsAsync(encoder.encode(Buffer.from('late')), { code: 'INTERRUPTED' });
});

test.serial('idle workers do not keep a process alive, and busy ones do', async (t) => {
  const pool = new URL('../../src/chunk/encoder-pool.ts', import.meta.url);
  const program = `
    import { BlockEncoder } from ${JSON.stringify(pool.href)};
    const encoder = new BlockEncoder({ workers: 1, inlineBytes: 0 });
    const { encoding } = await encoder.encode(Buffer.alloc(500_000, 'text'));
    process.stdout.write(encoding);`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program], {
    timeout: 60_000,
  });
  t.is(stdout, 'zstd');
});
