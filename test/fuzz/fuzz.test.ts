// A seeded part of what `npm run fuzz` does with a million inputs, and that the fuzzer notices what it is there for.

import test from 'ava';
import { run as runFlips } from '../../scripts/flips.ts';
import { Dice, hostileBytes } from '../../scripts/fuzz/mutate.ts';
import { run } from '../../scripts/fuzz/run.ts';
import { bytesTarget, endingOf } from '../../scripts/fuzz/target.ts';

test('twenty thousand hostile inputs give every decoder nothing but a value or a MoltError', async (t) => {
  const { lines, ok } = await run({ seed: 3, share: 0.02 });
  t.log(lines.join('\n'));
  t.true(ok);
});

test('a byte in two hundred of a small repository, flipped, is found by verify in the object that it is in', async (t) => {
  const { lines, ok } = await runFlips({ seed: 5, share: 0.005 });
  t.log(lines.join('\n'));
  t.true(ok);
});

test('the same seed makes the same inputs, and what is no MoltError is not taken for one', async (t) => {
  const samples = [Buffer.from('a valid sample')];
  const draw = (seed: number): string[] =>
    Array.from({ length: 50 }, (_, at) => hostileBytes(new Dice(seed, at), samples).toString('hex'));
  t.deepEqual(draw(1), draw(1));
  t.notDeepEqual(draw(1), draw(2));
  t.true(new Set(draw(1)).size > 30);
  const broken = bytesTarget('broken', (bytes) => bytes.readUInt32LE(bytes.length), samples);
  await t.throwsAsync(endingOf(broken, new Dice(1, 1)), { code: 'ERR_OUT_OF_RANGE' });
});
