// Time zones: which words name one, and which instant a wall-clock time in one is. luxon is loaded only for zones that
// are not a fixed offset, since start-up pays for every import.

import { MoltError } from '../model/error.ts';

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

/** A zone: a fixed offset in minutes east of UTC, or an IANA name. */
export type Zone = { readonly offsetMinutes: number } | { readonly iana: string };

// Abbreviations that mean one offset everywhere. CST, IST and their like mean several and are refused.
const ABBREVIATIONS = new Map([
  ['Z', 0],
  ['UTC', 0],
  ['GMT', 0],
  ['WIB', 7 * 60],
  ['WITA', 8 * 60],
  ['WIT', 9 * 60],
]);
const OFFSET = /^(?:UTC|GMT)?([+-])(\d{1,2})(?::?(\d{2}))?$/i;
// Two to four letters alone are an abbreviation, even where the IANA list has kept one (CST, EST, WET).
const IANA_NAME = /^(?![A-Za-z]{2,4}$)[A-Za-z][A-Za-z0-9_+-]*(\/[A-Za-z0-9_+-]+)*$/;
const MINUTE_MS = 60_000;

/**
 * Returns the zone that a text names: an IANA name, `UTC`, `Z`, `WIB`, or an offset such as `+07:00`.
 * @throws {MoltError} USAGE when there is no such zone, or the abbreviation means several
 */
export function parseZone(text: string): Zone {
  const zone = findZone(text);
  if (zone !== undefined) return zone;
  throw new MoltError('USAGE', `unknown time zone '${text.slice(0, 60)}'`, {
    hint: 'give an IANA name, for example --tz Asia/Jakarta',
    details: { zone: text.slice(0, 60) },
  });
}

/** Returns the zone that a text names, or undefined if it names none. */
export function findZone(text: string): Zone | undefined {
  const fixed = ABBREVIATIONS.get(text.toUpperCase());
  if (fixed !== undefined) return { offsetMinutes: fixed };
  const offset = OFFSET.exec(text);
  if (offset !== null) {
    const hours = Number(offset[2]);
    const minutes = Number(offset[3] ?? '0');
    // The widest offsets in use are -12:00 and +14:00.
    if (hours > 14 || minutes > 59) return undefined;
    return { offsetMinutes: (offset[1] === '-' ? -1 : 1) * (hours * 60 + minutes) };
  }
  return IANA_NAME.test(text) && isIanaZone(text) ? { iana: text } : undefined;
}

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

function isIanaZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en-US', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}
