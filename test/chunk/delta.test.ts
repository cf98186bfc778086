// Deltas: a chunk comes back from its base, and whatever isn't worth a delta, or can't be one, gets none.

import { zstdCompressSync } from 'node:zlib';
import test from 'ava';
import fc from 'fast-check';
import { encodeBlock } from '../../src/chunk/compress.ts';
import { decodeDelta, encodeDelta } from '../../src/chunk/delta.ts';
import { MoltError } from '../../src/model/error.ts';
import { randomContent, textContent } from './content.ts';

const DAMAGED = { instanceOf: MoltError, code: 'DAMAGED' };
const DICTIONARY_MAGIC = Buffer.from([0x37, 0xa4, 0x30, 0xec]);

/** Returns the content with a few bytes changed in the middle. */
function deltaFrame(bytes: Buffer, base: Buffer): Buffer | undefined {
  return encodeDelta(bytes, base)?.frame;
}

function changed(content: Buffer): Buffer {
  const copy = Buffer.from(content);
  randomContent('change', 20).copy(copy, Math.floor(content.length / 2));
  return copy;
}

test('a changed chunk costs a few bytes and comes back', (t) => {
  for (const base of [randomContent(1, 65_536), textContent(1, 65_536), randomContent(1, 262_144)]) {
    const bytes = changed(base);
    const delta = deltaFrame(bytes, base) ?? t.fail('there is no delta');
    if (!(delta instanceof Buffer)) return;
    t.true(delta.length < 200, `${delta.length} bytes`);
    t.true(decodeDelta(delta, base, bytes.length).equals(bytes));
  }
});

test('a delta of any chunk to any base comes back', (t) => {
  const parts = fc.record({
    seed: fc.nat(),
    baseBytes: fc.oneof(fc.nat(20), fc.nat(262_144)),
    keptBytes: fc.nat(262_144),
    freshBytes: fc.oneof(fc.nat(200), fc.nat(40_000)),
    text: fc.boolean(),
  });
  let deltas = 0;
  fc.assert(
    fc.property(parts, ({ seed, baseBytes, keptBytes, freshBytes, text }) => {
      const base = (text ? textContent : randomContent)(seed, baseBytes);
      const bytes = Buffer.concat([randomContent(seed + 1, freshBytes), base.subarray(-keptBytes)]);
      const delta = deltaFrame(bytes, base);
      if (delta === undefined) return;
      deltas++;
      t.true(decodeDelta(delta, base, bytes.length).equals(bytes));
    }),
    { numRuns: 80 },
  );
  t.true(deltas > 10);
});

test('a delta reaches back over the whole base and the whole chunk', (t) => {
  const base = randomContent(2, 262_144);
  const bytes = Buffer.concat([randomContent(3, 100_000), base.subarray(0, 162_144)]);
  const delta = deltaFrame(bytes, base) ?? Buffer.alloc(0);
  t.true(delta.length < 101_000);
  t.true(decodeDelta(delta, base, bytes.length).equals(bytes));
});

test('a chunk that has little in common with the base gets no delta', (t) => {
  const shared = randomContent(7, 13_536);
  const pairs: [Buffer, Buffer][] = [
    [randomContent(4, 65_536), randomContent(5, 65_536)],
    [textContent(4, 65_536), Buffer.alloc(0)],
    [Buffer.concat([randomContent(6, 52_000), shared]), Buffer.concat([randomContent(8, 52_000), shared])],
  ];
  for (const [bytes, base] of pairs) t.is(deltaFrame(bytes, base)?.length, undefined);
});

test('a delta must be a third shorter than the chunk compressed on its own', (t) => {
  const bytes = Buffer.alloc(65_536, 'x');
  t.true(encodeBlock(bytes).bytes.length < 50);
  t.is(deltaFrame(bytes, bytes)?.length, undefined);
});

test('a delta says how long the chunk is by itself', (t) => {
  const base = textContent(14, 65_536);
  t.is(encodeDelta(changed(base), base)?.wholeBytes, encodeBlock(changed(base)).bytes.length);
});

test('an empty chunk gets no delta', (t) => {
  t.is(deltaFrame(Buffer.alloc(0), randomContent(9, 1000))?.length, undefined);
});

test('a base that looks like a trained dictionary gets no delta, and a delta to one is refused', (t) => {
  for (const rest of [Buffer.alloc(0), Buffer.alloc(4), randomContent(10, 65_532)]) {
    const base = Buffer.concat([DICTIONARY_MAGIC, rest]);
    t.is(deltaFrame(randomContent(10, 65_536), base)?.length, undefined);
    t.throws(() => decodeDelta(zstdCompressSync('text'), base, 4), DAMAGED);
  }
});

test('a frame names no dictionary and no checksum', (t) => {
  const base = randomContent(11, 65_536);
  const delta = deltaFrame(changed(base), base) ?? Buffer.alloc(0);
  t.is(delta.readUInt32LE(0), 0xfd2fb528);
  // RFC 8878, section 3.1.1.1.1: bits 0-1 are the size of the dictionary id, bit 2 is the checksum.
  t.is((delta[4] ?? 0xff) & 0b111, 0);
});

test('a frame that does not give the promised length is refused', (t) => {
  const base = randomContent(12, 65_536);
  const delta = deltaFrame(changed(base), base) ?? Buffer.alloc(0);
  t.throws(() => decodeDelta(delta, base, 65_535), DAMAGED);
  t.throws(() => decodeDelta(delta, base, 65_537), DAMAGED);
  t.throws(() => decodeDelta(delta.subarray(0, -1), base, 65_536), DAMAGED);
  t.throws(() => decodeDelta(delta, Buffer.alloc(0), 65_536), DAMAGED);
  t.throws(() => decodeDelta(randomContent(13, 100), base, 65_536), DAMAGED);
});
