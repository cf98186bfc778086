// Keeps a restore in place apart from everything else that molt does with the same folder: commits share it, a restore has it alone.

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { MoltError } from '../model/error.ts';
import { tryLock } from '../pod/lock.ts';
import type { Agent, Home } from './home.ts';

/**
 * Keeps two restores of one agent in place apart, wherever its folder is meanwhile: from the first look to the last start. Disposing of it
 * lets go.
 * @throws {MoltError} LOCKED, IO
 */
export function lockRestore(home: Home, label: string): Disposable {
  const lock = tryLock(join(home.dir, 'locks', `restore-${label}`));
  if (lock !== undefined) return lock;
  throw new MoltError('LOCKED', `agent "${label}" is being restored by another molt; nothing was changed`, {
    hint: 'try again when that has ended',
  });
}

/**
 * Locks an agent's folder: `commit` beside other commits, `restore` alone. Labels that share a folder share its lock. Disposing of it
 * lets go.
 * @throws {MoltError} LOCKED when somebody else is at it, IO
 */
export function lockAgent(home: Home, agent: Pick<Agent, 'label' | 'stateDir'>, act: 'commit' | 'restore'): Disposable {
  const name = createHash('sha256').update(agent.stateDir).digest('hex').slice(0, 32);
  const lock = tryLock(join(home.dir, 'locks', name), act === 'commit' ? 'shared' : 'alone');
  if (lock !== undefined) return lock;
  const what = act === 'commit' ? 'it is being restored' : 'it is being committed or restored';
  throw new MoltError('LOCKED', `agent "${agent.label}" is in use: ${what} by another molt; nothing was changed`, {
    hint: 'try again when that has ended',
  });
}
