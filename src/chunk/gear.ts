// The gear table: 256 random words that the rolling hash adds up (FORMAT.md, "Chunking"). It comes from a secret key,
// so that the sizes of chunks don't tell which known file was cut.

import { createCipheriv } from 'node:crypto';

const KEY_BYTES = 32;
const ENTRIES = 256;

/**
 * Returns the gear table of a repository: the first 1,024 bytes of the AES-256-CTR keystream under a key, with a counter block
 * that begins at zero, as little-endian 32-bit words.
 * @param key the repository's K_cut, 32 bytes
 */
export function createGear(key: Uint8Array): Uint32Array {
  if (key.length !== KEY_BYTES) throw new Error(`a gear key has ${KEY_BYTES} bytes, not ${key.length}`);
  const keystream = createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(ENTRIES * 4));
  return Uint32Array.from({ length: ENTRIES }, (_, index) => keystream.readUInt32LE(index * 4));
}
