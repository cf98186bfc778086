// Sealing of containers: what was sealed opens, nothing else does, and no key meets a nonce twice.

import { createSecretKey } from 'node:crypto';
import test from 'ava';
import * as fc from 'fast-check';
import { createOpener, createSealer, type Opener, type SealEntropy, type Sealer } from '../../src/crypto/seal.ts';
import { MoltError } from '../../src/model/error.ts';
import { seededRandom, stuckRandom } from './random.ts';

const EPOCH_KEY = createSecretKey(Buffer.alloc(32, 1));
const CONTEXT = { kind: 2, repositoryId: Buffer.alloc(16, 9) };
const HEADER = Buffer.from('a header of any length');

function entropy(change: Partial<SealEntropy> = {}): SealEntropy {
  const random = seededRandom('seal');
  return { random, writer: Buffer.from('writer'), pid: 42, timeMs: 1_772_676_000_000, firstBlock: HEADER, ...change };
}

function openerOf(sealer: Sealer): Opener {
  return createOpener(EPOCH_KEY, { ...CONTEXT, salt: sealer.salt, commitment: sealer.commitment });
}

const bytes = (constraints: fc.IntArrayConstraints = {}): fc.Arbitrary<Buffer> =>
  fc.uint8Array(constraints).map((array) => Buffer.from(array));
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u8 = fc.integer({ min: 0, max: 255 });

function isDamage(run: () => unknown): boolean {
  try {
    run();
  } catch (error) {
    return error instanceof MoltError && error.code === 'DAMAGED';
  }
  return false;
}

test('a sealed block opens to what was sealed, 16 bytes shorter', (t) => {
  fc.assert(
    fc.property(u32, u8, bytes(), bytes({ maxLength: 300 }), (number, type, header, plain) => {
      const sealer = createSealer(EPOCH_KEY, CONTEXT, entropy());
      const sealed = sealer.seal(number, type, header, plain);
      t.is(sealed.length, plain.length + 16);
      t.deepEqual(openerOf(sealer).open(number, type, header, sealed), plain);
    }),
  );
});

test('ciphertext and tag given apart are the two parts of the sealed block', (t) => {
  const [ciphertext, tag] = createSealer(EPOCH_KEY, CONTEXT, entropy()).sealParts(0, 1, HEADER, Buffer.from('plain'));
  t.is(tag.length, 16);
  t.deepEqual(
    Buffer.concat([ciphertext, tag]),
    createSealer(EPOCH_KEY, CONTEXT, entropy()).seal(0, 1, HEADER, Buffer.from('plain')),
  );
});

test('any flipped bit of a sealed block is rejected', (t) => {
  const sealer = createSealer(EPOCH_KEY, CONTEXT, entropy());
  const sealed = sealer.seal(3, 1, HEADER, Buffer.from('some plaintext of more than one AES block'));
  const opener = openerOf(sealer);
  for (let bit = 0; bit < sealed.length * 8; bit += 1) {
    const changed = Buffer.from(sealed);
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    t.true(
      isDamage(() => opener.open(3, 1, HEADER, changed)),
      `bit ${bit}`,
    );
  }
});

test('a header that was changed, cut or lengthened is rejected', (t) => {
  const sealer = createSealer(EPOCH_KEY, CONTEXT, entropy());
  const sealed = sealer.seal(3, 1, HEADER, Buffer.from('plain'));
  const opener = openerOf(sealer);
  fc.assert(
    fc.property(bytes({ maxLength: HEADER.length + 8 }), (header) => {
      fc.pre(!header.equals(HEADER));
      t.true(isDamage(() => opener.open(3, 1, header, sealed)));
    }),
  );
  for (let index = 0; index < HEADER.length; index += 1) {
    const header = Buffer.from(HEADER);
    header[index] = (header[index] ?? 0) ^ 1;
    t.true(isDamage(() => opener.open(3, 1, header, sealed)));
    t.true(isDamage(() => opener.open(3, 1, HEADER.subarray(0, index), sealed)));
  }
});

test('blocks that trade places are rejected', (t) => {
  const sealer = createSealer(EPOCH_KEY, CONTEXT, entropy());
  const first = sealer.seal(0, 1, HEADER, Buffer.from('first'));
  const second = sealer.seal(1, 1, HEADER, Buffer.from('later'));
  const opener = openerOf(sealer);
  t.true(isDamage(() => opener.open(1, 1, HEADER, first)));
  t.true(isDamage(() => opener.open(0, 1, HEADER, second)));
  t.is(opener.open(1, 1, HEADER, second).toString(), 'later');
});

test('a block of one type does not open as another', (t) => {
  fc.assert(
    fc.property(u8, u8, (sealedType, openedType) => {
      const sealer = createSealer(EPOCH_KEY, CONTEXT, entropy());
      const sealed = sealer.seal(0, sealedType, HEADER, Buffer.from('plain'));
      const damaged = isDamage(() => openerOf(sealer).open(0, openedType, HEADER, sealed));
      t.is(damaged, sealedType !== openedType);
    }),
  );
});

test("the end of a header can't pass for the number of a block", (t) => {
  const sealer = createSealer(EPOCH_KEY, CONTEXT, entropy());
  const sealed = sealer.seal(0, 1, Buffer.from([1, 2, 3]), Buffer.from('plain'));
  t.true(isDamage(() => openerOf(sealer).open(0, 1, Buffer.from([1, 2, 3, 0, 0, 0, 0, 1]), sealed)));
});

test('a block that is shorter than its tag is damaged', (t) => {
  const opener = openerOf(createSealer(EPOCH_KEY, CONTEXT, entropy()));
  for (let length = 0; length <= 16; length += 1)
    t.true(isDamage(() => opener.open(0, 1, HEADER, Buffer.alloc(length))));
});

const wrongKey = test.macro({
  exec(t, change: { epochKey?: Buffer; kind?: number; repositoryId?: Buffer; salt?: Buffer; commitment?: Buffer }) {
    const { salt, commitment } = createSealer(EPOCH_KEY, CONTEXT, entropy());
    const { epochKey, ...context } = change;
    const key = epochKey === undefined ? EPOCH_KEY : createSecretKey(epochKey);
    t.throws(() => createOpener(key, { ...CONTEXT, salt, commitment, ...context }), {
      instanceOf: MoltError,
      code: 'WRONG_KEY',
    });
  },
  title: (name) => `a container does not open with ${name}`,
});

test('the key of another epoch', wrongKey, { epochKey: Buffer.alloc(32, 2) });
test('another kind', wrongKey, { kind: 3 });
test('the id of another repository', wrongKey, { repositoryId: Buffer.alloc(16, 8) });
test('another salt', wrongKey, { salt: Buffer.alloc(32) });
test('another commitment', wrongKey, { commitment: Buffer.alloc(32) });

test('any flipped bit of a salt or commitment is a wrong key', (t) => {
  const { salt, commitment } = createSealer(EPOCH_KEY, CONTEXT, entropy());
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 511 }), (bit) => {
      const both = Buffer.concat([salt, commitment]);
      both[bit >> 3] = (both[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const context = { ...CONTEXT, salt: both.subarray(0, 32), commitment: both.subarray(32) };
      t.throws(() => createOpener(EPOCH_KEY, context), { instanceOf: MoltError, code: 'WRONG_KEY' });
    }),
  );
});

test('one block number is not sealed twice, not even with the same bytes', (t) => {
  const sealer = createSealer(EPOCH_KEY, CONTEXT, entropy());
  sealer.seal(5, 1, HEADER, Buffer.from('plain'));
  for (const again of [
    () => sealer.seal(5, 2, HEADER, Buffer.from('plain')),
    () => sealer.sealParts(5, 1, HEADER, HEADER),
  ]) {
    const error = t.throws(again);
    t.false(error instanceof MoltError);
  }
  t.notThrows(() => sealer.seal(4, 1, HEADER, Buffer.from('plain')));
});

test('a block number or type that its field does not hold is a bug', (t) => {
  const sealer = createSealer(EPOCH_KEY, CONTEXT, entropy());
  for (const [number, type] of [
    [2 ** 32, 1],
    [-1, 1],
    [0, 256],
  ] as const) {
    t.throws(() => sealer.seal(number, type, HEADER, HEADER), { instanceOf: RangeError });
  }
});

// Under one key and nonce a block of zeros seals to the same keystream: what repeats here has repeated both.
function keystreams(sealer: Sealer, blocks: number): string[] {
  const zeros = Buffer.alloc(16);
  return Array.from({ length: blocks }, (_, number) => sealer.seal(number, 1, HEADER, zeros).toString('hex', 0, 16));
}

test('no key meets a nonce twice over many seals of the same content', (t) => {
  const random = seededRandom('many');
  const seen = new Set<string>();
  for (let container = 0; container < 500; container += 1) {
    const sealer = createSealer(EPOCH_KEY, CONTEXT, entropy({ random }));
    for (const keystream of keystreams(sealer, 8)) seen.add(keystream);
  }
  t.is(seen.size, 500 * 8);
});

test('no key meets a nonce twice where random bytes repeat but writer, pid, time or first block differ', (t) => {
  const random = stuckRandom();
  const sources: SealEntropy[] = [
    entropy({ random }),
    ...Array.from({ length: 50 }, (_, index) => entropy({ random, writer: Buffer.from(`writer ${index}`) })),
    ...Array.from({ length: 50 }, (_, index) => entropy({ random, pid: 1000 + index })),
    ...Array.from({ length: 50 }, (_, index) => entropy({ random, timeMs: index })),
    ...Array.from({ length: 50 }, (_, index) => entropy({ random, firstBlock: Buffer.from(`block ${index}`) })),
  ];
  const seen = new Set<string>();
  for (const source of sources)
    for (const stream of keystreams(createSealer(EPOCH_KEY, CONTEXT, source), 4)) seen.add(stream);
  t.is(seen.size, sources.length * 4);
});

test('containers of another kind, repository or epoch share no keystream, though all their entropy is the same', (t) => {
  const random = stuckRandom();
  const other = createSecretKey(Buffer.alloc(32, 2));
  const sealers = [
    createSealer(EPOCH_KEY, CONTEXT, entropy({ random })),
    createSealer(EPOCH_KEY, { ...CONTEXT, kind: 3 }, entropy({ random })),
    createSealer(EPOCH_KEY, { ...CONTEXT, repositoryId: Buffer.alloc(16, 8) }, entropy({ random })),
    createSealer(other, CONTEXT, entropy({ random })),
  ];
  t.is(new Set(sealers.flatMap((sealer) => keystreams(sealer, 2))).size, 8);
});
