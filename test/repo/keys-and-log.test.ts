// What a reader makes of objects in the log that it can't open: planted ones stop nobody, newer keys and newer versions do.

import { randomBytes } from 'node:crypto';
import test from 'ava';
import { createRootKeys, deriveEpochKey, rotateRootKeys } from '../../src/crypto/roots.ts';
import { deriveCommittedKey } from '../../src/crypto/hkdf.ts';
import { segmentName } from '../../src/format/segment.ts';
import { encodeTrailer, parseTrailer, StripeCrc } from '../../src/format/trailer.ts';
import { MoltError } from '../../src/model/error.ts';
import { keyringName } from '../../src/repo/keyrings.ts';
import { claimStorage, newRepository, Repository } from '../../src/repo/repository.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { encodeFormatFile } from '../../src/format/format-file.ts';
import type { StorageId } from '../../src/model/ids.ts';

const clock = { now: () => 1_772_676_000_000 };
const random = { bytes: (length: number) => randomBytes(length) };
const ports = { clock, random };
const SECOND = segmentName(2);
const THIRD = segmentName(3);

async function makeRepository() {
  const storage = new MemoryStorage(clock);
  const { roots, ...ids } = newRepository(random);
  await claimStorage(storage, ids);
  const open = (keys = roots) => Repository.open(storage, { roots: keys, generation: 1 }, ports);
  const publish = async (repository: Repository, text: string) => {
    await repository.transact({ packs: false }, async (transaction) => {
      const id = await transaction.writeBlob(Buffer.from(text));
      await transaction.publish([{ name: `refs/tags/${text}`, from: undefined, to: id }], []);
    });
  };
  return { storage, roots, ids, open, publish };
}

/** Returns a container's bytes as a later version would begin them, with or without the keys. */
function asVersion2(bytes: Buffer, epochKey: ReturnType<typeof deriveEpochKey>, isAuthentic: boolean): Buffer {
  const changed = Buffer.from(bytes);
  changed.writeUInt8(2, 8);
  const info = Buffer.concat([Buffer.from('molt/2'), changed.subarray(9, 10), changed.subarray(16, 32)]);
  if (isAuthentic) deriveCommittedKey(epochKey, changed.subarray(64, 96), info).commitment.copy(changed, 96);
  const trailer = parseTrailer(changed, changed.length, 'the segment');
  const crc = new StripeCrc();
  crc.push(changed.subarray(0, trailer.bodyBytes));
  return Buffer.concat([changed.subarray(0, trailer.bodyBytes), encodeTrailer({ ...trailer, stripes: crc.finish() })]);
}

async function secondSegment() {
  const made = await makeRepository();
  const repository = await made.open();
  await made.publish(repository, 'one');
  await made.publish(repository, 'two');
  const bytes = (await made.storage.read(SECOND)) as Buffer;
  await made.storage.delete(SECOND);
  return { ...made, bytes };
}

test('a segment that only claims a newer version is a hole', async (t) => {
  const { storage, roots, bytes, open, publish } = await secondSegment();
  await storage.createOnce(SECOND, [asVersion2(bytes, deriveEpochKey(roots), false)]);
  const repository = await open();
  t.is(Number(repository.log.tip.seq), 1);
  await publish(repository, 'three');
  t.deepEqual([...(await open()).refs.keys()], ['refs/tags/one', 'refs/tags/three']);
});

test('an authentic segment of a newer version stops the reader', async (t) => {
  const { storage, roots, bytes, open } = await secondSegment();
  await storage.createOnce(SECOND, [asVersion2(bytes, deriveEpochKey(roots), true)]);
  await t.throwsAsync(open(), { instanceOf: MoltError, code: 'NEWER_FORMAT' });
});

test('a segment under rotated keys stops a writer that has the old ones, and is a hole where keys were not rotated', async (t) => {
  const { storage, roots, open, publish } = await makeRepository();
  const old = await open();
  await publish(old, 'one');
  await publish(await open(rotateRootKeys(roots, random)), 'two');
  t.deepEqual([...(await open()).refs.keys()], ['refs/tags/one'], 'planted by somebody with other keys');
  await storage.createOnce(keyringName(2), [Buffer.from('a newer keyring')]);
  await t.throwsAsync(publish(old, 'three'), { instanceOf: MoltError, code: 'WRONG_KEY' });
  t.is(await storage.stat(THIRD), undefined);
});

test('a log of which no segment can be read is not written to', async (t) => {
  const { storage, ids, open, publish } = await makeRepository();
  await publish(await open(), 'one');
  await storage.delete('format.json');
  await storage.createOnce('format.json', [encodeFormatFile({ ...ids, storageId: 'ab'.repeat(16) as StorageId })]);
  await t.throwsAsync(open(), { instanceOf: MoltError, code: 'DAMAGED' });
  await t.throwsAsync(open(createRootKeys(random)), { instanceOf: MoltError, code: 'DAMAGED' });
});
