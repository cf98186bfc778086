// Rates as the user writes them: 500KB, 2MB, 1.5MiB; bytes a second.

import { MoltError } from '../model/error.ts';
import type { OpsContext } from '../ops/context.ts';

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  ki: 1 << 10,
  mi: 1 << 20,
  gi: 2 ** 30,
};

/** The option that bounds how fast a remote is spoken to. */
export const LIMIT_RATE = {
  type: 'string',
  value: 'RATE',
  description: 'at most so many bytes a second, as in 500KB or 2MB',
} as const;

/**
 * Returns a context whose remotes are spoken to no faster than a rate.
 * @throws {MoltError} USAGE when the text is none
 */
export function withLimit(ops: OpsContext, text: string | undefined): OpsContext {
  if (text === undefined) return ops;
  const match = /^(\d+(?:\.\d+)?)\s*([kmg]?i?)b?(?:\/s)?$/i.exec(text);
  const unit = UNITS[(match?.[2] ?? '').toLowerCase()];
  const limitBytesPerSecond = Math.floor(Number(match?.[1] ?? Number.NaN) * (unit ?? Number.NaN));
  if (!(limitBytesPerSecond >= 1024)) {
    throw new MoltError('USAGE', `--limit-rate takes bytes a second, from 1KiB, not '${text}'`, {
      hint: '--limit-rate 2MB',
    });
  }
  return { ...ops, remoteOptions: { ...ops.remoteOptions, limitBytesPerSecond } };
}
