// Reads objects of a directory storage: ranges through descriptors that stay open, whole objects and large ranges through their own.

import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { isSystemError, MoltError } from '../model/error.ts';
import { DescriptorCache } from './descriptors.ts';
import { readLarge, readSmall, SYNC_LIMIT_BYTES } from './durable.ts';
import { type Folders, parentOf } from './folders.ts';
import { type ByteRange, cutRange } from './range.ts';

// The packs of one restore; descriptors are scarce in containers, often 1,024 in all.
const OPEN_DESCRIPTORS = 32;
// Without O_NONBLOCK, opening a pipe that stands under an object's name would hang.
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/** Reads the objects under one root. */
export class ObjectReader {
  readonly #folders: Folders;
  readonly #descriptors = new DescriptorCache(OPEN_DESCRIPTORS);

  constructor(folders: Folders) {
    this.#folders = folders;
  }

  /**
   * Reads an object or a range of it, as `Storage.read` does, but with the system's own errors.
   * @throws {MoltError} HOSTILE when something else than a plain file has the name, TRUNCATED when the file shrinks meanwhile
   */
  async read(name: string, range: ByteRange | undefined): Promise<Buffer | undefined> {
    if (!this.#folders.has(parentOf(name))) return undefined;
    // A kept descriptor could be closed while a large read goes on, and its number be another file's by then.
    const large = range !== undefined && range.end - range.start > SYNC_LIMIT_BYTES;
    if (range === undefined || large) return this.#readOnce(name, range);
    const path = this.#folders.path(name);
    const descriptor = this.#keptDescriptor(path) ?? this.#openPlain(name);
    if (descriptor === undefined) return undefined;
    this.#descriptors.add(path, descriptor);
    const { start, end } = cutRange(range, fstatSync(descriptor).size);
    const bytes = Buffer.allocUnsafe(end - start);
    return this.#checkWhole(name, bytes, readSmall(descriptor, bytes, start));
  }

  /** Closes what is open of an object. */
  forget(name: string): void {
    this.#descriptors.drop(this.#folders.path(name));
  }

  /** Closes everything that is open. */
  close(): void {
    this.#descriptors.clear();
  }

  async #readOnce(name: string, range: ByteRange | undefined): Promise<Buffer | undefined> {
    const descriptor = this.#openPlain(name);
    if (descriptor === undefined) return undefined;
    try {
      const { start, end } = cutRange(range, fstatSync(descriptor).size);
      const bytes = Buffer.allocUnsafe(end - start);
      const small = bytes.length <= SYNC_LIMIT_BYTES;
      const done = small ? readSmall(descriptor, bytes, start) : await readLarge(descriptor, bytes, start);
      return this.#checkWhole(name, bytes, done);
    } finally {
      closeSync(descriptor);
    }
  }

  /** Returns a path's open descriptor unless another process has deleted the file since. */
  #keptDescriptor(path: string): number | undefined {
    const descriptor = this.#descriptors.find(path);
    if (descriptor === undefined || fstatSync(descriptor).nlink > 0) return descriptor;
    this.#descriptors.drop(path);
    return undefined;
  }

  #openPlain(name: string): number | undefined {
    const descriptor = this.#openAnything(name);
    if (descriptor === undefined) return undefined;
    const stat = fstatSync(descriptor);
    if (stat.isFile()) return descriptor;
    closeSync(descriptor);
    if (stat.isDirectory()) return undefined;
    throw notPlain(this.#folders.path(''), name);
  }

  #openAnything(name: string): number | undefined {
    try {
      return openSync(this.#folders.path(name), OPEN_FLAGS);
    } catch (error) {
      if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return undefined;
      // A symbolic link (EMLINK on FreeBSD); a socket.
      if (isSystemError(error, 'ELOOP', 'EMLINK', 'ENXIO')) throw notPlain(this.#folders.path(''), name, error);
      throw error;
    }
  }

  #checkWhole(name: string, bytes: Buffer, done: number): Buffer {
    if (done === bytes.length) return bytes;
    throw new MoltError('TRUNCATED', `"${name}" in ${this.#folders.path('')} was cut short while it was read`, {
      hint: 'run molt verify',
      details: { object: name },
    });
  }
}

/** Returns the error for a name under which something else than a plain file stands: a symbolic link, a pipe, a socket, a device. */
export function notPlain(place: string, name: string, cause?: unknown): MoltError {
  return new MoltError('HOSTILE', `"${name}" in ${place} is not a plain file`, {
    hint: `look at ${place}/${name}; molt did not put it there`,
    details: { object: name },
    cause,
  });
}
