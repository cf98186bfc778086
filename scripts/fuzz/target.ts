// What a fuzz target is, and what an input may do.

import { MoltError } from '../../src/model/error.ts';
import { type Dice, hostileBytes } from './mutate.ts';

/** One decoder. */
export interface Target {
  readonly name: string;
  /** How many inputs it gets beside the others; 1 unless given. */
  readonly weight?: number;
  /** Its inputs take so much memory themselves that each is measured alone. */
  readonly isLarge?: boolean;
  /** Decodes a valid sample, which must succeed: else the fuzzer would only see the first check. */
  readonly valid: () => unknown;
  /** Draws an input and decodes it. */
  readonly run: (dice: Dice) => unknown;
}

/** How an input ended: a value, a MoltError, or what must not be. */
export type Ending = 'value' | 'refused';

/** Runs a target on one input. @throws what is no MoltError */
export async function endingOf(target: Target, dice: Dice): Promise<Ending> {
  try {
    await target.run(dice);
    return 'value';
  } catch (error) {
    if (error instanceof MoltError) return 'refused';
    throw error;
  }
}

/** Returns a target that decodes changed samples. */
export function bytesTarget(
  name: string,
  decode: (bytes: Buffer) => unknown,
  samples: readonly Buffer[],
  refit: (bytes: Buffer) => Buffer = (bytes) => bytes,
): Target {
  return {
    name,
    valid: async () => {
      for (const sample of samples) await decode(refit(Buffer.from(sample)));
    },
    run: (dice) => decode(refit(hostileBytes(dice, samples))),
  };
}
