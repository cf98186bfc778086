// Where entries of the backup log wait on this machine until they are in the log: a folder for each repository, in it a file for each
// key, each line sealed by itself. Any number of processes append and take at once. What is taken is moved aside first and goes away
// only when the log has it; who appended to a file that was moved meanwhile appends again. So an entry may come twice, and never not at all.

import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { openLine, sealLine } from '../crypto/line.ts';
import { isMoltError, isSystemError } from '../model/error.ts';
import type { RepositoryId } from '../model/ids.ts';
import type { Random, RunKey } from '../model/ports.ts';
import type { RunEntry } from '../model/run-entry.ts';
import { systemFailure } from '../model/system-error.ts';
import { syncFolder } from '../storage/durable.ts';
import { makeRoot } from '../storage/folders.ts';
import { newMark } from '../storage/owner.ts';
import { foldRepeats } from './fold.ts';
import { encodeRun, parseRun } from './run-codec.ts';

/** Entries that wait, out of one file. */
export interface TakenRuns {
  readonly entries: readonly RunEntry[];
  /** Forgets them: the log has them. */
  done(): void;
}

const KEYS = ['machine', 'repository'] as const;
/** An append that comes upon files being moved away again and again. */
const MOST_TRIES = 20;

/** What waits of one repository. */
export class RunSpool {
  readonly #dir: string;
  readonly #repository: RepositoryId;

  /** @param dir the folder of the repository's runs; it need not be there */
  constructor(dir: string, repository: RepositoryId) {
    this.#dir = dir;
    this.#repository = repository;
  }

  /** Appends an entry: durable when this returns, unless nothing changed by what it tells of. @throws {MoltError} IO */
  append(entry: RunEntry, { of, key }: RunKey, random: Random): void {
    const path = join(this.#dir, `waiting-${of}`);
    // A line that somebody could not write whole, on a full disk, must not swallow this one: it begins with a line break.
    const line = Buffer.from(`\n${sealLine(key, this.#label(of), encodeRun(entry), random)}\n`, 'latin1');
    try {
      makeRoot(this.#dir);
      for (let attempt = 0; attempt < MOST_TRIES; attempt += 1) if (appendLine(path, line, entry)) return;
    } catch (error) {
      throw systemFailure(error, `cannot write "${path}"`, this.#dir);
    }
  }

  /** Returns how many bytes wait. */
  sizeBytes(): number {
    return KEYS.reduce((sum, of) => sum + (statIfThere(join(this.#dir, `waiting-${of}`))?.size ?? 0), 0);
  }

  /**
   * Moves what waits aside and returns it, file by file, oldest first: also what an earlier taker left. What other keys sealed stays.
   * Runs that repeat each other are folded; a file gives the same entries each time.
   * @throws {MoltError} IO
   */
  *take(keys: readonly RunKey[]): Generator<TakenRuns> {
    for (const { of, key } of keys) {
      for (const path of this.#moveAside(of)) {
        const entries = this.#read(path, of, key);
        // Under another key it may open again.
        if (entries.length > 0) yield { entries, done: () => rmSync(path, { force: true }) };
      }
    }
  }

  /** Returns what waits, and leaves it where it is. @throws {MoltError} IO */
  peek(keys: readonly RunKey[]): RunEntry[] {
    return keys.flatMap(({ of, key }) =>
      [...this.#listTaken(of), join(this.#dir, `waiting-${of}`)].flatMap((path) => this.#read(path, of, key)),
    );
  }

  #moveAside(of: RunKey['of']): string[] {
    try {
      renameSync(join(this.#dir, `waiting-${of}`), join(this.#dir, `taken-${of}-${newMark()}`));
    } catch (error) {
      if (!isSystemError(error, 'ENOENT', 'ENOTDIR'))
        throw systemFailure(error, `cannot write to "${this.#dir}"`, this.#dir);
    }
    return this.#listTaken(of);
  }

  /** Lists what was moved aside, oldest first. */
  #listTaken(of: RunKey['of']): string[] {
    try {
      return readdirSync(this.#dir)
        .filter((name) => name.startsWith(`taken-${of}-`))
        .map((name) => join(this.#dir, name))
        .map((path) => ({ path, modifiedMs: statIfThere(path)?.mtimeMs ?? 0 }))
        .toSorted((a, b) => a.modifiedMs - b.modifiedMs)
        .map(({ path }) => path);
    } catch (error) {
      if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return [];
      throw systemFailure(error, `cannot look into "${this.#dir}"`, this.#dir);
    }
  }

  /** Reads a file; a line that can't be read was torn by a power cut or a full disk, and is passed over. */
  #read(path: string, of: RunKey['of'], key: RunKey['key']): RunEntry[] {
    let text: string;
    try {
      text = readFileSync(path, 'latin1');
    } catch (error) {
      if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return [];
      throw systemFailure(error, `cannot read "${path}"`, this.#dir);
    }
    const entries: RunEntry[] = [];
    for (const line of text.split('\n')) {
      const plain = line === '' ? undefined : openLine(key, this.#label(of), line);
      const entry = plain && readRun(plain);
      if (entry !== undefined) entries.push(entry);
    }
    return foldRepeats(entries);
  }

  /** Binds a line to its repository: moved to another folder it does not open. */
  #label(of: RunKey['of']): string {
    return `run ${of} ${this.#repository}`;
  }
}

/** Returns whether the line was written to the file that has the name. */
function appendLine(path: string, line: Buffer, { result }: RunEntry): boolean {
  const descriptor = openSync(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, 0o600);
  try {
    const { ino } = fstatSync(descriptor);
    const written = writeSync(descriptor, line);
    if (written < line.length) throw Object.assign(new Error('short write'), { code: 'ENOSPC', syscall: 'write' });
    if (result !== 'unchanged') {
      fdatasyncSync(descriptor);
      // Whoever made the file may have been in no hurry.
      syncFolder(dirname(path));
    }
    return statIfThere(path)?.ino === ino;
  } finally {
    closeSync(descriptor);
  }
}

function statIfThere(path: string): { size: number; ino: number; mtimeMs: number } | undefined {
  return statSync(path, { throwIfNoEntry: false });
}

function readRun(plain: Buffer): RunEntry | undefined {
  try {
    return parseRun(plain);
  } catch (error) {
    if (!isMoltError(error)) throw error;
    return undefined;
  }
}
