// What the last scan knew of each file, so that an unchanged file need not be read again. Pure: bytes and values, no I/O. The
// cache is only a shortcut: losing it, or not trusting it, costs time.

import { crc32 } from 'node:zlib';
import { type BlobId, isGitId } from '../model/ids.ts';
import type { ScannedEntry } from './scan.ts';
import { type FileStamp, isSameStamp } from './stamp.ts';

/** How a file's bytes were taken: as they are, up to the last whole line, or as a copy that SQLite made. */
export type FileKind = 'plain' | 'jsonl' | 'sqlite';

/** One file as it was when its content was captured. */
export interface CachedFile extends FileStamp {
  readonly wal?: FileStamp;
  readonly journal?: FileStamp;
  readonly blob: BlobId;
  /** May differ from the file's own size: a database's blob includes what was in its log. */
  readonly blobSizeBytes: number;
  readonly kind: FileKind;
}

/** All files that one scan knew. */
export interface StatCache {
  /** When the scan began, in nanoseconds since the Unix epoch. */
  readonly scanStartNs: bigint;
  /** By path in the commit tree. */
  readonly files: ReadonlyMap<string, CachedFile>;
}

// The kernel stamps files with a clock that ticks every 1 to 10 ms, so a stamp may be that much older than the write.
const CLOCK_TICK_NS = 20_000_000n;
// File systems without finer times (FAT: 2 s) are known by stamps that are whole seconds.
const COARSE_TICK_NS = 2_000_000_000n;
const MAX_INT64 = 2n ** 63n - 1n;
const SECOND_NS = 1_000_000_000n;

/**
 * Says whether a file is as the cache knows it. Git's racy rule: a stamp that is not older than the start of the scan that
 * recorded it proves nothing, since the file may have been written again within the same tick of the clock.
 * @param scanStartNs when the scan began that recorded `cached`
 */
export function isUnchanged(
  entry: Pick<ScannedEntry, keyof FileStamp | 'wal' | 'journal'>,
  cached: CachedFile,
  scanStartNs: bigint,
): boolean {
  return (
    isSameStamp(entry, cached) &&
    isSettled(cached.mtimeNs, cached.ctimeNs, scanStartNs) &&
    isSameLog(entry.wal, cached.wal, scanStartNs) &&
    isSameLog(entry.journal, cached.journal, scanStartNs)
  );
}

/**
 * The change time of a log says nothing: SQLite run by root sets a log's owner each time it opens it, reading included, so each
 * capture would make the next one read the database again. Its content can't change without its modification time.
 */
function isSameLog(log: FileStamp | undefined, cached: FileStamp | undefined, scanStartNs: bigint): boolean {
  if (log === undefined || cached === undefined) return log === cached;
  const isSame = log.sizeBytes === cached.sizeBytes && log.mtimeNs === cached.mtimeNs && log.inode === cached.inode;
  return isSame && isSettled(cached.mtimeNs, cached.mtimeNs, scanStartNs);
}

function isSettled(mtimeNs: bigint, ctimeNs: bigint, scanStartNs: bigint): boolean {
  const tick = mtimeNs % SECOND_NS === 0n && ctimeNs % SECOND_NS === 0n ? COARSE_TICK_NS : CLOCK_TICK_NS;
  return mtimeNs + tick < scanStartNs && ctimeNs + tick < scanStartNs;
}

// Layout: magic, crc32 of what follows, scan start, count; then per file: a fixed record, its path, and a stamp for each log.
const MAGIC = Buffer.from('moltsc\x00\x01', 'latin1');
const HEADER_BYTES = MAGIC.length + 4 + 8 + 4;
const STAMP_BYTES = 32;
const GIT_ID_BYTES = 20;
const RECORD_BYTES = 2 + 1 + GIT_ID_BYTES + 8 + STAMP_BYTES;
const KINDS: readonly FileKind[] = ['plain', 'jsonl', 'sqlite'];
const HAS_WAL = 4;
const HAS_JOURNAL = 8;

/** Returns the cache as bytes. */
export function encodeStatCache(cache: StatCache): Buffer {
  let length = HEADER_BYTES;
  for (const [path, file] of cache.files) {
    length += RECORD_BYTES + Buffer.byteLength(path) + (file.wal ? STAMP_BYTES : 0) + (file.journal ? STAMP_BYTES : 0);
  }
  const bytes = Buffer.allocUnsafe(length);
  MAGIC.copy(bytes);
  bytes.writeBigInt64LE(cache.scanStartNs, MAGIC.length + 4);
  bytes.writeUInt32LE(cache.files.size, MAGIC.length + 12);
  let offset = HEADER_BYTES;
  for (const [path, file] of cache.files) offset = encodeFile(bytes, offset, path, file);
  bytes.writeUInt32LE(crc32(bytes.subarray(MAGIC.length + 4)), MAGIC.length);
  return bytes;
}

/** Returns the cache in the bytes, or undefined if they are not exactly what encodeStatCache makes. */
export function parseStatCache(bytes: Buffer): StatCache | undefined {
  if (bytes.length < HEADER_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  if (crc32(bytes.subarray(MAGIC.length + 4)) !== bytes.readUInt32LE(MAGIC.length)) return undefined;
  const files = new Map<string, CachedFile>();
  const count = bytes.readUInt32LE(MAGIC.length + 12);
  let offset = HEADER_BYTES;
  for (let index = 0; index < count; index += 1) {
    const parsed = parseFile(bytes, offset);
    if (parsed === undefined) return undefined;
    files.set(parsed.path, parsed.file);
    offset = parsed.end;
  }
  if (offset !== bytes.length || files.size !== count) return undefined;
  return { scanStartNs: bytes.readBigInt64LE(MAGIC.length + 4), files };
}

function encodeFile(bytes: Buffer, start: number, path: string, file: CachedFile): number {
  const pathBytes = bytes.write(path, start + RECORD_BYTES, 'utf8');
  bytes.writeUInt16LE(pathBytes, start);
  bytes[start + 2] = KINDS.indexOf(file.kind) | (file.wal ? HAS_WAL : 0) | (file.journal ? HAS_JOURNAL : 0);
  bytes.write(file.blob, start + 3, 'hex');
  bytes.writeDoubleLE(file.blobSizeBytes, start + 3 + GIT_ID_BYTES);
  encodeStamp(bytes, start + RECORD_BYTES - STAMP_BYTES, file);
  let offset = start + RECORD_BYTES + pathBytes;
  for (const stamp of [file.wal, file.journal]) if (stamp !== undefined) offset = encodeStamp(bytes, offset, stamp);
  return offset;
}

function parseFile(bytes: Buffer, start: number): { path: string; file: CachedFile; end: number } | undefined {
  if (start + RECORD_BYTES > bytes.length) return undefined;
  const flags = bytes[start + 2] ?? 0;
  const kind = KINDS[flags & 3];
  const pathEnd = start + RECORD_BYTES + bytes.readUInt16LE(start);
  const walEnd = pathEnd + ((flags & HAS_WAL) === 0 ? 0 : STAMP_BYTES);
  const end = walEnd + ((flags & HAS_JOURNAL) === 0 ? 0 : STAMP_BYTES);
  const blob = bytes.toString('hex', start + 3, start + 3 + GIT_ID_BYTES);
  if (kind === undefined || end > bytes.length || !isGitId(blob)) return undefined;
  const file: CachedFile = {
    ...parseStamp(bytes, start + RECORD_BYTES - STAMP_BYTES),
    blob,
    blobSizeBytes: bytes.readDoubleLE(start + 3 + GIT_ID_BYTES),
    kind,
    ...(walEnd > pathEnd && { wal: parseStamp(bytes, pathEnd) }),
    ...(end > walEnd && { journal: parseStamp(bytes, walEnd) }),
  };
  return { path: bytes.toString('utf8', start + RECORD_BYTES, pathEnd), file, end };
}

function encodeStamp(bytes: Buffer, offset: number, stamp: FileStamp): number {
  bytes.writeDoubleLE(stamp.sizeBytes, offset);
  bytes.writeBigInt64LE(toInt64(stamp.mtimeNs), offset + 8);
  bytes.writeBigInt64LE(toInt64(stamp.ctimeNs), offset + 16);
  bytes.writeBigUInt64LE(stamp.inode, offset + 24);
  return offset + STAMP_BYTES;
}

/** A time beyond what 64 bits of nanoseconds can say (1677 to 2262) becomes another one, so that its file is read each time. */
function toInt64(timeNs: bigint): bigint {
  if (timeNs > MAX_INT64) return MAX_INT64;
  return timeNs < -MAX_INT64 - 1n ? -MAX_INT64 - 1n : timeNs;
}

function parseStamp(bytes: Buffer, offset: number): FileStamp {
  return {
    sizeBytes: bytes.readDoubleLE(offset),
    mtimeNs: bytes.readBigInt64LE(offset + 8),
    ctimeNs: bytes.readBigInt64LE(offset + 16),
    inode: bytes.readBigUInt64LE(offset + 24),
  };
}
