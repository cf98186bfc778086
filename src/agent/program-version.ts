// Which version of an agent's program is installed: asked from the program itself, and compared with what a commit records.

import { spawn } from 'node:child_process';
import { basename } from 'node:path';
import { MoltError } from '../model/error.ts';
import { quote } from './inside.ts';
import type { AgentCommand } from './revival.ts';

const DEFAULT_TIMEOUT_MS = 30_000;
const MAX_OUTPUT_BYTES = 64 * 1024;
const INTERPRETERS: ReadonlySet<string> = new Set(['node', 'bun']);
const VERSION = /^\d+(?:\.\d+){1,3}(?:-[\w.]+)?$/;

/**
 * Runs a program with `--version` and returns what it says on stdout, without a shell and without surroundings but those given;
 * undefined when it fails or takes too long.
 * @throws {MoltError} NOT_FOUND when there is no such program, INTERRUPTED
 */
export async function askVersion(asked: AgentCommand): Promise<string | undefined> {
  const { command, cwd, env, timeoutMs = DEFAULT_TIMEOUT_MS, signal } = asked;
  const [program = '', script] = command;
  const words = INTERPRETERS.has(basename(program)) && script !== undefined ? [script, '--version'] : ['--version'];
  if (signal?.aborted === true) throw interrupted();
  const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
  const child = spawn(program, words, { cwd, env: { ...env }, stdio: ['ignore', 'pipe', 'ignore'], detached: true });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (output.length < MAX_OUTPUT_BYTES) output += text;
  });
  const end = (): void => {
    // A wrapper may have started the program itself; both are of one group.
    if (child.pid !== undefined) killGroup(child.pid);
  };
  const timer = setTimeout(() => {
    end();
    resolve(undefined);
  }, timeoutMs);
  const interrupt = (): void => {
    end();
    reject(interrupted());
  };
  signal?.addEventListener('abort', interrupt, { once: true });
  child.once('error', (cause: NodeJS.ErrnoException) => reject(explainStart(program, cause)));
  child.once('close', (status) => resolve(status === 0 ? output : undefined));
  return await promise.finally(() => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', interrupt);
    child.stdout.destroy();
  });
}

/**
 * Compares two versions of OpenClaw: negative if `a` is older. `2026.1.24-3` is a correction of `2026.1.24`, `2026.1.24-beta.1` comes
 * before it; undefined where one of them is no such version.
 */
export function compareVersions(a: string, b: string): number | undefined {
  if (!VERSION.test(a) || !VERSION.test(b)) return undefined;
  const [left, right] = [parse(a), parse(b)];
  for (let index = 0; index < Math.max(left.length, right.length); index += 1) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Four numbers, then what follows the hyphen: a correction counts up from 0, a trial version down. */
function parse(version: string): number[] {
  const [numbers = '', ...suffix] = version.split('-');
  const parts = numbers.split('.').map(Number);
  while (parts.length < 4) parts.push(0);
  const rest = suffix.join('-');
  if (rest === '') return [...parts, 0];
  if (/^\d+$/.test(rest)) return [...parts, Number(rest)];
  return [...parts, -1, ...(rest.match(/\d+/g) ?? []).map(Number)];
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has just ended.
  }
}

function explainStart(program: string, cause: NodeJS.ErrnoException): MoltError {
  const why = cause.code === 'ENOENT' ? 'is not installed' : `can’t be started (${cause.code ?? cause.message})`;
  return new MoltError('NOT_FOUND', `the agent’s program ${quote(program)} ${why}`, {
    hint: 'install it, or give its path as "command" in the pod file',
    cause,
  });
}

function interrupted(): MoltError {
  return new MoltError('INTERRUPTED', 'interrupted while the agent’s program was asked for its version');
}
