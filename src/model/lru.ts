// A least-recently-used cache bounded by bytes.

/** Keeps the most recently used values whose weights together stay under a bound, and the last one in any case. */
export class Lru<V> {
  readonly #values = new Map<string, { readonly value: V; readonly weight: number }>();
  readonly #maxWeight: number;
  #weight = 0;

  constructor(maxWeight: number) {
    this.#maxWeight = maxWeight;
  }

  get(key: string): V | undefined {
    const entry = this.#values.get(key);
    if (entry === undefined) return undefined;
    this.#values.delete(key);
    this.#values.set(key, entry);
    return entry.value;
  }

  set(key: string, value: V, weight: number): void {
    this.delete(key);
    this.#values.set(key, { value, weight });
    this.#weight += weight;
    for (const oldest of this.#values.keys()) {
      if (this.#weight <= this.#maxWeight || this.#values.size === 1) break;
      this.delete(oldest);
    }
  }

  /** Forgets all values and returns them. */
  clear(): V[] {
    const values = [...this.#values.values()].map(({ value }) => value);
    this.#values.clear();
    this.#weight = 0;
    return values;
  }

  delete(key: string): void {
    this.#weight -= this.#values.get(key)?.weight ?? 0;
    this.#values.delete(key);
  }
}
