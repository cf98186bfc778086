// Which process a number stands for. Numbers are given out again, so a process is known by its number and the moment it began.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** A process of this machine, told apart from earlier and later ones with its number. */
export interface ProcessId {
  readonly pid: number;
  /** Opaque. */
  readonly began: string;
}

/** Returns the process with this number, or undefined if there is none; one that has ended and was not waited for is none. */
export function identify(pid: number): ProcessId | undefined {
  const began = process.platform === 'linux' ? beganOnLinux(pid) : beganElsewhere(pid);
  return began === undefined ? undefined : { pid, began };
}

/** Says whether this very process still runs. */
export function isRunning({ pid, began }: ProcessId): boolean {
  return identify(pid)?.began === began;
}

// proc_pid_stat(5): field 3 is the state, field 22 the start in clock ticks since boot. Field 2 may hold spaces and brackets.
function beganOnLinux(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const [state] = fields;
    const ticks = fields[19];
    if (ticks === undefined || state === 'Z' || state === 'X') return undefined;
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()} ${ticks}`;
  } catch {
    return undefined;
  }
}

function beganElsewhere(pid: number): string | undefined {
  try {
    const text = execFileSync('/bin/ps', ['-o', 'lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { LC_ALL: 'C', TZ: 'UTC' },
    });
    return text.trim() || undefined;
  } catch {
    return undefined;
  }
}
