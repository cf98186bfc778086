// Cuts at fixed offsets: for SQLite databases, whose pages change in place, so that a cut by content would only move cuts about.

import { StreamChunker } from './chunker.ts';

// The length of every chunk but the last: a multiple of every SQLite page size (FORMAT.md, "Chunking").
const FIXED_CHUNK_BYTES = 64 * 1024;

/** Cuts a stream into chunks of 64 KiB. */
export class FixedChunker extends StreamChunker {
  constructor() {
    super(FIXED_CHUNK_BYTES);
  }

  protected override findEnd(bytes: Buffer, from: number, chunkBytes: number): number {
    const end = from + FIXED_CHUNK_BYTES - chunkBytes;
    return end <= bytes.length ? end : -1;
  }
}
