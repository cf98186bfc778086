// Runs the fuzzer in processes of their own and adds up what they found. Part of the campaign, which asks for a share of a million
// inputs.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import pMap from 'p-map';
import type { FuzzFigures, FuzzTask } from './worker.ts';

/** How much to fuzz. */
export interface FuzzOptions extends Pick<FuzzTask, 'runs' | 'seed' | 'only' | 'at'> {
  readonly processes: number;
}

/** What came of it, for people. */
export interface FuzzReport {
  readonly lines: readonly string[];
  readonly ok: boolean;
}

const MAX_GROWTH_BYTES = 100 * 1024 * 1024;
// What the allocator keeps of zstd's contexts, freed as they are, comes to some 100 MB in the long run: so no process runs for long, and
// what one grows by is what inputs did.
const INPUTS_A_PROCESS = 50_000;
// A process that needs more heap than this dies, which counts as a crash: garbage must not hide growth, nor growth pass for garbage.
const HEAP_MIB = 128;

/** Runs a share of a million inputs. */
export function run({ seed, share }: { readonly seed: number; readonly share: number }): Promise<FuzzReport> {
  return runFuzz({ runs: Math.round(1_000_000 * share), seed, processes: 2 });
}

/** Runs so many inputs. */
export async function runFuzz(options: FuzzOptions): Promise<FuzzReport> {
  const count = Math.max(options.processes, Math.ceil(options.runs / INPUTS_A_PROCESS));
  const parts = Array.from({ length: count }, (_, part) => part);
  const concurrency = options.processes;
  const results = await pMap(parts, (part) => runProcess({ ...options, processes: count }, part), { concurrency });
  const figures = results.filter((result) => typeof result !== 'string');
  const dead = results.filter((result) => typeof result === 'string');
  const failures = figures.flatMap((result) => result.failures);
  const sum = (of: (result: FuzzFigures) => number): number => figures.reduce((total, result) => total + of(result), 0);
  const grownBytes = Math.max(0, ...figures.map((result) => result.grownBytes));
  const largestBytes = Math.max(0, ...figures.map((result) => result.largestBytes));
  const [slowest] = figures.toSorted((a, b) => b.slowestMs - a.slowestMs);
  const ok = dead.length === 0 && failures.length === 0 && Math.max(grownBytes, largestBytes) <= MAX_GROWTH_BYTES;
  const lines = [
    `fuzz, seed ${options.seed}: ${sum((result) => result.inputs)} inputs for ${figures[0]?.targets ?? 0} targets: ` +
      `${sum((result) => result.refused)} refused, ${sum((result) => result.values)} values, ${failures.length} anything else`,
    `  the larger process grew by ${Math.ceil(grownBytes / 1024 / 1024)} MB, by ${Math.ceil(largestBytes / 1024 / 1024)} MB with the largest single input; the slowest input took ` +
      `${Math.round(slowest?.slowestMs ?? 0)} ms (${slowest?.slowest ?? 'none'})`,
    ...dead.map((how) => `DIED: ${how}`),
    ...failures.map(({ target, at, problem }) => `FAILED: --only '${target}' --at ${at}: ${problem}`),
  ];
  return { lines, ok };
}

async function runProcess({ processes, ...task }: FuzzOptions, part: number): Promise<FuzzFigures | string> {
  const child = fork(new URL('worker.ts', import.meta.url), [JSON.stringify({ ...task, part, parts: processes })], {
    execArgv: ['--expose-gc', `--max-old-space-size=${HEAP_MIB}`, '--max-semi-space-size=4'],
  });
  let figures: FuzzFigures | undefined;
  child.on('message', (message) => void (figures = message as FuzzFigures));
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
  return figures ?? `process ${part} ended with ${code ?? signal}`;
}
