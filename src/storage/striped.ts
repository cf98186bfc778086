// Reads packs from far away in whole stripes of a MiB, a few ahead: who reads one block of a pack reads its neighbours next, and a
// request for a little takes as long as one for a lot.

import type { ByteRange } from './range.ts';
import type { ObjectStat, Storage } from './storage.ts';

const STRIPE_BYTES = 1 << 20;
const AHEAD = 4;
/** What is kept of stripes that were read. */
const KEPT = 32;

/** A storage that is read from in stripes. */
export class StripedStorage implements Storage {
  readonly label: string;
  readonly #inner: Storage;
  readonly #stripes = new Map<string, Promise<Buffer | undefined>>();

  constructor(inner: Storage) {
    this.#inner = inner;
    this.label = inner.label;
  }

  async read(name: string, range?: ByteRange): Promise<Buffer | undefined> {
    if (range === undefined || !name.startsWith('packs/')) return this.#inner.read(name, range);
    const { start, end } = range;
    const parts: Buffer[] = [];
    for (let at = start - (start % STRIPE_BYTES); at < end; at += STRIPE_BYTES) {
      // Only who goes on is read ahead for: a header or a footer is read by itself.
      const ahead = this.#stripes.has(`${name}#${at - STRIPE_BYTES}`) ? AHEAD : 0;
      const wanted = this.#stripe(name, at);
      for (let next = 1; next <= ahead; next += 1) void this.#stripe(name, at + next * STRIPE_BYTES);
      // oxlint-disable-next-line no-await-in-loop -- one or two
      const stripe = await wanted;
      if (stripe === undefined) return undefined;
      parts.push(stripe.subarray(Math.max(start - at, 0), Math.max(end - at, 0)));
      if (stripe.length < STRIPE_BYTES) break;
    }
    // The caller's own: stripes are kept.
    return Buffer.concat(parts);
  }

  createOnce(name: string, parts: readonly Uint8Array[]): Promise<boolean> {
    return this.#inner.createOnce(name, parts);
  }

  stat(name: string): Promise<ObjectStat | undefined> {
    return this.#inner.stat(name);
  }

  list(prefix: string, startAfter?: string): AsyncIterable<ObjectStat> {
    return this.#inner.list(prefix, startAfter);
  }

  delete(name: string): Promise<void> {
    return this.#inner.delete(name);
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#stripes.values());
    await this.#inner.close();
  }

  #stripe(name: string, at: number): Promise<Buffer | undefined> {
    const key = `${name}#${at}`;
    const known = this.#stripes.get(key);
    if (known !== undefined) {
      this.#stripes.delete(key);
      this.#stripes.set(key, known);
      return known;
    }
    const reading = this.#inner.read(name, { start: at, end: at + STRIPE_BYTES });
    // Whoever wants it is told; of one that was only read ahead nobody is.
    reading.catch(() => this.#stripes.delete(key));
    this.#stripes.set(key, reading);
    for (const oldest of this.#stripes.keys()) {
      if (this.#stripes.size <= KEPT) break;
      this.#stripes.delete(oldest);
    }
    return reading;
  }
}
