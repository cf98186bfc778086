// Marks scratch files with the process that made them, so that another process can tell whether the maker still lives. A process id
// means something only within one machine, one boot and one pid namespace, so the mark names those too.

import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { isSystemError } from '../model/error.ts';

/** What is known of a maker: `unknown` when it ran on another machine, in another container or before the last boot. */
export type OwnerState = 'alive' | 'dead' | 'unknown';

const MARK = /^([0-9a-f]{12})-([0-9]{1,10})-[0-9a-f]{16}(?:\.|$)/;

let machine: string | undefined;

/** Returns a mark that no other call has returned or will: machine, process id and 8 random bytes. */
export function newMark(): string {
  return `${thisMachine()}-${process.pid}-${randomBytes(8).toString('hex')}`;
}

/** Returns the state of the process whose mark a file name begins with, or undefined if it begins with none. */
export function ownerState(fileName: string): OwnerState | undefined {
  const match = MARK.exec(fileName);
  if (match === null) return undefined;
  if (match[1] !== thisMachine()) return 'unknown';
  try {
    process.kill(Number(match[2]), 0);
    return 'alive';
  } catch (error) {
    return isSystemError(error, 'ESRCH') ? 'dead' : 'alive';
  }
}

function thisMachine(): string {
  machine ??= createHash('sha256')
    .update(
      [
        hostname(),
        attempt(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')),
        attempt(() => readlinkSync('/proc/self/ns/pid')),
      ].join('\n'),
    )
    .digest('hex')
    .slice(0, 12);
  return machine;
}

// Only Linux has these; elsewhere the host's name has to do.
function attempt(get: () => string): string {
  try {
    return get();
  } catch {
    return '';
  }
}
