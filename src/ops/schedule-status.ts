// How the schedules of this machine stand: what was done, what was missed, what comes next, and whether anything keeps them.

import { countMissed, fullSpread, nextRuns } from '../policy/schedule.ts';
import type { OpsContext } from './context.ts';
import { listSchedules, type NamedSchedule, type Schedule } from './schedule.ts';
import { isBeating, loadBeat, loadRuns, type Beat, type Runs } from './schedule-runs.ts';

/** How the daemon stands. */
export interface DaemonStatus extends Beat {
  readonly isRunning: boolean;
  /** It runs, and was not heard of for so long that something is wrong with it. */
  readonly isStuck: boolean;
}

/** How the schedule of an agent stands; times in milliseconds. */
export interface ScheduleStatus {
  readonly label: string;
  readonly schedule: Schedule;
  readonly runs: Runs;
  readonly nextTickMs: number;
  readonly nextFullMs: number;
  /** Runs whose time has come and gone since the last one. */
  readonly overdue: { readonly ticks: number; readonly fulls: number };
}

/** A schedule that can't be read. */
export type BrokenSchedule = Extract<NamedSchedule, { schedule?: undefined }>;

/** How everything stands. */
export interface ScheduleOverview {
  readonly daemon: DaemonStatus | undefined;
  readonly schedules: readonly ScheduleStatus[];
  readonly broken: readonly BrokenSchedule[];
}

/** Without a beat for so long, a daemon that runs does not do its work; milliseconds. */
const STUCK_MS = 300_000;

/** Reads how the schedules stand: all, or that of one agent. Nothing is opened, and nobody asked. */
export async function readScheduleOverview(context: OpsContext, label?: string): Promise<ScheduleOverview> {
  const { home, clock } = context;
  const nowMs = clock.now();
  const all = await listSchedules(home);
  const spreadMs = fullSpread(all.length);
  const schedules: ScheduleStatus[] = [];
  const broken: BrokenSchedule[] = [];
  for (const named of all) {
    if (label !== undefined && named.label !== label) continue;
    if (named.schedule === undefined) broken.push(named);
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    else schedules.push(await readOne(context, named.label, named.schedule, spreadMs));
  }
  const beat = await loadBeat(home);
  const isRunning = beat !== undefined && isBeating(beat);
  return {
    daemon: beat && { ...beat, isRunning, isStuck: isRunning && nowMs - beat.beatMs > STUCK_MS },
    schedules,
    broken,
  };
}

async function readOne(
  { home, clock }: OpsContext,
  label: string,
  schedule: Schedule,
  fullSpreadMs: number,
): Promise<ScheduleStatus> {
  const nowMs = clock.now();
  const runs = await loadRuns(home, label);
  const timing = { label, everyMs: schedule.everyMs, full: schedule.full, fullSpreadMs };
  const next = await nextRuns(timing, { tickMs: runs.tickMs, fullMs: runs.fullMs }, nowMs);
  const since = (ms: number | undefined): number | undefined =>
    ms === undefined ? undefined : Math.max(ms, schedule.sinceMs);
  return {
    label,
    schedule,
    runs,
    nextTickMs: next.tickMs,
    nextFullMs: next.fullMs,
    overdue: await countMissed(timing, { tickMs: since(runs.tickMs), fullMs: since(runs.fullMs) }, nowMs),
  };
}
