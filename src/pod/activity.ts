// What the processes of a group have done so far: one that does not answer, and works, is busy; one that does neither hangs.

import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** What a group has done since its processes began; it may shrink when one of them ends. */
export interface Activity {
  readonly cpuMs: number;
  /** Read and written; zero where the system does not tell. */
  readonly ioBytes: number;
}

// USER_HZ is 100 on every Linux that Node runs on.
const TICK_MS = 10;
const SECOND_MS = 1000;

/** Returns what a group has done, or undefined where the system does not tell. */
export function readActivity(group: number): Activity | undefined {
  try {
    return process.platform === 'linux' ? onLinux(group) : elsewhere(group);
  } catch {
    return undefined;
  }
}

function onLinux(group: number): Activity {
  let [ticks, ioBytes] = [0, 0];
  for (const name of readdirSync('/proc')) {
    const fields = /^[0-9]+$/.test(name) ? statFields(name) : undefined;
    // proc_pid_stat(5): field 5 is the group, 14 to 17 are the times of the process and of its children that have ended.
    if (Number(fields?.[2]) !== group) continue;
    for (const field of fields?.slice(11, 15) ?? []) ticks += Number(field);
    ioBytes += ioOf(name);
  }
  return { cpuMs: ticks * TICK_MS, ioBytes };
}

/** Returns the fields from the third one on: the second may hold spaces and brackets. */
function statFields(pid: string): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    // It has just ended.
    return undefined;
  }
}

function ioOf(pid: string): number {
  try {
    const text = readFileSync(`/proc/${pid}/io`, 'latin1');
    return [...text.matchAll(/^[rw]char: ([0-9]+)$/gm)].reduce((sum, [, bytes]) => sum + Number(bytes), 0);
  } catch {
    return 0;
  }
}

function elsewhere(group: number): Activity {
  const text = execFileSync('/bin/ps', ['-A', '-o', 'pgid=,time='], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { LC_ALL: 'C' },
  });
  const times = text.split('\n').map((line) => line.trim().split(/\s+/));
  const own = times.filter(([pgid]) => Number(pgid) === group);
  return { cpuMs: own.reduce((sum, [, time = '']) => sum + parseTime(time), 0), ioBytes: 0 };
}

/** Parses `[[dd-]hh:]mm:ss[.cc]`. */
function parseTime(time: string): number {
  const [days = '0', rest = ''] = time.includes('-') ? time.split('-') : ['0', time];
  const seconds = rest.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);
  return (Number(days) * 86_400 + seconds) * SECOND_MS;
}
