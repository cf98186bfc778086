// How much room V8 takes for objects that nobody needs any more.

import { setFlagsFromString } from 'node:v8';

/**
 * Keeps that room as it is: whoever moves bytes makes few objects, and up to 50 MB more for them would make nothing faster. A list of
 * thousands of commits is another matter.
 */
export function keepYoungHeapSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}

const MOST_GARBAGE_PERCENT = 30;

/** Keeps all of the heap near what is in use, at the price of collecting more often: for a program that stays, or works long. */
export function keepHeapSmall(): void {
  keepYoungHeapSmall();
  setFlagsFromString(`--heap-growing-percent=${MOST_GARBAGE_PERCENT}`);
}
