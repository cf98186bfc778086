// Runs a command that belongs to a pod and waits for its end: a health check, the commands of a lifecycle.

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemFailure } from '../model/system-error.ts';
import { printable } from '../model/printable.ts';

/** How to run a command. */
export interface CommandOptions {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** What it gets to read on stdin; nothing unless given. */
  readonly input?: string | undefined;
  /** Where to make a file for what it writes; in the system's own folder unless given. */
  readonly outputFile?: string | undefined;
}

/** How much of what a command wrote is told when it fails. */
const OUTPUT_BYTES = 600;

/**
 * Runs a command and returns what went wrong, if anything did. It is a group of its own, which Ctrl-C on molt doesn't end. What it
 * writes goes into a file without a name: an agent that it leaves behind may go on writing there, where a pipe would end it.
 */
export async function runCommand(command: readonly string[], options: CommandOptions): Promise<string | undefined> {
  const {
    cwd,
    env,
    timeoutMs,
    signal,
    input,
    outputFile = join(tmpdir(), `molt-${randomBytes(12).toString('hex')}.tmp`),
  } = options;
  const [program = '', ...words] = command;
  const output = openNameless(outputFile);
  try {
    const stdin = input === undefined ? 'ignore' : 'pipe';
    const child = spawn(program, words, { cwd, env, stdio: [stdin, output, output], detached: true });
    // One that ends without reading is judged by how it ends.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    const end = (problem: string): void => {
      if (child.pid !== undefined) killGroup(child.pid, 'SIGKILL');
      resolve(problem);
    };
    const timer = setTimeout(() => end(`did not end within ${timeoutMs / 1000} s`), timeoutMs);
    const interrupt = (): void => end('was interrupted');
    signal?.addEventListener('abort', interrupt, { once: true });
    child.once('error', (error) =>
      resolve(`can’t be started (${(error as NodeJS.ErrnoException).code ?? error.message})`),
    );
    child.once('exit', (status, by) => resolve(status === 0 ? undefined : describeEnd({ status, signal: by })));
    const problem = await promise.finally(() => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', interrupt);
    });
    const said = problem === undefined ? '' : readEnd(output);
    return said === '' ? problem : `${problem}, and said: ${said}`;
  } finally {
    closeSync(output);
  }
}

/** Returns how a process ended, in words. */
export function describeEnd({
  status,
  signal,
}: {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}): string {
  return signal === null ? `ended with status ${status}` : `was ended by ${signal}`;
}

/** Sends a signal to a process and all that are in its group; returns whether there was one. */
export function killGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-pid, signal);
    return true;
  } catch {
    // It has just ended.
    return false;
  }
}

/** Opens an empty file that goes away with its last descriptor. */
function openNameless(path: string): number {
  try {
    const descriptor = openSync(path, 'wx+', 0o600);
    unlinkSync(path);
    return descriptor;
  } catch (error) {
    throw systemFailure(error, 'cannot make a file for what a command writes', path);
  }
}

/** Returns the end of what was written, on one line. */
function readEnd(descriptor: number): string {
  const { size } = fstatSync(descriptor);
  const bytes = Buffer.alloc(Math.min(size, OUTPUT_BYTES));
  const length = readSync(descriptor, bytes, 0, bytes.length, size - bytes.length);
  return printable(
    bytes
      .toString('utf8', 0, length)
      .trim()
      .split(/\s*[\r\n]+\s*/)
      .join(' | '),
  );
}
