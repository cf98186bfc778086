// Work that a screen wants: one thing at a time, named by a key. Another key stops it; what was stopped is never heard of again.

/** One kind of work. */
export class Slot {
  #key: string | undefined;
  #controller = new AbortController();

  /** Says whether this is what is being done, or was done last. */
  has(key: string): boolean {
    return this.#key === key;
  }

  /**
   * Does the work of a key, unless it is at it or has done it.
   * @param key undefined stops what is being done
   * @param work told by its signal when nobody wants it any more; must not throw
   */
  want(key: string | undefined, work: (signal: AbortSignal) => Promise<void>): void {
    if (key === this.#key) return;
    this.#controller.abort();
    this.#key = key;
    if (key === undefined) return;
    this.#controller = new AbortController();
    void work(this.#controller.signal);
  }

  /** Forgets what was done, so that it is done again. */
  reset(): void {
    this.want(undefined, async () => {});
  }
}
