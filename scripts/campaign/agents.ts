// A thousand agents, copies of a real OpenClaw's state, under one daemon: how much memory it takes, how long a look at all of them, whether
// they are spread over the interval, and how many there could be. A share takes fewer agents and a shorter interval.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { initAgent } from '../../src/ops/init.ts';
import { saveSchedule } from '../../src/ops/schedule.ts';
import { parseDaily } from '../../src/policy/daily.ts';
import type { CampaignRun, Tally } from './campaign.ts';
import { contextAt, machineAt, type Machine } from './machine.ts';

const ROOT = join(import.meta.dirname, '../..');
const FIXTURE = join(ROOT, 'fixtures/openclaw-2026.9.6.tar.gz');
const AGENTS = 1000;
const EVERY_MS = 300_000;
const MAX_MEMORY_MB = 400;
/** One agent in so many changes between two rounds. */
const ONE_IN = 20;
const PARTS = 10;

/** A commit that the daemon told of. */
interface Tick {
  readonly agent: string;
  readonly timeMs: number;
  readonly durationMs: number;
  readonly isUnchanged: boolean;
}

/** The campaign. */
export async function campaign(run: CampaignRun, tally: Tally): Promise<void> {
  const count = Math.max(10, Math.round(AGENTS * run.share));
  // A share of the agents in the same share of the time is the same load.
  const everyMs = Math.max(20_000, Math.round(EVERY_MS * run.share));
  const machine = machineAt(join(run.base, 'root'), join(run.base, 'state'));
  const startedMs = performance.now();
  await prepare(machine, run.base, count, everyMs);
  tally.add('agents under one daemon', count);
  tally.add('ms, first full backup of each, on average', Math.round((performance.now() - startedMs) / count));
  const daemon = new Daemon(machine);
  try {
    await measure(daemon, machine, { count, everyMs }, tally);
  } finally {
    await daemon.stop();
  }
}

async function prepare(machine: Machine, base: string, count: number, everyMs: number): Promise<void> {
  const sample = join(base, 'sample');
  mkdirSync(sample, { recursive: true });
  execFileSync('tar', ['xzf', FIXTURE, '-C', sample]);
  const context = { ...contextAt(machine, 0), clock: { now: () => Date.now() } };
  for (let index = 0; index < count; index += 1) {
    const label = `agent-${index}`;
    const stateDir = join(machine.stateDir, label);
    cpSync(join(sample, 'state'), stateDir, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
    await initAgent(context, {
      label,
      stateDir,
      profile: 'openclaw',
      include: [],
      exclude: [],
      passphrase: async () => 'first',
      keepRecoveryKey: async () => {},
    });
    const full = parseDaily('02:00', 'Asia/Jakarta');
    await saveSchedule(context.home, label, { everyMs, full, retention: undefined, sinceMs: Date.now() });
  }
}

async function measure(
  daemon: Daemon,
  machine: Machine,
  { count, everyMs }: { readonly count: number; readonly everyMs: number },
  tally: Tally,
): Promise<void> {
  // All are due when it begins, as after a night that a laptop slept.
  const [first, last] = [daemon.startedMs, await daemon.until(() => daemon.ticks.length >= count)];
  const cpuFirst = daemon.cpuMs();
  tally.add('s, first look at all of them, nothing changed', Math.round((last - first) / 1000));
  tally.add('ms of processor for each in it', Math.round(cpuFirst / count));
  for (let index = 0; index < count; index += ONE_IN)
    writeFileSync(join(machine.stateDir, `agent-${index}`, 'campaign.md'), `changed at ${index}\n`);
  const from = daemon.ticks.length;
  const beginMs = Date.now();
  await daemon.until(() => Date.now() - beginMs >= everyMs);
  const round = daemon.ticks.slice(from);
  const cpuMs = daemon.cpuMs() - cpuFirst;
  const seen = new Set(round.map(({ agent }) => agent));
  tally.add('looked at in one interval', seen.size);
  tally.add('of them changed', round.filter(({ isUnchanged }) => !isUnchanged).length);
  tally.add('ms of processor for each in an interval', Math.round(cpuMs / Math.max(1, round.length)));
  tally.add('ms, the median look', median(round.map(({ durationMs }) => durationMs)));
  const parts = Array.from({ length: PARTS }, () => 0);
  for (const { timeMs } of round) {
    const part = Math.min(PARTS - 1, Math.floor(((timeMs - beginMs) / everyMs) * PARTS));
    parts[part] = (parts[part] ?? 0) + 1;
  }
  console.log(`ticks in each tenth of the interval: ${parts.join(' ')}`);
  tally.add('MB of memory at the peak', daemon.peakMb());
  tally.add(
    'agents that one processor could look at in five minutes',
    Math.floor(EVERY_MS / (cpuMs / Math.max(1, round.length))),
  );
  if (daemon.peakMb() > MAX_MEMORY_MB) throw new Error(`the daemon took ${daemon.peakMb()} MB`);
  if (daemon.failures.length > 0) throw new Error(`the daemon told of failures: ${daemon.failures[0]}`);
  if (last - first > EVERY_MS) throw new Error(`a look at all took ${Math.round((last - first) / 1000)} s`);
  // Those at the very edges may fall out of a window that is exactly as long.
  if (seen.size < count * 0.97) throw new Error(`only ${seen.size} of ${count} were looked at in an interval`);
  if (Math.max(...parts) > (3 * count) / PARTS) throw new Error(`they are not spread: ${parts.join(' ')}`);
}

/** The built molt's daemon, and what it told. */
class Daemon {
  readonly ticks: Tick[] = [];
  readonly failures: string[] = [];
  readonly startedMs = Date.now();
  readonly #child;
  readonly #ended;

  constructor(machine: Machine) {
    const words = [join(ROOT, 'bin/molt.cjs'), 'daemon', '--json', '--verbose', '--home', machine.homeDir];
    this.#child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'], env: { HOME: machine.root } });
    this.#ended = once(this.#child, 'close');
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      const event = JSON.parse(line) as Record<string, unknown>;
      if (event['event'] === 'failed') this.failures.push(line);
      if (event['event'] !== 'ticked') return;
      this.ticks.push({
        agent: String(event['agent']),
        timeMs: Date.parse(String(event['time'])),
        durationMs: Number(event['durationMs']),
        isUnchanged: event['unchanged'] === true,
      });
    });
  }

  /** Resolves to the time at which something has become true. */
  async until(isTrue: () => boolean): Promise<number> {
    while (!isTrue()) {
      if (this.#child.exitCode !== null) throw new Error('the daemon has ended');
      const { promise, resolve } = Promise.withResolvers<void>();
      setTimeout(resolve, 200);
      await promise;
    }
    return Date.now();
  }

  peakMb(): number {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8');
    return Math.round(Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024);
  }

  /** Processor time that it took, in ticks of a hundredth of a second. */
  cpuMs(): number {
    const stat = readFileSync(`/proc/${this.#child.pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10;
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    await this.#ended;
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
