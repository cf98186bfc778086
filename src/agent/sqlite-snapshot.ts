// Reads a live database in WAL mode where it lies, as one committed moment of it, while others write. SQLite only holds the locks;
// the bytes are read beside it: the main file, with the log's frames laid over it. Why that is one moment (from sqlite.org/walformat
// and wal.c; N, M and C count frames of the log):
//
// 1. A read transaction whose snapshot ends at frame N is held throughout. Then no checkpoint writes a page into the main file that
//    has no frame up to N: its read mark allows no more, or, when the log was all in the main file, WAL_READ_LOCK(0) allows none.
// 2. After it began, another handle asks by a NOOP checkpoint, which takes no lock, how many frames are published (M) and how many
//    are in the main file (C). So C <= N <= M, and frame M is a commit.
// 3. If C = M then N = M: the main file alone is the snapshot, and stays it, whatever is appended.
// 4. Otherwise the newest frame up to M of each page that has one is laid over the page. By 1, a page that a checkpoint may be
//    writing meanwhile is such a page, so neither a half-written page nor an earlier version remains. The pages after M's commit
//    are cut off, and those before it are in the main file or in a frame.
// 5. Published frames never change until the log begins anew, which the transaction prevents unless all of it was in the main file.
//    It then writes its header first. So the same header before and after means the same frames; else it is done again.
//
// POSIX locks belong to a process: closing any descriptor of the database, or of its -shm, drops SQLite's locks on it, and another
// process that closes its connection may then take the log for its own and delete it. So -shm is never opened here, the database
// is opened once and closed after SQLite's handle, and nothing else in this process may open it meanwhile. SQLite has no locks on
// the log. As a last resort, a pair that was replaced, or a main file that changed in case 3, is read again. Descriptors are opened
// after the transaction began, so that an overlay file system's copy-up can't leave an older file in them.

import { closeSync, constants, fstatSync, openSync, statfsSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { isSystemError } from '../model/error.ts';
import type { CaptureContext } from './capture.ts';
import { type NativePath, suffixNative } from './native-path.ts';
import { statSide } from './sqlite-files.ts';
import { SQLITE_HEADER_BYTES, isWalHeader, parsePageCount, parsePageSize } from './sqlite-header.ts';
import { type DatabaseLog, FRAME_HEADER_BYTES, isSameLog, readFully, readLog } from './sqlite-log.ts';
import { checkDeadline } from './sqlite-trouble.ts';
import { ReadFailure, guard } from './stable-read.ts';
import { isSameStamp, stampOf } from './stamp.ts';

/** Takes a snapshot's bytes in order, as a BlobWriter does: they are left alone until the next have been taken. */
export type PageSink = (bytes: Buffer) => void | Promise<void>;

/** A database that was read. */
export interface Snapshot {
  /** What is wrong with it, where that was asked for. */
  readonly damage: string | undefined;
}

/**
 * How a read ended without a snapshot, whatever the sink got. After `changed` another try may do better; `short` means that pages are
 * in neither file, which SQLite reads as zeros without a word.
 */
export type SnapshotMiss = 'changed' | 'unfit' | 'short';

type PagesRead = 'read' | SnapshotMiss;

/** How long SQLite may block for another process's lock, in milliseconds, unless the context says otherwise. */
export const DEFAULT_BUSY_TIMEOUT_MS = 1000;

// A multiple of every page size, and more than a frame of the largest; in shared memory, since another thread may hash it.
const BUFFER_BYTES = 1024 * 1024;
// 65,536 frames of 4 KiB. Their index is in memory, and a log has this many only if its checkpoints fail.
const MAX_LOG_BYTES = 256 * 1024 * 1024;
// SQLite's locks lie in this byte; the page that has it is never used (sqlite.org/fileformat2.html, section 1.2).
const LOCK_BYTE = 0x40000000;
// Where NOOP is not known, it would be a real checkpoint.
const NOOP_SINCE = [3, 51] as const;
// Local file systems, by f_type (statfs(2)): elsewhere locks and memory may not be shared with the writer.
const LOCAL_FILE_SYSTEMS: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // xfs
  0x9123683e, // btrfs
  0x01021994, // tmpfs
  0x794c7630, // overlayfs
  0x2fc12fc1, // zfs
  0xf2f52010, // f2fs
  0xca451a4e, // bcachefs
]);

/**
 * Reads a database that has a `-wal` and a `-shm`. The bytes are those that the main file would have after a checkpoint.
 * @param start told the size in bytes, before the first of them is handed on
 * @throws {ReadFailure} when the system refuses; SQLite's errors, a passed deadline, and what the sink throws pass through
 */
export async function readSnapshot(
  native: NativePath,
  context: CaptureContext,
  start: (sizeBytes: number) => PageSink,
): Promise<Snapshot | SnapshotMiss> {
  const names = identify(native);
  if (names === undefined || !isLocal(native)) return 'unfit';
  const sqlite = await import('node:sqlite');
  const openHandle = () =>
    new sqlite.DatabaseSync(native, { readOnly: true, timeout: context.busyTimeoutMs ?? DEFAULT_BUSY_TIMEOUT_MS });
  const descriptors: number[] = [];
  try {
    const holder = openHandle();
    try {
      // A transaction takes its locks with its first read. That of the schema's version doesn't want to understand the schema.
      holder.exec('BEGIN');
      readNumber(holder, 'schema_version');
      const pageSize = readNumber(holder, 'page_size');
      const progress = askProgress(openHandle);
      if (typeof progress === 'string') return progress;
      for (const path of [native, suffixNative(native, '-wal')]) {
        const descriptor = openFile(path);
        if (descriptor === undefined) return 'changed';
        descriptors.push(descriptor);
      }
      const [main = -1, wal = -1] = descriptors;
      const [buffer, other] = [makeBuffer(), makeBuffer()];
      const source = { main, wal, pageSize, buffer, other };
      const read = await readPages(source, progress, context, start);
      if (read !== 'read') return read;
      // The same transaction, and so the same moment.
      const damage = context.quickCheck === true ? quickCheck(holder) : undefined;
      return identify(native) === names ? { damage } : 'changed';
    } finally {
      holder.close();
    }
  } finally {
    for (const descriptor of descriptors) closeSync(descriptor);
  }
}

function makeBuffer(): Buffer {
  return Buffer.from(new SharedArrayBuffer(BUFFER_BYTES));
}

interface Source {
  readonly main: number;
  readonly wal: number;
  readonly pageSize: number;
  readonly buffer: Buffer;
  /** It takes turns with the former. */
  readonly other: Buffer;
}

/** How many frames the log has, and how many of them are in the main file. */
interface LogProgress {
  readonly published: number;
  readonly checkpointed: number;
}

async function readPages(
  source: Source,
  { published, checkpointed }: LogProgress,
  context: CaptureContext,
  start: (sizeBytes: number) => PageSink,
): Promise<PagesRead> {
  const { wal, pageSize, buffer } = source;
  if (published === checkpointed) {
    const before = stampOf(guard(() => fstatSync(source.main, { bigint: true })));
    const pageCount = readPageCount(source);
    const read = pageCount === undefined ? 'unfit' : await copyPages(source, pageCount, undefined, context, start);
    const after = stampOf(guard(() => fstatSync(source.main, { bigint: true })));
    return read === 'read' && !isSameStamp(before, after) ? 'changed' : read;
  }
  if (published * (FRAME_HEADER_BYTES + pageSize) > (context.maxLogBytes ?? MAX_LOG_BYTES)) return 'unfit';
  const onStep = () => checkDeadline(context);
  const log = readLog(wal, { frameCount: published, pageSize, buffer, onStep });
  if (log === undefined) return 'changed';
  const read = await copyPages(source, log.pageCount, log, context, start);
  return read === 'read' && !isSameLog(wal, log) ? 'changed' : read;
}

/** Returns how many pages the main file's header says there are; it may be followed by more. */
function readPageCount({ main, buffer }: Source): number | undefined {
  const header = buffer.subarray(0, SQLITE_HEADER_BYTES);
  return readFully(main, header, 0) === header.length ? parsePageCount(header) : undefined;
}

/** Hands on the main file's pages, or those in the log where it has newer ones. */
async function copyPages(
  source: Source,
  pageCount: number,
  log: DatabaseLog | undefined,
  context: CaptureContext,
  start: (sizeBytes: number) => PageSink,
): Promise<PagesRead> {
  const size = pageCount * source.pageSize;
  let sink: PageSink | undefined;
  let { buffer, other } = source;
  for (let offset = 0; offset < size; offset += BUFFER_BYTES) {
    checkDeadline(context);
    const bytes = buffer.subarray(0, Math.min(BUFFER_BYTES, size - offset));
    if (!fillPages(source, bytes, offset, log)) return 'short';
    if (offset === 0 && !(isWalHeader(bytes) && parsePageSize(bytes) === source.pageSize)) return 'unfit';
    sink ??= start(size);
    const written = sink(bytes);
    // oxlint-disable-next-line no-await-in-loop -- the other buffer is used again
    if (written !== undefined) await written;
    [buffer, other] = [other, buffer];
  }
  return sink === undefined ? 'unfit' : 'read';
}

/** Fills whole pages; says whether each of them exists. */
function fillPages(source: Source, bytes: Buffer, offset: number, log: DatabaseLog | undefined): boolean {
  const { main, wal, pageSize } = source;
  const length = readFully(main, bytes, offset);
  bytes.fill(0, length);
  for (let at = 0; at < bytes.length; at += pageSize) {
    const place = log?.pages.get((offset + at) / pageSize + 1);
    if (place !== undefined) {
      if (readFully(wal, bytes.subarray(at, at + pageSize), place) < pageSize) return false;
    } else if (at + pageSize > length && offset + at !== LOCK_BYTE) {
      return false;
    }
  }
  return true;
}

/** Asks through a handle of its own, since SQLite refuses inside a transaction; or says how the read ends. */
function askProgress(openHandle: () => DatabaseSync): LogProgress | 'changed' | 'unfit' {
  const handle = openHandle();
  try {
    const version = String(handle.prepare('SELECT sqlite_version() AS version').get()?.['version']);
    if (!knowsNoop(version)) return 'unfit';
    const row = handle.prepare('PRAGMA wal_checkpoint(NOOP)').get();
    // A writer was publishing just then.
    if (row?.['busy'] !== 0) return 'changed';
    const published = Number(row['log']);
    const checkpointed = Number(row['checkpointed']);
    return published >= 0 && checkpointed >= 0 ? { published, checkpointed } : 'unfit';
  } finally {
    handle.close();
  }
}

/** Says whether an SQLite, by its version, can say how long a log is without a checkpoint. */
export function knowsNoop(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > NOOP_SINCE[0] || (major === NOOP_SINCE[0] && minor >= NOOP_SINCE[1]);
}

/** Returns the first thing that SQLite's quick_check finds. */
export function quickCheck(handle: DatabaseSync): string | undefined {
  try {
    const found: unknown = handle.prepare('PRAGMA quick_check(1)').get()?.['quick_check'];
    return found === 'ok' ? undefined : String(found).replaceAll(/\s+/g, ' ').trim();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function readNumber(handle: DatabaseSync, pragma: string): number {
  return Number(handle.prepare(`PRAGMA ${pragma}`).get()?.[pragma]);
}

/** Tells one pair of database and log from another under the same names; undefined where it isn't a pair. */
function identify(native: NativePath): string | undefined {
  const files = ['', '-wal', '-shm'].map((suffix) => statSide(suffixNative(native, suffix)));
  if (files.some((stats) => !stats?.isFile())) return undefined;
  return files.map((stats) => `${stats?.dev}:${stats?.ino}`).join(' ');
}

function isLocal(native: NativePath): boolean {
  return process.platform === 'linux' && guard(() => LOCAL_FILE_SYSTEMS.has(statfsSync(native).type));
}

/** Opens a file to read; undefined if it has gone, which for a log doesn't mean that the database has. */
function openFile(path: NativePath): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw new ReadFailure(error);
  }
}
