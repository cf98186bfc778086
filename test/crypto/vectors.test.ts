// Molt's own vectors for src/crypto. A repository written by any molt depends on each of them: an output that changes is a new format.

import { createSecretKey } from 'node:crypto';
import test from 'ava';
import { encodeDeviceKey, parseDeviceKey } from '../../src/crypto/device-key.ts';
import { chunkId, chunkListId } from '../../src/crypto/ids.ts';
import { encodeRecoveryKey, parseRecoveryKey } from '../../src/crypto/recovery-key.ts';
import {
  deriveCacheKey,
  deriveCutKey,
  deriveEpochKey,
  deriveFingerprint,
  deriveIdKey,
  deriveKeyringMacKey,
  deriveLogKey,
} from '../../src/crypto/roots.ts';
import { createOpener, createSealer } from '../../src/crypto/seal.ts';
import { createSlot, openSlot, type SlotSecret } from '../../src/crypto/slot.ts';
import type { RepositoryId } from '../../src/model/ids.ts';
import { scriptedRandom } from './random.ts';
import { cryptoVectors as vectors, hex, vectorRoots, vectorSecret } from './vectors.ts';

test('keys and fingerprint follow from the roots as in the vectors', (t) => {
  const expected = vectors.roots;
  const keys = vectorRoots(expected.roots);
  const text = (key: ReturnType<typeof deriveIdKey>): string => key.export().toString('hex');
  t.is(text(deriveIdKey(keys)), expected.idKey);
  t.is(text(deriveCutKey(keys)), expected.cutKey);
  t.is(text(deriveLogKey(keys)), expected.logKey);
  t.is(text(deriveCacheKey(keys)), expected.cacheKey);
  t.deepEqual(
    [1, 2].map((epoch) => text(deriveEpochKey(keys, epoch))),
    expected.epochKeys,
  );
  t.deepEqual(
    [1, 2].map((epoch) => text(deriveKeyringMacKey(keys, epoch))),
    expected.keyringMacKeys,
  );
  t.is(deriveFingerprint(keys), expected.fingerprint);
});

test('a container is sealed as in the vectors', (t) => {
  const { seal } = vectors;
  const sealer = createSealer(
    createSecretKey(hex(seal.epochKey)),
    { kind: seal.kind, repositoryId: hex(seal.repositoryId) },
    {
      random: scriptedRandom(hex(seal.random)),
      writer: hex(seal.writer),
      pid: seal.pid,
      timeMs: seal.timeMs,
      firstBlock: hex(seal.firstBlock),
    },
  );
  t.is(sealer.salt.toString('hex'), seal.salt);
  t.is(sealer.commitment.toString('hex'), seal.commitment);
  for (const { number, type, plain, sealed } of seal.blocks) {
    t.is(sealer.seal(number, type, hex(seal.header), hex(plain)).toString('hex'), sealed);
  }
});

test('the container of the vectors opens', (t) => {
  const { seal } = vectors;
  const opener = createOpener(createSecretKey(hex(seal.epochKey)), {
    kind: seal.kind,
    repositoryId: hex(seal.repositoryId),
    salt: hex(seal.salt),
    commitment: hex(seal.commitment),
  });
  t.true(seal.blocks.length > 2);
  for (const { number, type, plain, sealed } of seal.blocks) {
    t.is(opener.open(number, type, hex(seal.header), hex(sealed)).toString('hex'), plain);
  }
});

test('chunks and chunk lists have the ids of the vectors', (t) => {
  t.true(vectors.ids.length > 1);
  for (const { idKey, bytes, ...expected } of vectors.ids) {
    const key = createSecretKey(hex(idKey));
    t.is(chunkId(key, hex(bytes)).toString('hex'), expected.chunkId);
    t.is(chunkListId(key, hex(bytes)).toString('hex'), expected.chunkListId);
  }
});

test('slots of each type are made and opened as in the vectors', async (t) => {
  t.deepEqual(vectors.slots.map(({ slot }) => slot.type).toSorted(), ['device', 'passphrase', 'recovery']);
  for (const vector of vectors.slots) {
    const repository = vector.repository as RepositoryId;
    const secret: SlotSecret = vectorSecret(vector.secret);
    const keys = { epoch: vector.epoch, roots: new Map([[vector.epoch, hex(vector.root)]]) };
    const { label, argon2 } = vector.slot;
    const random = scriptedRandom(hex(vector.random));
    const slot = await createSlot(keys, repository, secret, {
      label,
      timeMs: vector.timeMs,
      random,
      ...(argon2 && { argon2 }),
    });
    t.deepEqual(slot, vector.slot);
    t.deepEqual(await openSlot(vector.slot, repository, secret), hex(vector.root));
  }
});

test('recovery and device keys are printed and read as in the vectors', (t) => {
  t.true(vectors.recoveryKeys.length > 1 && vectors.deviceKeys.length > 0);
  for (const { key, text } of vectors.recoveryKeys) {
    t.is(encodeRecoveryKey(hex(key)), text);
    t.is(parseRecoveryKey(text).toString('hex'), key);
  }
  for (const { key, text } of vectors.deviceKeys) {
    t.is(encodeDeviceKey(hex(key)), text);
    t.is(parseDeviceKey(text).toString('hex'), key);
  }
});
