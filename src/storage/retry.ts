// When a request to a remote is sent again, after which pause, and how many run at a time. The SDK's own retries are off: they are too
// few for a program that runs by itself, and would hide a lost answer, which create-once has to know of.

import { setTimeout as sleep } from 'node:timers/promises';

/** Deadlines and pauses of requests. */
export interface RetryTiming {
  /** How often a request is sent before its failure is reported. */
  readonly attempts: number;
  /** A request in which no byte moves for so long is given up. */
  readonly idleMs: number;
  /** A request that takes longer than this is given up. */
  readonly totalMs: number;
  /** The longest pause before the second attempt; it doubles with each further one. */
  readonly baseMs: number;
  /** The longest pause. */
  readonly capMs: number;
  /** Waits; rejects when the signal says so. */
  readonly pause: (ms: number, signal?: AbortSignal) => Promise<void>;
  /** Returns a number from 0 to below 1: the jitter. */
  readonly random: () => number;
}

/**
 * Eight attempts with at most about a minute of pauses: longer than a server takes to restart, shorter than a tick of five minutes. The
 * deadlines leave room for packs on a slow line, whose last bytes lie in the system's buffers while nothing seems to move.
 */
export const DEFAULT_TIMING: RetryTiming = {
  attempts: 8,
  idleMs: 60_000,
  totalMs: 60 * 60_000,
  baseMs: 500,
  capMs: 30_000,
  pause: async (ms, signal) => sleep(ms, undefined, signal === undefined ? {} : { signal }),
  random: Math.random,
};

/** What is known of a failed attempt. */
export interface Attempted {
  /** Whether another attempt may help. */
  readonly canRetry: boolean;
  /** How long the server asks to wait. */
  readonly retryAfterMs?: number | undefined;
}

/**
 * Runs an action until it succeeds, its failure is final, or the attempts are used up; then throws its last error.
 * @param judge says what an error means
 */
export async function withRetries<T>(
  timing: RetryTiming,
  signal: AbortSignal | undefined,
  judge: (error: unknown) => Attempted,
  action: () => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- one attempt after the other
      return await action();
    } catch (error) {
      const { canRetry, retryAfterMs = 0 } = judge(error);
      if (!canRetry || attempt >= timing.attempts) throw error;
      // Full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"): clients that failed together don't come back together.
      const backoffMs = timing.random() * Math.min(timing.capMs, timing.baseMs * 2 ** (attempt - 1));
      // oxlint-disable-next-line no-await-in-loop -- it waits
      await timing.pause(Math.max(backoffMs, Math.min(retryAfterMs, MAX_RETRY_AFTER_MS)), signal);
    }
  }
}

// A server that asks for more is down for longer than anybody waits: better to fail and say so.
const MAX_RETRY_AFTER_MS = 120_000;

/**
 * Lets some requests run at a time. The number halves whenever the server asks to slow down, and grows by one after as many successes
 * in a row as it is (TCP's rule, which settles near what the server gives).
 */
export class RequestLimiter {
  readonly #max: number;
  #limit: number;
  #running = 0;
  #successes = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(max: number) {
    this.#max = max;
    this.#limit = max;
  }

  /** How many requests may run at a time now. */
  get limit(): number {
    return this.#limit;
  }

  /** Runs an action once there is room for it. */
  async run<T>(action: () => Promise<T>): Promise<T> {
    while (this.#running >= this.#limit) {
      // oxlint-disable-next-line no-await-in-loop -- it waits for its turn
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
    this.#running += 1;
    try {
      return await action();
    } finally {
      this.#running -= 1;
      this.#wake();
    }
  }

  /** Notes a request that the server carried out. */
  succeeded(): void {
    this.#successes += 1;
    if (this.#successes < this.#limit || this.#limit >= this.#max) return;
    this.#limit += 1;
    this.#successes = 0;
    this.#wake();
  }

  /** Notes that the server asked to slow down. */
  throttled(): void {
    this.#limit = Math.max(1, Math.floor(this.#limit / 2));
    this.#successes = 0;
  }

  #wake(): void {
    for (let room = this.#limit - this.#running; room > 0; room -= 1) this.#waiting.shift()?.();
  }
}
