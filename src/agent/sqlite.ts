// Captures an SQLite database that its owner may be writing, as one committed moment of it, and leaves no trace beside it.
//
// Which way depends on the journal mode and on what lies beside the database, since opening one in WAL mode makes `-wal` and
// `-shm` where they are not:
//   WAL, nothing beside it   its bytes, under a stable stamp: all that was committed is in the main file
//   WAL, -wal and -shm       SQLite's backup() from a read-only handle, in a read transaction that other writers can't restart
//   WAL, one of them         a private pair: database and log copied under stable stamps, and SQLite recovers the copy
//   rollback journal         backup(), which respects the locks; a journal left by a crash can only be rolled back in a private pair
// A file that only begins like a database is captured as the plain file that it is. VACUUM is never used: it moves every page.

import { type BigIntStats, chmodSync, constants, copyFileSync, lstatSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { isSystemError } from '../model/error.ts';
import type { CaptureContext, CaptureOutcome, OpenBlob } from './capture.ts';
import { type NativePath, suffixNative } from './native-path.ts';
import type { ScannedEntry } from './scan.ts';
import { isWalMode } from './sqlite-header.ts';
import { ReadFailure, readStable } from './stable-read.ts';
import { type FileStamp, isSameStamp, stampOf } from './stamp.ts';
import { makeTempFolder, removeTempFolder } from './temp.ts';

/** A database and its logs at one moment. */
interface Stamps {
  readonly main: FileStamp;
  readonly wal: FileStamp | undefined;
  readonly journal: FileStamp | undefined;
  readonly hasShm: boolean;
}

/** How an attempt to make a copy ended. */
type CopyResult = 'copied' | 'not a database' | 'needs recovery' | { readonly reason: string };

const DEFAULT_BUSY_TIMEOUT_MS = 1000;
// The kernel stamps files with a clock that ticks every 1 to 10 ms.
const CLOCK_TICK_MS = 20;
// 16 MiB of 4 KiB pages between two looks at the clock.
const PAGES_PER_STEP = 4096;

// Primary result codes, sqlite.org/rescode.html.
const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;
const SQLITE_READONLY = 8;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_CANTOPEN = 14;
const SQLITE_NOTADB = 26;

/**
 * Captures a database. The same state gives the same bytes each time it is captured in the same way.
 * @param tries how often a file that changes while it is copied is tried again
 * @throws {ReadFailure} when the database itself can't be read; what `open` and its writer throw passes through
 */
export async function captureDatabase(
  entry: ScannedEntry,
  open: OpenBlob,
  context: CaptureContext,
  tries: number,
): Promise<CaptureOutcome> {
  const capturedMs = context.clock.now();
  const stamps = readStamps(entry.native);
  if (!hasLog(stamps) && context.quickCheck !== true && isWalMode(entry.native)) {
    const outcome = await captureResting(entry, open, context);
    if (outcome !== undefined) return outcome;
  }
  const folder = makeTempFolder(context.tempDir);
  try {
    const copy = join(folder, 'database');
    const result = await copyDatabase(entry.native, copy, context, tries);
    if (result === 'not a database') {
      return await capturePlain(entry, open, capturedMs, tries);
    }
    if (typeof result === 'object') return { status: 'unreadable', reason: result.reason };
    if (result === 'needs recovery') return { status: 'unreadable', reason: 'a database whose log keeps changing' };
    const damage = context.quickCheck === true ? await findDamage(copy) : undefined;
    if (damage !== undefined) return { status: 'unreadable', reason: `a damaged database: ${damage}` };
    const read = await readStable(copy, open, { chunking: 'fixed', mode: 'bytes', tries: 1 });
    if (read.status !== 'read') throw new Error('a temporary copy changed while it was read');
    const { wal, journal } = stamps;
    return {
      status: 'captured',
      id: read.id,
      sizeBytes: read.sizeBytes,
      kind: 'sqlite',
      cacheable: true,
      capturedMs,
      stamp: stamps.main,
      ...(wal && { wal }),
      ...(journal && { journal }),
    };
  } finally {
    removeTempFolder(folder);
  }
}

/** Takes the bytes of a database that nobody has open; undefined if somebody has, after all. */
async function captureResting(
  entry: ScannedEntry,
  open: OpenBlob,
  context: CaptureContext,
): Promise<CaptureOutcome | undefined> {
  const capturedMs = context.clock.now();
  const confirm = (stamp: FileStamp) => !hasLog(readStamps(entry.native)) && !isFresh(stamp, capturedMs);
  const read = await readStable(entry.native, open, { chunking: 'fixed', mode: 'unchanging', tries: 1, confirm });
  if (read.status !== 'read') return undefined;
  const { id, sizeBytes, stamp } = read;
  return { status: 'captured', id, sizeBytes, kind: 'sqlite', cacheable: true, capturedMs, stamp };
}

async function capturePlain(
  entry: ScannedEntry,
  open: OpenBlob,
  capturedMs: number,
  tries: number,
): Promise<CaptureOutcome> {
  const read = await readStable(entry.native, open, { chunking: 'content', mode: 'bytes', tries });
  if (read.status !== 'read') return { status: 'unreadable', reason: 'it keeps changing while it is read' };
  const { id, sizeBytes, stamp, whole } = read;
  return { status: 'captured', id, sizeBytes, kind: 'plain', cacheable: whole, capturedMs, stamp };
}

async function copyDatabase(
  native: NativePath,
  copy: string,
  context: CaptureContext,
  tries: number,
): Promise<CopyResult> {
  const { wal, hasShm } = readStamps(native);
  const opensQuietly = isWalMode(native) ? wal !== undefined && hasShm : wal === undefined;
  const result = opensQuietly ? await backupDatabase(native, copy, context) : 'needs recovery';
  return result === 'needs recovery' ? copyPair(native, copy, context, tries) : result;
}

/** Copies through SQLite's backup API from a read-only handle. */
async function backupDatabase(native: NativePath, copy: string, context: CaptureContext): Promise<CopyResult> {
  const { DatabaseSync, backup } = await import('node:sqlite');
  const timeout = context.busyTimeoutMs ?? DEFAULT_BUSY_TIMEOUT_MS;
  try {
    const database = new DatabaseSync(native, { readOnly: true, timeout });
    try {
      // Without a transaction of its own each step of the backup would start over after another process's write.
      database.exec('BEGIN');
      database.prepare('PRAGMA schema_version').get();
      await backup(database, copy, { rate: PAGES_PER_STEP, progress: () => checkDeadline(context) });
    } finally {
      database.close();
    }
    return 'copied';
  } catch (error) {
    return describeSqliteTrouble(error);
  }
}

/** Copies the database and its log as they lie there, while neither changes, and lets SQLite recover the copy. */
async function copyPair(native: NativePath, copy: string, context: CaptureContext, tries: number): Promise<CopyResult> {
  for (let attempt = 1; attempt <= tries; attempt += 1) {
    const before = readStamps(native);
    const nowMs = context.clock.now();
    if ([before.main, before.wal, before.journal].some((stamp) => stamp !== undefined && isFresh(stamp, nowMs))) {
      // oxlint-disable-next-line no-await-in-loop -- waits for the clock to tick
      await setTimeout(CLOCK_TICK_MS);
      continue;
    }
    try {
      copyPrivately(native, copy);
      for (const suffix of ['-wal', '-journal'] as const) {
        const side = suffix === '-wal' ? before.wal : before.journal;
        if (side !== undefined) copyPrivately(suffixNative(native, suffix), copy + suffix);
      }
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) continue;
      if (isSystemError(error, 'ENOSPC', 'EDQUOT')) return { reason: 'no room for a temporary copy of the database' };
      throw new ReadFailure(error);
    }
    if (isSameMoment(before, readStamps(native))) return recoverCopy(copy);
  }
  return 'needs recovery';
}

function copyPrivately(from: NativePath, to: string): void {
  copyFileSync(from, to, constants.COPYFILE_FICLONE);
  chmodSync(to, 0o600);
}

/** Brings a private copy's log into its main file. */
async function recoverCopy(copy: string): Promise<CopyResult> {
  const { DatabaseSync } = await import('node:sqlite');
  try {
    const database = new DatabaseSync(copy);
    try {
      database.prepare('PRAGMA schema_version').get();
      database.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get();
    } finally {
      database.close();
    }
    return 'copied';
  } catch (error) {
    const trouble = describeSqliteTrouble(error);
    return trouble === 'needs recovery' ? { reason: 'a database whose log cannot be recovered' } : trouble;
  }
}

/** Returns the first thing that quick_check finds. */
async function findDamage(copy: string): Promise<string | undefined> {
  const { DatabaseSync } = await import('node:sqlite');
  try {
    const database = new DatabaseSync(copy);
    try {
      const found: unknown = database.prepare('PRAGMA quick_check(1)').get()?.['quick_check'];
      return found === 'ok' ? undefined : String(found);
    } finally {
      database.close();
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

class DeadlinePassed extends Error {}

function checkDeadline(context: CaptureContext): void {
  if (context.clock.now() > context.deadlineMs) throw new DeadlinePassed();
}

function describeSqliteTrouble(error: unknown): CopyResult {
  if (error instanceof DeadlinePassed) return { reason: 'a database that could not be copied in time' };
  const code = sqliteCode(error);
  if (code === undefined) throw error;
  if (code === SQLITE_NOTADB) return 'not a database';
  if (code === SQLITE_READONLY || code === SQLITE_CANTOPEN) return 'needs recovery';
  if (code === SQLITE_BUSY || code === SQLITE_LOCKED) return { reason: 'a database that another process keeps locked' };
  if (code === SQLITE_CORRUPT) return { reason: 'a damaged database' };
  if (code === SQLITE_FULL) return { reason: 'no room for a temporary copy of the database' };
  return { reason: `SQLite could not copy the database (${code})` };
}

/** Returns the primary result code in an error of node:sqlite. */
function sqliteCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return undefined;
  return error.errcode & 0xff;
}

function readStamps(native: NativePath): Stamps {
  const main = statSide(native);
  if (main === undefined) throw new ReadFailure(Object.assign(new Error('the database has gone'), { code: 'ENOENT' }));
  const wal = statSide(suffixNative(native, '-wal'));
  const journal = statSide(suffixNative(native, '-journal'));
  const hasShm = statSide(suffixNative(native, '-shm')) !== undefined;
  return { main: stampOf(main), wal: wal && stampOf(wal), journal: journal && stampOf(journal), hasShm };
}

function statSide(path: NativePath): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true, throwIfNoEntry: false });
  } catch (error) {
    throw new ReadFailure(error);
  }
}

function hasLog(stamps: Stamps): boolean {
  return stamps.wal !== undefined || stamps.journal !== undefined || stamps.hasShm;
}

/** Says whether a file was written so lately that another write could leave it the same stamp. */
function isFresh(stamp: FileStamp, nowMs: number): boolean {
  const newestNs = stamp.mtimeNs > stamp.ctimeNs ? stamp.mtimeNs : stamp.ctimeNs;
  const ageMs = nowMs - Number(newestNs / 1_000_000n);
  return ageMs >= 0 && ageMs < CLOCK_TICK_MS;
}

function isSameMoment(a: Stamps, b: Stamps): boolean {
  return isSameStamp(a.main, b.main) && isSameStamp(a.wal, b.wal) && isSameStamp(a.journal, b.journal);
}
