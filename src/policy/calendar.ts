// In which hour, day, week, month and year of a zone instants lie, for a hundred thousand of them at once: a zone's offset is asked for
// once a day, and once a minute on the days that it changes.

import { IANAZone } from 'luxon';
import { parseZone } from '../model/zone.ts';

/** What instants are told apart by. */
export type CalendarUnit = 'hour' | 'day' | 'week' | 'month' | 'year';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** The clocks of one zone. */
export class Calendar {
  readonly #offsetMs: (ms: number) => number;
  /** By the number of the day in UTC; undefined for a day on which it changes. */
  readonly #days = new Map<number, number | undefined>();
  readonly #minutes = new Map<number, number>();

  /** @throws {MoltError} USAGE when there is no such zone */
  constructor(zoneText: string) {
    const zone = parseZone(zoneText);
    if ('offsetMinutes' in zone) {
      const offsetMs = zone.offsetMinutes * MINUTE_MS;
      this.#offsetMs = () => offsetMs;
    } else {
      const iana = IANAZone.create(zone.iana);
      this.#offsetMs = (ms) => iana.offset(ms) * MINUTE_MS;
    }
  }

  /**
   * Returns a number for the unit that an instant lies in: the same for all instants in it, larger for later ones. Weeks begin on Monday
   * (ISO 8601). Of an hour that happens twice when clocks are set back, each is one of its own.
   */
  unitOf(ms: number, unit: CalendarUnit): number {
    const offsetMs = this.#offsetAt(ms);
    const wallMs = ms + offsetMs;
    if (unit === 'hour') return Math.floor(wallMs / HOUR_MS) * HOUR_MS - offsetMs;
    const day = Math.floor(wallMs / DAY_MS);
    if (unit === 'day') return day;
    // 1970 began on a Thursday.
    if (unit === 'week') return Math.floor((day + 3) / 7);
    const date = new Date(wallMs);
    return unit === 'year' ? date.getUTCFullYear() : date.getUTCFullYear() * 12 + date.getUTCMonth();
  }

  #offsetAt(ms: number): number {
    const day = Math.floor(ms / DAY_MS);
    let offsetMs = this.#days.get(day);
    if (offsetMs === undefined && !this.#days.has(day)) {
      const atStart = this.#offsetMs(day * DAY_MS);
      offsetMs = atStart === this.#offsetMs((day + 1) * DAY_MS) ? atStart : undefined;
      this.#days.set(day, offsetMs);
    }
    if (offsetMs !== undefined) return offsetMs;
    const minute = Math.floor(ms / MINUTE_MS);
    let ofMinute = this.#minutes.get(minute);
    if (ofMinute === undefined) {
      ofMinute = this.#offsetMs(minute * MINUTE_MS);
      this.#minutes.set(minute, ofMinute);
    }
    return ofMinute;
  }
}
