// Temporary copies of databases: plaintext, so they lie in a folder that only the owner may enter, and what a killed process left
// is removed by the next.

import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isSystemError } from '../model/error.ts';

// A process id alone doesn't tell a process from an earlier one: in a container every molt may be number 1.
const PROCESS_MARK = randomBytes(6).toString('hex');
const FOLDER_NAME = /^capture-([0-9]+)-([0-9a-f]{12})-[0-9]+$/;
let made = 0;

/**
 * Makes a folder of this process's own inside `tempDir`, both with mode 0700. Where that can't be written (molt's own folder is on a
 * read-only disk, and somebody only looks), it lies in the system's folder for such things.
 */
export function makeTempFolder(tempDir: string): string {
  try {
    return makeOwnFolder(tempDir);
  } catch (error) {
    if (!isSystemError(error, 'EROFS', 'EACCES', 'EPERM')) throw error;
    return mkdtempSync(join(tmpdir(), 'molt-capture-'));
  }
}

function makeOwnFolder(tempDir: string): string {
  mkdirSync(tempDir, { recursive: true, mode: 0o700 });
  chmodSync(tempDir, 0o700);
  made += 1;
  const folder = join(tempDir, `capture-${process.pid}-${PROCESS_MARK}-${made}`);
  mkdirSync(folder, { mode: 0o700 });
  return folder;
}

/** Removes such a folder with what is in it. */
export function removeTempFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}

/**
 * Removes what processes that are no more left in `tempDir`, and nothing else.
 * @returns how many folders were removed
 */
export function sweepTemp(tempDir: string): number {
  let names: string[];
  try {
    names = readdirSync(tempDir);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return 0;
    throw error;
  }
  const dead = names.filter((name) => {
    const [, pid, mark] = FOLDER_NAME.exec(name) ?? [];
    if (pid === undefined) return false;
    return Number(pid) === process.pid ? mark !== PROCESS_MARK : !isAlive(Number(pid));
  });
  return dead.filter((name) => isRemoved(join(tempDir, name))).length;
}

// On a read-only disk the next process tries again: no reason to fail.
function isRemoved(folder: string): boolean {
  try {
    removeTempFolder(folder);
    return true;
  } catch {
    return false;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !isSystemError(error, 'ESRCH');
  }
}
