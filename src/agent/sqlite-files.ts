// A database and the files that SQLite keeps beside it, as the system shows them.

import { type BigIntStats, lstatSync } from 'node:fs';
import { type NativePath, suffixNative } from './native-path.ts';
import { ReadFailure } from './stable-read.ts';
import { type FileStamp, isSameStamp, stampOf } from './stamp.ts';

/** A database and its logs at one moment. */
export interface Stamps {
  readonly main: FileStamp;
  readonly wal: FileStamp | undefined;
  readonly journal: FileStamp | undefined;
  readonly hasShm: boolean;
}

// The kernel stamps files with a clock that ticks every 1 to 10 ms.
/** How long to wait, in milliseconds, until another write would give a file another stamp. */
export const CLOCK_TICK_MS = 20;

/** Looks at a database and what lies beside it; throws ReadFailure when the database itself has gone. */
export function readStamps(native: NativePath): Stamps {
  const main = statSide(native);
  if (main === undefined) throw new ReadFailure(Object.assign(new Error('the database has gone'), { code: 'ENOENT' }));
  const wal = statSide(suffixNative(native, '-wal'));
  const journal = statSide(suffixNative(native, '-journal'));
  const hasShm = statSide(suffixNative(native, '-shm')) !== undefined;
  return { main: stampOf(main), wal: wal && stampOf(wal), journal: journal && stampOf(journal), hasShm };
}

/** Returns the stats of a database or of a file beside it; undefined if there is none. */
export function statSide(path: NativePath): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true, throwIfNoEntry: false });
  } catch (error) {
    throw new ReadFailure(error);
  }
}

/** Says whether anything of SQLite's lies beside the database. */
export function hasLog(stamps: Stamps): boolean {
  return stamps.wal !== undefined || stamps.journal !== undefined || stamps.hasShm;
}

/** Says whether a file was written so lately that another write could leave it the same stamp. */
export function isFresh(stamp: FileStamp, nowMs: number): boolean {
  const newestNs = stamp.mtimeNs > stamp.ctimeNs ? stamp.mtimeNs : stamp.ctimeNs;
  const ageMs = nowMs - Number(newestNs / 1_000_000n);
  return ageMs >= 0 && ageMs < CLOCK_TICK_MS;
}

/** Says whether neither the database nor its logs differ. */
export function isSameMoment(a: Stamps, b: Stamps): boolean {
  return isSameStamp(a.main, b.main) && isSameStamp(a.wal, b.wal) && isSameStamp(a.journal, b.journal);
}
