// The plaintext header of a container (FORMAT.md, "Header"): what a reader must know before it has a key. All of it is
// associated data of every block, so that a changed header opens nothing.

import { MoltError } from '../model/error.ts';
import type { RepositoryId, StorageId } from '../model/ids.ts';
import { FORMAT_VERSION, HEADER_BYTES, MAGIC, kindName, type Kind } from './layout.ts';

/** What a container's header says. */
export interface Header {
  /** May be above FORMAT_VERSION: nothing here is authentic yet, and a newer version is believed only with its commitment. */
  readonly version: number;
  readonly kind: Kind;
  /** Which epoch's key seals the container, from 1; 0 for local caches. */
  readonly epoch: number;
  readonly repositoryId: RepositoryId;
  /** The storage a segment, index run or checkpoint belongs to; undefined where any storage may hold it. */
  readonly storageId: StorageId | undefined;
  /** A segment's number, or the last number that an index run or checkpoint covers; else 0. */
  readonly seq: number;
  /** 32 bytes. */
  readonly salt: Buffer;
  /** 32 bytes. */
  readonly commitment: Buffer;
}

/** What the reader expects a container to be, from its name and place. */
export interface ExpectedHeader {
  /** The object's name, for messages. */
  readonly name: string;
  readonly kind: Kind;
  readonly repositoryId: RepositoryId;
  readonly storageId: StorageId | undefined;
  /** Undefined where the name does not tell. */
  readonly seq: number | undefined;
}

/** Encodes a header to its 128 bytes. */
export function encodeHeader(header: Omit<Header, 'version'>): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(bytes, 0);
  bytes.writeUInt8(FORMAT_VERSION, 8);
  bytes.writeUInt8(header.kind, 9);
  bytes.writeUInt32LE(header.epoch, 12);
  bytes.write(header.repositoryId, 16, 16, 'hex');
  if (header.storageId !== undefined) bytes.write(header.storageId, 32, 16, 'hex');
  bytes.writeBigUInt64LE(BigInt(header.seq), 48);
  header.salt.copy(bytes, 64, 0, 32);
  header.commitment.copy(bytes, 96, 0, 32);
  return bytes;
}

/**
 * Parses a header and holds it against what its name promises. All of its fields keep their places in every version.
 * @throws {MoltError} TRUNCATED, DAMAGED, WRONG_REPOSITORY, WRONG_STORAGE or RENAMED
 */
export function parseHeader(bytes: Buffer, expected: ExpectedHeader): Header {
  const { name } = expected;
  if (bytes.length < HEADER_BYTES) {
    throw new MoltError('TRUNCATED', `${name} ends inside its header (${bytes.length} bytes)`);
  }
  if (!bytes.subarray(0, 8).equals(MAGIC)) {
    throw new MoltError('DAMAGED', `${name} does not begin like a molt container`);
  }
  const version = bytes.readUInt8(8);
  const kind = bytes.readUInt8(9);
  const seq = Number(bytes.readBigUInt64LE(48));
  const reserved = BigInt(bytes.readUInt16LE(10)) | bytes.readBigUInt64LE(56);
  if (version === 0 || (version === FORMAT_VERSION && reserved !== 0n) || !Number.isSafeInteger(seq)) {
    throw new MoltError('DAMAGED', `${name} has a header that no molt writes`);
  }
  const header: Header = {
    version,
    kind: expected.kind,
    epoch: bytes.readUInt32LE(12),
    repositoryId: bytes.toString('hex', 16, 32) as RepositoryId,
    storageId: parseStorageId(bytes),
    seq,
    salt: Buffer.from(bytes.subarray(64, 96)),
    commitment: Buffer.from(bytes.subarray(96, 128)),
  };
  if (kind !== expected.kind) {
    throw new MoltError('RENAMED', `${name} holds a ${kindName(kind)}, not a ${kindName(expected.kind)}`);
  }
  checkPlace(header, expected);
  return header;
}

function checkPlace(header: Header, expected: ExpectedHeader): void {
  const { name } = expected;
  if (header.repositoryId !== expected.repositoryId) {
    throw new MoltError('WRONG_REPOSITORY', `${name} belongs to repository ${header.repositoryId}, not to this one`);
  }
  if (header.storageId !== expected.storageId) {
    throw new MoltError(
      'WRONG_STORAGE',
      `${name} was written for storage ${header.storageId ?? 'none'}, not for this one`,
    );
  }
  if (expected.seq !== undefined && header.seq !== expected.seq) {
    throw new MoltError('RENAMED', `${name} is number ${header.seq} under another name`);
  }
}

function parseStorageId(bytes: Buffer): StorageId | undefined {
  const id = bytes.toString('hex', 32, 48);
  return /^0+$/.test(id) ? undefined : (id as StorageId);
}
