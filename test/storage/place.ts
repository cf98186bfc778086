// Where the directory storage's tests happen, and how they start processes of their own.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { ExecutionContext } from 'ava';

const run = promisify(execFile);

/** The script that such a process runs. */
export const CHILD = fileURLToPath(new URL('./storage-child.ts', import.meta.url));

/** Returns a new empty folder, removed when the test ends. */
export function newFolder(t: ExecutionContext): string {
  const dir = mkdtempSync(join(realpathSync(tmpdir()), 'molt-storage-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Runs the child script to its end, inside a shell command if one is given (`"$@"` is the child), and returns what it printed. */
export async function runChild(words: readonly string[], shell = 'exec "$@"', env: Record<string, string> = {}) {
  const command = ['-c', shell, 'sh', process.execPath, CHILD, ...words];
  const { stdout } = await run('sh', command, { env: { PATH: process.env['PATH'] ?? '', ...env } });
  return JSON.parse(stdout) as unknown;
}

/** Starts the child script; it says "ready" and goes on when told to. */
export async function startChild(words: readonly string[]) {
  const child = spawn(process.execPath, [CHILD, ...words], { stdio: ['pipe', 'pipe', 'inherit'] });
  let printed = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
  });
  while (!printed.includes('ready\n')) await once(child.stdout, 'data');
  return async (): Promise<unknown> => {
    child.stdin.write('go\n');
    await once(child, 'close');
    return JSON.parse(printed.slice(printed.indexOf('\n') + 1)) as unknown;
  };
}

/** Runs the child script and returns the synchronous file system calls that Node recorded, by name, in order. */
export async function traceChild(t: ExecutionContext, words: readonly string[]): Promise<string[]> {
  const file = join(newFolder(t), 'trace.json');
  const flags = ['--trace-event-categories', 'node.fs.sync', '--trace-event-file-pattern', file];
  await run(process.execPath, [...flags, CHILD, ...words]);
  const { traceEvents } = JSON.parse(readFileSync(file, 'utf8')) as { traceEvents: { name: string; ph: string }[] };
  return traceEvents
    .filter(({ name, ph }) => name.startsWith('fs.sync.') && ph === 'B')
    .map(({ name }) => name.slice(8));
}
