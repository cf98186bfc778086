// BlobHash and its thread: the id that git gives, wherever it is computed.

import { createHash } from 'node:crypto';
import test from 'ava';
import { BlobHash } from '../../src/repo/blob-hash.ts';
import { Sha1Thread } from '../../src/repo/sha1-thread.ts';
import { randomContent } from '../chunk/content.ts';

function idOf(bytes: Buffer): string {
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}

function shared(bytes: Buffer): Buffer {
  const copy = Buffer.from(new SharedArrayBuffer(bytes.length));
  bytes.copy(copy);
  return copy;
}

test('one thread hashes one blob after the other, in shared memory or not, given up or not', async (t) => {
  const thread = new Sha1Thread();
  for (let seed = 0; seed < 20; seed += 1) {
    const bytes = randomContent(seed, seed * 70_001);
    const hash = new BlobHash([bytes.length], thread);
    // One buffer for all pieces, as files are read.
    const buffer = seed % 3 === 0 ? Buffer.alloc(50_000) : shared(Buffer.alloc(50_000));
    for (let at = 0; at < bytes.length; at += buffer.length) {
      const length = bytes.copy(buffer, 0, at);
      hash.update(buffer.subarray(0, length));
      hash.settle();
    }
    if (seed % 5 !== 4) t.is(String(hash.digest()), idOf(bytes), String(seed));
  }
  await thread.close();
});

test('a blob of two possible lengths has the id of the one that came', (t) => {
  for (const bytes of [randomContent(1, 300), randomContent(2, 500)]) {
    const hash = new BlobHash([300, 500]);
    hash.update(bytes);
    t.is(String(hash.digest()), idOf(bytes));
    t.is(hash.written, bytes.length);
  }
});

test('a length that was not announced is a bug', (t) => {
  const hash = new BlobHash([3]);
  hash.update(Buffer.from('four'));
  t.throws(() => hash.digest(), { message: /announced with 3/ });
});

test('a thread that has died is an error, not a wait without end', async (t) => {
  const thread = new Sha1Thread(50);
  await thread.close();
  thread.start(Buffer.from('header'));
  t.throws(() => thread.settle(), { code: 'IO' });
});
