// Measures whether a long history costs anything: `npx node bench/history.ts [--commits 105120] [--dir DIR] [--chunks 1000000]`. Makes
// a year of five-minute commits (bench/year.ts), then runs molt as whole processes on it; run `npm run build` first. With --dir the history
// is kept there, and used again.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chunkId } from '../src/crypto/ids.ts';
import { OBJECT } from '../src/format/layout.ts';
import { openAgent } from '../src/ops/open.ts';
import { median, timed } from './timed.ts';
import { contextIn, LABEL, makeYear, RARE_FILE, START_MS, YEAR_COMMITS } from './year.ts';

const MOLT = fileURLToPath(new URL('../bin/molt.cjs', import.meta.url));
const ROUNDS = 5;
/** Chunks of one segment while the index is filled. */
const CHUNKS_A_SEGMENT = 20_000;

const { values } = parseArgs({
  options: {
    commits: { type: 'string', default: String(YEAR_COMMITS) },
    chunks: { type: 'string', default: '0' },
    dir: { type: 'string' },
  },
});
const dir = values.dir ?? mkdtempSync(join(tmpdir(), 'molt-year-'));
const home = join(dir, 'home');
const lateMs = START_MS + YEAR_COMMITS * 300_000 + 60_000;

/** Runs molt as a process of its own and prints what the middle of some rounds cost. */
function measure(what: string, args: readonly string[]): void {
  const costs = Array.from({ length: ROUNDS }, () => timed(process.execPath, [MOLT, ...args], { MOLT_HOME: home }));
  const cell = (pick: (cost: (typeof costs)[number]) => number, digits: number): string =>
    median(costs.map(pick)).toFixed(digits).padStart(7);
  const lines = (costs[0]?.stdout.match(/\n/g) ?? []).length;
  process.stdout.write(
    `${what.padEnd(34)} ${cell(({ wallS }) => wallS, 3)} s ${cell(({ cpuS }) => cpuS, 2)} CPU s ${cell(({ peakMB }) => peakMB, 0)} MB ${lines} lines\n`,
  );
}

/** Says what opening reads and takes in this process, without start-up. */
async function measureOpening(count: number): Promise<void> {
  const context = contextIn(dir, () => lateMs);
  const times: number[] = [];
  let read = { bytes: 0, reads: 0 };
  for (let round = 0; round < ROUNDS; round += 1) {
    read = { bytes: 0, reads: 0 };
    const started = performance.now();
    await using open = await openAgent(context, LABEL);
    times.push(performance.now() - started);
    const { storage } = open.repository;
    const readObject = storage.read.bind(storage);
    storage.read = async (name, range) => {
      const bytes = await readObject(name, range);
      read = { bytes: read.bytes + (bytes?.length ?? 0), reads: read.reads + 1 };
      return bytes;
    };
    // What opening did, once more with every read counted.
    await open.repository.index.rebuild(true);
  }
  const text = `${median(times).toFixed(1)} ms, ${read.reads} reads of ${(read.bytes / 1024).toFixed(0)} kB`;
  process.stdout.write(`opening at ${String(count).padEnd(7)}                 ${text}\n`);
}

/** Fills the index with chunks, through transactions. */
async function addChunks(count: number): Promise<void> {
  await using open = await openAgent(
    contextIn(dir, () => lateMs),
    LABEL,
  );
  const { repository } = open;
  for (let done = 0; done < count; done += CHUNKS_A_SEGMENT) {
    await repository.transact({ packs: false }, async (transaction) => {
      for (let at = done; at < Math.min(done + CHUNKS_A_SEGMENT, count); at += 1) {
        const bytes = Buffer.from(`chunk ${at}`);
        await transaction.put(
          { key: chunkId(repository.keys.idKey, bytes), type: OBJECT.chunk, bytes },
          'content',
          undefined,
        );
      }
      await transaction.publish([], []);
    });
  }
}

try {
  mkdirSync(dir, { recursive: true });
  if (!existsSync(home)) {
    const started = performance.now();
    const steps = new Set([1000, 10_000, Number(values.commits)]);
    await makeYear(dir, Number(values.commits), async (count) => {
      if (!steps.has(count)) return;
      const { rss } = process.memoryUsage();
      const took = `${((performance.now() - started) / 1000).toFixed(0)} s, ${(rss / 2 ** 20).toFixed(0)} MB in memory`;
      process.stdout.write(`${count} commits made after ${took}\n`);
      await measureOpening(count);
    });
  } else await measureOpening(Number(values.commits));
  const day = (n: number): string => new Date(START_MS + n * 86_400_000).toISOString();
  const show = (revision: string): string =>
    execFileSync(process.execPath, [MOLT, 'log', LABEL, revision, '-n', '1', '--json'], {
      env: { ...process.env, MOLT_HOME: home },
      encoding: 'utf8',
    });
  const [, id = ''] = /"id":\s*"([0-9a-f]{40})"/.exec(show(`${LABEL}@{${day(100)}}`)) ?? [];
  const play = (): void => {
    measure('--version (start-up)', ['--version']);
    measure('log -n 20', ['log', LABEL, '-n', '20']);
    measure('backup list', ['backup', 'list', LABEL]);
    measure('a commit by timestamp', ['show', `${LABEL}@{${day(200)}}`]);
    measure('a short id', ['show', LABEL, id.slice(0, 8)]);
    measure(`log -- ${RARE_FILE}`, ['log', LABEL, '--', RARE_FILE]);
    measure('log of one day in the middle', ['log', LABEL, '--since', day(180), '--until', day(181)]);
    measure('commit (nothing changed)', ['commit', LABEL]);
  };
  play();
  if (Number(values.chunks) > 0) {
    await addChunks(Number(values.chunks));
    process.stdout.write(`\nwith ${values.chunks} chunks more in the index\n`);
    await measureOpening(Number(values.commits));
    play();
  }
} finally {
  if (values.dir === undefined) rmSync(dir, { recursive: true, force: true });
}
