// The sealed roots of earlier epochs.

import test from 'ava';
import { openPredecessors, predecessorsSizeBytes, sealPredecessors } from '../../src/crypto/predecessors.ts';
import { createRootKeys, getRoot, rotateRootKeys } from '../../src/crypto/roots.ts';
import { MoltError } from '../../src/model/error.ts';
import type { RepositoryId } from '../../src/model/ids.ts';
import { seededRandom } from './random.ts';

const REPOSITORY = '000102030405060708090a0b0c0d0e0f' as RepositoryId;
const random = seededRandom('predecessors');
const KEYS = rotateRootKeys(rotateRootKeys(createRootKeys(random), random), random);
const ROOT = getRoot(KEYS, 3);
const SEALED = sealPredecessors(KEYS, REPOSITORY, random);
const damaged = { instanceOf: MoltError, code: 'DAMAGED' };

test('the current root opens all roots before it', (t) => {
  t.is(SEALED.sealed.length, predecessorsSizeBytes(3) * 2);
  t.deepEqual(openPredecessors(SEALED, REPOSITORY, 3, ROOT), KEYS);
});

test('the first epoch has none to open', (t) => {
  const first = getRoot(KEYS, 1);
  t.deepEqual(openPredecessors(undefined, REPOSITORY, 1, first), { epoch: 1, roots: new Map([[1, first]]) });
});

test('an earlier root does not open them', (t) => {
  t.throws(() => openPredecessors(SEALED, REPOSITORY, 3, getRoot(KEYS, 2)), damaged);
});

test('they do not open in another repository or as of another epoch', (t) => {
  t.throws(() => openPredecessors(SEALED, 'ff'.repeat(16) as RepositoryId, 3, ROOT), damaged);
  t.throws(() => openPredecessors(SEALED, REPOSITORY, 2, ROOT), damaged);
});

test('any flipped byte of them is rejected', (t) => {
  for (const field of ['salt', 'sealed'] as const) {
    const bytes = Buffer.from(SEALED[field], 'hex');
    for (let index = 0; index < bytes.length; index += 1) {
      const changed = Buffer.from(bytes);
      changed[index] = (changed[index] ?? 0) ^ 1;
      t.throws(() => openPredecessors({ ...SEALED, [field]: changed.toString('hex') }, REPOSITORY, 3, ROOT), damaged);
    }
  }
});

test('sealing them again shares neither salt nor ciphertext', (t) => {
  const again = sealPredecessors(KEYS, REPOSITORY, random);
  t.not(again.salt, SEALED.salt);
  t.not(again.sealed, SEALED.sealed);
});
