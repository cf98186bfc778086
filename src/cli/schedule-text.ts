// How schedules are shown.

import { formatAge, formatJsonTime, formatTime } from '../model/time-format.ts';
import { formatTimeOfDay, type Schedule } from '../ops/schedule.ts';
import type { DaemonStatus, ScheduleStatus } from '../ops/schedule-status.ts';
import type { Runs } from '../ops/schedule-runs.ts';
import type { EventLine } from './run-text.ts';
import { formatCount, formatDuration } from './text.ts';

const UNITS: readonly (readonly [ms: number, short: string])[] = [
  [604_800_000, 'w'],
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'm'],
  [1000, 's'],
];

/** Returns an interval as users write it: `5m`, `1h30m`. */
export function formatInterval(ms: number): string {
  let left = ms;
  let text = '';
  for (const [unitMs, unit] of UNITS) {
    const count = Math.floor(left / unitMs);
    if (count === 0) continue;
    text += `${count}${unit}`;
    left -= count * unitMs;
  }
  return left > 0 || text === '' ? `${text}${left}ms` : text;
}

/** Returns when fulls are made: `daily at 02:00 Asia/Jakarta`. */
export function describeFullTimes({ full }: Pick<Schedule, 'full'>): string {
  return 'cron' in full
    ? `at '${full.cron}' ${full.zone}`
    : `daily at ${formatTimeOfDay(full.hour, full.minute)} ${full.zone}`;
}

/** Returns a schedule in a line: `committed every 5m, in full daily at 02:00 Asia/Jakarta`. */
export function describeSchedule(schedule: Schedule): string {
  const { retention } = schedule;
  const how =
    retention === undefined ? undefined : /^\d/.test(retention) ? `for ${retention}` : `by the plan ${retention}`;
  const kept = how === undefined ? '' : `, kept ${how}`;
  return `committed every ${formatInterval(schedule.everyMs)}, in full ${describeFullTimes(schedule)}${kept}`;
}

/** Returns what was missed, and when: `12 commits and 1 full backup missed between … and …`. */
export function describeMissed({ ticks, fulls, fromMs, toMs }: NonNullable<Runs['missed']>, zone?: string): string {
  return `${countRuns({ ticks, fulls })} missed between ${formatTime(fromMs, zone)} and ${formatTime(toMs, zone)}`;
}

/** Returns how a schedule stands, a line for each thing. */
export function describeRuns(status: ScheduleStatus, nowMs: number, zone: string): readonly EventLine[] {
  const { runs, nextTickMs, nextFullMs, overdue } = status;
  const { goodMs, tickMs, fullMs, durationMs, missed, failing, sentMs } = runs;
  const lines: EventLine[] = [];
  const add = (text: string, isWarning = false): void => {
    lines.push({ text, isWarning });
  };
  if (tickMs === undefined) add('nothing was done yet');
  const took = durationMs === undefined ? '' : `, in ${formatDuration(durationMs)}`;
  if (goodMs !== undefined)
    add(`last saved or checked ${formatAge(nowMs - goodMs)}${took}; next ${formatNext(nextTickMs, nowMs)}`);
  else if (tickMs !== undefined) add(`tried ${formatAge(nowMs - tickMs)}; next ${formatNext(nextTickMs, nowMs)}`);
  if (fullMs !== undefined)
    add(
      `last full ${formatTime(fullMs, zone)}; next ${nextFullMs <= nowMs ? 'with the next commit' : formatTime(nextFullMs, zone)}`,
    );
  for (const [remote, ms] of Object.entries(sentMs)) add(`${remote} had everything ${formatAge(nowMs - ms)}`);
  if (overdue.ticks > 0 || overdue.fulls > 0) add(`overdue: ${countRuns(overdue)}`, true);
  if (missed !== undefined) add(`${describeMissed(missed, zone)}; then made up for`);
  for (const { what, sinceMs, message } of failing)
    add(`${what} fails since ${formatTime(sinceMs, zone)}: ${message}`, true);
  return lines;
}

/** Returns a schedule as a plain value. */
export function scheduleDocument({ everyMs, full, retention }: Schedule) {
  return {
    everyMs,
    ...('cron' in full ? { cron: full.cron } : { dailyAt: formatTimeOfDay(full.hour, full.minute) }),
    zone: full.zone,
    retention: retention ?? null,
  };
}

/** Returns how a schedule stands as a plain value. */
export function statusDocument({ label, schedule, runs, nextTickMs, nextFullMs, overdue }: ScheduleStatus) {
  const time = (ms: number | undefined): string | null => (ms === undefined ? null : formatJsonTime(ms));
  const { missed } = runs;
  return {
    agent: label,
    ...scheduleDocument(schedule),
    triedTime: time(runs.tickMs),
    savedTime: time(runs.goodMs),
    fullTime: time(runs.fullMs),
    durationMs: runs.durationMs ?? null,
    nextTime: time(nextTickMs),
    nextFullTime: time(nextFullMs),
    overdue: { commits: overdue.ticks, fulls: overdue.fulls },
    missed:
      missed === undefined
        ? null
        : { commits: missed.ticks, fulls: missed.fulls, from: time(missed.fromMs), to: time(missed.toMs) },
    failing: runs.failing.map(({ what, sinceMs, code, message }) => ({
      what,
      since: time(sinceMs),
      code: code ?? null,
      message,
    })),
    remotes: Object.entries(runs.sentMs).map(([name, ms]) => ({ name, sentTime: time(ms) })),
  };
}

/** Returns how the daemon stands as a plain value. */
export function daemonDocument({ process, version, startedMs, beatMs, agents, isRunning, isStuck }: DaemonStatus) {
  return {
    running: isRunning,
    stuck: isStuck,
    pid: process.pid,
    version,
    agents,
    startedTime: formatJsonTime(startedMs),
    beatTime: formatJsonTime(beatMs),
  };
}

function countRuns({ ticks, fulls }: { readonly ticks: number; readonly fulls: number }): string {
  const parts = [ticks > 0 ? formatCount(ticks, 'commit') : '', fulls > 0 ? formatCount(fulls, 'full backup') : ''];
  return parts.filter((part) => part !== '').join(' and ');
}

function formatNext(ms: number, nowMs: number): string {
  return ms <= nowMs ? 'is due now' : formatAge(nowMs - ms);
}
