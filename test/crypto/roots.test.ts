// Root keys: what is derived from the first root stays through rotation, what belongs to an epoch does not.

import test from 'ava';
import {
  createRootKeys,
  deriveCacheKey,
  deriveCutKey,
  deriveEpochKey,
  deriveFingerprint,
  deriveIdKey,
  deriveKeyringMacKey,
  deriveLogKey,
  rotateRootKeys,
} from '../../src/crypto/roots.ts';
import { MoltError } from '../../src/model/error.ts';
import { seededRandom } from './random.ts';

const FIRST = createRootKeys(seededRandom('first'));
const ROTATED = rotateRootKeys(FIRST, seededRandom('second'));

test('a new repository is in epoch 1', (t) => {
  t.is(FIRST.epoch, 1);
  t.deepEqual([...FIRST.roots.keys()], [1]);
});

test('rotation keeps the earlier roots and draws a fresh one', (t) => {
  t.is(ROTATED.epoch, 2);
  t.deepEqual(ROTATED.roots.get(1), FIRST.roots.get(1));
  t.notDeepEqual(ROTATED.roots.get(2), FIRST.roots.get(1));
  t.is(FIRST.roots.size, 1);
});

test('all keys are different from one another', (t) => {
  const derivations = [deriveIdKey, deriveCutKey, deriveLogKey, deriveCacheKey, deriveEpochKey, deriveKeyringMacKey];
  const keys = derivations.map((derive) => derive(FIRST).export().toString('hex'));
  keys.push(FIRST.roots.get(1)?.toString('hex') ?? '');
  t.is(new Set(keys).size, derivations.length + 1);
});

test('ids, cuts, log and cache outlive a rotation, and the fingerprint does not', (t) => {
  for (const derive of [deriveIdKey, deriveCutKey, deriveLogKey, deriveCacheKey]) {
    t.true(derive(ROTATED).equals(derive(FIRST)));
  }
  t.not(deriveFingerprint(ROTATED), deriveFingerprint(FIRST));
});

test('sealing and the MAC of the keyring move to the new root, and the old ones stay in reach', (t) => {
  for (const derive of [deriveEpochKey, deriveKeyringMacKey]) {
    t.false(derive(ROTATED).equals(derive(FIRST)));
    t.true(derive(ROTATED, 1).equals(derive(FIRST)));
  }
});

test('an epoch that the roots do not reach is a wrong key, not a bug', (t) => {
  t.throws(() => deriveEpochKey(FIRST, 2), { instanceOf: MoltError, code: 'WRONG_KEY' });
});

test('a fingerprint is 8 groups of 4 hex digits, another for each repository', (t) => {
  t.regex(deriveFingerprint(FIRST), /^([0-9a-f]{4} ){7}[0-9a-f]{4}$/);
  t.not(deriveFingerprint(createRootKeys(seededRandom('other'))), deriveFingerprint(FIRST));
});
