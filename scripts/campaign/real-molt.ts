// Real molt processes, as a user's shell would start them: built, in an environment of their own.

import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import type { Machine } from './machine.ts';

const ROOT = join(import.meta.dirname, '../..');
const HOOK = join(import.meta.dirname, 'kill-hook.ts');

/** How a process is started. */
export interface MoltOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Words before Node's: another user, another clock. */
  readonly before?: readonly string[];
  /** Loads the hook that tells of each operation on descriptor 3. */
  readonly hooked?: boolean;
  readonly onMark?: (mark: string, child: ChildProcess) => void;
}

/** What came of it. */
export interface MoltRun {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
  readonly stdout: string;
}

/** Runs molt on a machine. */
export async function runMolt(machine: Machine, argv: readonly string[], options: MoltOptions = {}): Promise<MoltRun> {
  const hook = options.hooked === true ? ['--import', HOOK] : [];
  const [program = '', ...words] = [
    ...(options.before ?? []),
    process.execPath,
    ...hook,
    join(ROOT, 'dist/main.js'),
    ...argv,
  ];
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: machine.root,
    TZ: 'UTC',
    MOLT_HOME: machine.homeDir,
    MOLT_PASSPHRASE: 'first',
    MOLT_KILL_ROOT: machine.root,
    ...options.env,
  };
  const { promise, resolve, reject } = Promise.withResolvers<MoltRun>();
  const child = spawn(program, words, { cwd: '/', env, stdio: ['ignore', 'pipe', 'pipe', 'pipe'] });
  let output = '';
  let stdout = '';
  child.stdout?.on('data', (text: string) => (stdout += text));
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stdio[3]?.on('data', (marks: Buffer) => {
    for (const mark of marks.toString()) options.onMark?.(mark, child);
  });
  child.once('error', reject);
  child.once('close', (status, signal) => resolve({ status, signal, output, stdout }));
  return promise;
}
