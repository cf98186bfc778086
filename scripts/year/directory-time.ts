// The time of a simulated store in a folder. Its files are really written now; before anything goes by their age they are made as old as
// they would be.

import { readdirSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { addUp, simulatedTime, type TimedStore, type StoreSizes, type Tick } from './store.ts';

/** Knows when each file of a storage was written by the simulated clock. */
export class DirectoryTime implements TimedStore {
  readonly #dir: string;
  readonly #clock: () => number;
  readonly #madeMs = new Map<string, number>();
  /** Since the last time that ages were given, and the tick before. */
  #ticks: Tick[] = [];

  /** @param clock what the age of its files is told by: the simulated time, or for a remote the real one */
  constructor(dir: string, clock: () => number) {
    this.#dir = dir;
    this.#clock = clock;
  }

  get url(): string {
    return `file://${this.#dir}`;
  }

  begin(tick: Tick): void {
    this.#ticks.push(tick);
  }

  age(): void {
    const now = this.#ticks.at(-1);
    if (now === undefined) return;
    const seen = new Set<string>();
    for (const { name, modifiedMs } of listFiles(this.#dir)) {
      seen.add(name);
      if (!this.#madeMs.has(name)) this.#madeMs.set(name, simulatedTime(this.#ticks, modifiedMs));
    }
    for (const name of this.#madeMs.keys()) if (!seen.has(name)) this.#madeMs.delete(name);
    this.#ticks = [now];
    const clockMs = this.#clock();
    for (const [name, madeMs] of this.#madeMs) {
      const seconds = (clockMs - (now.nowMs - madeMs)) / 1000;
      utimesSync(join(this.#dir, name), seconds, seconds);
    }
  }

  async measure(): Promise<StoreSizes> {
    return addUp(listFiles(this.#dir));
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
