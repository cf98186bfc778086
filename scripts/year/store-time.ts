// The time of a simulated store. Its files are really written now; before anything goes by their age they are made as old as they would be.

import { readdirSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';

/** What a storage's files take. */
export interface StoreSize {
  readonly objects: number;
  readonly sizeBytes: number;
}

/** Knows when each file of a storage was written by the simulated clock. */
export class StoreTime {
  readonly #dir: string;
  readonly #madeMs = new Map<string, number>();

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Notes what was written since the last call as written at a time, by when it really was. @param at simulated time by real time */
  note(at: (realMs: number) => number): void {
    const seen = new Set<string>();
    for (const { name, modifiedMs } of listFiles(this.#dir)) {
      seen.add(name);
      if (!this.#madeMs.has(name)) this.#madeMs.set(name, at(modifiedMs));
    }
    for (const name of this.#madeMs.keys()) if (!seen.has(name)) this.#madeMs.delete(name);
  }

  /** Gives every file its age, by a clock that now shows `clockMs`. */
  age(nowMs: number, clockMs: number): void {
    for (const [name, madeMs] of this.#madeMs) {
      const seconds = (clockMs - (nowMs - madeMs)) / 1000;
      utimesSync(join(this.#dir, name), seconds, seconds);
    }
  }

  /** Returns what is there, by the first part of the names. */
  measure(): Map<string, StoreSize> {
    const sizes = new Map<string, StoreSize>();
    for (const { name, sizeBytes } of listFiles(this.#dir)) {
      const top = name.split('/')[0] ?? '';
      const { objects, sizeBytes: before } = sizes.get(top) ?? { objects: 0, sizeBytes: 0 };
      sizes.set(top, { objects: objects + 1, sizeBytes: before + sizeBytes });
    }
    return sizes;
  }
}

function* listFiles(dir: string): Iterable<{ name: string; sizeBytes: number; modifiedMs: number }> {
  for (const entry of readdirSync(dir, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const { size, mtimeMs } = statSync(path);
    const name = path.slice(dir.length + 1);
    if (!name.startsWith('tmp/')) yield { name, sizeBytes: size, modifiedMs: mtimeMs };
  }
}
