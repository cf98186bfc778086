// Wall-clock times: which instant one in a time zone is, and back. luxon is loaded only for zones that are not a fixed offset,
// since start-up pays for every import.

import type { Zone } from '../model/zone.ts';

/** A wall-clock time, as a person reads it off a clock somewhere. Months count from 1. */
export interface WallTime {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  readonly millisecond: number;
}

const MINUTE_MS = 60_000;

/**
 * Returns the instant of a wall-clock time, in milliseconds since the Unix epoch.
 *
 * A time that daylight saving makes happen twice is the earlier or the later one, as asked. A time that it skips is moved
 * forward by what is skipped (RFC 5545, 3.3.5): 02:30 becomes 03:30.
 */
export async function wallToMs(wall: WallTime, zone: Zone, which: 'earlier' | 'later'): Promise<number> {
  if ('offsetMinutes' in zone) return wallAsUtcMs(wall) - zone.offsetMinutes * MINUTE_MS;
  const { DateTime } = await import('luxon');
  const candidates = DateTime.fromObject({ ...wall }, { zone: zone.iana }).getPossibleOffsets();
  const instants = candidates.map((candidate) => candidate.toMillis());
  return which === 'earlier' ? Math.min(...instants) : Math.max(...instants);
}

/** Returns what a clock in the zone shows at an instant. */
export async function msToWall(ms: number, zone: Zone): Promise<WallTime> {
  if ('offsetMinutes' in zone) return utcMsAsWall(ms + zone.offsetMinutes * MINUTE_MS);
  const { DateTime } = await import('luxon');
  const { year, month, day, hour, minute, second, millisecond } = DateTime.fromMillis(ms, { zone: zone.iana });
  return { year, month, day, hour, minute, second, millisecond };
}

/** Returns the instant at which a clock in UTC shows this wall-clock time; fields out of their range carry over. */
export function wallAsUtcMs(wall: WallTime): number {
  return Date.UTC(wall.year, wall.month - 1, wall.day, wall.hour, wall.minute, wall.second, wall.millisecond);
}

/** Returns what a clock in UTC shows at an instant. */
export function utcMsAsWall(ms: number): WallTime {
  const date = new Date(ms);
  return {
    year: date.getUTCFullYear(),
    month: date.getUTCMonth() + 1,
    day: date.getUTCDate(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
    second: date.getUTCSeconds(),
    millisecond: date.getUTCMilliseconds(),
  };
}
