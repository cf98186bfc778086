// A storage in memory: for tests, and for dry runs that must leave nothing behind.

import type { Clock } from '../model/ports.ts';
import { checkName, checkPrefix } from './name.ts';
import { type ByteRange, cutRange } from './range.ts';
import type { ObjectStat, Storage } from './storage.ts';

interface Held {
  readonly bytes: Buffer;
  readonly modifiedMs: number;
}

/** Keeps objects until it is garbage; closing it closes nothing, so that a test can open what lies in it again. */
export class MemoryStorage implements Storage {
  readonly label: string;
  readonly #clock: Clock;
  readonly #objects = new Map<string, Held>();

  /** @param clock what objects' `modifiedMs` come from */
  constructor(clock: Clock, label = 'memory') {
    this.#clock = clock;
    this.label = label;
  }

  async createOnce(name: string, parts: readonly Uint8Array[]): Promise<boolean> {
    checkName(name);
    if (this.#objects.has(name)) return false;
    this.#objects.set(name, { bytes: Buffer.concat(parts), modifiedMs: this.#clock.now() });
    return true;
  }

  async read(name: string, range?: ByteRange): Promise<Buffer | undefined> {
    checkName(name);
    const held = this.#objects.get(name);
    if (held === undefined) return undefined;
    const { start, end } = cutRange(range, held.bytes.length);
    return Buffer.from(held.bytes.subarray(start, end));
  }

  async stat(name: string): Promise<ObjectStat | undefined> {
    checkName(name);
    const held = this.#objects.get(name);
    return held === undefined ? undefined : statOf(name, held);
  }

  async *list(prefix: string, startAfter = ''): AsyncGenerator<ObjectStat> {
    checkPrefix(prefix);
    const names = [...this.#objects.keys()].filter((name) => name.startsWith(prefix) && name > startAfter).sort();
    for (const name of names) {
      const held = this.#objects.get(name);
      if (held !== undefined) yield statOf(name, held);
    }
  }

  async delete(name: string): Promise<void> {
    checkName(name);
    this.#objects.delete(name);
  }

  async close(): Promise<void> {}
}

function statOf(name: string, held: Held): ObjectStat {
  return { name, sizeBytes: held.bytes.length, modifiedMs: held.modifiedMs };
}
