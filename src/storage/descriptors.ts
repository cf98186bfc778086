// Keeps the descriptors of the files read last open, since a restore reads thousands of ranges from a few packs.

import { closeSync } from 'node:fs';

/** Open descriptors by path; past the limit the one used longest ago is closed. */
export class DescriptorCache {
  readonly #limit: number;
  // A Map remembers insertion order: the first entry is the one used longest ago.
  readonly #open = new Map<string, number>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Returns the open descriptor of a path, or undefined. It is good until the next `add`, `drop` or `clear`: use it at once. */
  find(path: string): number | undefined {
    const descriptor = this.#open.get(path);
    if (descriptor === undefined) return undefined;
    this.#open.delete(path);
    this.#open.set(path, descriptor);
    return descriptor;
  }

  /** Takes over an open descriptor, or keeps the one that the path has already if it is the same. */
  add(path: string, descriptor: number): void {
    this.#open.set(path, descriptor);
    if (this.#open.size <= this.#limit) return;
    for (const oldest of this.#open.keys()) {
      this.drop(oldest);
      return;
    }
  }

  /** Closes a path's descriptor if there is one. */
  drop(path: string): void {
    const descriptor = this.#open.get(path);
    if (descriptor === undefined) return;
    this.#open.delete(path);
    closeSync(descriptor);
  }

  /** Closes all. */
  clear(): void {
    for (const path of this.#open.keys()) this.drop(path);
  }
}
