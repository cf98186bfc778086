// Mutual exclusion for one name, for file systems without hard links (exFAT, some shares), where nothing creates a whole file
// under a name only if it is free. A claim is a folder that holds one file, named after its owner, and is put in place by a
// rename: that fails if the place holds a claim, and the claim arrives with its owner in it. So a dead owner's claim can be broken
// by unlinking that owner's file, which can never hit somebody who claimed since.

import { lstatSync, mkdirSync, readdirSync, renameSync, rmdirSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isSystemError, MoltError } from '../model/error.ts';
import { newMark, ownerState } from './owner.ts';

/** What the names of claims begin with, in the scratch folder. */
export const CLAIM_PREFIX = 'claim-';

/** What the names of claims that aren't in place yet end with. */
export const CLAIM_SUFFIX = '.claim';

// A claim is held for two system calls and a sync, so whoever waits this long waits for somebody who won't come back.
const PATIENCE_MS = 10_000;

/**
 * Runs a synchronous action while no other process that asks for the same name runs one.
 * @param scratch the scratch folder of the storage; it must exist
 * @throws {MoltError} LOCKED when another machine's claim does not go away
 */
export async function withClaim<T>(
  scratch: string,
  name: string,
  action: () => T,
  patienceMs = PATIENCE_MS,
): Promise<T> {
  const mark = newMark();
  const place = join(scratch, `${CLAIM_PREFIX}${name.replaceAll('/', '+')}`);
  const staged = join(scratch, `${mark}${CLAIM_SUFFIX}`);
  mkdirSync(staged, { mode: 0o700 });
  try {
    writeFileSync(join(staged, mark), '', { mode: 0o600, flag: 'wx' });
    await putInPlace(staged, place, name, patienceMs);
  } catch (error) {
    rmSync(staged, { recursive: true, force: true });
    throw error;
  }
  try {
    return action();
  } finally {
    breakClaim(place, mark);
  }
}

/** Breaks the claim at a path if its owner is known to be dead. */
export function breakDeadClaim(place: string): void {
  const owners = attempt(() => readdirSync(place)) ?? [];
  for (const owner of owners) {
    if (ownerState(owner) === 'dead') breakClaim(place, owner);
  }
  // An owner that died between its two steps of letting go leaves an empty folder, onto which not every share can rename.
  if (owners.length === 0) attempt(() => rmdirSync(place));
}

async function putInPlace(staged: string, place: string, name: string, patienceMs: number): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 50)) {
    try {
      renameSync(staged, place);
      return;
    } catch (error) {
      if (!isTaken(place, error)) throw error;
      if (performance.now() >= deadline) throw locked(place, name, error);
    }
    breakDeadClaim(place);
    // oxlint-disable-next-line no-await-in-loop -- it waits
    await sleep(pauseMs);
  }
}

// Some shares answer EACCES or EPERM where a folder is in the way.
function isTaken(place: string, error: unknown): boolean {
  if (isSystemError(error, 'EEXIST', 'ENOTEMPTY')) return true;
  return isSystemError(error, 'EACCES', 'EPERM') && lstatSync(place, { throwIfNoEntry: false }) !== undefined;
}

function breakClaim(place: string, owner: string): void {
  attempt(() => unlinkSync(join(place, owner)));
  attempt(() => rmdirSync(place));
}

// Somebody else may be a step ahead in each of these, which is as good.
function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTEMPTY', 'EEXIST')) return undefined;
    throw error;
  }
}

function locked(place: string, name: string, cause: unknown): MoltError {
  return new MoltError('LOCKED', `another process is writing "${name}" and does not finish`, {
    hint: `if no other machine writes there, delete the folder ${place}`,
    details: { object: name },
    cause,
  });
}
