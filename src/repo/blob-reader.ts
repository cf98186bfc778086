// Any part of a blob's content, wherever it is: chunks of a repository, or pieces of a live file that are kept in memory. What two blobs
// have in common is told by the ids of their pieces, without reading them.

import { MoltError } from '../model/error.ts';
import type { BlobId, ChunkId } from '../model/ids.ts';
import { Lru } from '../model/lru.ts';
import type { Objects } from './objects.ts';

/** Chunks that are kept: what two versions of a file have changed, mostly. */
const CHUNK_CACHE_BYTES = 16 << 20;
/** About what one takes beside its content. */
const ENTRY_BYTES = 256;

/** A piece of a blob. */
export interface BlobPiece {
  /** Undefined where nobody worked it out. */
  readonly id: ChunkId | undefined;
  readonly sizeBytes: number;
  /** Its content, if it is in memory; else the repository has it under its id. */
  readonly bytes?: Buffer | undefined;
}

/** Bytes from a place up to, but without, another. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** Reads chunks, the last of them kept: one is shared by all readers of a comparison, or of a walk through a history. */
export class ChunkReader {
  readonly #objects: Objects;
  readonly #recent = new Lru<Buffer>(CHUNK_CACHE_BYTES);

  constructor(objects: Objects) {
    this.#objects = objects;
  }

  /** Opens a blob: reads its list of chunks, none of them. @throws {MoltError} DAMAGED and its kin */
  async open(id: BlobId): Promise<BlobReader> {
    const pieces: BlobPiece[] = [];
    for await (const chunk of this.#objects.listChunks(await this.#objects.readBlobRecord(id))) pieces.push(chunk);
    return new BlobReader(pieces, this);
  }

  /** Reads a chunk. @throws {MoltError} DAMAGED and its kin */
  async read(id: ChunkId, sizeBytes: number): Promise<Buffer> {
    const known = this.#recent.get(id);
    if (known !== undefined) return known;
    const bytes = await this.#objects.readChunk(id);
    if (bytes.length !== sizeBytes)
      throw new MoltError('DAMAGED', `chunk ${id} has another length than its list says`, { hint: 'run molt verify' });
    // In memory of its own: a chunk is part of a larger block, and a small copy part of Node's pool, which would be kept with it.
    const own = Buffer.allocUnsafeSlow(bytes.length);
    bytes.copy(own);
    this.#recent.set(id, own, own.length + ENTRY_BYTES);
    return own;
  }
}

/** Reads parts of a blob. */
export class BlobReader {
  readonly sizeBytes: number;
  readonly pieces: readonly BlobPiece[];
  /** Where each piece begins, and where the last one ends. */
  readonly starts: readonly number[];
  readonly #chunks: ChunkReader;

  constructor(pieces: readonly BlobPiece[], chunks: ChunkReader) {
    const starts = [0];
    for (const { sizeBytes } of pieces) starts.push((starts.at(-1) ?? 0) + sizeBytes);
    this.pieces = pieces;
    this.starts = starts;
    this.sizeBytes = starts.at(-1) ?? 0;
    this.#chunks = chunks;
  }

  /** Reads bytes, which must not be written to. @throws {RangeError} outside the blob; {MoltError} DAMAGED and its kin */
  async read(offsetBytes: number, lengthBytes: number): Promise<Buffer> {
    const end = offsetBytes + lengthBytes;
    if (offsetBytes < 0 || end > this.sizeBytes) throw new RangeError(`no ${lengthBytes} bytes at ${offsetBytes}`);
    const parts: Buffer[] = [];
    for (let index = this.#pieceAt(offsetBytes); (this.starts[index] ?? end) < end; index += 1) {
      const start = this.starts[index] ?? 0;
      // oxlint-disable-next-line no-await-in-loop -- in order, one block after the other
      const bytes = await this.#readPiece(index);
      parts.push(bytes.subarray(Math.max(0, offsetBytes - start), Math.min(bytes.length, end - start)));
    }
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  }

  /** Reads as many bytes as there are of those that are wanted. @throws {MoltError} DAMAGED and its kin */
  async readUpTo(offsetBytes: number, lengthBytes: number): Promise<Buffer> {
    const start = Math.min(offsetBytes, this.sizeBytes);
    return this.read(start, Math.min(lengthBytes, this.sizeBytes - start));
  }

  async #readPiece(index: number): Promise<Buffer> {
    const piece = this.pieces[index];
    if (piece?.bytes !== undefined) return piece.bytes;
    if (piece?.id === undefined) throw new RangeError(`there is no piece ${index}`);
    return this.#chunks.read(piece.id, piece.sizeBytes);
  }

  #pieceAt(offsetBytes: number): number {
    let [low, high] = [0, this.pieces.length];
    while (low + 1 < high) {
      const middle = (low + high) >> 1;
      if ((this.starts[middle] ?? 0) <= offsetBytes) low = middle;
      else high = middle;
    }
    return low;
  }
}

/** Lists where two blobs may differ, in ascending order: wherever they have not the same piece at the same place. */
export function listDiffering(a: BlobReader, b: BlobReader): ByteRange[] {
  const ranges: { start: number; end: number }[] = [];
  const known = new Map<number, BlobPiece>(a.pieces.map((piece, index) => [a.starts[index] ?? 0, piece]));
  let from = 0;
  const differUntil = (end: number): void => {
    const last = ranges.at(-1);
    if (last !== undefined && last.end === from) last.end = end;
    else if (end > from) ranges.push({ start: from, end });
  };
  b.pieces.forEach((piece, index) => {
    const start = b.starts[index] ?? 0;
    const other = known.get(start);
    if (piece.id === undefined || other?.id !== piece.id || other.sizeBytes !== piece.sizeBytes) return;
    differUntil(start);
    from = start + piece.sizeBytes;
  });
  differUntil(Math.max(a.sizeBytes, b.sizeBytes));
  return ranges;
}

/** Returns what lies in each of two blobs between the pieces that both begin with, and those that both end with. */
export function findMiddles(a: BlobReader, b: BlobReader): readonly [ByteRange, ByteRange] {
  const isSame = (one: BlobPiece | undefined, other: BlobPiece | undefined): boolean =>
    one?.id !== undefined && one.id === other?.id;
  const shorter = Math.min(a.pieces.length, b.pieces.length);
  let head = 0;
  while (head < shorter && isSame(a.pieces[head], b.pieces[head])) head += 1;
  let tail = 0;
  while (tail < shorter - head && isSame(a.pieces.at(-1 - tail), b.pieces.at(-1 - tail))) tail += 1;
  const range = (of: BlobReader): ByteRange => ({
    start: of.starts[head] ?? 0,
    end: of.starts[of.pieces.length - tail] ?? 0,
  });
  return [range(a), range(b)];
}
