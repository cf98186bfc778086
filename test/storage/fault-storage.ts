// A storage that fails on purpose, to cut an operation of the repository at every single step: run it once to count the steps, then
// once for each of them, and see what is left in the storage underneath.

import { MoltError } from '../../src/model/error.ts';
import type { ByteRange } from '../../src/storage/range.ts';
import type { ObjectStat, Storage } from '../../src/storage/storage.ts';

/**
 * How an operation fails. `error`: an IO error, and it was not carried out. `lost-answer`: an IO error, but it was carried out.
 * `death`: it is not carried out, and this and every later call throws ProcessDeath.
 */
export type Fault = 'error' | 'lost-answer' | 'death';

/** Thrown in place of a process's end. No MoltError: nothing in molt may handle it. */
export class ProcessDeath extends Error {
  constructor() {
    super('the process is dead');
    this.name = 'ProcessDeath';
  }
}

/** Passes calls on to another storage, counts them, and fails the one that it is told to. */
export class FaultStorage implements Storage {
  readonly label: string;
  readonly #inner: Storage;
  readonly #operations: string[] = [];
  #fault: { readonly at: number; readonly kind: Fault } | undefined;
  #dead = false;

  constructor(inner: Storage) {
    this.#inner = inner;
    this.label = inner.label;
  }

  /** What was called so far, in order, as `createOnce log/000000000001`. A list counts once, when its first object is asked for. */
  get operations(): readonly string[] {
    return this.#operations;
  }

  /** Says whether the fault has struck. */
  get struck(): boolean {
    return this.#fault !== undefined && this.#operations.length >= this.#fault.at;
  }

  /** Makes the n-th operation, from 1 and counted from the beginning, fail. Replaces an earlier fault. */
  failAt(n: number, kind: Fault): void {
    this.#fault = { at: n, kind };
  }

  async createOnce(name: string, parts: readonly Uint8Array[]): Promise<boolean> {
    return this.#run(`createOnce ${name}`, () => this.#inner.createOnce(name, parts));
  }

  async read(name: string, range?: ByteRange): Promise<Buffer | undefined> {
    return this.#run(`read ${name}`, () => this.#inner.read(name, range));
  }

  async stat(name: string): Promise<ObjectStat | undefined> {
    return this.#run(`stat ${name}`, () => this.#inner.stat(name));
  }

  async *list(prefix: string, startAfter?: string): AsyncGenerator<ObjectStat> {
    await this.#run(`list ${prefix}`, async () => {});
    for await (const stat of this.#inner.list(prefix, startAfter)) {
      this.#checkAlive();
      yield stat;
    }
    this.#checkAlive();
  }

  async delete(name: string): Promise<void> {
    return this.#run(`delete ${name}`, () => this.#inner.delete(name));
  }

  /** Does nothing: whoever made the storage underneath goes on with it. */
  async close(): Promise<void> {}

  async #run<T>(operation: string, action: () => Promise<T>): Promise<T> {
    this.#checkAlive();
    this.#operations.push(operation);
    const kind = this.#fault?.at === this.#operations.length ? this.#fault.kind : undefined;
    if (kind === 'death') this.#dead = true;
    this.#checkAlive();
    if (kind === 'error') throw new MoltError('IO', `cannot do ${operation}: simulated error`);
    const result = await action();
    // What was under way when the process died still happens, but nobody hears of it.
    this.#checkAlive();
    if (kind === 'lost-answer') throw new MoltError('IO', `cannot tell how ${operation} ended: simulated error`);
    return result;
  }

  #checkAlive(): void {
    if (this.#dead) throw new ProcessDeath();
  }
}
