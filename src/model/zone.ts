// Time zones: which words name one. What a clock in a zone shows at an instant is policy/wall-time.ts's business.

import { MoltError } from './error.ts';
import { findNearest } from './nearest.ts';

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

/**
 * Returns the zone that a text names: an IANA name, `UTC`, `Z`, `WIB`, or an offset such as `+07:00`.
 * @throws {MoltError} USAGE when there is no such zone, or the abbreviation means several
 */
export function parseZone(text: string): Zone {
  const zone = findZone(text);
  if (zone !== undefined) return zone;
  const nearest = findNearest(text.slice(0, 60), Intl.supportedValuesOf('timeZone'));
  throw new MoltError('USAGE', `unknown time zone '${text.slice(0, 60)}'`, {
    hint:
      nearest === undefined
        ? 'give an IANA name or an offset, for example --tz Asia/Jakarta or --tz +07:00'
        : `did you mean ${nearest}; an offset such as +07:00 will do as well`,
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

function isIanaZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en-US', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}
