// How a block's bytes are stored: zstd where that saves something, raw where it doesn't.

import { MoltError } from '../model/error.ts';
import { compressFrame, decompressFrame, withFrame } from './zstd.ts';

/** How a block's bytes are stored. */
export type Encoding = 'raw' | 'zstd';

/** A block as it is stored, before it is sealed. */
export interface EncodedBlock {
  readonly encoding: Encoding;
  /** For `raw` these are the plain bytes themselves, not a copy. */
  readonly bytes: Buffer;
}

/** How hard zstd tries: 1 is for bulk, 3 takes half as long again for a few percent. */
export type CompressionLevel = 1 | 2 | 3;

// Below this a frame's header and tables eat what it saves.
const MIN_COMPRESSED_BYTES = 64;
// Half a block: as dense as a window over all of it, and a tenth faster, because zstd's tables are smaller too.
const BLOCK_WINDOW_LOG = 18;
// A sample of a block: slices from all over it, because a block holds neighbouring files of different kinds.
const SAMPLE_SLICES = 16;
const SAMPLE_SLICE_BYTES = 512;
// zstd gives up on shorter incompressible blocks about as fast as on the sample.
const SAMPLED_FROM_BYTES = 128 * 1024;
// A sample has no long matches, so it needn't save as much as the whole block: 1/64 against 1/32.
const SAMPLE_SHARE_SAVED = 64;
const BLOCK_SHARE_SAVED = 32;

/** Returns a block compressed, or raw if zstd saves less than 1/32 of it (or would, by a sample of a long block). */
export function encodeBlock(plain: Buffer, options: { readonly level?: CompressionLevel } = {}): EncodedBlock {
  return isIncompressible(plain) ? { encoding: 'raw', bytes: plain } : compressBlock(plain, options.level);
}

/** Returns a block compressed, or raw if zstd saves less than 1/32 of it. */
export function compressBlock(plain: Buffer, level: CompressionLevel = 1): EncodedBlock {
  if (plain.length >= MIN_COMPRESSED_BYTES) {
    const bytes = compressFrame(plain, level, BLOCK_WINDOW_LOG);
    if (bytes.length <= plain.length - plain.length / BLOCK_SHARE_SAVED) return { encoding: 'zstd', bytes };
  }
  return { encoding: 'raw', bytes: plain };
}

/**
 * Encodes a block as `encodeBlock` does, in the memory that holds it; no block gets longer. Nothing is left for the garbage collector.
 * @returns the encoded bytes, from the beginning of `plain`
 */
export function encodeInPlace(plain: Buffer, level: CompressionLevel): EncodedBlock {
  if (isIncompressible(plain)) return { encoding: 'raw', bytes: plain };
  return withFrame(plain, level, BLOCK_WINDOW_LOG, (frame) => {
    if (frame.length > plain.length - plain.length / BLOCK_SHARE_SAVED) return { encoding: 'raw', bytes: plain };
    frame.copy(plain);
    return { encoding: 'zstd', bytes: plain.subarray(0, frame.length) };
  });
}

/**
 * Says from a sample of 8 KiB, in some 30 µs, whether a long block isn't worth compressing; a short one is just tried.
 * Random bytes that repeat elsewhere in the same block pass for incompressible: finding such copies is the chunker's task.
 */
export function isIncompressible(plain: Buffer): boolean {
  if (plain.length < SAMPLED_FROM_BYTES) return plain.length < MIN_COMPRESSED_BYTES;
  const sample = Buffer.allocUnsafe(SAMPLE_SLICES * SAMPLE_SLICE_BYTES);
  const stride = Math.floor((plain.length - SAMPLE_SLICE_BYTES) / (SAMPLE_SLICES - 1));
  for (let slice = 0; slice < SAMPLE_SLICES; slice++) {
    plain.copy(sample, slice * SAMPLE_SLICE_BYTES, slice * stride, slice * stride + SAMPLE_SLICE_BYTES);
  }
  return compressFrame(sample, 1).length > sample.length - sample.length / SAMPLE_SHARE_SAVED;
}

/**
 * Returns the plain bytes of a stored block; for `raw` these are the stored bytes themselves, not a copy.
 * @param plainLength the length it had when it was encoded; no more is ever allocated
 * @throws {MoltError} DAMAGED when the bytes don't decode to exactly that length
 */
export function decodeBlock(encoding: Encoding, bytes: Buffer, plainLength: number): Buffer {
  if (encoding === 'zstd') return decompressFrame(bytes, plainLength);
  if (bytes.length !== plainLength) {
    throw new MoltError('DAMAGED', `a raw block holds ${bytes.length} bytes instead of ${plainLength}`);
  }
  return bytes;
}
