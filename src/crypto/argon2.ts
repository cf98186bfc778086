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
 * The cost of a new slot: four times the memory of RFC 9106's second choice, at its 3 passes and 4 lanes. That is 0.55 s on 2 cores
 * (0.78 s with one lane), a wait that a person bears and unattended runs are spared, since they open the device slot; and 256 MiB
 * still fits beside an agent in a small pod, which the RFC's first choice, 2 GiB, does not.
 */
export const DEFAULT_ARGON2_COST: Argon2Cost = { memoryKiB: 256 * 1024, passes: 3, lanes: 4 };

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
