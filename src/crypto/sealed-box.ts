// Sealed boxes of libsodium (X25519, XSalsa20-Poly1305): anyone seals to a public key, and only its private key opens. libsodium is loaded
// when the first one is used, since most runs use none.

import { MoltError } from '../model/error.ts';

/** The length of an X25519 public or private key in bytes. */
export const X25519_KEY_BYTES = 32;
/** What sealing adds: an ephemeral public key and a tag. */
export const SEALED_BOX_OVERHEAD_BYTES = 48;

/** Returns the X25519 public key of a private one (RFC 7748, section 5). */
export async function derivePublicKey(privateKey: Buffer): Promise<Buffer> {
  const sodium = await load();
  return Buffer.from(sodium.crypto_scalarmult_base(privateKey));
}

/** Seals bytes to a public key. @throws {MoltError} USAGE when the key is of small order, to which nothing can be sealed */
export async function sealBox(plain: Buffer, publicKey: Buffer): Promise<Buffer> {
  const sodium = await load();
  try {
    return Buffer.from(sodium.crypto_box_seal(plain, publicKey));
  } catch {
    throw new MoltError('USAGE', 'nothing can be sealed to this public key', {
      hint: 'check that it was copied whole',
    });
  }
}

/** Returns what was sealed, or undefined if the keys or the bytes are not those. */
export async function openBox(sealed: Buffer, publicKey: Buffer, privateKey: Buffer): Promise<Buffer | undefined> {
  const sodium = await load();
  try {
    return Buffer.from(sodium.crypto_box_seal_open(sealed, publicKey, privateKey));
  } catch {
    // libsodium's only word for a box that does not open.
    return undefined;
  }
}

async function load(): Promise<(typeof import('libsodium-wrappers'))['default']> {
  const { default: sodium } = await import('libsodium-wrappers');
  await sodium.ready;
  return sodium;
}
