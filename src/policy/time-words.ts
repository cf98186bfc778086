// Times in words ("yesterday 14:30", "2 hours ago"), read by chrono-node. chrono is lenient where molt must not be: it picks
// times out of any text, guesses zones from abbreviations, and leans to the future. Here the whole text must be the time,
// zones are ours, and where a word leaves the day open the past is meant, since history is what gets looked up.

import { casual } from 'chrono-node/en';
import type { Zone } from '../model/zone.ts';
import { findZone } from '../model/zone.ts';
import type { ParsedTime, Precision } from './time-unit.ts';
import { edgeMs, timeError } from './time-unit.ts';
import type { WallTime } from './wall-time.ts';
import { msToWall, utcMsAsWall, wallAsUtcMs } from './wall-time.ts';

/** What words are read against. */
export interface WordsContext {
  readonly nowMs: number;
  readonly zone: Zone;
  readonly edge: 'start' | 'end';
}

type Result = ReturnType<typeof casual.parse>[number];

const DAY_MS = 86_400_000;
const AMBIGUOUS_DATE = /(?<![\d/.-])(?!\d+\.\d+ ?[a-z])\d{1,2}[/.-]\d{1,2}(?:[/.-]\d{2,4})?(?![\d:])/;
const MONTH = '(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*';
const NO_SUCH_DAY = new RegExp(`^(?:(\\d{1,2}) ${MONTH}|${MONTH} (\\d{1,2}))(?:,? \\d{4})?$`, 'i');
const VAGUE = /\b(morning|afternoon|evening|night|tonight)\b/i;
const DAY_BEFORE = /^day before yesterday/i;
const WEEK = /^(this|last) week$/i;
const MOMENT = /\bago\b|^[-+]|^in\b|^(last|past)\s+\d/i;
const FORWARD = /\b(next|tomorrow|coming)\b|^in\b/i;

/**
 * Returns the instant that words mean, or undefined if they mean none. "2 hours ago" is counted in elapsed time, "2 days
 * ago" on the calendar at the same time of day; "yesterday" and "last month" are whole units.
 * @throws {MoltError} USAGE when they mean several times, or no exact one
 */
export async function parseWords(text: string, context: WordsContext): Promise<ParsedTime | undefined> {
  const split = splitZone(text, context.zone);
  const { zone } = split;
  const words = split.words.replace(DAY_BEFORE, 'the day before yesterday');
  refuseUnclear(words, text);
  const now = await msToWall(context.nowMs, zone);
  const week = WEEK.exec(words);
  if (week !== null) {
    const day = { ...now, day: now.day - (week[1]?.toLowerCase() === 'last' ? 7 : 0) };
    return finish(utcMsAsWall(wallAsUtcMs(day)), 'week', zone, context);
  }
  const result = parseWhole(words, wallAsUtcMs(now), text);
  if (result === undefined) {
    const date = NO_SUCH_DAY.exec(words);
    if (date !== null && Number(date[1] ?? date[2]) <= 31) {
      throw timeError(`'${text}' is not a time: no such day is in that month`);
    }
    return undefined;
  }
  const wall = wallOf(result);
  const tags = result.start.tags();
  if (tags.has('result/relativeDateAndTime') || tags.has('casualReference/now')) {
    return { ms: context.nowMs + (wallAsUtcMs(wall) - wallAsUtcMs(now)), precision: 'millisecond' };
  }
  if (result.start.isCertain('timezoneOffset')) {
    throw timeError(`'${text}' is not a time: its zone has several meanings`);
  }
  const precision = precisionOf(result, words);
  return finish(FORWARD.test(words) ? wall : lookBack(wall, result, precision, now), precision, zone, context);
}

async function finish(wall: WallTime, precision: Precision, zone: Zone, context: WordsContext): Promise<ParsedTime> {
  return { ms: await edgeMs(wall, precision, zone, context.edge), precision };
}

/** Takes a zone off the end of the words, so that chrono's own idea of zones never counts. */
function splitZone(text: string, home: Zone): { words: string; zone: Zone } {
  const space = text.lastIndexOf(' ');
  const last = text.slice(space + 1);
  if (space > 0 && /^[A-Z]|^[+-]\d/.test(last)) {
    const zone = findZone(last);
    if (zone !== undefined) return { words: text.slice(0, space).trim(), zone };
  }
  return { words: text, zone: home };
}

function refuseUnclear(words: string, text: string): void {
  const date = AMBIGUOUS_DATE.exec(words);
  if (date !== null) throw timeError(`'${text}' is not a time: '${date[0]}' may begin with the day or with the month`);
  const vague = VAGUE.exec(words);
  if (vague !== null) throw timeError(`'${text}' is not a time: '${vague[0].toLowerCase()}' has no exact hour`);
}

function parseWhole(words: string, nowAsUtcMs: number, text: string): Result | undefined {
  // chrono is told the wall-clock time as if it were UTC: given a real offset it would use today's for days in another season.
  const results = casual.parse(words, { instant: new Date(nowAsUtcMs), timezone: 0 });
  const result = results[0];
  if (result === undefined) return undefined;
  if (result.index !== 0 || result.text.length !== words.length) return undefined;
  if (result.end) throw timeError(`'${text}' is a span of time, not one time`);
  return result;
}

function wallOf(result: Result): WallTime {
  const get = (name: 'year' | 'month' | 'day' | 'hour' | 'minute' | 'second' | 'millisecond'): number =>
    result.start.get(name) ?? 0;
  const wall = {
    year: get('year'),
    month: get('month'),
    day: get('day'),
    hour: get('hour'),
    minute: get('minute'),
    second: get('second'),
    millisecond: get('millisecond'),
  };
  // A day that a month lacks carries over ("a month ago" on the 31st) before any field is used.
  return utcMsAsWall(wallAsUtcMs(wall));
}

function precisionOf(result: Result, words: string): Precision {
  const { start } = result;
  if (start.isCertain('millisecond')) return 'millisecond';
  if (start.isCertain('second')) return 'second';
  if (start.isCertain('hour')) return 'minute';
  if (MOMENT.test(words)) return 'millisecond';
  if (start.isCertain('day') || start.isCertain('weekday')) return 'day';
  if (start.isCertain('month')) return 'month';
  return start.isCertain('year') ? 'year' : 'day';
}

/** Moves a time whose day or year the words leave open from the future into the past. */
function lookBack(wall: WallTime, result: Result, precision: Precision, now: WallTime): WallTime {
  const { start } = result;
  const wholeDays = precision !== 'minute' && precision !== 'second' && precision !== 'millisecond';
  const ahead = (wholeDays ? dayOf(wall) : wallAsUtcMs(wall)) > wallAsUtcMs(now);
  if (!ahead) return wall;
  if (start.isCertain('month')) {
    return start.isCertain('year') ? wall : utcMsAsWall(wallAsUtcMs({ ...wall, year: wall.year - 1 }));
  }
  if (start.isCertain('day')) return wall;
  if (start.isCertain('weekday')) return utcMsAsWall(wallAsUtcMs(wall) - 7 * DAY_MS);
  return start.isCertain('hour') ? utcMsAsWall(wallAsUtcMs(wall) - DAY_MS) : wall;
}

function dayOf(wall: WallTime): number {
  return wallAsUtcMs({ ...wall, hour: 0, minute: 0, second: 0, millisecond: 0 });
}
