// Waiting by the wall clock. A timer of the system stands still while the machine sleeps, and doesn't see a clock that is set; so this one
// looks at the clock again and again.

import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../model/ports.ts';

const LOOK_EVERY_MS = 30_000;

/** Resolves once the clock shows so much later, was set back to before now, or the signal is aborted. */
export async function waitByClock(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  const startMs = clock.now();
  let leftMs = ms;
  while (leftMs > 0 && leftMs <= ms && !signal.aborted) {
    // oxlint-disable-next-line no-await-in-loop -- one look after the other
    await delay(Math.min(leftMs, LOOK_EVERY_MS), undefined, { signal }).catch(() => undefined);
    leftMs = startMs + ms - clock.now();
  }
}
