// When a scheduled agent is saved next, and what was missed. Pure: the time now is an argument, and what ran before is what was noted of it.
//
// Commits happen at fixed instants, `everyMs` apart, counted from the epoch and shifted by the agent's label. So many agents are spread
// over the interval, a restart changes nothing, and what was missed can be counted.

import { createHash } from 'node:crypto';
import { nextFullTime, type FullTimes } from './full-times.ts';

/** What is done how often, for one agent. */
export interface Timing {
  readonly label: string;
  /** From one commit to the next; milliseconds. */
  readonly everyMs: number;
  readonly full: FullTimes;
  /** By how much its fulls may come later than their time, so that those of many agents don't come at once; milliseconds. */
  readonly fullSpreadMs: number;
}

/** When an agent was last saved, as far as it is noted; milliseconds. */
export interface LastRuns {
  /** When a commit was last begun, whatever came of it. */
  readonly tickMs: number | undefined;
  /** When the newest full backup was made. */
  readonly fullMs: number | undefined;
}

/** When an agent is saved next; milliseconds. What is not later than now is due. */
export interface NextRuns {
  readonly tickMs: number;
  readonly fullMs: number;
}

/** Runs whose time came while nothing kept them, beside the one that makes up for them. */
export interface MissedRuns {
  readonly ticks: number;
  readonly fulls: number;
}

const DAY_MS = 86_400_000;
/** More missed fulls than this are not counted one by one: a clock that jumped by years is no reason to think long. */
const MOST_MISSED_FULLS = 400;

/** Returns when an agent is saved next. */
export async function nextRuns(timing: Timing, last: LastRuns, nowMs: number): Promise<NextRuns> {
  return { tickMs: nextTick(timing, last.tickMs, nowMs), fullMs: await nextFull(timing, last.fullMs, nowMs) };
}

/**
 * Returns when the next commit is due. One that was never made is due now, and so is one whose last time lies more than an interval
 * ahead: the clock was set back, and nobody waits until the old time comes again.
 */
export function nextTick({ label, everyMs }: Timing, lastMs: number | undefined, nowMs: number): number {
  if (lastMs === undefined || lastMs > nowMs + everyMs) return nowMs;
  return (slotOf(lastMs, label, everyMs) + 1) * everyMs + shareOf(label, everyMs);
}

/** Returns when the next full backup is due; now if none is known. A last one that lies more than a day ahead is none: the clock was set back. */
export async function nextFull(
  { label, full, fullSpreadMs }: Pick<Timing, 'label' | 'full' | 'fullSpreadMs'>,
  lastMs: number | undefined,
  nowMs: number,
): Promise<number> {
  if (lastMs === undefined || lastMs > nowMs + DAY_MS) return nowMs;
  return (await nextFullTime(lastMs, full)) + shareOf(label, fullSpreadMs);
}

/**
 * Returns when to look at an agent next: at its next commit, or at its next full if that comes first. A full that is overdue, because it
 * failed, is tried again no sooner than anything else.
 */
export function nextDue({ tickMs, fullMs }: NextRuns, nowMs: number): number {
  return fullMs > nowMs ? Math.min(tickMs, fullMs) : tickMs;
}

/** Counts what was missed before a run that begins now: by a machine that slept, a daemon that did not run, or runs that took too long. */
export async function countMissed(timing: Timing, last: LastRuns, nowMs: number): Promise<MissedRuns> {
  const { label, everyMs } = timing;
  const ticks =
    last.tickMs === undefined
      ? 0
      : Math.max(0, slotOf(nowMs, label, everyMs) - slotOf(last.tickMs, label, everyMs) - 1);
  let due = 0;
  if (last.fullMs !== undefined) {
    let atMs = await nextFull(timing, last.fullMs, nowMs);
    while (atMs <= nowMs && due <= MOST_MISSED_FULLS) {
      due += 1;
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      atMs = await nextFull(timing, atMs, atMs);
    }
  }
  return { ticks, fulls: Math.max(0, due - 1) };
}

/** Returns over how long the fulls of so many agents are spread: what they take two seconds each for, at most half an hour. */
export function fullSpread(agents: number): number {
  return Math.min(1_800_000, Math.max(0, agents - 1) * 2000);
}

/** Returns a number from 0 to below `ofMs` that is always the same for a label, and spread evenly over labels. */
export function shareOf(label: string, ofMs: number): number {
  return Math.floor((createHash('sha256').update(label).digest().readUInt32BE() / 2 ** 32) * ofMs);
}

function slotOf(ms: number, label: string, everyMs: number): number {
  return Math.floor((ms - shareOf(label, everyMs)) / everyMs);
}
