// Prints how many megabytes a second each part of src/chunk handles, on JSON lines and on random bytes: `node bench/chunk.ts`.

import { type Chunker } from '../src/chunk/chunker.ts';
import { decodeBlock, encodeBlock } from '../src/chunk/compress.ts';
import { decodeDelta, encodeDelta } from '../src/chunk/delta.ts';
import { ContentChunker } from '../src/chunk/fastcdc.ts';
import { FixedChunker } from '../src/chunk/fixed-chunker.ts';
import { createGear } from '../src/chunk/gear.ts';
import { randomContent, textContent } from '../test/chunk/content.ts';

const MIB = 1024 * 1024;
const PUSH_BYTES = MIB;
const BLOCK_BYTES = MIB / 2;
const CHUNK_BYTES = MIB / 16;
const ROUNDS = 7;

const gear = createGear(Buffer.alloc(32, 7));

/** Prints the best of a few rounds, the one that the rest of the machine disturbed least. */
async function measure(name: string, sizeBytes: number, run: () => unknown): Promise<void> {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    await run();
    best = Math.min(best, performance.now() - start);
  }
  console.log(`${name.padEnd(44)} ${(sizeBytes / 1000 / best).toFixed(0).padStart(7)} MB/s`);
}

function cut(chunker: Chunker, data: Buffer): void {
  for (let at = 0; at < data.length; at += PUSH_BYTES) {
    chunker.push(data.subarray(at, at + PUSH_BYTES));
    while (chunker.next() !== undefined);
  }
  chunker.finish();
}

function slices(data: Buffer, length: number): Buffer[] {
  return Array.from({ length: data.length / length }, (_, index) =>
    data.subarray(index * length, (index + 1) * length),
  );
}

async function measureContent(name: string, data: Buffer): Promise<void> {
  const size = data.length;
  const blocks = slices(data, BLOCK_BYTES);
  await measure(`${name}: cut by content, JavaScript`, size, () => cut(new ContentChunker(gear, Infinity), data));
  await measure(`${name}: cut by content, WebAssembly`, size, () => cut(new ContentChunker(gear, 0), data));
  await measure(`${name}: cut at 64 KiB`, size, () => cut(new FixedChunker(), data));
  for (const level of [1, 2, 3] as const) {
    await measure(`${name}: encode 512 KiB, level ${level}`, size, () =>
      blocks.map((block) => encodeBlock(block, { level })),
    );
  }
  const encoded = blocks.map((block) => encodeBlock(block));
  await measure(`${name}: decode 512 KiB`, size, () =>
    encoded.map(({ encoding, bytes }) => decodeBlock(encoding, bytes, BLOCK_BYTES)),
  );
  const bases = slices(data, CHUNK_BYTES);
  const chunks = bases.map((base) =>
    Buffer.concat([base.subarray(0, 30_000), Buffer.from('changed'), base.subarray(30_007)]),
  );
  const deltas = chunks.map((chunk, index) => encodeDelta(chunk, bases[index] ?? chunk)?.frame ?? chunk);
  await measure(`${name}: delta of 64 KiB`, size, () =>
    chunks.map((chunk, index) => encodeDelta(chunk, bases[index] ?? chunk)),
  );
  await measure(`${name}: 64 KiB from a delta`, size, () =>
    deltas.map((delta, index) => decodeDelta(delta, bases[index] ?? delta, CHUNK_BYTES)),
  );
}

await measureContent('JSON lines', textContent(1, 48 * MIB));
await measureContent('random bytes', randomContent(1, 48 * MIB));
