// Times and ages as people and --json read them.

import { parseZone } from './zone.ts';

const formatters = new Map<string, Intl.DateTimeFormat>();

const AGES: readonly (readonly [limitMs: number, unitMs: number, name: string])[] = [
  [60_000, 1000, 's'],
  [3_600_000, 60_000, 'min'],
  [86_400_000, 3_600_000, 'h'],
  [30 * 86_400_000, 86_400_000, 'day'],
  [365 * 86_400_000, 30 * 86_400_000, 'month'],
  [Infinity, 365 * 86_400_000, 'year'],
];

/**
 * Returns a time to the second in UTC, `2026-03-05T02:00:00Z`; given a zone whose clocks differ from UTC then, the local time
 * follows: `2026-03-05T02:00:00Z (2026-03-05 09:00:00 +07:00)`.
 */
export function formatTime(ms: number, zone?: string): string {
  const utc = `${new Date(ms).toISOString().slice(0, 19)}Z`;
  const local = zone === undefined ? undefined : formatLocalTime(ms, zone);
  return local === undefined ? utc : `${utc} (${local})`;
}

/** Returns a time for --json: ISO 8601 in UTC with milliseconds. */
export function formatJsonTime(ms: number): string {
  return new Date(ms).toISOString();
}

/** Returns what a clock in the zone shows, `2026-03-05 09:00:00 +07:00`, or undefined where that is UTC's own time. */
export function formatLocalTime(ms: number, zone: string): string | undefined {
  if (zone === 'UTC') return undefined;
  const parts = new Map(
    formatterFor(zone)
      .formatToParts(ms)
      .map((part) => [part.type, part.value]),
  );
  const offset = (parts.get('timeZoneName') ?? '').replace('GMT', '');
  if (offset === '' || offset === '+00:00') return undefined;
  const get = (type: Intl.DateTimeFormatPartTypes): string => parts.get(type) ?? '';
  return `${get('year')}-${get('month')}-${get('day')} ${get('hour')}:${get('minute')}:${get('second')} ${offset}`;
}

/** Returns an age in its largest whole unit: `3 min ago`, `2 days ago`; a negative one, which clocks that differ make, is `in 3 min`. */
export function formatAge(ageMs: number): string {
  const size = Math.abs(ageMs);
  if (size < 1000) return 'just now';
  for (const [limitMs, unitMs, name] of AGES) {
    if (size >= limitMs) continue;
    const count = Math.floor(size / unitMs);
    const unit = name.length > 3 || name === 'day' ? `${name}${count === 1 ? '' : 's'}` : name;
    return ageMs < 0 ? `in ${count} ${unit}` : `${count} ${unit} ago`;
  }
  return 'just now';
}

function formatterFor(zone: string): Intl.DateTimeFormat {
  let formatter = formatters.get(zone);
  if (formatter === undefined) {
    formatter = new Intl.DateTimeFormat('en-US', {
      timeZone: intlName(zone),
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
      timeZoneName: 'longOffset',
    });
    formatters.set(zone, formatter);
  }
  return formatter;
}

/** Returns the name by which Intl knows a zone; it knows offsets, but not WIB. */
function intlName(text: string): string {
  const zone = parseZone(text);
  if ('iana' in zone) return zone.iana;
  const minutes = Math.abs(zone.offsetMinutes);
  const pad = (value: number): string => String(value).padStart(2, '0');
  return `${zone.offsetMinutes < 0 ? '-' : '+'}${pad(Math.floor(minutes / 60))}:${pad(minutes % 60)}`;
}
