// The sealed footer of a container (FORMAT.md, "Footer"): a JSON record that says what the container is, the block table, the
// object table, and the edges from deltas to their bases. Tables are read in place: a run's footer may name thousands of blocks.

import { zstdCompressSync } from 'node:zlib';
import { decompressFrame } from '../chunk/zstd.ts';
import { MoltError } from '../model/error.ts';
import { detached } from './detached.ts';
import {
  ENCODING,
  FOOTER_MAX_BYTES,
  HEADER_BYTES,
  KEY_BYTES,
  OBJECT,
  TAG_BYTES,
  type BlockType,
  type Encoding,
  type ObjectType,
} from './layout.ts';

/** One block, as the block table has it. */
export interface BlockEntry {
  /** From the container's first byte. */
  readonly offsetBytes: number;
  /** With the tag. */
  readonly sealedBytes: number;
  /** After decoding; for a `deltas` block, of the frames together. */
  readonly plainBytes: number;
  readonly type: BlockType;
  readonly encoding: Encoding;
}

/** One object, as the object table has it. */
export interface ObjectEntry {
  /** 32 bytes: a chunk id, or a Git id and twelve zero bytes. */
  readonly key: Buffer;
  readonly type: ObjectType;
  /** Number of the block that holds it. */
  readonly block: number;
  /** Place of its bytes (or delta frame) in the decoded block. */
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** Length of the object itself; differs from lengthBytes only for deltas. */
  readonly objectBytes: number;
  /** The key of the whole object whose bytes are the delta's dictionary. */
  readonly base: Buffer | undefined;
}

/** A decoded footer. */
export interface Footer {
  readonly record: unknown;
  readonly blocks: readonly BlockEntry[];
  readonly objects: readonly ObjectEntry[];
}

const BLOCK_ENTRY_BYTES = 16;
const OBJECT_ENTRY_BYTES = 52;
const BASE_ENTRY_BYTES = 36;

/** Encodes a footer to the plaintext that is sealed: u32 length of what follows decoded, then one zstd frame. */
export function encodeFooter(footer: Footer): Buffer {
  const record = Buffer.from(JSON.stringify(footer.record), 'utf8');
  const bases = footer.objects.flatMap((object, index) =>
    object.base === undefined ? [] : [{ index, key: object.base }],
  );
  const size =
    16 +
    record.length +
    footer.blocks.length * BLOCK_ENTRY_BYTES +
    footer.objects.length * OBJECT_ENTRY_BYTES +
    bases.length * BASE_ENTRY_BYTES;
  const bytes = Buffer.alloc(size);
  let at = bytes.writeUInt32LE(record.length, 0);
  at += record.copy(bytes, at);
  at = bytes.writeUInt32LE(footer.blocks.length, at);
  for (const block of footer.blocks) {
    bytes.writeUInt32LE(block.offsetBytes, at);
    bytes.writeUInt32LE(block.sealedBytes, at + 4);
    bytes.writeUInt32LE(block.plainBytes, at + 8);
    bytes.writeUInt8(block.type, at + 12);
    bytes.writeUInt8(block.encoding, at + 13);
    at += BLOCK_ENTRY_BYTES;
  }
  at = bytes.writeUInt32LE(footer.objects.length, at);
  for (const object of footer.objects) {
    object.key.copy(bytes, at, 0, KEY_BYTES);
    bytes.writeUInt32LE(object.block, at + 32);
    bytes.writeUInt32LE(object.offsetBytes, at + 36);
    bytes.writeUInt32LE(object.lengthBytes, at + 40);
    bytes.writeUInt32LE(object.objectBytes, at + 44);
    bytes.writeUInt8(object.type, at + 48);
    at += OBJECT_ENTRY_BYTES;
  }
  at = bytes.writeUInt32LE(bases.length, at);
  for (const base of bases) {
    at = bytes.writeUInt32LE(base.index, at);
    at += base.key.copy(bytes, at, 0, KEY_BYTES);
  }
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  return Buffer.concat([length, zstdCompressSync(bytes)]);
}

/**
 * Parses a footer's plaintext.
 * @throws {MoltError} DAMAGED when it is not what encodeFooter writes
 */
export function parseFooter(plain: Buffer, name: string): Footer {
  const damaged = (why: string, cause?: unknown): MoltError =>
    new MoltError('DAMAGED', `${name} has a footer that ${why}`, { cause });
  const bytes = inflate(plain, damaged);
  let at = 0;
  const count = (entryBytes: number): number => {
    if (at + 4 > bytes.length) throw damaged('ends too early');
    const value = bytes.readUInt32LE(at);
    at += 4;
    if (value * entryBytes > bytes.length - at) throw damaged('names more than it holds');
    return value;
  };
  const recordBytes = count(1);
  const record = parseRecord(bytes.subarray(at, at + recordBytes), damaged);
  at += recordBytes;
  let end = HEADER_BYTES;
  const blocks = Array.from({ length: count(BLOCK_ENTRY_BYTES) }, (): BlockEntry => {
    const entry: BlockEntry = {
      offsetBytes: bytes.readUInt32LE(at),
      sealedBytes: bytes.readUInt32LE(at + 4),
      plainBytes: bytes.readUInt32LE(at + 8),
      type: bytes.readUInt8(at + 12) as BlockType,
      encoding: bytes.readUInt8(at + 13) as Encoding,
    };
    // Here, before a row of a long table becomes an object: no row takes less room in the container than in the table.
    if (entry.offsetBytes !== end || entry.sealedBytes < TAG_BYTES || entry.encoding > ENCODING.deltas)
      throw damaged('has a block table that does not fit');
    end += entry.sealedBytes;
    at += BLOCK_ENTRY_BYTES;
    return entry;
  });
  const objectCount = count(OBJECT_ENTRY_BYTES);
  const objectsAt = at;
  at += objectCount * OBJECT_ENTRY_BYTES;
  const bases = new Map<number, Buffer>();
  let last = -1;
  for (let left = count(BASE_ENTRY_BYTES); left > 0; left -= 1) {
    const index = bytes.readUInt32LE(at);
    if (index <= last || index >= objectCount)
      throw damaged('names bases of objects that are not there, or out of order');
    last = index;
    bases.set(index, bytes.subarray(at + 4, at + BASE_ENTRY_BYTES));
    at += BASE_ENTRY_BYTES;
  }
  if (at !== bytes.length) throw damaged('goes on after its end');
  const objects = Array.from({ length: objectCount }, (_, index) => {
    const entry = parseObject(bytes, objectsAt + index * OBJECT_ENTRY_BYTES, bases.get(index));
    checkObject(entry, blocks, damaged);
    return entry;
  });
  return { record, blocks, objects };
}

function parseObject(bytes: Buffer, at: number, base: Buffer | undefined): ObjectEntry {
  return {
    key: bytes.subarray(at, at + KEY_BYTES),
    block: bytes.readUInt32LE(at + 32),
    offsetBytes: bytes.readUInt32LE(at + 36),
    lengthBytes: bytes.readUInt32LE(at + 40),
    objectBytes: bytes.readUInt32LE(at + 44),
    type: bytes.readUInt8(at + 48) as ObjectType,
    base,
  };
}

function checkObject(entry: ObjectEntry, blocks: readonly BlockEntry[], damaged: (why: string) => MoltError): void {
  const block = blocks[entry.block];
  if (block === undefined) throw damaged('places an object in a block that is not there');
  if (entry.offsetBytes + entry.lengthBytes > block.plainBytes) throw damaged('places an object outside of its block');
  if (entry.type < OBJECT.chunk || entry.type > OBJECT.blob)
    throw damaged(`names an object of unknown type ${entry.type}`);
  if ((block.encoding === ENCODING.deltas) !== (entry.base !== undefined)) throw damaged('has a delta without a base');
  if (entry.base === undefined && entry.objectBytes !== entry.lengthBytes)
    throw damaged('gives a whole object two lengths');
}

function inflate(plain: Buffer, damaged: (why: string, cause?: unknown) => MoltError): Buffer {
  if (plain.length < 4) throw damaged('is too short');
  const length = plain.readUInt32LE(0);
  if (length > FOOTER_MAX_BYTES) throw damaged(`claims ${length} bytes`);
  try {
    return detached(decompressFrame(plain.subarray(4), length));
  } catch (cause) {
    throw damaged('does not decompress to the length that it says', cause);
  }
}

function parseRecord(bytes: Buffer, damaged: (why: string, cause?: unknown) => MoltError): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw damaged('has a record that is not JSON', cause);
  }
}
