// The root keys of a repository and what is derived from them (FORMAT.md, "Keys"). Each epoch has a random root of its own, so that
// rotation helps from then on; what must stay comparable through all epochs (ids, cuts, log, cache) comes from the first root.

import { hash, type KeyObject } from 'node:crypto';
import { MoltError } from '../model/error.ts';
import type { Random } from '../model/ports.ts';
import { deriveBytes, deriveKey } from './hkdf.ts';

const FINGERPRINT_LABEL = 'molt/1 fingerprint';
const FINGERPRINT_BYTES = 16;

/** The length of a root in bytes. */
export const ROOT_BYTES = 32;

/** The roots of a repository, all secret: never to be logged, nor put into an error. */
export interface RootKeys {
  /** The current epoch, from 1. */
  readonly epoch: number;
  /** The 32-byte root of each epoch from 1 to the current one. */
  readonly roots: ReadonlyMap<number, Buffer>;
}

/** Returns the roots of a new repository: one, of epoch 1. */
export function createRootKeys(random: Random): RootKeys {
  return { epoch: 1, roots: new Map([[1, random.bytes(ROOT_BYTES)]]) };
}

/** Returns these roots and a fresh one, of the next epoch, which is then the current one. */
export function rotateRootKeys(keys: RootKeys, random: Random): RootKeys {
  const epoch = keys.epoch + 1;
  return { epoch, roots: new Map([...keys.roots, [epoch, random.bytes(ROOT_BYTES)]]) };
}

/**
 * Returns the root of an epoch.
 * @throws {MoltError} WRONG_KEY when these roots don't reach it
 */
export function getRoot(keys: RootKeys, epoch: number): Buffer {
  const root = keys.roots.get(epoch);
  if (root === undefined) {
    throw new MoltError('WRONG_KEY', `no key for epoch ${epoch}: this keyring reaches epoch ${keys.epoch}`, {
      details: { epoch, newest: keys.epoch },
    });
  }
  return root;
}

/** Returns K_id, which makes the ids of chunks. */
export function deriveIdKey(keys: RootKeys): KeyObject {
  return deriveKey(getRoot(keys, 1), 'molt/1 chunk id');
}

/** Returns K_cut, from which the chunker's gear table is made. */
export function deriveCutKey(keys: RootKeys): KeyObject {
  return deriveKey(getRoot(keys, 1), 'molt/1 chunk cut');
}

/** Returns the key of the log. */
export function deriveLogKey(keys: RootKeys): KeyObject {
  return deriveKey(getRoot(keys, 1), 'molt/1 log');
}

/** Returns the key that takes an epoch key's place in seals of derived local files, such as the catalog. */
export function deriveCacheKey(keys: RootKeys): KeyObject {
  return deriveKey(getRoot(keys, 1), 'molt/1 local cache');
}

/**
 * Returns the key from which the containers of an epoch draw theirs.
 * @throws {MoltError} WRONG_KEY when these roots don't reach the epoch
 */
export function deriveEpochKey(keys: RootKeys, epoch: number = keys.epoch): KeyObject {
  return deriveKey(getRoot(keys, epoch), 'molt/1 epoch seal');
}

/** Returns the key of the MAC of a keyring of an epoch. */
export function deriveKeyringMacKey(keys: RootKeys, epoch: number = keys.epoch): KeyObject {
  return deriveKey(getRoot(keys, epoch), 'molt/1 keyring mac');
}

/**
 * Returns the fingerprint of the current root, which is public: 8 groups of 4 lower-case hex digits, spaces between. A new epoch has
 * a new one: who knew an old root could otherwise pass off a root of their own as its successor.
 */
export function deriveFingerprint(keys: RootKeys): string {
  const input = Buffer.concat([
    Buffer.from(FINGERPRINT_LABEL, 'ascii'),
    deriveBytes(getRoot(keys, keys.epoch), FINGERPRINT_LABEL),
  ]);
  const hex = hash('sha256', input, 'hex').slice(0, FINGERPRINT_BYTES * 2);
  return (hex.match(/.{4}/g) ?? []).join(' ');
}
