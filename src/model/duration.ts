// Durations as users write them, `15m`, `2h`, `90s`, `1d`, `1h30m`, and as they read them.

import { MoltError } from './error.ts';

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};
const WHOLE = /^(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+$/;
const PART = /(\d+(?:\.\d+)?)(ms|[smhdw])/g;

/**
 * Returns a duration in milliseconds.
 * @throws {MoltError} USAGE when the text is none
 */
export function parseDuration(option: string, text: string): number {
  const plain = text.trim().toLowerCase();
  if (!WHOLE.test(plain)) {
    throw new MoltError('USAGE', `--${option} takes a duration, not '${text}'`, {
      hint: `--${option} 15m; the units are s, m, h, d and w`,
    });
  }
  return [...plain.matchAll(PART)].reduce(
    (sum, [, count, unit]) => sum + Number(count) * (UNIT_MS[unit ?? ''] ?? 0),
    0,
  );
}

const SPANS = [
  [UNIT_MS['d'], 'day'],
  [UNIT_MS['h'], 'hour'],
  [UNIT_MS['m'], 'minute'],
  [UNIT_MS['s'], 'second'],
] as const;

/** Returns a span in the largest unit that it is a whole number of: `7 days`, `36 hours`, `1 minute`; what is none is given in seconds. */
export function formatSpan(ms: number): string {
  for (const [unitMs = 1, name] of SPANS)
    if (ms >= unitMs && ms % unitMs === 0) return `${ms / unitMs} ${name}${ms === unitMs ? '' : 's'}`;
  return `${ms / 1000} seconds`;
}
