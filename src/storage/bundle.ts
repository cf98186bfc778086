// A storage in one file (FORMAT.md, "Bundles"): objects one after the other, as they were written, and a checksum over all of it. It is
// written in one go, so that it can go into a pipe, and read in any order.

import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync, fstatSync } from 'node:fs';
import { isMoltError, isSystemError, MoltError } from '../model/error.ts';
import { ioError } from './io-error.ts';
import { checkName } from './name.ts';
import { type ByteRange, cutRange } from './range.ts';
import type { ObjectStat, Storage } from './storage.ts';

const MAGIC = Buffer.from('MOLTBNDL\u0001\0\0\0\0\0\0\0', 'latin1');
/** Name length u16, reserved u16, zero u32, object length u64. */
const ENTRY_BYTES = 16;
const HASH_BYTES = 32;
const MAX_ENTRIES = 1_000_000;
/** The format's cap on a container; packs and segments stay far below it. */
const MAX_OBJECT_BYTES = 2 ** 31;
const READ_BYTES = 1 << 20;
const TRY_AGAIN = 'nothing was taken from it; copy it again, or export it again';
const FOLDERS = /^(format\.json|(keys|log|packs|index|checkpoint)\/.+)$/;

/** Writes a bundle. What is written can't be read back, but for the names that opening a repository asks for. */
export class BundleWriter implements Storage {
  readonly label: string;
  readonly #write: (bytes: Uint8Array) => Promise<void>;
  readonly #hash = createHash('sha256');
  readonly #small = new Map<string, Buffer>();
  readonly #names = new Set<string>();
  #sizeBytes = 0;
  #writing: Promise<void> = Promise.resolve();

  /** @param write takes the bundle's next bytes; resolves when more may come */
  constructor(label: string, write: (bytes: Uint8Array) => Promise<void>) {
    this.label = label;
    this.#write = write;
  }

  /** How long the bundle is so far. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  async createOnce(name: string, parts: readonly Uint8Array[]): Promise<boolean> {
    checkName(name);
    if (this.#names.has(name)) return false;
    this.#names.add(name);
    const sizeBytes = parts.reduce((sum, part) => sum + part.length, 0);
    if (!/^(log|packs)\//.test(name)) this.#small.set(name, Buffer.concat(parts));
    const entry = Buffer.alloc(ENTRY_BYTES);
    entry.writeUInt16LE(name.length);
    entry.writeBigUInt64LE(BigInt(sizeBytes), 8);
    // One object after the other, whoever calls at the same time.
    const written = this.#writing.then(async () => {
      if (this.#sizeBytes === 0) await this.#put(MAGIC);
      // oxlint-disable-next-line no-await-in-loop -- in order
      for (const part of [entry, Buffer.from(name, 'latin1'), ...parts]) await this.#put(part);
    });
    this.#writing = written.catch(() => undefined);
    await written;
    return true;
  }

  /** Writes the end. */
  async finish(): Promise<void> {
    await this.#writing;
    await this.#put(Buffer.alloc(ENTRY_BYTES));
    await this.#put(this.#hash.digest(), false);
  }

  async read(name: string, range?: ByteRange): Promise<Buffer | undefined> {
    const bytes = this.#small.get(name);
    if (bytes === undefined) return undefined;
    const { start, end } = cutRange(range, bytes.length);
    return Buffer.from(bytes.subarray(start, end));
  }

  async stat(name: string): Promise<ObjectStat | undefined> {
    const bytes = this.#small.get(name);
    return bytes && { name, sizeBytes: bytes.length, modifiedMs: 0 };
  }

  async *list(prefix: string, startAfter = ''): AsyncGenerator<ObjectStat> {
    for (const [name, bytes] of [...this.#small].toSorted(([a], [b]) => (a < b ? -1 : 1)))
      if (name.startsWith(prefix) && name > startAfter) yield { name, sizeBytes: bytes.length, modifiedMs: 0 };
  }

  async delete(name: string): Promise<void> {
    throw new Error(`${name} can't be taken out of a bundle`);
  }

  async close(): Promise<void> {
    await this.#writing;
  }

  async #put(bytes: Uint8Array, isHashed = true): Promise<void> {
    if (isHashed) this.#hash.update(bytes);
    this.#sizeBytes += bytes.length;
    await this.#write(bytes);
  }
}

/** Where the objects of a bundle are, by name. */
type BundlePlaces = ReadonlyMap<string, { readonly at: number; readonly sizeBytes: number }>;

/** Reads a bundle, once all of it was checked. */
export class BundleReader implements Storage {
  readonly label: string;
  readonly sizeBytes: number;
  readonly #fd: number;
  readonly #places: BundlePlaces;
  #isOpen = true;

  private constructor(label: string, fd: number, places: BundlePlaces) {
    this.label = label;
    this.#fd = fd;
    this.#places = places;
    this.sizeBytes = fstatSync(fd).size;
  }

  /**
   * Opens a bundle and reads all of it once.
   * @param label what to call it
   * @throws {MoltError} NOT_FOUND, IO, TRUNCATED, DAMAGED, HOSTILE, NEWER_FORMAT, or USAGE when it is no bundle
   */
  static open(path: string, label: string): BundleReader {
    let fd: number;
    try {
      fd = openSync(path, 'r');
    } catch (cause) {
      if (isSystemError(cause, 'ENOENT')) {
        throw new MoltError('NOT_FOUND', `there is no file "${path}"`, {
          hint: 'molt export -o FILE makes one',
          cause,
        });
      }
      throw ioError(cause, { verb: 'read', place: label });
    }
    try {
      return new BundleReader(label, fd, new BundleScan(fd, label).run());
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  async createOnce(name: string): Promise<boolean> {
    throw new Error(`${name} can't be written into a bundle that is read`);
  }

  async read(name: string, range?: ByteRange): Promise<Buffer | undefined> {
    const place = this.#places.get(name);
    if (place === undefined) return undefined;
    const { start, end } = cutRange(range, place.sizeBytes);
    return readAt(this.#fd, place.at + start, end - start, this.label);
  }

  async stat(name: string): Promise<ObjectStat | undefined> {
    const place = this.#places.get(name);
    return place && { name, sizeBytes: place.sizeBytes, modifiedMs: 0 };
  }

  async *list(prefix: string, startAfter = ''): AsyncGenerator<ObjectStat> {
    const names = [...this.#places.keys()].filter((name) => name.startsWith(prefix) && name > startAfter).sort();
    for (const name of names) yield { name, sizeBytes: this.#places.get(name)?.sizeBytes ?? 0, modifiedMs: 0 };
  }

  async delete(name: string): Promise<void> {
    throw new Error(`${name} can't be taken out of a bundle`);
  }

  async close(): Promise<void> {
    if (this.#isOpen) closeSync(this.#fd);
    this.#isOpen = false;
  }
}

/** Reads a bundle from its beginning to its end: once for its checksum, once for its structure. */
class BundleScan {
  readonly #fd: number;
  readonly #label: string;
  readonly #sizeBytes: number;
  #at = 0;

  constructor(fd: number, label: string) {
    this.#fd = fd;
    this.#label = label;
    this.#sizeBytes = fstatSync(fd).size;
  }

  run(): BundlePlaces {
    const magic = readAt(this.#fd, 0, MAGIC.length, this.#label);
    if (!magic.subarray(0, 8).equals(MAGIC.subarray(0, 8)))
      throw new MoltError('USAGE', `${this.#label} is no molt bundle`, { hint: 'molt export -o FILE makes one' });
    const isWhole = this.#hasChecksum();
    try {
      if (!magic.equals(MAGIC))
        throw new MoltError('NEWER_FORMAT', `${this.#label} was written by a newer molt`, {
          hint: 'install a newer molt',
        });
      const places = this.#readEntries();
      if (isWhole) return places;
    } catch (error) {
      // Of damage nothing else is to be said.
      if (isWhole || isMoltError(error, 'TRUNCATED') || !isMoltError(error)) throw error;
    }
    throw new MoltError('DAMAGED', `${this.#label} is not what was written: its checksum does not hold`, {
      hint: TRY_AGAIN,
    });
  }

  #hasChecksum(): boolean {
    const hash = createHash('sha256');
    const end = Math.max(this.#sizeBytes - HASH_BYTES, 0);
    for (let at = 0; at < end; at += READ_BYTES) {
      hash.update(readAt(this.#fd, at, Math.min(READ_BYTES, end - at), this.#label));
    }
    return hash.digest().equals(readAt(this.#fd, end, HASH_BYTES, this.#label));
  }

  #readEntries(): BundlePlaces {
    const places = new Map<string, { at: number; sizeBytes: number }>();
    this.#take(MAGIC.length);
    for (;;) {
      const entry = this.#take(ENTRY_BYTES);
      const nameLength = entry.readUInt16LE();
      const sizeBytes = Number(entry.readBigUInt64LE(8));
      if (nameLength === 0) break;
      const name = this.#take(nameLength).toString('latin1');
      checkName(name);
      if (!FOLDERS.test(name) || places.has(name) || entry.readUIntLE(2, 6) !== 0)
        throw this.#hostile('holds an object that no bundle has');
      if (sizeBytes > MAX_OBJECT_BYTES || places.size >= MAX_ENTRIES) throw this.#hostile('breaks a limit of bundles');
      places.set(name, { at: this.#at, sizeBytes });
      this.#skip(sizeBytes);
    }
    this.#skip(HASH_BYTES);
    if (this.#at !== this.#sizeBytes) throw this.#hostile('goes on after its end');
    return places;
  }

  #take(length: number): Buffer {
    const at = this.#at;
    this.#skip(length);
    return readAt(this.#fd, at, length, this.#label);
  }

  #skip(length: number): void {
    this.#at += length;
    if (this.#at <= this.#sizeBytes) return;
    throw new MoltError('TRUNCATED', `${this.#label} ends too early, after ${this.#sizeBytes} bytes`, {
      hint: TRY_AGAIN,
    });
  }

  #hostile(what: string): MoltError {
    return new MoltError('HOSTILE', `${this.#label} ${what}`, { hint: 'nothing was taken from it' });
  }
}

function readAt(fd: number, at: number, length: number, label: string): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let done = 0;
  while (done < length) {
    let count: number;
    try {
      count = readSync(fd, bytes, done, length - done, at + done);
    } catch (cause) {
      throw ioError(cause, { verb: 'read', place: label });
    }
    if (count === 0) break;
    done += count;
  }
  return bytes.subarray(0, done);
}
