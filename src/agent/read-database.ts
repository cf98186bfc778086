// Asks a database something without leaving a trace: nothing appears or goes beside it, whether or not somebody is writing to it.

import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { DatabaseSync } from 'node:sqlite';
import { MoltError } from '../model/error.ts';
import { quote } from './inside.ts';
import { DEFAULT_BUSY_TIMEOUT_MS } from './sqlite-snapshot.ts';
import { isSqliteFile, isWalMode } from './sqlite-header.ts';

type Row = Readonly<Record<string, unknown>>;

/**
 * Opens a database to read, and closes it afterwards.
 * @param path names it in errors
 * @throws {MoltError} DAMAGED when it is no database, or SQLite can't read it
 */
export async function readDatabase<T>(real: string, path: string, use: (database: DatabaseSync) => T): Promise<T> {
  if (!isSqliteFile(real)) throw notADatabase(path);
  const { DatabaseSync } = await import('node:sqlite');
  const [hasLog, hasShm, hasJournal] = ['-wal', '-shm', '-journal'].map((suffix) => existsSync(real + suffix));
  // SQLite makes what is lacking: only with both beside it, or outside WAL mode, does it open a database without doing that.
  const isReadyToOpen = isWalMode(real) ? hasLog === hasShm : !hasJournal;
  const copy = isReadyToOpen ? undefined : copyPrivately(real);
  try {
    const isAtRest = isWalMode(real) && hasLog !== true && copy === undefined;
    const url = pathToFileURL(copy?.file ?? real);
    if (isAtRest) url.searchParams.set('immutable', '1');
    const database = new DatabaseSync(url, { readOnly: copy === undefined, timeout: DEFAULT_BUSY_TIMEOUT_MS });
    try {
      return use(database);
    } finally {
      database.close();
    }
  } catch (error) {
    throw explainDatabase(error, path);
  } finally {
    if (copy !== undefined) rmSync(copy.folder, { recursive: true, force: true });
  }
}

/** Returns a table's rows; none if there is no such table. */
export function readRows(
  database: DatabaseSync,
  table: string,
  columns: string,
  where = '1',
  ...values: string[]
): Row[] {
  if (!hasTable(database, table)) return [];
  return database.prepare(`SELECT ${columns} FROM "${table}" WHERE ${where}`).all(...values);
}

/** Says whether a database has a table. */
export function hasTable(database: DatabaseSync, table: string): boolean {
  return database.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?").get(table) !== undefined;
}

/** Returns the error for a file that is no database. */
export function notADatabase(path: string): MoltError {
  return new MoltError('DAMAGED', `${quote(path)} is not an SQLite database`, { details: { path } });
}

/** Returns what an error of SQLite's means for a database; any other error comes back as it is. */
export function explainDatabase(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || !('errcode' in error) || error instanceof MoltError) return error;
  return new MoltError('DAMAGED', `${quote(path)} can’t be read: ${error.message}`, {
    hint: 'restore another moment, or take the file from one: molt checkout REV DIR -- PATH',
    details: { path },
    cause: error,
  });
}

function copyPrivately(real: string): { readonly folder: string; readonly file: string } {
  const folder = mkdtempSync(join(tmpdir(), 'molt-read-'));
  const file = join(folder, 'database');
  for (const suffix of ['', '-wal', '-journal'])
    if (existsSync(real + suffix)) copyFileSync(real + suffix, file + suffix);
  return { folder, file };
}
