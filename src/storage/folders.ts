// The folders of a directory storage: makes them durably, and sees to it that none is a symbolic link that leads elsewhere.

import { lstatSync, mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isSystemError, MoltError } from '../model/error.ts';
import { syncFolder } from './durable.ts';
import { SCRATCH_FOLDER } from './name.ts';

/** The folders under one root, named relative to it with `/` between parts; the root itself is the empty name. */
export class Folders {
  readonly #root: string;
  readonly #device: number;
  readonly #seen = new Set<string>();
  readonly #durable = new Set<string>();

  /** @param root an existing folder, absolute and without symbolic links */
  constructor(root: string) {
    this.#root = root;
    this.#device = statSync(root).dev;
  }

  /** Returns the absolute path of a folder or object. */
  path(name: string): string {
    return name === '' ? this.#root : `${this.#root}/${name}`;
  }

  /**
   * Says whether a folder is there.
   * @throws {MoltError} HOSTILE when it, or one that it is in, is a symbolic link
   */
  has(folder: string): boolean {
    if (folder === '' || this.#seen.has(folder)) return true;
    if (!this.has(parentOf(folder))) return false;
    const stat = lstatSync(this.path(folder), { throwIfNoEntry: false });
    if (stat === undefined) return false;
    if (stat.isSymbolicLink()) throw this.#symlinked(folder);
    if (stat.isDirectory()) this.#seen.add(folder);
    return stat.isDirectory();
  }

  /**
   * Makes a folder, and those that it is in, if they are not there. Its name is durable then, also if another process made it and
   * died before it could sync it.
   * @throws {MoltError} HOSTILE when one of them is a symbolic link, IO when one is a file or the disk under the root has changed
   */
  make(folder: string): void {
    if (this.#durable.has(folder)) return;
    if (folder === '') {
      this.#checkDevice();
      return;
    }
    this.make(parentOf(folder));
    try {
      mkdirSync(this.path(folder), { mode: 0o700 });
    } catch (error) {
      if (!isSystemError(error, 'EEXIST')) throw error;
      if (!this.has(folder)) throw this.#blocked(folder, error);
    }
    // Nobody misses the scratch folder after a power loss.
    if (folder !== SCRATCH_FOLDER) syncFolder(this.path(parentOf(folder)));
    this.#seen.add(folder);
    this.#durable.add(folder);
  }

  /** Forgets which folders were seen, because one of them turned out to be gone. */
  forget(): void {
    this.#seen.clear();
    this.#durable.clear();
  }

  // An unmounted share leaves its empty mount point, and what is written there is lost from sight at the next mount.
  #checkDevice(): void {
    if (statSync(this.#root).dev === this.#device) return;
    throw new MoltError('IO', `another disk is mounted at ${this.#root} than when it was opened; nothing was changed`, {
      hint: `check that the right disk or share is mounted at ${this.#root}, then start molt again`,
    });
  }

  #symlinked(folder: string): MoltError {
    return new MoltError('HOSTILE', `"${folder}" in ${this.#root} is a symbolic link where a folder should be`, {
      hint: 'replace the link by the folder that it points to',
      details: { object: folder },
    });
  }

  #blocked(folder: string, cause: unknown): MoltError {
    return new MoltError('IO', `"${folder}" in ${this.#root} is a file where a folder should be; nothing was changed`, {
      hint: `look at ${this.path(folder)} and move it away`,
      details: { object: folder },
      cause,
    });
  }
}

/** Returns the folder that an object or folder lies in. */
export function parentOf(name: string): string {
  return name.slice(0, Math.max(0, name.lastIndexOf('/')));
}

/** Makes a root folder, and those that it is in, durably and only for this user; says nothing if it is there. */
export function makeRoot(path: string): void {
  const first = mkdirSync(path, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let made = path; made.length >= first.length; made = dirname(made)) syncFolder(dirname(made));
}

/** Returns the absolute path of a storage's scratch folder. */
export function scratchOf(root: string): string {
  return join(root, SCRATCH_FOLDER);
}
