// How much room V8 gives to short-lived objects.

import { setFlagsFromString } from 'node:v8';

/**
 * Keeps that room as it is: whoever moves bytes makes few objects, and up to 50 MB more for them would make nothing faster. A list of
 * thousands of commits is another matter.
 */
export function keepYoungHeapSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}
