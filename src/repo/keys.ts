// Object keys: what an object is looked up by. 32 bytes, either a chunk id or a Git id and twelve zero bytes.

import type { ChunkId, GitId } from '../model/ids.ts';
import { KEY_BYTES } from '../format/layout.ts';

/** Returns the key of a Git object. */
export function gitKey(id: GitId): Buffer {
  const key = Buffer.alloc(KEY_BYTES);
  key.write(id, 0, 20, 'hex');
  return key;
}

/** Returns the key of a chunk or chunk-list node. */
export function chunkKey(id: ChunkId): Buffer {
  return Buffer.from(id, 'hex');
}

/** Returns a key as text that is cheap to hash, for maps and sets. */
export function mapKey(key: Buffer): string {
  return key.toString('latin1', 0, KEY_BYTES);
}

/** Returns a key as people read it: a Git id or chunk id in hex. */
export function keyText(key: Buffer): string {
  const text = key.toString('hex');
  return text.endsWith('0'.repeat(24)) ? text.slice(0, 40) : text;
}
