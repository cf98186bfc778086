// A changed chunk as the difference to its predecessor: a zstd frame whose dictionary is the predecessor (FORMAT.md, "Deltas").

import { MoltError } from '../model/error.ts';
import { encodeBlock } from './compress.ts';
import { compressFrame, decompressFrame, MAX_WINDOW_LOG } from './zstd.ts';

const LEVEL = 3;
// ZSTD_WINDOWLOG_MIN.
const MIN_WINDOW_LOG = 10;
// A base that begins like this would be read as a trained dictionary (RFC 8878, section 5) instead of content.
const DICTIONARY_MAGIC = Buffer.from([0x37, 0xa4, 0x30, 0xec]);

/** A chunk's difference to its base. */
export interface Delta {
  /** What `decodeDelta` takes. */
  readonly frame: Buffer;
  /** How long the chunk is compressed by itself. */
  readonly wholeBytes: number;
}

/**
 * Returns a chunk's difference to its base, or undefined if that isn't a third shorter than the chunk stored whole, or if the base
 * can't be one. `decodeDelta` gives the chunk back.
 */
export function encodeDelta(bytes: Buffer, base: Buffer): Delta | undefined {
  const windowLog = Math.max(MIN_WINDOW_LOG, Math.ceil(Math.log2(base.length + bytes.length)));
  if (bytes.length === 0 || windowLog > MAX_WINDOW_LOG || !isUsableBase(base)) return undefined;
  const frame = compressFrame(bytes, LEVEL, windowLog, base);
  const savesThird = (wholeBytes: number) => frame.length * 3 <= wholeBytes * 2;
  if (!savesThird(bytes.length)) return undefined;
  const wholeBytes = encodeBlock(bytes).bytes.length;
  return savesThird(wholeBytes) ? { frame, wholeBytes } : undefined;
}

/**
 * Returns the chunk whose difference to a base this is.
 * @param plainLength the chunk's length; no more is ever allocated
 * @throws {MoltError} DAMAGED when the frame doesn't decode to exactly that length. A wrong base may go unnoticed here: the caller
 *   checks the chunk against its id, as always
 */
export function decodeDelta(frame: Buffer, base: Buffer, plainLength: number): Buffer {
  if (!isUsableBase(base)) throw new MoltError('DAMAGED', 'a delta refers to a chunk that no delta can be based on');
  return decompressFrame(frame, plainLength, base);
}

function isUsableBase(base: Buffer): boolean {
  return !base.subarray(0, DICTIONARY_MAGIC.length).equals(DICTIONARY_MAGIC);
}
