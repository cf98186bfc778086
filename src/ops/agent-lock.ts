// Keeps a restore in place apart from everything else that molt does with the same folder: commits share it, a restore has it alone.
// The lock is SQLite's own on an empty database, so that the system lets go of it the moment its process is gone, however that
// ended: by a kill, in a container that has another process numbering since, or by a power cut.

import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { isSystemError, MoltError } from '../model/error.ts';
import { systemFailure } from '../model/system-error.ts';
import { makeRoot } from '../storage/folders.ts';
import type { Agent, Home } from './home.ts';

const SQLITE_BUSY = 5;

/** A lock that is held. Disposing of it lets go. */
export type AgentLock = Disposable;

/**
 * Locks an agent's folder: `commit` beside other commits, `restore` alone. Labels that share a folder share its lock.
 * @throws {MoltError} LOCKED when somebody else is at it, IO
 */
export function lockAgent(home: Home, agent: Pick<Agent, 'label' | 'stateDir'>, act: 'commit' | 'restore'): AgentLock {
  const dir = join(home.dir, 'locks');
  const path = join(dir, createHash('sha256').update(agent.stateDir).digest('hex').slice(0, 32));
  let database: DatabaseSync | undefined;
  try {
    makeRoot(dir);
    makeOnce(path);
    database = new DatabaseSync(path, { timeout: 0 });
    if (act === 'restore') database.exec('BEGIN EXCLUSIVE');
    else database.exec('BEGIN; SELECT count(*) FROM sqlite_schema');
    const held = database;
    return { [Symbol.dispose]: () => held.close() };
  } catch (error) {
    database?.close();
    if (error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY) throw locked(agent, act, error);
    throw systemFailure(error, `cannot lock agent "${agent.label}"`, path);
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

function locked({ label }: Pick<Agent, 'label'>, act: 'commit' | 'restore', cause: unknown): MoltError {
  const what = act === 'commit' ? 'it is being restored' : 'it is being committed or restored';
  return new MoltError('LOCKED', `agent "${label}" is in use: ${what} by another molt; nothing was changed`, {
    hint: 'try again when that has ended',
    cause,
  });
}
