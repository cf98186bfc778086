// What can go wrong while SQLite reads a database for us, as the reason that the user is told.

import type { CaptureContext } from './capture.ts';

/** Why a database was not copied. */
export type CopyTrouble = 'not a database' | 'needs recovery' | { readonly reason: string };

/** How an attempt to copy a database ended. */
export type CopyResult = 'copied' | CopyTrouble;

// Primary result codes, sqlite.org/rescode.html.
/** The reason given for a database that SQLite itself calls corrupt. */
export const DAMAGED_DATABASE = 'a damaged database';

const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;
const SQLITE_READONLY = 8;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_CANTOPEN = 14;
const SQLITE_NOTADB = 26;

class DeadlinePassed extends Error {}

/** Ends a copy that takes too long, by an error that describeSqliteTrouble knows. */
export function checkDeadline(context: CaptureContext): void {
  if (context.clock.now() > context.deadlineMs) throw new DeadlinePassed();
}

/**
 * Says what an error thrown while a database was copied means for the copy.
 * @throws the error itself if it is neither SQLite's nor a passed deadline
 */
export function describeSqliteTrouble(error: unknown): CopyTrouble {
  if (error instanceof DeadlinePassed) return { reason: 'a database that could not be copied in time' };
  const code = sqliteCode(error);
  if (code === undefined) throw error;
  if (code === SQLITE_NOTADB) return 'not a database';
  if (code === SQLITE_READONLY || code === SQLITE_CANTOPEN) return 'needs recovery';
  if (code === SQLITE_BUSY || code === SQLITE_LOCKED) return { reason: 'a database that another process keeps locked' };
  if (code === SQLITE_CORRUPT) return { reason: DAMAGED_DATABASE };
  if (code === SQLITE_FULL) return { reason: 'no room for a temporary copy of the database' };
  return { reason: `SQLite could not copy the database (${code})` };
}

/** Returns the primary result code in an error of node:sqlite. */
function sqliteCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return undefined;
  return error.errcode & 0xff;
}
