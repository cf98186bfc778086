// HKDF-SHA-256 (RFC 5869), from which every key of molt but the roots is derived, each under a label of its own.

import { createSecretKey, hkdfSync, type KeyObject } from 'node:crypto';

const NO_SALT = Buffer.alloc(0);
const KEY_BYTES = 32;

/** The length of a key commitment in bytes. */
export const COMMITMENT_BYTES = 32;

/** A key and the commitment that says, before anything is opened, whether it is the right one. */
export interface CommittedKey {
  readonly key: KeyObject;
  readonly commitment: Buffer;
}

/** Returns `lengthBytes` of HKDF-SHA-256 (RFC 5869). A KeyObject as input is twice as fast as its bytes. */
export function hkdf(input: KeyObject | Buffer, salt: Buffer, info: Buffer, lengthBytes: number): Buffer {
  return Buffer.from(hkdfSync('sha256', input, salt, info, lengthBytes));
}

/** Returns the 32 bytes that stand for an ASCII label under an input key, with an empty salt. */
export function deriveBytes(input: KeyObject | Buffer, label: string): Buffer {
  return hkdf(input, NO_SALT, Buffer.from(label, 'ascii'), KEY_BYTES);
}

/** Returns the 32-byte key that stands for an ASCII label under an input key, with an empty salt. */
export function deriveKey(input: KeyObject | Buffer, label: string): KeyObject {
  return createSecretKey(deriveBytes(input, label));
}

/** Returns a 32-byte key and its 32-byte commitment: the two halves of 64 bytes of HKDF. */
export function deriveCommittedKey(input: KeyObject | Buffer, salt: Buffer, info: Buffer): CommittedKey {
  const bytes = hkdf(input, salt, info, KEY_BYTES + COMMITMENT_BYTES);
  return { key: createSecretKey(bytes.subarray(0, KEY_BYTES)), commitment: bytes.subarray(KEY_BYTES) };
}
