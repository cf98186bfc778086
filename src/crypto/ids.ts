// Keyed ids of chunks (FORMAT.md, "Ids"): equal content has equal ids within a repository, and who lacks K_id can't tell which.

import { hash, type KeyObject } from 'node:crypto';
import { hmacSha256 } from './hmac.ts';

const DATA_CHUNK = 1;
const CHUNK_LIST_NODE = 2;

/** Returns the 32-byte id of a data chunk: HMAC-SHA-256(K_id, 1 || SHA-256(bytes)). */
export function chunkId(idKey: KeyObject, bytes: Buffer): Buffer {
  return keyedId(idKey, DATA_CHUNK, bytes);
}

/** Returns the 32-byte id of a chunk-list node: HMAC-SHA-256(K_id, 2 || SHA-256(bytes)). */
export function chunkListId(idKey: KeyObject, bytes: Buffer): Buffer {
  return keyedId(idKey, CHUNK_LIST_NODE, bytes);
}

function keyedId(idKey: KeyObject, type: number, bytes: Buffer): Buffer {
  const input = Buffer.allocUnsafe(33);
  input[0] = type;
  hash('sha256', bytes, 'buffer').copy(input, 1);
  return hmacSha256(idKey, input);
}
