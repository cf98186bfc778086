// Padmé against what its paper promises (Nikitin et al., PETS 2019, section 4).

import test from 'ava';
import * as fc from 'fast-check';
import { padme } from '../../src/format/padding.ts';

/** The paper's own words: the length's floating-point mantissa is as long as its exponent. */
function reference(length: bigint): bigint {
  if (length < 2n) return length;
  const exponent = BigInt(length.toString(2).length - 1);
  const bits = BigInt(exponent.toString(2).length);
  const mask = (1n << (exponent > bits ? exponent - bits : 0n)) - 1n;
  return (length + mask) & ~mask;
}

test('lengths of the paper and around powers of two come out as its algorithm has them', (t) => {
  const known: readonly (readonly [number, number])[] = [
    [0, 0],
    [1, 1],
    [2, 2],
    [8, 8],
    [9, 10],
    [10, 10],
    [100, 104],
    [1000, 1024],
    [1025, 1088],
    [10_000, 10_240],
    [1_000_000, 1_015_808],
    [33_554_433, 34_603_008],
  ];
  for (const [length, padded] of known) t.is(padme(length), padded, `${length}`);
});

test('every length up to 70,000 and any longer one is padded as the paper does', (t) => {
  for (let length = 0; length <= 70_000; length += 1)
    if (BigInt(padme(length)) !== reference(BigInt(length))) t.fail(`${length}`);
  t.notThrows(() =>
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 ** 40 }),
        (length) => BigInt(padme(length)) === reference(BigInt(length)),
      ),
    ),
  );
});

test('padding adds at most 12%, never shortens, keeps order, and pads what is padded to itself', (t) => {
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 40 }), fc.nat(2 ** 20), (length, more) => {
        const padded = padme(length);
        return (
          padded >= length && padded <= length * 1.12 && padme(length + more) >= padded && padme(padded) === padded
        );
      }),
    ),
  );
});

test('all lengths up to 1 MiB come out as a few hundred different ones', (t) => {
  const sizes = new Set<number>();
  for (let length = 1; length <= 1 << 20; length += 1) sizes.add(padme(length));
  t.true(sizes.size < 400, `${sizes.size}`);
});
