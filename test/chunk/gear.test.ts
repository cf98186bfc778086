// The gear table is part of the format: another implementation must derive the same one.

import test from 'ava';
import { createGear } from '../../src/chunk/gear.ts';

test('a table is the AES-256-CTR keystream of its key as little-endian words', (t) => {
  // AES-256 of the blocks 0 and 1 under the zero key: dc95c078a2408989ad48a21492842087 530f8afbc74536b9a963b4f1c4cb738b.
  const gear = createGear(new Uint8Array(32));
  t.is(gear.length, 256);
  t.deepEqual(
    [...gear.subarray(0, 8)],
    [0x78c095dc, 0x898940a2, 0x14a248ad, 0x87208492, 0xfb8a0f53, 0xb93645c7, 0xf1b463a9, 0x8b73cbc4],
  );
});

test('two keys have different tables', (t) => {
  t.notDeepEqual(createGear(Buffer.alloc(32, 1)), createGear(Buffer.alloc(32, 2)));
});

test('a key of another length is a bug', (t) => {
  t.throws(() => createGear(new Uint8Array(16)), { message: /32 bytes/ });
});
