// Runs the real entry of molt in an empty environment with a private home, as a user's shell would.

import { spawn } from 'node:child_process';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ExecutionContext } from 'ava';
import { COMPILE_CACHE, MAIN } from './built.ts';

const SOURCE = path.join(import.meta.dirname, '../../src/main.ts');

/** What a run of molt left behind. */
export interface RunResult {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A private home, gone when the test ends. */
export interface CliEnvironment {
  readonly home: string;
  /** Runs molt with these words; `env` is added to an environment of HOME and TZ (UTC) alone. */
  run(argv: readonly string[], options?: RunOptions): Promise<RunResult>;
}

/** What a run may be given beside its words. */
export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  /** The current folder; the home unless given. */
  readonly cwd?: string;
  /** Runs the source as it is: each of its modules is one then. */
  readonly isFromSource?: boolean;
}

/** Makes an environment for one test. */
export async function makeCliEnvironment(t: ExecutionContext): Promise<CliEnvironment> {
  const home = await realpath(await mkdtemp(path.join(tmpdir(), 'molt-cli-')));
  t.teardown(() => rm(home, { recursive: true, force: true }));
  return { home, run: (argv, options = {}) => runMolt(home, argv, options) };
}

function runMolt(home: string, argv: readonly string[], options: RunOptions): Promise<RunResult> {
  const { promise, resolve, reject } = Promise.withResolvers<RunResult>();
  const env = { HOME: home, TZ: 'UTC', NODE_COMPILE_CACHE: COMPILE_CACHE, ...options.env };
  const child = spawn(process.execPath, [options.isFromSource === true ? SOURCE : MAIN, ...argv], {
    cwd: options.cwd ?? home,
    env,
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.end(options.stdin ?? '');
  child.once('error', reject);
  child.once('close', (status, signal) => resolve({ status, signal, stdout, stderr }));
  return promise;
}
