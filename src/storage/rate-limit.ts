// Keeps bodies below so many bytes per second: a token bucket that holds a quarter of a second's worth, shared by all requests in one
// direction, so that the limit is the sum's.

import { setTimeout as sleep } from 'node:timers/promises';

/** What a rate limit needs from outside. */
interface RateClock {
  /** Milliseconds that never go back. */
  readonly now: () => number;
  readonly pause: (ms: number) => Promise<unknown>;
}

const REAL_CLOCK: RateClock = { now: () => performance.now(), pause: async (ms) => sleep(ms) };

const BURST_MS = 250;

/** Grants bytes at a rate. */
export class RateLimit {
  readonly #bytesPerMs: number;
  readonly #clock: RateClock;
  // When the bytes granted so far will have been paid for.
  #paidUntilMs = -Infinity;

  constructor(bytesPerSecond: number, clock: RateClock = REAL_CLOCK) {
    if (!(bytesPerSecond > 0)) throw new RangeError(`not a rate: ${bytesPerSecond}`);
    this.#bytesPerMs = bytesPerSecond / 1_000;
    this.#clock = clock;
  }

  /**
   * Returns once so many bytes may move.
   * @param progressed called after every quarter of a second's worth, so that slow is not taken for stuck
   */
  async take(bytes: number, progressed: () => void = () => {}): Promise<void> {
    const pieceBytes = Math.max(1, Math.floor(this.#bytesPerMs * BURST_MS));
    for (let left = bytes; left > 0; left -= pieceBytes) {
      // oxlint-disable-next-line no-await-in-loop -- piece by piece, so that others get their turn
      await this.#takePiece(Math.min(left, pieceBytes));
      progressed();
    }
  }

  async #takePiece(bytes: number): Promise<void> {
    const nowMs = this.#clock.now();
    const startMs = Math.max(this.#paidUntilMs, nowMs - BURST_MS);
    this.#paidUntilMs = startMs + bytes / this.#bytesPerMs;
    const waitMs = this.#paidUntilMs - nowMs;
    if (waitMs > 0) await this.#clock.pause(waitMs);
  }
}
