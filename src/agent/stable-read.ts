// Reads a file that its owner may be writing, so that what is handed on was the file's content at one moment, or says that it
// could not. Node has no file locks and the agent would not take them, so it is done by looking at the stamp before and after.

import { type Hash, createHash } from 'node:crypto';
import { type BigIntStats, closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { BlobWriter, Chunking } from '../model/entry.ts';
import type { BlobId } from '../model/ids.ts';
import type { NativePath } from './native-path.ts';
import { isSqliteHeader } from './sqlite-header.ts';
import { type FileStamp, isSameStamp, stampOf } from './stamp.ts';

/** How a read ended. */
export type StableRead =
  | {
      readonly status: 'read';
      readonly id: BlobId;
      readonly sizeBytes: number;
      /** The file as it was when it was opened. */
      readonly stamp: FileStamp;
      /** The blob is all that the file was: it had not changed when the read ended, and nothing was cut off. */
      readonly whole: boolean;
    }
  /** It begins as a database does; nothing was written. */
  | { readonly status: 'database' }
  | { readonly status: 'changing' };

/** How to read. */
export interface StableReadOptions {
  readonly chunking: Chunking;
  /** `lines` cuts a last line that isn't whole; `bytes` takes a database's bytes too; `unchanging` also wants no growth. */
  readonly mode: 'file' | 'lines' | 'bytes' | 'unchanging';
  /** How often a file that changes meanwhile is read before it is given up. */
  readonly tries: number;
  /** Asked when everything has been read and nothing kept yet; false counts as a change. */
  readonly confirm?: (stamp: FileStamp) => boolean;
}

/** The file could not be opened or read; as opposed to trouble in where its bytes go. */
export class ReadFailure extends Error {
  constructor(cause: unknown) {
    super('a file could not be read', { cause });
    this.name = 'ReadFailure';
  }
}

// Shared memory: another thread may hash what is read.
const BUFFER_BYTES = 1024 * 1024;
const TAIL_STEP_BYTES = 64 * 1024;
// A last line longer than this is taken as it is: parsing it would cost more memory than it is worth.
const MAX_TAIL_BYTES = 16 * 1024 * 1024;
const NEWLINE = 0x0a;
type Buffers = readonly [Buffer, Buffer];
const spareBuffers: Buffers[] = [];

/**
 * Reads a file into a blob. A file that grows meanwhile is taken up to its size when it was opened, if a second reading shows
 * that this part has stayed the same; so a file that grows without end is still captured.
 * @param open makes the blob's writer; called once for each try
 * @throws {ReadFailure} when the system refuses; what `open` and its writer throw passes through
 */
export async function readStable(
  path: NativePath,
  open: (chunking: Chunking, sizesBytes: readonly number[]) => BlobWriter,
  options: StableReadOptions,
): Promise<StableRead> {
  const buffers = spareBuffers.pop() ?? [makeBuffer(), makeBuffer()];
  try {
    for (let attempt = 1; attempt <= options.tries; attempt += 1) {
      const fd = guard(() => openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK));
      try {
        // oxlint-disable-next-line no-await-in-loop -- one try after the other
        const result = await readOnce({ fd, buffers, open, options, hashing: attempt > 1 });
        if (result.status !== 'changing') return result;
      } finally {
        closeSync(fd);
      }
    }
    return { status: 'changing' };
  } finally {
    spareBuffers.push(buffers);
  }
}

function makeBuffer(): Buffer {
  return Buffer.from(new SharedArrayBuffer(BUFFER_BYTES));
}

interface Reading {
  readonly fd: number;
  /** They take turns: the writer may still read what it was given last. */
  readonly buffers: Buffers;
  readonly open: (chunking: Chunking, sizesBytes: readonly number[]) => BlobWriter;
  readonly options: StableReadOptions;
  /** Keep a hash, so that a file that only grew can be taken as it was. */
  readonly hashing: boolean;
}

async function readOnce(reading: Reading): Promise<StableRead> {
  const { fd, buffers, options } = reading;
  const [buffer] = buffers;
  const before = statFile(fd);
  const size = Number(before.size);
  const filled = readInto(fd, buffer, 0, size);
  if ((options.mode === 'file' || options.mode === 'lines') && isSqliteHeader(buffer.subarray(0, filled)))
    return { status: 'database' };
  const end = options.mode === 'lines' ? findLastLineEnd(fd, size) : size;
  const writer = reading.open(options.chunking, end === size ? [size] : [end, size]);
  let finished = false;
  try {
    const hash = reading.hashing ? createHash('sha256') : undefined;
    const sizeBytes = await copyPrefix(reading, writer, end, filled, hash);
    if (sizeBytes < end) return { status: 'changing' };
    const stamp = stampOf(before);
    const after = statFile(fd);
    let whole = isSameStamp(stamp, stampOf(after));
    if (whole) {
      const tail = end < size ? readWholeTail(fd, end, size) : undefined;
      if (tail !== undefined) await writer.write(tail);
      whole = end + (tail?.length ?? 0) === size && isSameStamp(stamp, stampOf(statFile(fd)));
      if (tail !== undefined && !whole) return { status: 'changing' };
    } else if (
      options.mode === 'unchanging' ||
      after.size < before.size ||
      hash === undefined ||
      !isPrefix(reading, end, hash)
    ) {
      return { status: 'changing' };
    }
    if (options.confirm?.(stamp) === false) return { status: 'changing' };
    const blob = await writer.finish();
    finished = true;
    return { status: 'read', id: blob.id, sizeBytes: blob.sizeBytes, stamp, whole };
  } finally {
    if (!finished) writer.abort();
  }
}

/** Copies `[0, end)` to the writer, of which `filled` bytes are in the buffer; returns how much there was. */
async function copyPrefix(
  reading: Reading,
  writer: BlobWriter,
  end: number,
  filled: number,
  hash: Hash | undefined,
): Promise<number> {
  let offset = 0;
  let length = Math.min(filled, end);
  let [buffer, other] = reading.buffers;
  while (length > 0) {
    const bytes = buffer.subarray(0, length);
    hash?.update(bytes);
    const written = writer.write(bytes);
    // oxlint-disable-next-line no-await-in-loop -- the other buffer is used again
    if (written !== undefined) await written;
    offset += length;
    [buffer, other] = [other, buffer];
    length = offset < end ? readInto(reading.fd, buffer, offset, end) : 0;
  }
  return offset;
}

/** Says whether `[0, end)` still has the given hash. */
function isPrefix(reading: Reading, end: number, expected: Hash): boolean {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(Math.min(BUFFER_BYTES, end));
  let offset = 0;
  while (offset < end) {
    const length = readInto(reading.fd, buffer, offset, end);
    if (length === 0) return false;
    hash.update(buffer.subarray(0, length));
    offset += length;
  }
  return hash.digest().equals(expected.digest());
}

/** Returns the offset after the last newline before `size`; 0 if there is none, `size` if what follows it is too long to be parsed. */
function findLastLineEnd(fd: number, size: number): number {
  const step = Buffer.allocUnsafe(Math.min(TAIL_STEP_BYTES, size));
  for (let end = size; end > 0; end -= step.length) {
    if (size - end > MAX_TAIL_BYTES) return size;
    const start = Math.max(0, end - step.length);
    const length = readInto(fd, step, start, end);
    const at = step.subarray(0, length).lastIndexOf(NEWLINE);
    if (at >= 0) return start + at + 1;
  }
  return 0;
}

/** Returns the bytes after the last newline if they are a whole line of JSON that only lacks its newline. */
function readWholeTail(fd: number, start: number, size: number): Buffer | undefined {
  const tail = Buffer.allocUnsafe(size - start);
  let length = 0;
  while (length < tail.length) {
    const got = readInto(fd, tail.subarray(length), start + length, size);
    if (got === 0) return undefined;
    length += got;
  }
  try {
    JSON.parse(tail.toString('utf8'));
    return tail;
  } catch {
    return undefined;
  }
}

function statFile(fd: number): BigIntStats {
  const stats = guard(() => fstatSync(fd, { bigint: true }));
  if (!stats.isFile()) throw new ReadFailure(new Error('it is no longer a file'));
  return stats;
}

function readInto(fd: number, buffer: Buffer, offset: number, end: number): number {
  const length = Math.min(buffer.length, end - offset);
  return length <= 0 ? 0 : guard(() => readSync(fd, buffer, 0, length, offset));
}

/** Runs what reads a file, and turns its failure into a ReadFailure. */
export function guard<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new ReadFailure(error);
  }
}
