// FixedChunker: cuts at multiples of 64 KiB, whatever arrives in one push.

import test from 'ava';
import fc from 'fast-check';
import { FixedChunker } from '../../src/chunk/fixed-chunker.ts';
import { randomContent } from './content.ts';

function cut(chunker: FixedChunker, data: Buffer, pieceBytes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, piece = 0; at < data.length; piece++) {
    const size = pieceBytes[piece % pieceBytes.length] ?? 1;
    chunker.push(data.subarray(at, at + size));
    for (let chunk = chunker.next(); chunk !== undefined; chunk = chunker.next()) chunks.push(Buffer.from(chunk));
    at += size;
  }
  const last = chunker.finish();
  return last === undefined ? chunks : [...chunks, Buffer.from(last)];
}

test('every chunk but the last has 64 KiB, however the stream is split into pushes', (t) => {
  const pieces = fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1 });
  const chunker = new FixedChunker();
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 0, max: 400_000 }), pieces, (seed, length, pieceBytes) => {
      const data = randomContent(seed, length);
      const chunks = cut(chunker, data, pieceBytes);
      t.true(Buffer.concat(chunks).equals(data));
      t.true(chunks.slice(0, -1).every((chunk) => chunk.length === 65_536));
      t.is(chunks.length, Math.ceil(length / 65_536));
    }),
  );
});

test('a stream of whole chunks leaves nothing for the end', (t) => {
  const chunker = new FixedChunker();
  t.is(cut(chunker, Buffer.alloc(2 * 65_536), [65_536]).length, 2);
  t.is(chunker.finish(), undefined);
});
