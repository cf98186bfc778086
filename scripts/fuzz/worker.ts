// One process of the fuzzer: runs its share of every target's inputs, one after the other, and reports figures to its parent. A thread
// beside it watches for an input that takes too long; the size of the process is its own, so that a leak or a bomb shows.

import { readFileSync, writeFileSync, writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { diffTargets } from './diff-targets.ts';
import { largeTarget } from './large-targets.ts';
import { Dice } from './mutate.ts';
import { plainTargets } from './plain-targets.ts';
import { sealedTargets } from './sealed-targets.ts';
import { endingOf, type Target } from './target.ts';

/** What the parent asks for. */
export interface FuzzTask {
  readonly runs: number;
  readonly seed: number;
  /** This process takes the inputs whose number is `part` modulo `parts`. */
  readonly part: number;
  readonly parts: number;
  /** Only this target, and of it only this input, if they are given. */
  readonly only?: string | undefined;
  readonly at?: number | undefined;
}

/** An input that did what none may do. */
export interface FuzzFailure {
  readonly target: string;
  readonly at: number;
  readonly problem: string;
}

/** What a process found. */
export interface FuzzFigures {
  readonly targets: number;
  readonly inputs: number;
  readonly values: number;
  readonly refused: number;
  /** What the process grew by at its peak, in bytes, over what it was when all code was loaded and every valid sample decoded. */
  readonly grownBytes: number;
  /** What it grew by with the largest single input, which counts too. */
  readonly largestBytes: number;
  readonly slowestMs: number;
  readonly slowest: string;
  readonly failures: readonly FuzzFailure[];
}

const HANG_MS = 20_000;
const MAX_FAILURES = 20;
const GC_EVERY = 250;

const task = JSON.parse(process.argv[2] ?? '{}') as FuzzTask;
const endings: (() => void)[] = [];
try {
  const figures = await fuzz();
  process.send?.(figures, () => process.exit(0));
} finally {
  for (const end of endings) end();
}

async function fuzz(): Promise<FuzzFigures> {
  const plain = [...plainTargets((work) => endings.push(work)), ...diffTargets()];
  const all = [...plain, ...(await sealedTargets()), largeTarget()];
  const targets = task.only === undefined ? all : all.filter(({ name }) => name === task.only);
  if (targets.length === 0)
    throw new Error(`no target '${task.only}'; there are: ${all.map(({ name }) => name).join(', ')}`);
  const watch = startWatch();
  await warmUp(targets);
  const startBytes = process.resourceUsage().maxRSS * 1024;
  const figures = {
    largestBytes: 0,
    inputs: 0,
    values: 0,
    refused: 0,
    slowestMs: 0,
    slowest: '',
    failures: [] as FuzzFailure[],
  };
  const weights = targets.reduce((sum, { weight = 1 }) => sum + weight, 0);
  let grownBytes = 0;
  // Large ones come last: the peak of a process can't be told apart from those before.
  for (const target of targets.toSorted((a, b) => Number(a.isLarge ?? false) - Number(b.isLarge ?? false))) {
    const count = Math.ceil((task.runs * (target.weight ?? 1)) / weights);
    for (let at = task.part; at < count; at += task.parts) {
      if (task.at !== undefined && at !== task.at) continue;
      watch.begin(`${target.name}, input ${at}`);
      const beforeBytes = target.isLarge === true ? startPeak() : undefined;
      const startMs = performance.now();
      try {
        figures[(await endingOf(target, diceFor(target, at))) === 'value' ? 'values' : 'refused'] += 1;
      } catch (error) {
        if (figures.failures.length < MAX_FAILURES)
          figures.failures.push({ target: target.name, at, problem: describe(error) });
      }
      const tookMs = performance.now() - startMs;
      figures.inputs += 1;
      // What was dropped must not hide what is kept, and V8 is in no hurry with buffers.
      if (figures.inputs % GC_EVERY === 0) globalThis.gc?.();
      if (beforeBytes !== undefined) figures.largestBytes = Math.max(figures.largestBytes, readPeak() - beforeBytes);
      if (tookMs > figures.slowestMs)
        Object.assign(figures, { slowestMs: tookMs, slowest: `${target.name}, input ${at}` });
    }
    if (target.isLarge !== true) grownBytes = process.resourceUsage().maxRSS * 1024 - startBytes;
  }
  watch.end();
  return { ...figures, targets: targets.length, grownBytes };
}

/** Decodes every valid sample, and some inputs of each target, so that code and buffers are there before memory is measured. */
async function warmUp(targets: readonly Target[]): Promise<void> {
  for (const target of targets) {
    await target.valid();
    if (target.isLarge === true) continue;
    for (let count = 0; count < 20; count += 1) {
      const dice = new Dice(task.seed, -1 - count);
      await endingOf(target, dice).catch(() => undefined);
    }
  }
}

/** Collects garbage, lets the kernel count the peak anew (proc(5), clear_refs), and returns the size of the process. */
function startPeak(): number {
  globalThis.gc?.();
  writeFileSync('/proc/self/clear_refs', '5');
  return process.memoryUsage.rss();
}

function readPeak(): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0) * 1024;
}

function diceFor(target: Target, at: number): Dice {
  let hash = 0;
  for (const character of target.name) hash = Math.imul(hash, 31) + (character.codePointAt(0) ?? 0);
  return new Dice(task.seed, hash, at);
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? String(error)).split('\n').slice(0, 6).join('\n') : String(error);
}

/** Starts a thread that ends this process when one input takes too long, and says which. */
function startWatch(): { begin: (what: string) => void; end: () => void } {
  const shared = new Int32Array(new SharedArrayBuffer(4));
  const words = new Uint8Array(new SharedArrayBuffer(200));
  const watcher = new Worker(
    `const { workerData: { shared, words, limitMs } } = require('node:worker_threads');
     const { writeSync } = require('node:fs');
     let seen = -1;
     let sinceMs = Date.now();
     const timer = setInterval(() => {
       const now = Atomics.load(shared, 0);
       if (now !== seen) { seen = now; sinceMs = Date.now(); return; }
       if (Date.now() - sinceMs < limitMs) return;
       writeSync(2, 'HANG: ' + Buffer.from(words.slice()).toString().replace(/\\0+$/, '') + ' takes longer than ' + limitMs + ' ms\\n');
       process.kill(process.pid, 'SIGKILL');
     }, 500);`,
    { eval: true, workerData: { shared, words, limitMs: HANG_MS } },
  );
  watcher.on('error', (error) => writeSync(2, `${String(error)}\n`));
  const encoder = new TextEncoder();
  return {
    begin(what) {
      words.fill(0);
      encoder.encodeInto(what, words);
      Atomics.add(shared, 0, 1);
    },
    end: () => void watcher.terminate(),
  };
}
