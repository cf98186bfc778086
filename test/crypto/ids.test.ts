// Keyed ids: equal for equal bytes, and apart for other bytes, keys and uses.

import { createHash, createHmac, createSecretKey } from 'node:crypto';
import test from 'ava';
import * as fc from 'fast-check';
import { chunkId, chunkListId } from '../../src/crypto/ids.ts';

const KEY = createSecretKey(Buffer.alloc(32, 5));

test('an id is the HMAC of a type byte and the SHA-256 of the bytes', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5000 }), (array) => {
      const bytes = Buffer.from(array);
      const digest = createHash('sha256').update(bytes).digest();
      const mac = (type: number): Buffer =>
        createHmac('sha256', Buffer.alloc(32, 5))
          .update(Buffer.from([type]))
          .update(digest)
          .digest();
      t.deepEqual(chunkId(KEY, bytes), mac(1));
      t.deepEqual(chunkListId(KEY, bytes), mac(2));
    }),
  );
});

test('a chunk and a chunk list of the same bytes have different ids', (t) => {
  t.notDeepEqual(chunkId(KEY, Buffer.from('same')), chunkListId(KEY, Buffer.from('same')));
});

test('the same bytes have other ids in another repository', (t) => {
  const other = createSecretKey(Buffer.alloc(32, 6));
  t.notDeepEqual(chunkId(KEY, Buffer.from('same')), chunkId(other, Buffer.from('same')));
});
