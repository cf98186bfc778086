// A systemd that runs the services of one user, for a test: the one of `systemd --user`, with folders of its own.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const MANAGER = '/lib/systemd/systemd';
/** What tells programs that the machine was booted by systemd; without it a manager refuses to run. */
const BOOTED = '/run/systemd/system';
const PATIENCE_MS = 100_000;

/** A running manager. */
export interface Manager {
  /** Its user's home. */
  readonly home: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Returns a property of a unit. */
  show(unit: string, property: string): Promise<string>;
  stop(): Promise<void>;
}

/** Starts a manager; undefined where none can run. */
export async function startManager(): Promise<Manager | undefined> {
  if (!existsSync(MANAGER)) return undefined;
  const isBooted = existsSync(BOOTED);
  if (!isBooted && process.getuid?.() !== 0) return undefined;
  // A path that a unit has to quote.
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'molt systemd-')));
  const [home, runtime] = [join(dir, 'home'), join(dir, 'run')];
  for (const folder of [home, runtime]) mkdirSync(folder, { mode: 0o700 });
  if (!isBooted) mkdirSync(BOOTED, { recursive: true });
  const env = { PATH: process.env['PATH'], LANG: 'C.UTF-8', HOME: home, XDG_RUNTIME_DIR: runtime };
  const child = spawn(MANAGER, ['--user', '--log-target=console'], { env, stdio: 'ignore' });
  const ended = once(child, 'exit');
  const stop = async (): Promise<void> => {
    if (child.exitCode === null) child.kill('SIGTERM');
    await ended;
    if (!isBooted) rmdirSync(BOOTED);
    rmSync(dir, { recursive: true, force: true });
  };
  const isUp = async (): Promise<boolean> => {
    const { stdout } = await run('systemctl', ['--user', 'is-system-running'], { env }).catch(() => ({ stdout: '' }));
    return /^(running|degraded)/.test(stdout);
  };
  if (!(await until(async () => child.exitCode !== null || (await isUp()))) || child.exitCode !== null) {
    await stop();
    return undefined;
  }
  return {
    home,
    env,
    async show(unit, property) {
      const { stdout } = await run('systemctl', ['--user', 'show', unit, '--property', property, '--value'], { env });
      return stdout.trim();
    },
    stop,
  };
}

/** Asks until the answer is yes; says whether it ever was. */
export async function until(ask: () => Promise<boolean>): Promise<boolean> {
  const startedMs = performance.now();
  do {
    if (await ask()) return true;
  } while (performance.now() - startedMs < PATIENCE_MS);
  return false;
}
