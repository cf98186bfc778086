// What a worker thread reads from when the storage is elsewhere: the pieces of containers that the calling thread read for it.

import type { ObjectStat, Storage } from '../storage/storage.ts';
import type { ByteRange } from '../storage/range.ts';

/** A part of an object. */
export interface Piece {
  readonly name: string;
  readonly start: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Answers reads of exactly those parts that were handed over last. */
export class HandedStorage implements Storage {
  readonly label: string;
  #pieces = new Map<string, Piece>();

  constructor(label: string) {
    this.label = label;
  }

  /** Takes the pieces of the next batch; those of the last one are forgotten. */
  hand(pieces: readonly Piece[]): void {
    this.#pieces = new Map(pieces.map((piece) => [pieceKey(piece.name, piece.start), piece]));
  }

  async read(name: string, range?: ByteRange): Promise<Buffer | undefined> {
    if (range === undefined) return undefined;
    const piece = this.#pieces.get(pieceKey(name, range.start));
    if (piece === undefined) return undefined;
    // The caller's own: it gives the memory back, and may ask again.
    const bytes = Buffer.allocUnsafeSlow(Math.min(range.end - range.start, piece.bytes.length));
    bytes.set(piece.bytes.subarray(0, bytes.length));
    return bytes;
  }

  async createOnce(): Promise<boolean> {
    throw readOnly();
  }

  async stat(): Promise<ObjectStat | undefined> {
    return undefined;
  }

  async *list(): AsyncIterable<ObjectStat> {}

  async delete(): Promise<void> {
    throw readOnly();
  }

  async close(): Promise<void> {
    this.#pieces.clear();
  }
}

/** Names a piece among those of one batch. */
export function pieceKey(name: string, start: number): string {
  return `${name}#${start}`;
}

function readOnly(): Error {
  return new Error('pieces that were handed over are only read from');
}
