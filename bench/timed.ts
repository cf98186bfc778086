// Runs a command as a whole process and says what it cost, by GNU time (Debian package `time`).

import { spawnSync } from 'node:child_process';

/** What one run of a command cost. */
export interface Cost {
  readonly wallS: number;
  readonly cpuS: number;
  readonly peakMB: number;
  readonly stdout: string;
}

/** Runs a command to its end; throws with what it said when it fails. */
export function timed(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Cost {
  // What the last one wrote must not be this one's burden.
  spawnSync('sync');
  const started = performance.now();
  const result = spawnSync('/usr/bin/time', ['-f', '@@ %U %S %M', command, ...args], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  const wallS = (performance.now() - started) / 1000;
  const match = /@@ ([\d.]+) ([\d.]+) (\d+)\s*$/.exec(result.stderr ?? '');
  if (result.status !== 0 || match === null) {
    throw new Error(
      `${command} ${args.join(' ')} failed (${result.status}): ${result.stderr}${String(result.error ?? '')}`,
    );
  }
  return { wallS, cpuS: Number(match[1]) + Number(match[2]), peakMB: Number(match[3]) / 1024, stdout: result.stdout };
}

/** Says whether a command can be run here. */
export function isInstalled(command: string): boolean {
  return spawnSync('which', [command]).status === 0;
}

/** Returns the middle value. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
