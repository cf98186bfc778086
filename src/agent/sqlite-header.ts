// The first hundred bytes of an SQLite database (sqlite.org/fileformat2.html, section 1.3), read without SQLite.

import { closeSync, constants, openSync, readSync } from 'node:fs';
import type { NativePath } from './native-path.ts';

/** The size of a database's header. */
export const SQLITE_HEADER_BYTES = 100;

const MAGIC = Buffer.from('SQLite format 3\0', 'latin1');
const PAGE_SIZE_OFFSET = 16;
const READ_VERSION_OFFSET = 19;
const READ_VERSION_WAL = 2;
const CHANGE_COUNTER_OFFSET = 24;
const PAGE_COUNT_OFFSET = 28;
const VERSION_VALID_FOR_OFFSET = 92;
const USER_VERSION_OFFSET = 60;

/** The suffixes of the files that SQLite keeps beside a database. */
export const SQLITE_SIDE_SUFFIXES = ['-wal', '-shm', '-journal'] as const;

/** Says whether bytes begin as a database does. */
export function isSqliteHeader(bytes: Buffer): boolean {
  return bytes.length >= MAGIC.length && bytes.compare(MAGIC, 0, MAGIC.length, 0, MAGIC.length) === 0;
}

/**
 * Says whether a file begins as a database does; false if it can't be read. Closing the descriptor drops this process's own locks
 * on the file, so nobody here may hold the database open through SQLite meanwhile.
 */
export function isSqliteFile(path: NativePath): boolean {
  return isSqliteHeader(readHeader(path));
}

/** Reads a database's `PRAGMA user_version` from its main file; undefined if that is no database. */
export function readUserVersion(path: NativePath): number | undefined {
  const header = readHeader(path);
  return isSqliteHeader(header) && header.length === SQLITE_HEADER_BYTES
    ? header.readInt32BE(USER_VERSION_OFFSET)
    : undefined;
}

/** Says whether a database is in WAL mode, so that opening it would make `-wal` and `-shm` where they are not. */
export function isWalMode(path: NativePath): boolean {
  return isWalHeader(readHeader(path));
}

/** Says whether bytes begin as a database in WAL mode does. */
export function isWalHeader(bytes: Buffer): boolean {
  return isSqliteHeader(bytes) && bytes[READ_VERSION_OFFSET] === READ_VERSION_WAL;
}

/** Says whether a file that begins as a database does has at least its first page: SQLite would fill it up with zeros. */
export function hasWholePage(path: NativePath, sizeBytes: number): boolean {
  const header = readHeader(path);
  return header.length === SQLITE_HEADER_BYTES && sizeBytes >= parsePageSize(header);
}

/** Returns the page size in a database's header, in bytes. */
export function parsePageSize(header: Buffer): number {
  const field = header.readUInt16BE(PAGE_SIZE_OFFSET);
  // 65,536 does not fit into the field.
  return field === 1 ? 65_536 : field;
}

/** Returns how many pages a database has, by its header; undefined if an SQLite older than 3.7.0, which can't say so, wrote it. */
export function parsePageCount(header: Buffer): number | undefined {
  const isValid = header.readUInt32BE(CHANGE_COUNTER_OFFSET) === header.readUInt32BE(VERSION_VALID_FOR_OFFSET);
  const count = header.readUInt32BE(PAGE_COUNT_OFFSET);
  return isValid && count > 0 ? count : undefined;
}

function readHeader(path: NativePath): Buffer {
  const header = Buffer.alloc(SQLITE_HEADER_BYTES);
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return header.subarray(0, 0);
  }
  try {
    return header.subarray(0, readSync(fd, header, 0, header.length, 0));
  } catch {
    return header.subarray(0, 0);
  } finally {
    closeSync(fd);
  }
}
