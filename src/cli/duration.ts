// Durations as users write them: `15m`, `2h`, `90s`, `1d`, `1h30m`.

import { MoltError } from '../model/error.ts';

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
