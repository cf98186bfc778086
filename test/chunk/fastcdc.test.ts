// The cuts of ContentChunker against the rule as FORMAT.md states it, in both engines and however the stream arrives.

import test from 'ava';
import fc from 'fast-check';
import type { Chunker } from '../../src/chunk/chunker.ts';
import { ContentChunker } from '../../src/chunk/fastcdc.ts';
import { createGear } from '../../src/chunk/gear.ts';
import { createWasmScanner } from '../../src/chunk/gear-wasm.ts';
import { randomContent, textContent } from './content.ts';

const KIB = 1024;
const gear = createGear(Buffer.alloc(32, 7));
const ONLY_SCRIPT = Infinity;
const ONLY_WASM = 0;

/** Returns the lengths of all chunks, by the rule itself: a sum over 32 bytes for each offset. */
function referenceLengths(data: Buffer): number[] {
  const lengths: number[] = [];
  for (let start = 0; start < data.length; start += lengths.at(-1) ?? 0) {
    let length = Math.min(256 * KIB, data.length - start);
    for (let tried = 16 * KIB; tried < length; tried++) {
      let hash = 0;
      for (let k = 0; k < 32; k++) hash += Math.imul(gear[data[start + tried - 1 - k] ?? 0] ?? 0, 1 << k);
      // The shift by zero takes the sum, exact in a double, modulo 2^32.
      if (hash >>> 0 < (tried < 64 * KIB ? 2 ** 14 : 2 ** 18)) length = tried;
    }
    lengths.push(length);
  }
  return lengths;
}

function cut(chunker: Chunker, data: Buffer, pieceBytes: readonly number[] = [data.length]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, piece = 0; at < data.length; piece++) {
    const size = Math.max(1, pieceBytes[piece % pieceBytes.length] ?? 1);
    // A copy that is spoilt afterwards: the chunker must not look at it again.
    const bytes = Buffer.from(data.subarray(at, at + size));
    chunker.push(bytes);
    for (let chunk = chunker.next(); chunk !== undefined; chunk = chunker.next()) chunks.push(Buffer.from(chunk));
    bytes.fill(0xff);
    at += size;
  }
  const last = chunker.finish();
  if (last !== undefined) chunks.push(Buffer.from(last));
  return chunks;
}

function lengthsOf(chunks: readonly Buffer[]): number[] {
  return chunks.map((chunk) => chunk.length);
}

const follows = test.macro({
  exec(t, data: Buffer) {
    const expected = referenceLengths(data);
    for (const engine of [ONLY_SCRIPT, ONLY_WASM]) {
      const chunks = cut(new ContentChunker(gear, engine), data);
      t.deepEqual(lengthsOf(chunks), expected);
      t.true(Buffer.concat(chunks).equals(data));
    }
  },
  title: (name) => `the cuts follow the rule in both engines: ${name}`,
});

test('no bytes', follows, Buffer.alloc(0));
test('less than a minimum', follows, randomContent(1, 16 * KIB - 1));
test('exactly a minimum', follows, randomContent(1, 16 * KIB));
test('random bytes', follows, randomContent(2, 1024 * KIB + 17));
test('text', follows, textContent(3, 1024 * KIB + 5));
test('one byte over and over', follows, Buffer.alloc(600 * KIB, 'a'));
test('a short period', follows, Buffer.alloc(600 * KIB, 'a bottle of rum and '));

test('the engine of the tests is WebAssembly indeed', (t) => {
  t.truthy(createWasmScanner(gear));
});

test('the cuts of a known stream never change', (t) => {
  t.deepEqual(
    lengthsOf(cut(new ContentChunker(gear), randomContent('vector', 512 * KIB))),
    [81_114, 110_090, 61_717, 55_409, 31_558, 74_440, 71_624, 38_336],
  );
});

test('a stream that never hits a mask is cut at 256 KiB', (t) => {
  t.deepEqual(lengthsOf(cut(new ContentChunker(gear), Buffer.alloc(600 * KIB, 'a'))), [256 * KIB, 256 * KIB, 88 * KIB]);
});

test('the cuts do not depend on how a stream is split into pushes, nor on the engine or where it changes', (t) => {
  const content = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 700 * KIB }), fc.boolean());
  const pieces = fc.array(fc.oneof(fc.integer({ min: 1, max: 300 * KIB }), fc.integer({ min: 1, max: 40 })), {
    minLength: 1,
  });
  fc.assert(
    fc.property(content, pieces, fc.nat(700 * KIB), ([seed, length, text], pieceBytes, wasmAfter) => {
      const data = text ? textContent(seed, length) : randomContent(seed, length);
      const whole = cut(new ContentChunker(gear, ONLY_SCRIPT), data);
      const split = cut(new ContentChunker(gear, wasmAfter), data, pieceBytes);
      t.deepEqual(lengthsOf(split), lengthsOf(whole));
      t.true(Buffer.concat(split).equals(data));
    }),
    { numRuns: 40 },
  );
});

test('bytes inserted near the start leave most chunks as they were', (t) => {
  const before = textContent(4, 2048 * KIB);
  const after = Buffer.concat([before.subarray(0, 100_000), Buffer.from('something new'), before.subarray(100_000)]);
  const known = new Set(cut(new ContentChunker(gear), before).map((chunk) => chunk.toString('latin1')));
  const fresh = cut(new ContentChunker(gear), after).filter((chunk) => !known.has(chunk.toString('latin1')));
  t.true(known.size > 15);
  t.true(fresh.length <= 3, `${fresh.length} of ${known.size} chunks are new`);
});

test('another key cuts elsewhere', (t) => {
  const data = randomContent(5, 1024 * KIB);
  const other = new ContentChunker(createGear(Buffer.alloc(32, 8)));
  t.notDeepEqual(lengthsOf(cut(other, data)), lengthsOf(cut(new ContentChunker(gear), data)));
});

test('a chunker cuts one stream after another', (t) => {
  const chunker = new ContentChunker(gear);
  for (const seed of [6, 7, 8]) {
    const data = randomContent(seed, 500 * KIB);
    t.deepEqual(lengthsOf(cut(chunker, data)), lengthsOf(cut(new ContentChunker(gear), data)));
  }
});

test('all chunks of one push are valid until the next push', (t) => {
  const data = randomContent(9, 1024 * KIB);
  const chunker = new ContentChunker(gear);
  const out: Buffer[] = [];
  for (let at = 0; at < data.length; at += 300 * KIB) {
    chunker.push(data.subarray(at, at + 300 * KIB));
    const chunks: Buffer[] = [];
    for (let chunk = chunker.next(); chunk !== undefined; chunk = chunker.next()) chunks.push(chunk);
    out.push(Buffer.concat(chunks));
  }
  out.push(chunker.finish() ?? Buffer.alloc(0));
  t.true(Buffer.concat(out).equals(data));
});

test('a push or finish before the last bytes are used up is a bug', (t) => {
  const chunker = new ContentChunker(gear);
  chunker.push(Buffer.from('a'));
  t.throws(() => chunker.push(Buffer.from('b')), { message: /before next/ });
  t.throws(() => chunker.finish(), { message: /before next/ });
});
