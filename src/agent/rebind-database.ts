// Changes a database of a restored agent, on which nothing runs: all in one transaction, checked before it counts. A fresh copy is
// changed beside itself and renamed over, so that a crash leaves no half of it, and no log that the next try could take for its own.

import { constants, copyFileSync, existsSync, renameSync, rmSync, statSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { MoltError } from '../model/error.ts';
import { systemFailure } from '../model/system-error.ts';
import { quote } from './inside.ts';
import { explainDatabase, notADatabase } from './read-database.ts';
import { SQLITE_SIDE_SUFFIXES, isSqliteFile } from './sqlite-header.ts';
import { DEFAULT_BUSY_TIMEOUT_MS, quickCheck } from './sqlite-snapshot.ts';

const TEMP_SUFFIX = '.molt-rebind';

/**
 * Changes a database by `change`. Its journal mode stays, and nothing is left beside it.
 * @param isFresh whether it was put there whole, so that nothing beside it belongs to it
 * @throws {MoltError} DAMAGED when it is no database, or isn't sound afterwards; IO. It is then as it was
 */
export async function changeDatabase<T>(
  real: string,
  path: string,
  isFresh: boolean,
  change: (database: DatabaseSync) => T,
): Promise<T> {
  if (!isSqliteFile(real)) throw notADatabase(path);
  if (!isFresh) return await inTransaction(real, path, change);
  const temp = real + TEMP_SUFFIX;
  removeWithLogs(temp);
  try {
    copyFileSync(real, temp, constants.COPYFILE_FICLONE);
    const result = await inTransaction(temp, path, change);
    const left = SQLITE_SIDE_SUFFIXES.find((suffix) => existsSync(temp + suffix) && statSync(temp + suffix).size > 0);
    if (left !== undefined) throw new MoltError('DAMAGED', `SQLite left ${left} beside ${quote(path)}`);
    renameSync(temp, real);
    return result;
  } catch (error) {
    throw systemFailure(error, `cannot change ${quote(path)}`, real);
  } finally {
    removeWithLogs(temp);
  }
}

async function inTransaction<T>(file: string, path: string, change: (database: DatabaseSync) => T): Promise<T> {
  const { DatabaseSync } = await import('node:sqlite');
  try {
    const database = new DatabaseSync(file, {
      enableForeignKeyConstraints: true,
      timeout: DEFAULT_BUSY_TIMEOUT_MS,
    });
    try {
      // Nobody vouches for what its schema would run.
      database.exec('PRAGMA trusted_schema = OFF');
      database.exec('BEGIN IMMEDIATE');
      database.exec('PRAGMA defer_foreign_keys = ON');
      const brokenBefore = countBrokenKeys(database);
      const result = change(database);
      const damage = quickCheck(database);
      if (damage !== undefined) throw unsound(path, damage);
      if (countBrokenKeys(database) > brokenBefore) throw unsound(path, 'rows refer to rows that are gone');
      database.exec('COMMIT');
      database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
      return result;
    } finally {
      // What was not committed is taken back.
      database.close();
    }
  } catch (error) {
    throw explainDatabase(error, path);
  }
}

function countBrokenKeys(database: DatabaseSync): number {
  return database.prepare('PRAGMA foreign_key_check').all().length;
}

function unsound(path: string, why: string): MoltError {
  return new MoltError('DAMAGED', `${quote(path)} is not sound once it is bound to its new place: ${why}`, {
    hint: 'restore another moment, or to the folder where the agent was',
    details: { path },
  });
}

function removeWithLogs(file: string): void {
  for (const suffix of ['', ...SQLITE_SIDE_SUFFIXES]) rmSync(file + suffix, { force: true });
}
