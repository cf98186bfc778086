// How a blob's bytes are found (FORMAT.md, "Blobs and chunk lists"): a blob record names a chunk, or the root of a tree of
// chunk-list nodes; a node lists up to 1,024 children with their lengths.

import { MoltError } from '../model/error.ts';
import type { BlobId, ChunkId } from '../model/ids.ts';

/** Children of one node at most. */
export const NODE_FANOUT = 1024;
const NODE_ENTRY_BYTES = 40;
const RECORD_BYTES = 61;
/** 1,024 ^ 5 chunks are more than any file has. */
const MAX_DEPTH = 5;

/** Where a blob's content is. */
export interface BlobRecord {
  readonly sizeBytes: number;
  /** 0: root is the one chunk; 1: root is a node of chunks; 2: a node of nodes; … An empty blob has depth 0 and no chunk. */
  readonly depth: number;
  readonly root: ChunkId | undefined;
}

/** A child of a node. */
export interface NodeEntry {
  readonly id: ChunkId;
  /** Bytes of content below it. */
  readonly sizeBytes: number;
}

/**
 * Encodes a blob record: u8 depth, u64 size, 32-byte root (zero for an empty blob), 20 bytes of the blob's own Git id: content is
 * not hashed again at each read, so without it a pack under another pack's name could give one file the bytes of another.
 */
export function encodeBlobRecord(record: BlobRecord, id: BlobId): Buffer {
  const bytes = Buffer.alloc(RECORD_BYTES);
  bytes.writeUInt8(record.depth, 0);
  bytes.writeBigUInt64LE(BigInt(record.sizeBytes), 1);
  if (record.root !== undefined) bytes.write(record.root, 9, 32, 'hex');
  bytes.write(id, 41, 20, 'hex');
  return bytes;
}

/**
 * Parses the record of a blob.
 * @throws {MoltError} DAMAGED, also when it is another blob's
 */
export function parseBlobRecord(bytes: Buffer, id: BlobId): BlobRecord {
  if (bytes.length !== RECORD_BYTES)
    throw new MoltError('DAMAGED', `the record of blob ${id} has ${bytes.length} bytes`);
  if (bytes.toString('hex', 41, 61) !== id)
    throw new MoltError('DAMAGED', `the record of blob ${id} is another blob's`);
  const depth = bytes.readUInt8(0);
  const sizeBytes = Number(bytes.readBigUInt64LE(1));
  if (depth > MAX_DEPTH || !Number.isSafeInteger(sizeBytes)) {
    throw new MoltError('DAMAGED', `the record of blob ${id} is impossible`);
  }
  const root = sizeBytes === 0 ? undefined : (bytes.toString('hex', 9, 41) as ChunkId);
  return { sizeBytes, depth, root };
}

/** Encodes a chunk-list node: for each child 32 bytes of id and its length as u64. */
export function encodeNode(entries: readonly NodeEntry[]): Buffer {
  const bytes = Buffer.alloc(entries.length * NODE_ENTRY_BYTES);
  entries.forEach((entry, index) => {
    bytes.write(entry.id, index * NODE_ENTRY_BYTES, 32, 'hex');
    bytes.writeBigUInt64LE(BigInt(entry.sizeBytes), index * NODE_ENTRY_BYTES + 32);
  });
  return bytes;
}

/**
 * Parses a chunk-list node.
 * @throws {MoltError} DAMAGED
 */
export function parseNode(bytes: Buffer, id: ChunkId): NodeEntry[] {
  const count = bytes.length / NODE_ENTRY_BYTES;
  if (!Number.isInteger(count) || count === 0 || count > NODE_FANOUT) {
    throw new MoltError('DAMAGED', `chunk list ${id} has ${bytes.length} bytes`);
  }
  return Array.from({ length: count }, (_, index) => {
    const at = index * NODE_ENTRY_BYTES;
    const sizeBytes = Number(bytes.readBigUInt64LE(at + 32));
    if (!Number.isSafeInteger(sizeBytes)) throw new MoltError('DAMAGED', `chunk list ${id} names an impossible length`);
    return { id: bytes.toString('hex', at, at + 32) as ChunkId, sizeBytes };
  });
}
