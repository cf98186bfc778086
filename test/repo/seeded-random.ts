// Randomness that is the same in every run.

import { createHash } from 'node:crypto';
import type { Random } from '../../src/model/ports.ts';

/** Returns a source of bytes that a seed determines. */
export function seededRandom(seed: number): Random {
  let drawn = 0;
  return {
    bytes: (length) => {
      const parts: Buffer[] = [];
      for (let have = 0; have < length; have += 32) {
        parts.push(createHash('sha256').update(`${seed} ${drawn}`).digest());
        drawn += 1;
      }
      return Buffer.concat(parts).subarray(0, length);
    },
  };
}
