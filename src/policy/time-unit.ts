// The units that a written time can name, their first and last instants, and the error of a time that can't be read.

import { MoltError } from '../model/error.ts';
import type { Zone } from '../model/zone.ts';
import type { WallTime } from './wall-time.ts';
import { utcMsAsWall, wallAsUtcMs, wallToMs } from './wall-time.ts';

/** The unit that a written time names. A relative time ("2 hours ago") is exact: `millisecond`. */
export type Precision = 'year' | 'month' | 'week' | 'day' | 'minute' | 'second' | 'millisecond';

/** An instant, and how exactly it was written. */
export interface ParsedTime {
  readonly ms: number;
  readonly precision: Precision;
}

/** Returns the first or last millisecond of the unit that a wall-clock time names. */
export async function edgeMs(wall: WallTime, precision: Precision, zone: Zone, edge: 'start' | 'end'): Promise<number> {
  const start = startOfUnit(wall, precision);
  if (edge === 'start') return wallToMs(start, zone, 'earlier');
  if (precision === 'millisecond') return wallToMs(start, zone, 'later');
  if (precision === 'second') return (await wallToMs(start, zone, 'later')) + 999;
  if (precision === 'minute') return (await wallToMs(start, zone, 'later')) + 59_999;
  return (await wallToMs(startOfNext(start, precision), zone, 'earlier')) - 1;
}

/** Makes the USAGE error of a time that can't be read, with the hint that shows how one is written. */
export function timeError(message: string): MoltError {
  return new MoltError('USAGE', message, {
    hint: "write a time as 2026-03-04T14:30:00Z, 2026-03-04, yesterday, 'yesterday 14:30' or '2 hours ago'",
  });
}

function startOfUnit(wall: WallTime, precision: Precision): WallTime {
  const day = { ...wall, hour: 0, minute: 0, second: 0, millisecond: 0 };
  switch (precision) {
    case 'millisecond':
      return wall;
    case 'second':
      return { ...wall, millisecond: 0 };
    case 'minute':
      return { ...wall, second: 0, millisecond: 0 };
    case 'day':
      return day;
    case 'week': {
      // ISO 8601 weeks begin on Monday; getUTCDay() counts from Sunday.
      const weekday = (new Date(wallAsUtcMs(day)).getUTCDay() + 6) % 7;
      return utcMsAsWall(wallAsUtcMs({ ...day, day: day.day - weekday }));
    }
    case 'month':
      return { ...day, day: 1 };
    case 'year':
      return { ...day, month: 1, day: 1 };
  }
}

function startOfNext(start: WallTime, precision: 'day' | 'week' | 'month' | 'year'): WallTime {
  const next = {
    day: { ...start, day: start.day + 1 },
    week: { ...start, day: start.day + 7 },
    month: { ...start, month: start.month + 1 },
    year: { ...start, year: start.year + 1 },
  }[precision];
  return utcMsAsWall(wallAsUtcMs(next));
}
