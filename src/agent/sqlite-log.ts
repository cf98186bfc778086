// The write-ahead log of a database, read without SQLite: sqlite.org/fileformat2.html, section 4. A header, then frames, each a page
// with a header of its own. A frame belongs to the log if it has the header's salts (a log that begins anew leaves the old frames
// behind, under other salts) and its checksum continues that of the frame before it.

import { readSync } from 'node:fs';
import { endianness } from 'node:os';
import { guard } from './stable-read.ts';

/** Where the newest content of each page lies that the first frames of a log hold. */
export interface DatabaseLog {
  /** How many pages the database has after those frames; pages beyond are gone, whatever the main file still holds. */
  readonly pageCount: number;
  /** By page number, from 1: the offset in the log, in bytes. */
  readonly pages: ReadonlyMap<number, number>;
  readonly header: Buffer;
}

/** The size of the header before each page in a log. */
export const FRAME_HEADER_BYTES = 24;

const LOG_HEADER_BYTES = 32;
// The magic's last bit tells the byte order of the checksums: always that of the machine that wrote it.
const NATIVE_MAGIC = endianness() === 'LE' ? 0x377f0682 : 0x377f0683;
const FORMAT_VERSION = 3_007_000;

/**
 * Reads the first frames of a log. The last of them must be a commit, as the number of frames that SQLite publishes always is.
 * @param buffer at least 64 KiB and a frame header; holds nothing of use afterwards
 * @param onStep called for each filled buffer; may throw
 * @returns undefined unless each of the frames is there and whole
 * @throws {ReadFailure} when the system refuses
 */
export function readLog(
  fd: number,
  options: {
    readonly frameCount: number;
    readonly pageSize: number;
    readonly buffer: Buffer;
    readonly onStep: () => void;
  },
): DatabaseLog | undefined {
  const { frameCount, pageSize, buffer, onStep } = options;
  const header = Buffer.alloc(LOG_HEADER_BYTES);
  if (readFully(fd, header, 0) < header.length || !isWholeHeader(header, pageSize)) return undefined;
  const pages = new Map<number, number>();
  const frameBytes = FRAME_HEADER_BYTES + pageSize;
  const framesAtOnce = Math.floor(buffer.length / frameBytes);
  let sum: Sum = [header.readUInt32BE(24), header.readUInt32BE(28)];
  let pageCount = 0;
  for (let first = 0; first < frameCount; first += framesAtOnce) {
    onStep();
    const count = Math.min(framesAtOnce, frameCount - first);
    const offset = LOG_HEADER_BYTES + first * frameBytes;
    const bytes = buffer.subarray(0, count * frameBytes);
    if (readFully(fd, bytes, offset) < bytes.length) return undefined;
    for (let at = 0; at < bytes.length; at += frameBytes) {
      const frame = bytes.subarray(at, at + frameBytes);
      const pageNumber = frame.readUInt32BE(0);
      sum = addChecksum(addChecksum(sum, frame.subarray(0, 8)), frame.subarray(FRAME_HEADER_BYTES));
      const isOfThisLog = frame.compare(header, 16, 24, 8, 16) === 0;
      if (!isOfThisLog || pageNumber === 0 || !isSum(frame, 16, sum)) return undefined;
      pages.set(pageNumber, offset + at + FRAME_HEADER_BYTES);
      pageCount = frame.readUInt32BE(4);
    }
  }
  return pageCount === 0 ? undefined : { pageCount, pages, header };
}

/** Says whether a log has not begun anew since it was read: then the frames that were committed are what they were. */
export function isSameLog(fd: number, log: DatabaseLog): boolean {
  const header = Buffer.alloc(LOG_HEADER_BYTES);
  return readFully(fd, header, 0) === header.length && header.equals(log.header);
}

/**
 * Reads until the bytes are filled or the file ends; returns how many there were.
 * @throws {ReadFailure} when the system refuses
 */
export function readFully(fd: number, bytes: Buffer, offset: number): number {
  let length = 0;
  while (length < bytes.length) {
    const start = length;
    const got = guard(() => readSync(fd, bytes, start, bytes.length - start, offset + start));
    if (got === 0) break;
    length += got;
  }
  return length;
}

function isWholeHeader(header: Buffer, pageSize: number): boolean {
  return (
    header.readUInt32BE(0) === NATIVE_MAGIC &&
    header.readUInt32BE(4) === FORMAT_VERSION &&
    header.readUInt32BE(8) === pageSize &&
    isSum(header, 24, addChecksum([0, 0], header.subarray(0, 24)))
  );
}

/** The two halves of a checksum, as 32-bit integers. */
type Sum = readonly [number, number];

/** Continues a checksum over bytes that begin and end at multiples of eight. */
function addChecksum([start0, start1]: Sum, bytes: Buffer): Sum {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  let sum0 = start0;
  let sum1 = start1;
  for (let at = 0; at < words.length; at += 2) {
    sum0 = (sum0 + (words[at] ?? 0) + sum1) | 0;
    sum1 = (sum1 + (words[at + 1] ?? 0) + sum0) | 0;
  }
  return [sum0, sum1];
}

function isSum(bytes: Buffer, offset: number, [sum0, sum1]: Sum): boolean {
  return bytes.readInt32BE(offset) === (sum0 | 0) && bytes.readInt32BE(offset + 4) === (sum1 | 0);
}
