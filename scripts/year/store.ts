// The stores of a simulation: each knows how old its objects are by the simulated clock, and what they take.

/** When a tick began, by the real clock and by the simulated one; milliseconds. */
export interface Tick {
  readonly realMs: number;
  readonly nowMs: number;
}

/** What a storage's objects take. */
export interface StoreSize {
  readonly objects: number;
  readonly sizeBytes: number;
}

/** By the first part of the names. */
export type StoreSizes = ReadonlyMap<string, StoreSize>;

/** A store whose objects are as old as they would be. */
export interface TimedStore {
  /** What `remote add` is given. */
  readonly url: string;
  /** A tick begins: what is written from here on is of its time. */
  begin(tick: Tick): void;
  /** Something is to go by the age of the objects; now is the time of the last tick. */
  age(): void;
  measure(): Promise<StoreSizes>;
}

/** Returns the simulated time of something that was really written at a time: that of the tick in which it was. */
export function simulatedTime(ticks: readonly Tick[], realMs: number): number {
  let [low, high] = [0, ticks.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((ticks[middle]?.realMs ?? 0) <= realMs) low = middle;
    else high = middle;
  }
  return ticks[low]?.nowMs ?? realMs;
}

/** Adds up objects by the first part of their names. */
export function addUp(objects: Iterable<{ readonly name: string; readonly sizeBytes: number }>): StoreSizes {
  const sizes = new Map<string, StoreSize>();
  for (const { name, sizeBytes } of objects) {
    const top = name.split('/')[0] ?? '';
    const { objects: count, sizeBytes: before } = sizes.get(top) ?? { objects: 0, sizeBytes: 0 };
    sizes.set(top, { objects: count + 1, sizeBytes: before + sizeBytes });
  }
  return sizes;
}
