// Block encodings: every block comes back exactly, and what was tampered with is refused.

import { zstdCompressSync } from 'node:zlib';
import test from 'ava';
import fc from 'fast-check';
import { compressBlock, decodeBlock, encodeBlock, encodeInPlace, isIncompressible } from '../../src/chunk/compress.ts';
import { MoltError } from '../../src/model/error.ts';
import { randomContent, textContent } from './content.ts';

const DAMAGED = { instanceOf: MoltError, code: 'DAMAGED' };

test('any block comes back as it was, at any level', (t) => {
  const level = fc.constantFrom<1 | 2 | 3>(1, 2, 3);
  const plains = fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    fc.tuple(fc.nat(), fc.nat(300_000)).map(([seed, length]) => textContent(seed, length)),
    fc.tuple(fc.nat(), fc.nat(300_000)).map(([seed, length]) => randomContent(seed, length)),
  );
  fc.assert(
    fc.property(plains, level, (plain, level) => {
      const { encoding, bytes } = encodeBlock(plain, { level });
      t.true(bytes.length <= plain.length);
      t.true(decodeBlock(encoding, bytes, plain.length).equals(plain));
    }),
    { numRuns: 60 },
  );
});

test('text is compressed and random bytes are stored', (t) => {
  for (const length of [4096, 65_536, 524_288]) {
    const text = encodeBlock(textContent(1, length));
    t.is(text.encoding, 'zstd');
    t.true(text.bytes.length < length / 1.8);
    const random = randomContent(1, length);
    t.deepEqual(encodeBlock(random), { encoding: 'raw', bytes: random });
  }
});

test('a block of which one part is text is compressed', (t) => {
  const plain = Buffer.concat([randomContent(2, 400_000), textContent(2, 100_000)]);
  t.false(isIncompressible(plain));
  t.is(encodeBlock(plain).encoding, 'zstd');
});

test('a block that saves less than 1/32 is stored raw', (t) => {
  const plain = Buffer.concat([randomContent(3, 98_000), Buffer.alloc(2000)]);
  t.is(compressBlock(plain).encoding, 'raw');
  const more = Buffer.concat([randomContent(3, 95_000), Buffer.alloc(5000)]);
  t.is(compressBlock(more).encoding, 'zstd');
});

const refuses = test.macro({
  exec(t, encoding: 'raw' | 'zstd', bytes: Buffer, plainLength: number) {
    t.throws(() => decodeBlock(encoding, bytes, plainLength), DAMAGED);
  },
  title: (name) => `decoding refuses ${name}`,
});

const text = textContent(4, 10_000);
const frame = compressBlock(text).bytes;

test('a raw block of another length', refuses, 'raw', text, text.length - 1);
test('a frame that is longer than promised', refuses, 'zstd', frame, text.length - 1);
test('a frame that is shorter than promised', refuses, 'zstd', frame, text.length + 1);
test('a frame that is cut off', refuses, 'zstd', frame.subarray(0, -1), text.length);
test('no bytes at all', refuses, 'zstd', Buffer.alloc(0), text.length);
test('a frame for an empty block', refuses, 'zstd', frame, 0);
test('bytes after the frame', refuses, 'zstd', Buffer.concat([frame, Buffer.from('x')]), text.length);
test('bytes after a tiny frame', refuses, 'zstd', Buffer.concat([zstdCompressSync('tiny'), Buffer.from('x')]), 4);
test('a second frame', refuses, 'zstd', Buffer.concat([frame, frame]), text.length);
test(
  'a skippable frame in front',
  refuses,
  'zstd',
  Buffer.concat([Buffer.from('502a4d18020000000101', 'hex'), frame]),
  10_000,
);
test('what is no frame', refuses, 'zstd', text, text.length);
test('a bomb', refuses, 'zstd', zstdCompressSync(Buffer.alloc(100_000_000)), 1000);
test('a promised length beyond all memory', refuses, 'zstd', frame, 2 ** 50);

test('a damaged frame gives an error or other bytes of the same length, never anything else', (t) => {
  fc.assert(
    fc.property(fc.nat(frame.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const damaged = Buffer.from(frame);
      damaged[at] = (damaged[at] ?? 0) ^ flip;
      try {
        t.is(decodeBlock('zstd', damaged, text.length).length, text.length);
      } catch (error) {
        t.true(error instanceof MoltError && error.code === 'DAMAGED');
      }
    }),
  );
});

test('a block encoded in its own memory decodes to what it was, whether it got shorter or not', (t) => {
  for (const plain of [
    textContent(3, 500_000),
    randomContent(3, 500_000),
    Buffer.alloc(70_000),
    Buffer.from('short'),
    Buffer.alloc(0),
  ]) {
    const memory = Buffer.from(new SharedArrayBuffer(plain.length));
    plain.copy(memory);
    const { encoding, bytes } = encodeInPlace(memory, 1);
    t.is(bytes.buffer, memory.buffer);
    t.true(decodeBlock(encoding, bytes, plain.length).equals(plain));
  }
});
