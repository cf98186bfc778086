// The scratch folder of a directory storage: where objects are written before they get their names, and how what dead processes
// left there goes away.

import { lstatSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { breakDeadClaim, CLAIM_PREFIX } from './claim.ts';
import { ownerState } from './owner.ts';

const DEAD_AFTER_MS = 3_600_000;
// A process of another machine, container or boot can't be asked. One that has not touched its file for a day is gone; if it is not
// (a laptop that slept), its write fails without having changed anything.
const UNKNOWN_AFTER_MS = 24 * DEAD_AFTER_MS;

/**
 * Removes the scratch files of processes that are gone; never one of a living process, nor one that molt did not make.
 * @param scratch the scratch folder; it need not exist, and what can't be removed stays
 */
export function sweepScratch(scratch: string, nowMs: number): void {
  for (const name of attempt(() => readdirSync(scratch)) ?? []) {
    const path = join(scratch, name);
    if (name.startsWith(CLAIM_PREFIX)) attempt(() => breakDeadClaim(path));
    else if (isLeftover(path, name, nowMs)) attempt(() => rmSync(path, { recursive: true, force: true }));
  }
}

function isLeftover(path: string, name: string, nowMs: number): boolean {
  const state = ownerState(name);
  if (state === undefined || state === 'alive') return false;
  const modifiedMs = attempt(() => lstatSync(path).mtimeMs);
  if (modifiedMs === undefined) return false;
  return nowMs - modifiedMs > (state === 'dead' ? DEAD_AFTER_MS : UNKNOWN_AFTER_MS);
}

// Sweeping is a courtesy: a read-only storage, or another process that sweeps too, must not stop anyone.
function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}
