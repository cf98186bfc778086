// Watches an agent that was healthy: one that gives no answer any more, and does not work either, hangs, and will not get up by itself.

import { setTimeout as delay } from 'node:timers/promises';
import { readActivity, type Activity } from './activity.ts';
import { checkHealth } from './health.ts';
import type { FilledPod } from './spec.ts';

/** A part of one processor, and bytes a second, by which a program that works is told from one that only waits. */
const WORK_SHARE = 0.02;
const WORK_BYTES_PER_S = 32 * 1024;

/** What watching goes by. */
export interface WatchOptions {
  /** The group of its processes. */
  readonly group: number;
  /** Aborted when it has ended, or is to end. */
  readonly signal: AbortSignal;
  /** Called with what is wrong, for people, and with undefined when it answers again. */
  readonly onChange: (problem: string | undefined) => void;
}

/** How watching ended. */
export interface WatchEnd {
  /** Why the agent is to be started again; undefined when the signal was aborted. */
  readonly hang: string | undefined;
  /** How long it was well, from the first question to the last answer; milliseconds. */
  readonly wellMs: number;
}

/**
 * Asks an agent by its health check until it is told to stop, or the agent gave no answer so many times in a row. An answer that says
 * no is one. A time in which it worked does not count, unless the spec says so.
 */
export async function watchLife(pod: FilledPod, { group, signal, onChange }: WatchOptions): Promise<WatchEnd> {
  const { liveness, http, command } = pod.health;
  const startedMs = performance.now();
  let wellMs = 0;
  if (liveness === undefined || (http === undefined && command === undefined)) {
    await untilAborted(signal);
    return { hang: undefined, wellMs: performance.now() - startedMs };
  }
  let missed = 0;
  let idle = 0;
  let before = readActivity(group);
  let beforeMs = startedMs;
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- one question after the other
    await delay(liveness.intervalMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) break;
    // oxlint-disable-next-line no-await-in-loop -- the same
    const { hasAnswered, answer } = await checkHealth(pod, liveness.timeoutMs, signal);
    if (signal.aborted) break;
    const nowMs = performance.now();
    const after = readActivity(group);
    const isBusy = liveness.busy === 'spare' && hasWorked(before, after, nowMs - beforeMs);
    [before, beforeMs] = [after, nowMs];
    if (hasAnswered) {
      if (missed > 0) onChange(undefined);
      wellMs = nowMs - startedMs;
      missed = idle = 0;
      continue;
    }
    missed += 1;
    idle = isBusy ? 0 : idle + 1;
    const times = `it gave no answer ${missed === 1 ? 'once' : `${missed} times in a row`}: ${answer}`;
    if (idle >= liveness.failures) return { hang: `it hangs: ${times}`, wellMs };
    onChange(isBusy ? `${times}; it is busy` : times);
  }
  return { hang: undefined, wellMs: missed === 0 ? performance.now() - startedMs : wellMs };
}

function hasWorked(before: Activity | undefined, after: Activity | undefined, tookMs: number): boolean {
  if (before === undefined || after === undefined) return false;
  const bytesPerS = ((after.ioBytes - before.ioBytes) / Math.max(1, tookMs)) * 1000;
  return (after.cpuMs - before.cpuMs) / Math.max(1, tookMs) >= WORK_SHARE || bytesPerS >= WORK_BYTES_PER_S;
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => resolve(), { once: true });
  await promise;
}
