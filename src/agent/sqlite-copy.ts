// Private copies of a database that its owner may be writing, made by SQLite or for it. VACUUM is never used: it moves every page.

import { chmodSync, constants, copyFileSync, lstatSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { setTimeout } from 'node:timers/promises';
import { isSystemError } from '../model/error.ts';
import type { CaptureContext } from './capture.ts';
import { type NativePath, suffixNative } from './native-path.ts';
import { CLOCK_TICK_MS, isFresh, isSameMoment, readStamps } from './sqlite-files.ts';
import { isWalMode } from './sqlite-header.ts';
import { DEFAULT_BUSY_TIMEOUT_MS, type PageSink, quickCheck, readSnapshot, type Snapshot } from './sqlite-snapshot.ts';
import { type CopyResult, type CopyTrouble, checkDeadline, describeSqliteTrouble } from './sqlite-trouble.ts';
import { ReadFailure } from './stable-read.ts';

/** How the content of a database was read; sqlite.ts says when which. */
export type DatabaseMethod = 'resting' | 'in place' | 'backup' | 'pair';

// 16 MiB of 4 KiB pages between two looks at the clock.
const PAGES_PER_STEP = 4096;

/**
 * Reads a database in place, anew when what it read did not hold together.
 * @param start begins the content, again for each try
 * @returns undefined if that can't be done with this database, and `short` if it lacks pages
 */
export async function readInPlace(
  native: NativePath,
  context: CaptureContext,
  tries: number,
  start: (sizeBytes: number) => PageSink,
): Promise<Snapshot | CopyTrouble | 'short' | undefined> {
  try {
    for (let attempt = 1; attempt <= tries; attempt += 1) {
      // oxlint-disable-next-line no-await-in-loop -- one try after the other
      const read = await readSnapshot(native, context, start);
      if (typeof read === 'object' || read === 'short') return read;
      if (read === 'unfit') return undefined;
    }
    return undefined;
  } catch (error) {
    return describeSqliteTrouble(error);
  }
}

/** Copies a database as one committed moment, without traces beside it. */
export async function copyDatabase(
  native: NativePath,
  copy: string,
  context: CaptureContext,
  tries: number,
): Promise<{ readonly result: CopyResult; readonly method: DatabaseMethod }> {
  const { wal, hasShm } = readStamps(native);
  const isWal = isWalMode(native);
  const isShared = isWal && wal !== undefined && hasShm;
  const opensQuietly = isShared || (!isWal && wal === undefined);
  const result = opensQuietly ? await backupDatabase(native, copy, context) : 'needs recovery';
  if (result !== 'needs recovery') return { result, method: 'backup' };
  return { result: await copyPair(native, copy, context, tries), method: 'pair' };
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
  // SQLite follows no link in the place of a log either.
  if (!lstatSync(from).isFile()) throw Object.assign(new Error('it is no file'), { code: 'ELOOP' });
  copyFileSync(from, to, constants.COPYFILE_FICLONE);
  chmodSync(to, 0o600);
}

/** Brings a private copy's log into its main file. */
async function recoverCopy(copy: string): Promise<CopyResult> {
  const { DatabaseSync } = await import('node:sqlite');
  try {
    const database = new DatabaseSync(copy);
    try {
      // Rolls a journal back too, since it reads the schema. To close would do as much, but without a word when it fails.
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

/** Returns the first thing that quick_check finds in a private copy. */
export async function findDamage(copy: string): Promise<string | undefined> {
  const { DatabaseSync } = await import('node:sqlite');
  return checkDatabase(() => new DatabaseSync(copy));
}

/** Returns the first thing that quick_check finds in a database that has no log and that nobody writes, and leaves no log beside it. */
export async function findDamageAtRest(native: NativePath): Promise<string | undefined> {
  const { DatabaseSync } = await import('node:sqlite');
  // sqlite.org/uri.html: no locks, no log, no recovery. Every byte that is no plain letter is escaped, valid UTF-8 or not.
  const path = Buffer.from(native)
    .toString('latin1')
    .replaceAll(/[^A-Za-z0-9/]/g, escapeByte);
  return checkDatabase(() => new DatabaseSync(`file:${path}?immutable=1`, { readOnly: true }));
}

function escapeByte(byte: string): string {
  return `%${byte.charCodeAt(0).toString(16).padStart(2, '0')}`;
}

function checkDatabase(open: () => DatabaseSync): string | undefined {
  try {
    const database = open();
    try {
      return quickCheck(database);
    } finally {
      database.close();
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
