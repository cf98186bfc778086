// Folds a history into days of the user's zone, and lays days and commits out as the rows of one long list. Pure; a year is folded in
// a few milliseconds.

import { formatLocalTime } from '../src/model/time-format.ts';
import type { Timeline } from '../src/ops/timeline.ts';

/** The commits of one day: numbers `from` to `to` (exclusive) of the list that was folded. */
export interface Day {
  /** `2026-10-14`. */
  readonly key: string;
  /** `Wed 14 Oct`. */
  readonly title: string;
  readonly from: number;
  readonly to: number;
  /** How many commits there are in each eighth of the day. */
  readonly spread: readonly number[];
}

/** What is shown of a history. */
export interface Shown {
  readonly timeline: Timeline;
  /** The numbers of the commits that pass the filter, newest first; undefined for all. */
  readonly hits: readonly number[] | undefined;
  /** Newest first. */
  readonly days: readonly Day[];
}

/** A row of the list. */
export type Row =
  | { readonly kind: 'day'; readonly day: Day }
  | { readonly kind: 'commit'; readonly day: Day; readonly at: number };

const DAY_MS = 86_400_000;
const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

/** Tells how far a zone's clocks are from UTC; asked once an hour of history at most. */
export class LocalTime {
  readonly #zone: string | undefined;
  readonly #offsets = new Map<number, number>();

  /** @param zone undefined for the system's own, whose clocks are asked sooner than its name */
  constructor(zone: string | undefined) {
    this.#zone = zone;
  }

  /** Returns what the zone's clocks show, as if it were UTC; milliseconds. */
  wallMs(ms: number): number {
    return ms + this.#offsetMs(ms);
  }

  /** `14:05:09`. */
  clock(ms: number): string {
    return new Date(this.wallMs(ms)).toISOString().slice(11, 19);
  }

  /** `Wed 14 Oct`; with the year where it is another one than now. */
  date(ms: number, nowMs?: number): string {
    const wall = new Date(this.wallMs(ms));
    const isOther = nowMs !== undefined && new Date(this.wallMs(nowMs)).getUTCFullYear() !== wall.getUTCFullYear();
    const day = `${WEEKDAYS[wall.getUTCDay()]} ${wall.getUTCDate()} ${MONTHS[wall.getUTCMonth()]}`;
    return isOther ? `${day} ${wall.getUTCFullYear()}` : day;
  }

  #offsetMs(ms: number): number {
    // Where both ends of a day agree, all of it does.
    const day = Math.floor(ms / DAY_MS) * DAY_MS;
    const start = this.#look(day);
    if (start === this.#look(day + DAY_MS)) return start;
    return this.#look(Math.floor(ms / 900_000) * 900_000);
  }

  #look(ms: number): number {
    const known = this.#offsets.get(ms);
    if (known !== undefined) return known;
    const minutes = this.#zone === undefined ? -new Date(ms).getTimezoneOffset() : offsetIn(this.#zone, ms);
    this.#offsets.set(ms, minutes * 60_000);
    return minutes * 60_000;
  }
}

function offsetIn(zone: string, ms: number): number {
  const [, sign, hours, minutes] = /([+-])(\d{2}):(\d{2})$/.exec(formatLocalTime(ms, zone) ?? '') ?? [];
  const offset = Number(hours ?? 0) * 60 + Number(minutes ?? 0);
  return sign === '-' ? -offset : offset;
}

/** Folds a history, or what of it passes a filter, into days. */
export function foldDays(
  timeline: Timeline,
  hits: readonly number[] | undefined,
  local: LocalTime,
  nowMs: number,
): Day[] {
  const count = hits?.length ?? timeline.count;
  const days: Day[] = [];
  let from = 0;
  let current: number | undefined;
  let spread: number[] = [];
  const end = (to: number): void => {
    if (current === undefined) return;
    const key = new Date(current * DAY_MS).toISOString().slice(0, 10);
    const first = hits === undefined ? from : (hits[from] ?? 0);
    days.push({ key, title: local.date(timeline.times[first] ?? 0, nowMs), from, to, spread });
  };
  for (let index = 0; index < count; index += 1) {
    const at = hits === undefined ? index : (hits[index] ?? 0);
    const wall = local.wallMs(timeline.times[at] ?? 0);
    const day = Math.floor(wall / DAY_MS);
    if (day !== current) {
      end(index);
      [current, from, spread] = [day, index, Array.from({ length: 8 }, () => 0)];
    }
    const eighth = Math.floor((wall - day * DAY_MS) / (DAY_MS / 8));
    spread[eighth] = (spread[eighth] ?? 0) + 1;
  }
  // The oldest day of a history that is not all there would seem to have had fewer commits.
  if (timeline.isWhole) end(count);
  return days;
}

/** The rows of a history, of which only those on the screen are ever made. */
export class Layout {
  readonly count: number;
  readonly #shown: Shown;
  /** The first row of each day. */
  readonly #starts: Int32Array;
  /** The commits that are shown of each open day. */
  readonly #open = new Map<number, readonly number[]>();

  /** @param listShown lists the commits of an open day that are shown */
  constructor(shown: Shown, openDays: ReadonlySet<string>, listShown: (day: Day) => readonly number[]) {
    this.#shown = shown;
    this.#starts = new Int32Array(shown.days.length);
    let rows = 0;
    for (const [index, day] of shown.days.entries()) {
      this.#starts[index] = rows;
      rows += 1;
      if (!openDays.has(day.key)) continue;
      const wanted = listShown(day);
      this.#open.set(index, wanted);
      rows += wanted.length;
    }
    this.count = rows;
  }

  /** Returns a row, or undefined where there is none. */
  row(index: number): Row | undefined {
    if (index < 0 || index >= this.count) return undefined;
    const number = this.#dayAt(index);
    const day = this.#shown.days[number];
    if (day === undefined) return undefined;
    const within = index - (this.#starts[number] ?? 0);
    const at = within === 0 ? undefined : this.#open.get(number)?.[within - 1];
    return at === undefined ? { kind: 'day', day } : { kind: 'commit', day, at };
  }

  /** Returns the row of a day, or of a commit of it; of one that is not shown, of the next older one or its day. */
  indexOf(key: string, at: number | undefined): number {
    const number = this.#shown.days.findIndex((day) => day.key <= key);
    if (number < 0) return this.count - 1;
    const start = this.#starts[number] ?? 0;
    const commits = this.#open.get(number);
    if (at === undefined || commits === undefined || this.#shown.days[number]?.key !== key) return start;
    const found = commits.findIndex((one) => one >= at);
    return found < 0 ? start + commits.length : start + 1 + found;
  }

  #dayAt(index: number): number {
    let [low, high] = [0, this.#starts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#starts[middle] ?? 0) <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** Lists the numbers of a day's commits, newest first. */
export function listCommits({ hits }: Pick<Shown, 'hits'>, { from, to }: Day): number[] {
  if (hits !== undefined) return hits.slice(from, to);
  return Array.from({ length: to - from }, (_, index) => from + index);
}
