// Sources of random bytes for tests: one that can be repeated, one that is stuck, and one that says what it was told to.

import { createHash } from 'node:crypto';
import type { Random } from '../../src/model/ports.ts';

/** Returns a Random whose bytes follow from a seed: SHA-256 of the seed and a counter, in a row. */
export function seededRandom(seed: string): Random {
  let counter = 0;
  return {
    bytes(length) {
      const parts: Buffer[] = [];
      for (let size = 0; size < length; size += 32) {
        parts.push(createHash('sha256').update(`${seed} ${counter}`).digest());
        counter += 1;
      }
      return Buffer.concat(parts).subarray(0, length);
    },
  };
}

/** Returns a Random that gives the same bytes each time, as two clones of one machine may. */
export function stuckRandom(): Random {
  return { bytes: (length) => Buffer.alloc(length, 7) };
}

/** Returns a Random that gives out the bytes it is made of, in order, and fails when they run out. */
export function scriptedRandom(script: Buffer): Random {
  let offset = 0;
  return {
    bytes(length) {
      const bytes = script.subarray(offset, offset + length);
      if (bytes.length < length) throw new Error('the script of random bytes ran out');
      offset += length;
      return bytes;
    },
  };
}
