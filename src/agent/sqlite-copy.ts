// Private copies of a database that its owner may be writing, made by SQLite or for it. VACUUM is never used: it moves every page.

import { chmodSync, closeSync, constants, copyFileSync, openSync, writeSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { isSystemError } from '../model/error.ts';
import type { CaptureContext } from './capture.ts';
import { type NativePath, suffixNative } from './native-path.ts';
import { CLOCK_TICK_MS, isFresh, isSameMoment, readStamps } from './sqlite-files.ts';
import { isWalMode } from './sqlite-header.ts';
import { DEFAULT_BUSY_TIMEOUT_MS, type PageSink, readSnapshot } from './sqlite-snapshot.ts';
import { type CopyResult, checkDeadline, describeSqliteTrouble } from './sqlite-trouble.ts';
import { ReadFailure } from './stable-read.ts';

/** How the content of a database was read; sqlite.ts says when which. */
export type DatabaseMethod = 'resting' | 'in place' | 'backup' | 'pair';

// 16 MiB of 4 KiB pages between two looks at the clock.
const PAGES_PER_STEP = 4096;

/**
 * Reads a database in place, anew when what it read did not hold together.
 * @param start begins the content, again for each try
 * @returns undefined if that can't be done with this database
 */
export async function readInPlace(
  native: NativePath,
  context: CaptureContext,
  tries: number,
  start: (sizeBytes: number) => PageSink,
): Promise<CopyResult | undefined> {
  try {
    for (let attempt = 1; attempt <= tries; attempt += 1) {
      // oxlint-disable-next-line no-await-in-loop -- one try after the other
      const read = await readSnapshot(native, context, start);
      if (read === 'read') return 'copied';
      if (read === 'unfit') return undefined;
    }
    return undefined;
  } catch (error) {
    return describeSqliteTrouble(error);
  }
}

/** Copies a database as one committed moment, without traces beside it. A copy to be checked is made in place where that fits. */
export async function copyDatabase(
  native: NativePath,
  copy: string,
  context: CaptureContext,
  tries: number,
): Promise<{ readonly result: CopyResult; readonly method: DatabaseMethod }> {
  const { wal, hasShm } = readStamps(native);
  const isWal = isWalMode(native);
  const isShared = isWal && wal !== undefined && hasShm;
  if (isShared && context.quickCheck === true) {
    const result = await copyInPlace(native, copy, context, tries);
    if (result === 'copied' || typeof result === 'object') return { result, method: 'in place' };
  }
  const opensQuietly = isShared || (!isWal && wal === undefined);
  const result = opensQuietly ? await backupDatabase(native, copy, context) : 'needs recovery';
  if (result !== 'needs recovery') return { result, method: 'backup' };
  return { result: await copyPair(native, copy, context, tries), method: 'pair' };
}

/** Makes a file of what readInPlace reads. */
async function copyInPlace(
  native: NativePath,
  copy: string,
  context: CaptureContext,
  tries: number,
): Promise<CopyResult | undefined> {
  let file: number | undefined;
  try {
    return await readInPlace(native, context, tries, () => {
      if (file !== undefined) closeSync(file);
      const opened = openSync(copy, 'w', 0o600);
      file = opened;
      return (bytes) => writeFully(opened, bytes);
    });
  } catch (error) {
    if (isSystemError(error, 'ENOSPC', 'EDQUOT')) return { reason: 'no room for a temporary copy of the database' };
    throw error;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function writeFully(file: number, bytes: Buffer): void {
  let length = 0;
  while (length < bytes.length) length += writeSync(file, bytes, length);
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
export async function findDamage(copy: string): Promise<string | undefined> {
  const { DatabaseSync } = await import('node:sqlite');
  try {
    const database = new DatabaseSync(copy);
    try {
      const found: unknown = database.prepare('PRAGMA quick_check(1)').get()?.['quick_check'];
      return found === 'ok' ? undefined : String(found).replaceAll(/\s+/g, ' ').trim();
    } finally {
      database.close();
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
