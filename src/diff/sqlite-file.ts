// One SQLite database, read page by page from wherever its bytes are (sqlite.org/fileformat2.html, sections 1.3 to 1.5). SQLite itself
// wants a whole file; to compare two versions of 200 MB of which forty pages differ, only those and the pages above them are read.

import { scheduler } from 'node:timers/promises';

/** The bytes of a file, wherever they are. */
export interface ByteSource {
  readonly sizeBytes: number;
  /** Reads within the file; never fewer bytes than asked for. The buffer must not be written to. */
  read(offsetBytes: number, lengthBytes: number): Promise<Buffer>;
}

/** A database that is not what it should be, or more than may be read of one. Says so in words; it never reaches the user as an error. */
export class SqliteTrouble extends Error {}

/** How long a comparison works before it lets others do something: a key press must not wait for it. */
const TURN_MS = 10;

/** What one comparison may read, on both sides together, and when it is to stop. */
export class Budget {
  #leftBytes: number;
  readonly #signal: AbortSignal | undefined;
  #turnEndMs = performance.now() + TURN_MS;

  constructor(maxBytes: number, signal?: AbortSignal) {
    this.#leftBytes = maxBytes;
    this.#signal = signal;
  }

  /** Takes bytes that are about to be read. @throws {SqliteTrouble} when there are none left; the signal's reason */
  async take(lengthBytes: number): Promise<void> {
    // What is read may all be at hand: then nothing here would ever wait, and no signal could arrive.
    if (performance.now() > this.#turnEndMs) {
      await scheduler.yield();
      this.#turnEndMs = performance.now() + TURN_MS;
    }
    this.#signal?.throwIfAborted();
    this.#leftBytes -= lengthBytes;
    if (this.#leftBytes < 0) throw new SqliteTrouble('there is more to compare than is read at once');
  }
}

const HEADER_BYTES = 100;
const MAGIC = Buffer.from('SQLite format 3\0', 'latin1');
const LEAST_USABLE_BYTES = 480;
/** Free pages beyond these are not looked up; they can only make a comparison slower. */
const MOST_FREE_PAGES = 1_000_000;
/** Of each side. */
const MOST_KEPT_BYTES = 24 << 20;

/** A database of which single pages are read. */
export class SqliteFile {
  readonly pageBytes: number;
  /** Of a page, without what extensions reserve at its end. */
  readonly usableBytes: number;
  readonly pageCount: number;
  readonly encoding: 'utf8' | 'utf16le' | 'utf16be';
  /** Each page's owner is noted in pointer-map pages. */
  readonly hasPointerMap: boolean;
  readonly #freeTrunk: number;
  readonly #source: ByteSource;
  readonly #budget: Budget;
  readonly #kept = new Map<number, Buffer>();
  #keepBytes = MOST_KEPT_BYTES;

  private constructor(source: ByteSource, header: Buffer, budget: Budget) {
    const size = header.readUInt16BE(16);
    this.pageBytes = size === 1 ? 65_536 : size;
    this.usableBytes = this.pageBytes - (header[20] ?? 0);
    this.pageCount = Math.floor(source.sizeBytes / this.pageBytes);
    const encoding = header.readUInt32BE(56);
    this.encoding = encoding === 2 ? 'utf16le' : encoding === 3 ? 'utf16be' : 'utf8';
    this.hasPointerMap = header.readUInt32BE(52) !== 0;
    this.#freeTrunk = header.readUInt32BE(32);
    this.#source = source;
    this.#budget = budget;
  }

  /** Opens a database. @throws {SqliteTrouble} when it is none */
  static async open(source: ByteSource, budget: Budget): Promise<SqliteFile> {
    if (source.sizeBytes < HEADER_BYTES) throw new SqliteTrouble('it is no SQLite database');
    const header = await source.read(0, HEADER_BYTES);
    if (header.compare(MAGIC, 0, MAGIC.length, 0, MAGIC.length) !== 0)
      throw new SqliteTrouble('it is no SQLite database');
    const file = new SqliteFile(source, header, budget);
    const isPower = file.pageBytes >= 512 && (file.pageBytes & (file.pageBytes - 1)) === 0;
    if (!isPower || file.usableBytes < LEAST_USABLE_BYTES || file.pageCount === 0)
      throw new SqliteTrouble('its header is damaged');
    return file;
  }

  /** Reads a page, from 1. @throws {SqliteTrouble} when there is no such page, or the budget is used up; the signal's reason */
  async readPage(page: number): Promise<Buffer> {
    if (page < 1 || page > this.pageCount) throw new SqliteTrouble(`it has no page ${page}`);
    const kept = this.#kept.get(page);
    if (kept !== undefined) {
      await this.#budget.take(0);
      return kept;
    }
    return this.read((page - 1) * this.pageBytes, this.pageBytes);
  }

  /** Keeps a page that will be read again, as long as there are not too many: trees lead to pages all over the file. */
  keepPage(page: number, bytes: Buffer): void {
    if (this.#keepBytes < bytes.length) return;
    this.#keepBytes -= bytes.length;
    this.#kept.set(page, Buffer.from(bytes));
  }

  /** Reads bytes, which count against the budget. @throws as readPage does */
  async read(offsetBytes: number, lengthBytes: number): Promise<Buffer> {
    await this.#budget.take(lengthBytes);
    return this.#source.read(offsetBytes, lengthBytes);
  }

  /** Returns the page of the pointer map that notes a page's owner; the page itself if it is one. */
  pointerMapPage(page: number): number {
    const span = Math.floor(this.usableBytes / 5) + 1;
    return Math.floor((page - 2) / span) * span + 2;
  }

  /** Reads who owns a page: its kind (3: first overflow page of a cell of `parent`; 4: overflow page that follows `parent`). */
  async readOwner(page: number): Promise<{ readonly kind: number; readonly parent: number }> {
    const map = this.pointerMapPage(page);
    const offset = (page - map - 1) * 5;
    if (page < 3 || offset < 0 || offset + 5 > this.usableBytes) return { kind: 0, parent: 0 };
    const bytes = await this.readPage(map);
    return { kind: bytes[offset] ?? 0, parent: bytes.readUInt32BE(offset + 1) };
  }

  /** Lists the pages that are not in use. */
  async readFreePages(): Promise<Set<number>> {
    const free = new Set<number>();
    for (let trunk = this.#freeTrunk; trunk !== 0 && !free.has(trunk) && free.size < MOST_FREE_PAGES;) {
      free.add(trunk);
      // oxlint-disable-next-line no-await-in-loop -- a chain
      const bytes = await this.readPage(trunk);
      const count = Math.min(bytes.readUInt32BE(4), Math.floor(this.usableBytes / 4) - 2);
      for (let index = 0; index < count; index += 1) free.add(bytes.readUInt32BE(8 + index * 4));
      trunk = bytes.readUInt32BE(0);
    }
    return free;
  }
}
