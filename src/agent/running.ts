// Finds out whether an agent runs: by its profile's lock file, and by who holds its databases open.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { isInside } from './native-path.ts';

/** A process that has to do with an agent. */
export interface RunningProcess {
  readonly pid: number;
  /** How it was found, for people: `holds state/openclaw.sqlite open`. */
  readonly evidence: string;
}

/** Returns a process that runs the agent or has files open in its folders for writing, or undefined if none is seen. */
export function findRunning(stateDir: string, dirs: readonly string[]): RunningProcess | undefined {
  return findGateway(stateDir) ?? findHolder(dirs);
}

/** OpenClaw's gateway leaves its pid in `tmp/openclaw-<uid>/gateway.state.lock` while it runs. */
function findGateway(stateDir: string): RunningProcess | undefined {
  for (const name of namesIn(join(stateDir, 'tmp')).filter((one) => one.startsWith('openclaw-'))) {
    const pid = pidOf(join(stateDir, 'tmp', name, 'gateway.state.lock'));
    if (pid !== undefined && isAlive(pid)) return { pid, evidence: 'its gateway holds gateway.state.lock' };
  }
  return undefined;
}

function pidOf(path: string): number | undefined {
  try {
    const { pid } = JSON.parse(readFileSync(path, 'utf8'));
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

// Linux lists the open files of each process; elsewhere, and of other users' processes, nothing is seen.
const WRITES = 0o3;

function findHolder(dirs: readonly string[]): RunningProcess | undefined {
  for (const name of namesIn('/proc')) {
    const pid = Number(name);
    if (!Number.isSafeInteger(pid) || pid === process.pid) continue;
    for (const descriptor of namesIn(`/proc/${pid}/fd`)) {
      const path = heldFile(pid, descriptor);
      if (path !== undefined && dirs.some((dir) => isInside(path, dir)))
        return { pid, evidence: `it has "${path}" open for writing` };
    }
  }
  return undefined;
}

function heldFile(pid: number, descriptor: string): string | undefined {
  try {
    const path = readlinkSync(`/proc/${pid}/fd/${descriptor}`);
    if (!path.startsWith('/')) return undefined;
    const flags = /^flags:\s+([0-7]+)/m.exec(readFileSync(`/proc/${pid}/fdinfo/${descriptor}`, 'utf8'))?.[1];
    return (Number.parseInt(flags ?? '0', 8) & WRITES) === 0 ? undefined : path;
  } catch {
    return undefined;
  }
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}
