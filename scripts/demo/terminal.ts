// Runs molt as a user would, in a home of its own, and shows the command line, what it printed, how long it took and how many
// bytes it added to the disk.

import { spawn } from 'node:child_process';
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { formatDuration, formatSize } from '../../src/cli/text.ts';

/** Something in the demo is not as it should be; its message says what. */
export class DemoFailure extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'DemoFailure';
  }
}

/** One line of the summary. */
interface Step {
  readonly name: string;
  readonly durationMs: number;
  readonly storedBytes: number;
}

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The demo's terminal. */
export class Terminal {
  readonly steps: Step[] = [];
  readonly #program: string;
  readonly #home: string;
  readonly #env: NodeJS.ProcessEnv;

  /** @param program molt's entry; @param home its MOLT_HOME */
  constructor(program: string, home: string, passphrase: string) {
    this.#program = program;
    this.#home = home;
    const { PATH, HOME, TZ, TMPDIR } = process.env;
    this.#env = { PATH, HOME, TZ, TMPDIR, NO_COLOR: '1', MOLT_HOME: home, MOLT_PASSPHRASE: passphrase };
  }

  heading(text: string): void {
    console.log(`\n${text}`);
  }

  say(...lines: string[]): void {
    for (const line of lines) console.log(line === '' ? '' : `   ${line}`);
  }

  /**
   * Runs molt and shows the line and what it printed.
   * @param step what the summary calls it
   * @throws {DemoFailure} when it ends with another status than 0
   */
  async molt(step: string, ...args: string[]): Promise<void> {
    console.log(`   $ molt ${args.map(quote).join(' ')}`);
    const storedBefore = sizeOf(this.#home);
    const startedMs = performance.now();
    const { status, stdout, stderr } = await this.#run(args);
    const durationMs = performance.now() - startedMs;
    const storedBytes = sizeOf(this.#home) - storedBefore;
    for (const line of `${stdout}${stderr}`.split('\n')) if (line.trim() !== '') console.log(`   | ${line}`);
    if (status !== 0) throw new DemoFailure(`molt ${args[0]} ended with status ${status}`);
    this.steps.push({ name: step, durationMs, storedBytes });
    console.log(
      `   ${formatDuration(durationMs)}, ${storedBytes > 0 ? formatSize(storedBytes) : 'nothing'} more on disk`,
    );
  }

  /**
   * Runs molt and shows nothing.
   * @throws {DemoFailure} when it ends with another status than 0
   */
  async moltQuietly(...args: string[]): Promise<void> {
    const { status, stderr } = await this.#run(args);
    if (status !== 0) throw new DemoFailure(`molt ${args.join(' ')} ended with status ${status}: ${stderr}`);
  }

  /** Does something else and keeps its time for the summary. */
  async time(step: string, act: () => Promise<void>): Promise<void> {
    const startedMs = performance.now();
    await act();
    this.steps.push({ name: step, durationMs: performance.now() - startedMs, storedBytes: 0 });
  }

  #run(args: readonly string[]): Promise<Ran> {
    const { promise, resolve, reject } = Promise.withResolvers<Ran>();
    const words = [this.#program, ...args];
    const child = spawn(process.execPath, words, { env: this.#env, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, stdout, stderr }));
    return promise;
  }
}

/** Returns a word as a shell takes it. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

/** Returns the bytes of all files below a folder; 0 if it isn't there. */
export function sizeOf(dir: string): number {
  const stats = lstatSync(dir, { throwIfNoEntry: false });
  if (stats === undefined) return 0;
  if (!stats.isDirectory()) return stats.size;
  return readdirSync(dir).reduce((sum, name) => sum + sizeOf(join(dir, name)), 0);
}
