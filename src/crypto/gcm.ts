// AES-256-GCM (NIST SP 800-38D) with 12-byte nonces and 16-byte tags: the one cipher that molt seals with. Here nothing guards
// against a repeated nonce; the callers (seal.ts, slot.ts, the keyring) do, each with a key of its own for every seal.

import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto';

const CIPHER = 'aes-256-gcm';

/** The length of a tag, which is what sealing adds, in bytes. */
export const TAG_BYTES = 16;

/** The nonce of a key that seals one message in its life. */
export const ZERO_NONCE: Buffer = Buffer.alloc(12);

const OPTIONS = { authTagLength: TAG_BYTES } as const;

/** Returns ciphertext and tag apart, so that the caller can put them in place without a copy in between. */
export function sealGcm(key: KeyObject, nonce: Buffer, aad: Buffer, plain: Buffer): [ciphertext: Buffer, tag: Buffer] {
  const cipher = createCipheriv(CIPHER, key, nonce, OPTIONS);
  cipher.setAAD(aad);
  const ciphertext = cipher.update(plain);
  cipher.final();
  return [ciphertext, cipher.getAuthTag()];
}

/** Returns the plaintext of ciphertext and tag in one piece, or undefined if key, nonce, associated data or bytes are not those sealed. */
export function openGcm(key: KeyObject, nonce: Buffer, aad: Buffer, sealed: Buffer): Buffer | undefined {
  const end = sealed.length - TAG_BYTES;
  if (end < 0) return undefined;
  const decipher = createDecipheriv(CIPHER, key, nonce, OPTIONS);
  decipher.setAAD(aad);
  decipher.setAuthTag(sealed.subarray(end));
  const plain = decipher.update(sealed.subarray(0, end));
  try {
    decipher.final();
  } catch {
    // Node's only word for a tag that does not fit.
    return undefined;
  }
  return plain;
}
