// The roots of earlier epochs, sealed under the current one (FORMAT.md, "Keyring"): who opens a slot of this epoch reads all of history,
// while an old root, should it leak, opens nothing that came after it.

import type { KeyObject } from 'node:crypto';
import { MoltError } from '../model/error.ts';
import type { RepositoryId } from '../model/ids.ts';
import type { Random } from '../model/ports.ts';
import { openGcm, sealGcm, TAG_BYTES, ZERO_NONCE } from './gcm.ts';
import { deriveCommittedKey } from './hkdf.ts';
import { getRoot, ROOT_BYTES, type RootKeys } from './roots.ts';

const LABEL = Buffer.from('molt/1 predecessors', 'ascii');

/** The length of the salt in bytes. */
export const PREDECESSORS_SALT_BYTES = 32;

/** The sealed roots of all earlier epochs; bytes in lower-case hex, as in the keyring. */
export interface Predecessors {
  /** 32 random bytes. */
  readonly salt: string;
  /** The roots of epochs 1, 2, … in a row under AES-256-GCM: 32 bytes each, and a tag of 16. */
  readonly sealed: string;
}

/** Returns how many bytes the sealed predecessors of an epoch are. */
export function predecessorsSizeBytes(epoch: number): number {
  return (epoch - 1) * ROOT_BYTES + TAG_BYTES;
}

/** Returns the sealed roots of all epochs before the current one, which must not be the first. */
export function sealPredecessors(keys: RootKeys, repository: RepositoryId, random: Random): Predecessors {
  const salt = random.bytes(PREDECESSORS_SALT_BYTES);
  const context = epochContext(repository, keys.epoch);
  const roots: Buffer[] = [];
  for (let epoch = 1; epoch < keys.epoch; epoch += 1) roots.push(getRoot(keys, epoch));
  const key = predecessorsKey(getRoot(keys, keys.epoch), salt, context);
  const sealed = Buffer.concat(sealGcm(key, ZERO_NONCE, context, Buffer.concat(roots)));
  return { salt: salt.toString('hex'), sealed: sealed.toString('hex') };
}

/**
 * Returns the roots of an epoch and of all before it.
 * @throws {MoltError} DAMAGED when the predecessors are not what was sealed under this root
 */
export function openPredecessors(
  predecessors: Predecessors | undefined,
  repository: RepositoryId,
  epoch: number,
  root: Buffer,
): RootKeys {
  const roots = new Map<number, Buffer>();
  if (predecessors !== undefined) {
    const context = epochContext(repository, epoch);
    const key = predecessorsKey(root, Buffer.from(predecessors.salt, 'hex'), context);
    const plain = openGcm(key, ZERO_NONCE, context, Buffer.from(predecessors.sealed, 'hex'));
    if (plain === undefined) throw new MoltError('DAMAGED', 'the roots of earlier epochs are not what was sealed');
    for (let earlier = 1; earlier < epoch; earlier += 1) {
      roots.set(earlier, plain.subarray((earlier - 1) * ROOT_BYTES, earlier * ROOT_BYTES));
    }
  }
  roots.set(epoch, root);
  return { epoch, roots };
}

function predecessorsKey(root: Buffer, salt: Buffer, context: Buffer): KeyObject {
  // The keyring's MAC, checked before, says already that this is the right root: the commitment is not needed.
  return deriveCommittedKey(root, salt, context).key;
}

function epochContext(repository: RepositoryId, epoch: number): Buffer {
  const number = Buffer.alloc(4);
  number.writeUInt32BE(epoch);
  return Buffer.concat([LABEL, Buffer.from(repository, 'hex'), number]);
}
