// A lock on a pod: SQLite's own on an empty database, so that the system lets go of it the moment its holder is gone, however that
// ended.

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { isSystemError } from '../model/error.ts';
import { systemFailure } from '../model/system-error.ts';

const SQLITE_BUSY = 5;

/**
 * Takes a lock, or returns undefined when somebody else has it. Disposing of it lets go.
 * @throws {MoltError} IO
 */
export function tryLock(path: string): Disposable | undefined {
  let database: DatabaseSync | undefined;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    makeOnce(path);
    database = new DatabaseSync(path, { timeout: 0 });
    database.exec('BEGIN EXCLUSIVE');
    const held = database;
    return { [Symbol.dispose]: () => held.close() };
  } catch (error) {
    database?.close();
    if (error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY) return undefined;
    throw systemFailure(error, 'cannot lock a pod', path);
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
