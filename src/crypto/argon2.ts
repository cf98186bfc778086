// Argon2id (RFC 9106), which makes each guess at a passphrase cost memory and time.

import { argon2, createSecretKey, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';

const argon2Async = promisify(argon2);
const KEK_BYTES = 32;
const MAX_MEMORY_KIB = 1024 * 1024;
const MAX_PASSES = 16;
const MAX_LANES = 16;

/** The length of the salt of a passphrase in bytes (RFC 9106, section 3.1). */
export const PASSPHRASE_SALT_BYTES = 16;

/** What one guess costs. */
export interface Argon2Cost {
  readonly memoryKiB: number;
  readonly passes: number;
  readonly lanes: number;
}

/**
 * The cost of a new slot: RFC 9106's second recommended choice (section 4), which borg 2 takes too. Four times the memory would cost
 * an attacker four times as much, but also let molt itself take 400 MB where a pod may have little beside its agent; who wants that
 * gives the slot a longer passphrase instead, where each word is worth more than any factor here.
 */
export const DEFAULT_ARGON2_COST: Argon2Cost = { memoryKiB: 64 * 1024, passes: 3, lanes: 4 };

/** Says whether a cost is one that Argon2 takes and that a stranger's file may ask of this machine: at most 1 GiB, 16 passes, 16 lanes. */
export function isAllowedArgon2Cost({ memoryKiB, passes, lanes }: Argon2Cost): boolean {
  return (
    isWithin(lanes, 1, MAX_LANES) && isWithin(passes, 1, MAX_PASSES) && isWithin(memoryKiB, 8 * lanes, MAX_MEMORY_KIB)
  );
}

/**
 * Returns the 32-byte key that a passphrase stands for. The passphrase is taken in Unicode normal form C, as UTF-8, since the same
 * keys make different code points on different systems (RFC 8265, section 4.2).
 */
export async function stretchPassphrase(passphrase: string, salt: Buffer, cost: Argon2Cost): Promise<KeyObject> {
  if (!isAllowedArgon2Cost(cost)) throw new Error('argon2 cost out of bounds');
  const key = await argon2Async('argon2id', {
    message: Buffer.from(passphrase.normalize('NFC'), 'utf8'),
    nonce: salt,
    memory: cost.memoryKiB,
    passes: cost.passes,
    parallelism: cost.lanes,
    tagLength: KEK_BYTES,
  });
  return createSecretKey(key);
}

function isWithin(value: number, min: number, max: number): boolean {
  return Number.isInteger(value) && value >= min && value <= max;
}
