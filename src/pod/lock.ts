// A lock between processes: SQLite's own on an empty database, so that the system lets go of it the moment its holder is gone, however
// that ended: by a kill, in a container that has another process numbering since, or by a power cut.

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { isSystemError, MoltError } from '../model/error.ts';
import { systemFailure } from '../model/system-error.ts';

const SQLITE_BUSY = 5;
// The journal of a transaction that writes nothing needs no file: a full disk is no reason why a pod could not be stopped.
const ALONE = 'PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE';
const SHARED = 'BEGIN; SELECT count(*) FROM sqlite_schema';

/**
 * Takes a lock, or returns undefined when somebody is in its way. Disposing of it lets go.
 * @param path of an empty file, which is made and stays
 * @param how `shared` beside all others who share it, or `alone`
 * @throws {MoltError} IO
 */
export function tryLock(path: string, how: 'alone' | 'shared' = 'alone'): Disposable | undefined {
  let database: DatabaseSync | undefined;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    makeOnce(path);
    database = new DatabaseSync(path, { timeout: 0 });
    database.exec(how === 'alone' ? ALONE : SHARED);
    const held = database;
    return { [Symbol.dispose]: () => held.close() };
  } catch (error) {
    database?.close();
    if (!(error instanceof Error && 'errcode' in error)) throw systemFailure(error, `cannot lock "${path}"`, path);
    if (error.errcode === SQLITE_BUSY) return undefined;
    throw new MoltError('IO', `cannot lock "${path}": ${error.message}`, { cause: error });
  }
}

/** Makes the file once and never opens it again: closing it would let go of every lock that this process has on it. */
function makeOnce(path: string): void {
  try {
    writeFileSync(path, '', { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if (!isSystemError(error, 'EEXIST')) throw error;
  }
}
