// Something that happens at the n-th step of an operation. A step is what it tells its user that it begins, and each small file that it
// makes durable in molt's folder.

import { randomInt } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import type { OpsContext } from '../../src/ops/context.ts';
import { Home } from '../../src/ops/home.ts';

/** What a test may take that goes through all steps: each takes a second or two, and more on a busy machine. */
export const LONG_MS = 300_000;

/** Of the steps one in so many is struck: all of them with MOLT_EVERY_STEP=1, as `npm run test:every-step` has it. */
export const STRIDE = process.env['MOLT_EVERY_STEP'] === '1' ? 1 : 3;

/** Draws the first step to strike at; the others follow, a STRIDE apart. */
export function firstStep(t: ExecutionContext): number {
  const first = 1 + randomInt(STRIDE);
  t.log(`strikes at step ${first} and every ${STRIDE} behind it`);
  return first;
}

/** A context whose operations are counted. */
export interface Stepping {
  readonly context: OpsContext;
  /** How many steps there were so far. */
  readonly count: () => number;
}

/**
 * Returns a context that calls something at every step.
 * @param onStep gets the number of the step, from 1, and what begins; a promise is waited for where the step is a file
 */
export function stepping(context: OpsContext, onStep: (step: number, what: string) => void | Promise<void>): Stepping {
  let count = 0;
  const next = (what: string): void | Promise<void> => {
    count += 1;
    return onStep(count, what);
  };
  class SteppingHome extends Home {
    override async write(...args: Parameters<Home['write']>): Promise<void> {
      await next(args[0]);
      await super.write(...args);
    }
  }
  return {
    context: {
      ...context,
      home: new SteppingHome(context.home.dir),
      reporter: { ...context.reporter, progress: ({ phase }) => void next(phase) },
    },
    count: () => count,
  };
}
