// Once a day at a time of day: which instant is next.

import { MoltError } from '../model/error.ts';
import { parseZone } from '../model/zone.ts';
import { msToWall, utcMsAsWall, wallAsUtcMs, wallToMs } from './wall-time.ts';

/** A time of day in a zone. */
export interface Daily {
  readonly hour: number;
  readonly minute: number;
  /** As users write it. */
  readonly zone: string;
}

/** When the daily full backup is made unless something else is said: 02:00 WIB. */
export const DAILY_AT = '02:00';
export const DAILY_ZONE = 'Asia/Jakarta';

const TIME_OF_DAY = /^([01]?\d|2[0-3]):([0-5]\d)$/;
const DAY_MS = 86_400_000;

/** Returns a time of day from its text. @throws {MoltError} USAGE when it is none, or there is no such zone */
export function parseDaily(text: string, zone: string): Daily {
  const match = TIME_OF_DAY.exec(text.trim());
  if (match === null) {
    throw new MoltError('USAGE', `--daily-at takes a time of day, not '${text}'`, { hint: '--daily-at 02:00' });
  }
  parseZone(zone);
  return { hour: Number(match[1]), minute: Number(match[2]), zone };
}

/** Returns the first instant after another one at which a clock in the zone shows the time; one that happens twice counts once. */
export async function nextDaily(afterMs: number, { hour, minute, zone }: Daily): Promise<number> {
  const place = parseZone(zone);
  const today = wallAsUtcMs({ ...(await msToWall(afterMs, place)), hour, minute, second: 0, millisecond: 0 });
  for (let days = 0; ; days += 1) {
    // oxlint-disable-next-line no-await-in-loop -- today, else tomorrow
    const ms = await wallToMs(utcMsAsWall(today + days * DAY_MS), place, 'earlier');
    if (ms > afterMs) return ms;
  }
}
