// The two zstd calls of molt, with the limits that every frame here keeps (RFC 8878; libzstd through node:zlib). Synchronous: on
// whole blocks that is faster than the thread pool, and a worker may block.

import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { MoltError } from '../model/error.ts';

/** The largest window that a frame may ask of its reader, as a power of two: 8 MiB. */
export const MAX_WINDOW_LOG = 23;

// The result may be a view of one output buffer, so this bounds what a small result keeps alive.
const MAX_OUTPUT_BUFFER_BYTES = 128 * 1024;
// No frame is longer than this with its content: a sixteenth of a percent, and a header (ZSTD_COMPRESSBOUND).
const boundOf = (plainBytes: number) => plainBytes + (plainBytes >>> 8) + 512;
const MAX_INPUT_BUFFER_BYTES = 1024 * 1024;
// node:zlib takes nothing smaller.
const MIN_BUFFER_BYTES = 64;

/**
 * Returns one zstd frame, without checksum and dictionary id.
 * @param windowLog the window as a power of two, at most MAX_WINDOW_LOG; by default as large as the content
 * @param base raw content that the frame refers to; must not begin with zstd's own dictionary magic, and must fit into the window
 *   together with the content
 */
export function compressFrame(plain: Buffer, level: number, windowLog?: number, base?: Buffer): Buffer {
  return zstdCompressSync(plain, {
    chunkSize: Math.min(plain.length + MIN_BUFFER_BYTES, MAX_OUTPUT_BUFFER_BYTES),
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      ...(windowLog !== undefined && { [constants.ZSTD_c_windowLog]: windowLog }),
    },
    ...(base && { dictionary: base }),
  });
}

/** Does as `compressFrame` does, hands the frame to `use`, and gives its memory back at once. */
export function withFrame<T>(plain: Buffer, level: number, windowLog: number, use: (frame: Buffer) => T): T {
  const frame = zstdCompressSync(plain, {
    // One buffer that holds all of it: several would be joined in another one.
    chunkSize: boundOf(plain.length),
    params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_windowLog]: windowLog },
  });
  try {
    return use(frame);
  } finally {
    // Larger than what Node shares between buffers, so this frame's alone.
    if (frame.buffer instanceof ArrayBuffer && frame.buffer.byteLength > Buffer.poolSize) frame.buffer.transfer(0);
  }
}

/**
 * Returns the content of exactly one frame and never allocates much more than its promised length.
 * @throws {MoltError} DAMAGED when the frame is anything but that
 */
export function decompressFrame(frame: Buffer, plainLength: number, base?: Buffer): Buffer {
  let plain: Buffer;
  try {
    plain = zstdDecompressSync(frame, {
      // A buffer of exactly the right length is neither grown nor cut, which is a third faster.
      chunkSize: Math.min(Math.max(plainLength, MIN_BUFFER_BYTES), MAX_INPUT_BUFFER_BYTES),
      maxOutputLength: Math.max(plainLength, 1),
      rejectGarbageAfterEnd: true,
      params: { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG },
      ...(base && { dictionary: base }),
    });
  } catch (error) {
    throw new MoltError('DAMAGED', `a compressed block of ${frame.length} bytes can't be decompressed`, {
      cause: error,
    });
  }
  if (plain.length !== plainLength) {
    throw new MoltError('DAMAGED', `a compressed block holds ${plain.length} bytes instead of ${plainLength}`);
  }
  return plain;
}
