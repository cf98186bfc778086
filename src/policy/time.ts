// TIME as users write it (ISO 8601, unix seconds, words), to an instant. A written time stands for the whole unit that it
// names ("2026-03-04" for a day, "14:30:00" for a second); the caller says which edge of it is meant: `--since` asks for the
// start, `--until` and `--timestamp` for the end, so that `--timestamp yesterday` finds the newest backup of yesterday
// and a second copied from a list finds the backup that was made within it.

import type { MoltError } from '../model/error.ts';
import type { Zone } from '../model/zone.ts';
import { findZone, parseZone } from '../model/zone.ts';
import type { ParsedTime, Precision } from './time-unit.ts';
import { edgeMs, timeError } from './time-unit.ts';
import { utcMsAsWall, wallAsUtcMs } from './wall-time.ts';

/** What a time is read against. */
export interface TimeContext {
  readonly nowMs: number;
  /** Where times without a zone are meant: an IANA name, `UTC`, or an offset such as `+07:00`. */
  readonly zone: string;
  /** Which end of the named unit is meant; `end` is its last millisecond. */
  readonly edge: 'start' | 'end';
}

const DAY_MS = 86_400_000;
const WEEK_MS = 7 * DAY_MS;
const MAX_LENGTH = 100;
const FIRST_YEAR = 1970;
// Above it lie typing errors: eleven-digit seconds, five-digit years.
const LAST_YEAR = 2199;
const UNIX = /^@?(\d+)(?:\.(\d+))?$/;
const DATE = /^(\d{4})(?:([-/])(\d{1,2})(?:\2(\d{1,2}))?)?$|^(\d{4})(\d{2})(\d{2})$/;
const CLOCK = /^(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?$|^(\d{2})(\d{2})(\d{2})?$/;
// A date, perhaps a time after T or a space, perhaps a zone: Z, +07:00, or a name.
const ISO =
  /^(\d{4}(?:-?[Ww]\d{2}(?:-?\d)?|-\d{3}|(?:[-/]?\d{1,2}){0,2}))(?:(?:[Tt]|\s+)(\d{1,2}(?::?\d{2}){1,2}(?:[.,]\d+)?)\s*(.*))?$/;
// Week and ordinal dates of ISO 8601: 2026-W10, 2026-W10-3, 2026-064.
const WEEK_DATE = /^(\d{4})-?W(\d{2})(?:-?([1-7]))?$/i;
const DAY_OF_YEAR = /^(\d{4})-(\d{3})$/;
const MONTHS = 'January February March April May June July August September October November December'.split(' ');

/**
 * Returns the instant that a text means.
 *
 * Forms: ISO 8601 (`2026-03-04`, `2026-W10`, `2026-064`, `2026-03-04T14:30:00.5+07:00`, `20260304T143000Z`, a space for the T), unix seconds (nine or
 * ten digits, any number after `@`), unix milliseconds (thirteen digits), words (`yesterday 14:30`, `2 hours ago`). Any of them
 * but the unix ones may end in a zone, which then wins over the context's.
 * @throws {MoltError} USAGE when the text is no time, an impossible one, one of several, or beyond the years 1970 to 2199
 */
export async function parseTime(text: string, context: TimeContext): Promise<ParsedTime> {
  // As molt itself shows a time: the local one in brackets says the same again.
  const trimmed = text.trim().replace(/^(\S+Z) \([^()]*\)$/, '$1');
  if (trimmed === '') throw timeError('the time is empty');
  if (trimmed.length > MAX_LENGTH) throw timeError(`the time '${trimmed.slice(0, 40)}…' is too long`);
  const home = parseZone(context.zone);
  const parsed = parseUnix(trimmed, context.edge) ?? (await parseIso(trimmed, home, context.edge));
  if (parsed !== undefined) return checkRange(parsed, trimmed);
  const { parseWords } = await import('./time-words.ts');
  const words = await parseWords(trimmed, { nowMs: context.nowMs, zone: home, edge: context.edge });
  if (words === undefined) throw timeError(`'${trimmed}' is not a time`);
  return checkRange(words, trimmed);
}

function parseUnix(text: string, edge: 'start' | 'end'): ParsedTime | undefined {
  const match = UNIX.exec(text);
  const digits = match?.[1];
  if (match === null || digits === undefined) return undefined;
  const fraction = match[2];
  if (text.startsWith('@') || digits.length === 9 || digits.length === 10) {
    const seconds = Number(digits);
    if (fraction !== undefined) {
      return { ms: seconds * 1000 + Number(fraction.slice(0, 3).padEnd(3, '0')), precision: 'millisecond' };
    }
    return { ms: seconds * 1000 + (edge === 'end' ? 999 : 0), precision: 'second' };
  }
  if (fraction !== undefined) return undefined;
  if (digits.length === 13) return { ms: Number(digits), precision: 'millisecond' };
  if (digits.length === 4 || digits.length === 8) return undefined;
  throw timeError(`'${text}' is not a time: unix seconds have ten digits, milliseconds thirteen`);
}

async function parseIso(text: string, home: Zone, edge: 'start' | 'end'): Promise<ParsedTime | undefined> {
  const match = ISO.exec(text);
  if (match === null) return undefined;
  const [, dateText = '', clockText, zoneText = ''] = match;
  const date = parseDate(dateText, text);
  if (date === undefined) return undefined;
  let zone = home;
  if (zoneText !== '') {
    const named = findZone(zoneText);
    if (named === undefined) throw zoneError(text, zoneText);
    zone = named;
  }
  const midnight = { ...date.wall, hour: 0, minute: 0, second: 0, millisecond: 0 };
  if (clockText === undefined)
    return { ms: await edgeMs(midnight, date.precision, zone, edge), precision: date.precision };
  if (date.precision !== 'day') throw timeError(`'${text}' is not a time: the day is missing`);
  const clock = parseClock(clockText, text);
  if (clock === undefined) return undefined;
  const wall = utcMsAsWall(wallAsUtcMs({ ...midnight, ...clock.wall }));
  return { ms: await edgeMs(wall, clock.precision, zone, edge), precision: clock.precision };
}

/** Returns the error of a time with a zone that is none, or several. */
function zoneError(text: string, zone: string): MoltError {
  return /^[A-Za-z]{2,4}$/.test(zone)
    ? timeError(`'${text}' is not a time: '${zone}' is not a zone with one meaning; write +07:00 or Asia/Jakarta`)
    : timeError(`'${text}' is not a time: there is no zone '${zone}'; write +07:00 or Asia/Jakarta`);
}

/** Returns the day, or the Monday of the week, that a week date names, or the day of an ordinal date. */
function parseWeekDate(text: string, whole: string) {
  const [, weekYear, weekText, dayText] = WEEK_DATE.exec(text) ?? [];
  const [, dayYear, ordinal] = DAY_OF_YEAR.exec(text) ?? [];
  if (weekYear !== undefined) {
    const [year, week] = [Number(weekYear), Number(weekText)];
    // The week with 4 January is the first; 28 December is always in the last.
    const weeks = Math.round((mondayOf(year, 12, 28) - mondayOf(year, 1, 4)) / WEEK_MS) + 1;
    if (week < 1 || week > weeks) throw timeError(`'${whole}' is not a time: ${year} has ${weeks} weeks`);
    const ms = mondayOf(year, 1, 4) + (week - 1) * WEEK_MS + (Number(dayText ?? '1') - 1) * DAY_MS;
    return { wall: utcMsAsWall(ms), precision: dayText === undefined ? ('week' as const) : ('day' as const) };
  }
  if (dayYear === undefined) return undefined;
  const [year, day] = [Number(dayYear), Number(ordinal)];
  const wall = utcMsAsWall(Date.UTC(year, 0, day));
  if (day < 1 || wall.year !== year) throw timeError(`'${whole}' is not a time: ${year} has no day ${day}`);
  return { wall, precision: 'day' as const };
}

/** Returns the midnight of the Monday of a day's week, as UTC counts. */
function mondayOf(year: number, month: number, day: number): number {
  const ms = Date.UTC(year, month - 1, day);
  return ms - ((new Date(ms).getUTCDay() + 6) % 7) * DAY_MS;
}

function parseDate(text: string, whole: string) {
  const special = parseWeekDate(text, whole);
  if (special !== undefined) return special;
  const match = DATE.exec(text);
  if (match === null) return undefined;
  const [, longYear, , longMonth, longDay, shortYear, shortMonth, shortDay] = match;
  const year = Number(longYear ?? shortYear);
  const month = Number(longMonth ?? shortMonth ?? '1');
  const day = Number(longDay ?? shortDay ?? '1');
  if (month < 1 || month > 12) throw timeError(`'${whole}' is not a time: there is no month ${month}`);
  const days = new Date(Date.UTC(year, month, 0)).getUTCDate();
  if (day < 1 || day > days) {
    throw timeError(`'${whole}' is not a time: ${MONTHS[month - 1]} ${year} has ${days} days`);
  }
  const precision: Precision = (longDay ?? shortDay) !== undefined ? 'day' : longMonth !== undefined ? 'month' : 'year';
  return { wall: { year, month, day }, precision };
}

function parseClock(text: string, whole: string) {
  const match = CLOCK.exec(text);
  if (match === null) return undefined;
  const [, longHour, longMinute, longSecond, fraction, shortHour, shortMinute, shortSecond] = match;
  const hour = Number(longHour ?? shortHour);
  const minute = Number(longMinute ?? shortMinute);
  const seconds = longSecond ?? shortSecond;
  const second = Number(seconds ?? '0');
  // The end of the day as ISO 8601 has it: the midnight that follows.
  if (hour === 24 && minute === 0 && second === 0) {
    return {
      wall: { hour, minute, second, millisecond: 0 },
      precision: seconds === undefined ? 'minute' : 'second',
    } as const;
  }
  if (hour > 23) throw timeError(`'${whole}' is not a time: hours go from 0 to 23`);
  if (minute > 59 || second > 59) throw timeError(`'${whole}' is not a time: minutes and seconds go from 0 to 59`);
  const millisecond = Number((fraction ?? '').slice(0, 3).padEnd(3, '0'));
  const precision: Precision = fraction !== undefined ? 'millisecond' : seconds !== undefined ? 'second' : 'minute';
  return { wall: { hour, minute, second, millisecond }, precision };
}

function checkRange(parsed: ParsedTime, text: string): ParsedTime {
  const year = new Date(parsed.ms).getUTCFullYear();
  if (year >= FIRST_YEAR && year <= LAST_YEAR) return parsed;
  const where = Number.isNaN(year) ? 'it' : `the year ${year}`;
  throw timeError(`'${text}' is not a time: ${where} lies outside ${FIRST_YEAR} to ${LAST_YEAR}`);
}
