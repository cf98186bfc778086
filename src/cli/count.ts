// Checks options that count something.

import { MoltError } from '../model/error.ts';

/**
 * Returns the value of an option that counts.
 * @throws {MoltError} USAGE when it is no whole number from 0
 */
export function checkCount(option: string, value: number | undefined): number | undefined {
  if (value === undefined || (Number.isSafeInteger(value) && value >= 0)) return value;
  throw new MoltError('USAGE', `--${option} takes a whole number from 0, not '${value}'`);
}
