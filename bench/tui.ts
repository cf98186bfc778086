// Measures the interface in a real terminal on a long history: `npx node bench/tui.ts [--dir DIR] [--commits 105120]`. Run
// `npm run build` first. With --dir the history is kept there, and used again; making a year of it takes a quarter of an hour.
// The terminal is a pseudo-terminal of util-linux's `script`: what is timed ends when the bytes of a frame come out of it.

import { spawn, spawnSync, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { median } from './timed.ts';
import { LABEL, makeYear, YEAR_COMMITS } from './year.ts';

const MOLT = fileURLToPath(new URL('../bin/molt.cjs', import.meta.url));
const ROUNDS = 5;
const KEYS = 120;
/** A terminal that says nothing for so long has shown its frame. */
const QUIET_MS = 25;
const LIMITS = { firstFrameMs: 300, keyMs: 50, memoryMB: 200 };

const { values } = parseArgs({
  options: { commits: { type: 'string', default: String(YEAR_COMMITS) }, dir: { type: 'string' } },
});
const dir = values.dir ?? mkdtempSync(join(tmpdir(), 'molt-tui-'));
mkdirSync(dir, { recursive: true });
if (!existsSync(join(dir, 'home'))) await makeYear(dir, Number(values.commits), async () => {});

/** The interface in a terminal. */
class Terminal {
  readonly child: ChildProcessWithoutNullStreams;
  readonly startedMs = performance.now();
  text = '';
  lastMs = 0;
  firstMs = 0;
  #waiting: (() => void) | undefined;

  constructor() {
    const command = `stty cols 120 rows 40; exec ${process.execPath} ${MOLT} tui ${LABEL}`;
    this.child = spawn('script', ['--quiet', '--flush', '--return', '--command', command, '/dev/null'], {
      env: { ...process.env, MOLT_HOME: join(dir, 'home'), TERM: 'xterm-256color' },
    });
    this.child.stdout.on('data', (bytes: Buffer) => {
      this.lastMs = performance.now();
      this.firstMs ||= this.lastMs;
      this.text += bytes.toString();
      this.#waiting?.();
    });
  }

  /** Waits until the terminal shows something that it did not show before. */
  async until(shows: (text: string) => boolean): Promise<number> {
    while (!shows(this.text)) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting = resolve;
      await promise;
    }
    return this.lastMs;
  }

  /** Presses a key; returns how long its first bytes took, in milliseconds. */
  async press(key: string): Promise<number> {
    await this.quiet();
    this.text = '';
    const startedMs = performance.now();
    this.child.stdin.write(key);
    return (await this.until((text) => text !== '')) - startedMs;
  }

  async quiet(): Promise<void> {
    while (performance.now() - this.lastMs < QUIET_MS) await pause(5);
  }

  /** Returns the most memory that the interface has had, in MB. */
  peakMB(): number {
    const status = readFileSync(`/proc/${this.#pid()}/status`, 'utf8');
    return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
  }

  /** Returns the processor time that the interface has had, in milliseconds: what a busy machine does not change. */
  cpuMs(): number {
    const pid = this.#pid();
    const ofThread = (thread: string): number =>
      Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ', 1)[0]);
    return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => sum + ofThread(thread), 0) / 1e6;
  }

  /** The shell that `script` starts has become the interface. */
  #pid(): string {
    const { pid } = this.child;
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ', 1)[0] ?? '';
  }

  async leave(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.child.on('exit', () => resolve());
    this.child.stdin.write('q');
    await promise;
  }
}

function at(times: readonly number[], share: number): number {
  return times.toSorted((a, b) => a - b)[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
}

function report(what: string, value: number, unit: string, limit: number): void {
  process.stdout.write(
    `${what.padEnd(46)} ${value.toFixed(1).padStart(8)} ${unit.padEnd(3)} ${limit === Infinity ? '' : `${value <= limit ? 'ok' : 'OVER'} (at most ${limit})`}\n`,
  );
  if (value > limit) process.exitCode = 1;
}

const bares: number[] = [];
const firsts: number[] = [];
const fulls: number[] = [];
const cpus: number[] = [];
for (let round = 0; round < ROUNDS; round += 1) {
  const startedMs = performance.now();
  spawnSync(process.execPath, ['-e', '0']);
  bares.push(performance.now() - startedMs);
  const terminal = new Terminal();
  const fullMs = await terminal.until((text) => / \d+ saves/.test(text));
  firsts.push(terminal.firstMs - terminal.startedMs);
  fulls.push(fullMs - terminal.startedMs);
  cpus.push(terminal.cpuMs());
  await terminal.quiet();
  await terminal.leave();
}
process.stdout.write(`medians of ${ROUNDS} starts; ${KEYS} keys of each kind\n`);
report('Node alone, for comparison', median(bares), 'ms', Infinity);
report('first bytes', median(firsts), 'ms', LIMITS.firstFrameMs);
report('first frame with days', median(fulls), 'ms', LIMITS.firstFrameMs);
report('  its processor time', median(cpus), 'ms', Infinity);

const terminal = new Terminal();
await terminal.until((text) => text.includes(' saves'));
await pause(1000);
for (const [what, keys] of [
  ['down, through moments', ['j']],
  ['a screen down, and up', ['\u0004', '\u0015']],
  ['to the end and back', ['G', 'g']],
  ['open a day, close it, down', ['\r', '\r', 'j']],
] as const) {
  const times: number[] = [];
  const beforeMs = terminal.cpuMs();
  for (let count = 0; count < KEYS; count += 1) times.push(await terminal.press(keys[count % keys.length] ?? 'j'));
  report(`${what}: processor time of one`, (terminal.cpuMs() - beforeMs) / KEYS, 'ms', Infinity);
  report(`${what}: median`, median(times), 'ms', LIMITS.keyMs);
  report(`${what}: 95 of 100`, at(times, 0.95), 'ms', LIMITS.keyMs);
}
report('memory at its peak', terminal.peakMB(), 'MB', LIMITS.memoryMB);
await terminal.leave();
if (values.dir === undefined) rmSync(dir, { recursive: true });
