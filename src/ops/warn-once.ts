// A reporter for what goes on for days: what is warned of at every command would be told every five minutes.

import type { Reporter } from '../model/ports.ts';

/** So many are remembered: what goes on for months must not grow. */
const MOST = 1000;

/** Returns a reporter that tells each warning once, and no progress. */
export function warnOnce(tell: (message: string) => void): Reporter {
  const told = new Set<string>();
  return {
    progress() {},
    warn(message) {
      if (told.has(message)) return;
      if (told.size >= MOST) told.clear();
      told.add(message);
      tell(message);
    },
  };
}
