// Fills open files from stored chunks. Needs no index, so that a worker thread can do it too: the plan says where each chunk is
// stored, and to which offsets of which descriptors it goes.

import type { KeyObject } from 'node:crypto';
import { readSync, writeSync } from 'node:fs';
import { chunkId } from '../crypto/ids.ts';
import type { Place } from '../format/index-run.ts';
import { release } from '../format/detached.ts';
import { BLOCK_MAX_BYTES } from '../format/layout.ts';
import { MoltError } from '../model/error.ts';
import type { Containers } from './containers.ts';
import { keyText } from './keys.ts';
import { readStored, type StoredObject } from './objects.ts';

/** Where a chunk goes. */
export interface ChunkTarget {
  /** An open file of this process, which all threads share. */
  readonly descriptor: number;
  readonly offsetBytes: number;
  /** An open file that may have the chunk at the same offset. */
  readonly likeness: number | undefined;
  /** The file is new, so that zeroes need not be written: what is left out of it reads as zeroes. */
  readonly isNew: boolean;
}

/** A stored chunk and all places of files that are to get it. Keys are latin1 text here, which travels cheaply between threads. */
export interface PlannedChunk {
  readonly key: string;
  readonly place: Place;
  /** The whole chunk that a delta is based on. */
  readonly base: { readonly key: string; readonly place: Place } | undefined;
  readonly targets: readonly ChunkTarget[];
}

/** Thrown when the system refuses a write. */
export class FillError extends Error {
  readonly descriptor: number;

  constructor(descriptor: number, cause: unknown) {
    super('a file could not be written', { cause });
    this.descriptor = descriptor;
  }
}

// A hole is worth its bookkeeping only in runs of this size.
const ZEROES = Buffer.alloc(64 * 1024);

/**
 * Reads chunks, checks each against its keyed id and its length, and writes it to where it goes.
 * @throws {MoltError} DAMAGED and its kin
 * @throws {FillError}
 */
export async function fillChunks(
  containers: Containers,
  idKey: KeyObject,
  chunks: readonly PlannedChunk[],
): Promise<void> {
  const run = new Run();
  for (const { key, place, base, targets } of chunks) {
    const object: StoredObject = {
      key: Buffer.from(key, 'latin1'),
      place,
      base: base && { key: Buffer.from(base.key, 'latin1'), place: base.place },
    };
    const alike = findAlike(idKey, object, targets);
    // oxlint-disable-next-line no-await-in-loop -- chunks of one block follow each other
    const bytes = alike ?? (await readStored(containers, idKey, object));
    if (bytes.length !== place.objectBytes)
      throw new MoltError('DAMAGED', `chunk ${keyText(object.key)} has another length than its index says`);
    for (const target of targets) run.add(target, bytes);
    if (alike === undefined && base === undefined) continue;
    // Anything else is a part of a block, and is given back with it.
    run.flush();
    release(bytes);
  }
  run.flush();
}

/** Writes chunks that lie one behind the other, in memory as in their file, at once: most blocks are a piece of one file. */
class Run {
  #pending: (Omit<ChunkTarget, 'likeness'> & { readonly bytes: Buffer }) | undefined;

  /** Takes bytes that stay as they are until the next flush. @throws {FillError} when what was taken before can't be written */
  add({ descriptor, offsetBytes, isNew }: ChunkTarget, bytes: Buffer): void {
    const last = this.#pending;
    const follows =
      last?.descriptor === descriptor &&
      last.offsetBytes + last.bytes.length === offsetBytes &&
      last.bytes.buffer === bytes.buffer &&
      last.bytes.byteOffset + last.bytes.length === bytes.byteOffset;
    if (follows) {
      const joined = Buffer.from(bytes.buffer, last.bytes.byteOffset, last.bytes.length + bytes.length);
      this.#pending = { ...last, bytes: joined };
      return;
    }
    this.flush();
    this.#pending = { descriptor, bytes, offsetBytes, isNew };
  }

  /** @throws {FillError} */
  flush(): void {
    if (this.#pending === undefined) return;
    const { descriptor, bytes, offsetBytes, isNew } = this.#pending;
    this.#pending = undefined;
    try {
      (isNew ? writeSparsely : writeAll)(descriptor, bytes, offsetBytes);
    } catch (error) {
      throw new FillError(descriptor, error);
    }
  }
}

/** Returns a chunk out of a file that has it where it goes, checked like one that is stored: opening and unpacking it takes longer. */
function findAlike(
  idKey: KeyObject,
  { key, place }: StoredObject,
  targets: readonly ChunkTarget[],
): Buffer | undefined {
  for (const { likeness, offsetBytes } of targets) {
    if (likeness === undefined || place.objectBytes > BLOCK_MAX_BYTES) continue;
    const bytes = Buffer.allocUnsafeSlow(place.objectBytes);
    if (readAll(likeness, bytes, offsetBytes) && chunkId(idKey, bytes).equals(key)) return bytes;
  }
  return undefined;
}

/** Fills the buffer; false where the file is shorter or can't be read. */
function readAll(descriptor: number, bytes: Buffer, offsetBytes: number): boolean {
  try {
    for (let done = 0; done < bytes.length;) {
      const read = readSync(descriptor, bytes, done, bytes.length - done, offsetBytes + done);
      if (read === 0) return false;
      done += read;
    }
    return true;
  } catch {
    return false;
  }
}

/** Writes bytes at an offset of a new file, leaving runs of zeroes out. */
function writeSparsely(descriptor: number, bytes: Buffer, offsetBytes: number): void {
  let start = 0;
  for (let at = 0; at + ZEROES.length <= bytes.length; at += ZEROES.length) {
    if (bytes[at] !== 0 || bytes.compare(ZEROES, 0, ZEROES.length, at, at + ZEROES.length) !== 0) continue;
    writeAll(descriptor, bytes.subarray(start, at), offsetBytes + start);
    start = at + ZEROES.length;
  }
  writeAll(descriptor, bytes.subarray(start), offsetBytes + start);
}

function writeAll(descriptor: number, bytes: Buffer, offsetBytes: number): void {
  for (let done = 0; done < bytes.length;)
    done += writeSync(descriptor, bytes, done, bytes.length - done, offsetBytes + done);
}
