// Days of an agent under care, on simulated time: commits at every tick, a push of each, a full backup a day, then a prune here and on
// the remote. All of it is what `molt` does; only the clock, and the age of the stores' files, are made.

import { randomBytes } from 'node:crypto';
import { mkdirSync, realpathSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { LocalRuns } from '../../src/catalog/local-runs.ts';
import { silentReporter } from '../../src/model/ports.ts';
import { backUp } from '../../src/ops/backup.ts';
import type { OpsContext } from '../../src/ops/context.ts';
import { Home } from '../../src/ops/home.ts';
import { initAgent } from '../../src/ops/init.ts';
import { listBackups, listLog } from '../../src/ops/log.ts';
import { openAgent } from '../../src/ops/open.ts';
import { prune } from '../../src/ops/prune.ts';
import { push } from '../../src/ops/push.ts';
import { addRemote } from '../../src/ops/remote.ts';
import { saveSchedule } from '../../src/ops/schedule.ts';
import { parseDaily } from '../../src/policy/daily.ts';
import { applyRestore, planRestore } from '../../src/ops/restore.ts';
import type { RequestKind } from '../../src/storage/remote.ts';
import { YearAgent } from './agent.ts';
import { DirectoryTime } from './directory-time.ts';
import type { TimedStore, StoreSizes } from './store.ts';

const DAY_MS = 86_400_000;
/** Later than any real time, so that files are never of the future. */
export const START_MS = Date.UTC(2030, 0, 1);
/** How often the newest is restored, in days. */
const RESTORE_EVERY = 5;

/** What is simulated. */
export interface Simulated {
  /** Under its real path; on a disk in memory it is quicker. */
  readonly dir: string;
  readonly seed: string;
  readonly ticksADay: number;
  /** As a schedule has it: a span or a plan. */
  readonly retention: string;
  /** Runs are noted in the backup log. */
  readonly isNoted?: boolean;
  /** Its remote; a folder unless said. */
  readonly far?: TimedStore;
}

/** What was measured of a kind of work: how long it took by the clock, and of the processor; milliseconds. */
export interface Took {
  readonly wallMs: number;
  readonly cpuMs: number;
}

/** A day's figures. */
export interface Day {
  readonly took: ReadonlyMap<Work, readonly Took[]>;
  /** Bytes that ticks and fulls stored here. */
  readonly tickBytes: readonly number[];
  readonly fullBytes: number;
  readonly pushRequests: Readonly<Record<RequestKind, number>>;
  readonly pushBytes: number;
  readonly pruneRequests: Readonly<Record<RequestKind, number>>;
  readonly pruneBytes: { readonly sent: number; readonly received: number };
  /** What was resident at most while it pruned, in bytes. */
  readonly pruneMemoryBytes: number;
  readonly kept: number;
  readonly expired: number;
  /** Bytes of the packs that hold nothing but lines of what expired, here. */
  readonly historyBytes: number;
  readonly runs: number;
  readonly refs: number;
  readonly here: StoreSizes;
  readonly far: StoreSizes;
  /** What the remote held before the full backup came. */
  readonly farPeak: StoreSizes;
}

/** What is timed. */
export type Work = 'commit' | 'full' | 'push' | 'list' | 'log' | 'restore' | 'prune';

/** An agent, its repository and its remote. */
export class Simulation {
  readonly context: OpsContext;
  readonly #options: Simulated;
  readonly #agent: YearAgent;
  readonly #here: DirectoryTime;
  readonly #far: TimedStore;
  #nowMs = START_MS;
  #tick = 0;
  #day = 0;

  private constructor(
    options: Simulated,
    parts: {
      readonly agent: YearAgent;
      readonly context: OpsContext;
      readonly here: DirectoryTime;
      readonly far: TimedStore;
    },
  ) {
    this.#options = options;
    this.#agent = parts.agent;
    this.context = parts.context;
    this.#here = parts.here;
    this.#far = parts.far;
  }

  /** Begins: an agent with its first full backup and an empty remote. */
  static async begin(options: Simulated): Promise<Simulation> {
    const { dir, seed } = options;
    const stateDir = join(dir, 'state');
    mkdirSync(stateDir);
    const agent = new YearAgent(stateDir, seed);
    const simulated: { now: () => number } = { now: () => START_MS };
    const context: OpsContext = {
      home: new Home(join(dir, 'home')),
      clock: simulated,
      random: { bytes: (length) => randomBytes(length) },
      reporter: silentReporter,
      cwd: dir,
      userHome: dir,
      unlock: async () => {
        throw new Error('the device key should have opened it');
      },
      argon2: { memoryKiB: 64, passes: 1, lanes: 1 },
    };
    if (options.isNoted === true) Object.assign(context, { runs: noteRuns(context) });
    const { agent: made } = await initAgent(context, {
      label: 'year',
      stateDir,
      profile: 'generic',
      include: [],
      exclude: [],
      passphrase: async () => undefined,
      keepRecoveryKey: async () => undefined,
    });
    // The remote's own clock shows the real time.
    const { far = new DirectoryTime(join(dir, 'far'), Date.now) } = options;
    await addRemote(context, 'year', { name: 'far', url: far.url, singleWriter: false });
    const here = new DirectoryTime(realpathSync(context.home.repositoryDir(made.repository)), () => simulated.now());
    const simulation = new Simulation(options, { agent, context, here, far });
    const full = parseDaily('00:00', 'UTC');
    const { ticksADay, retention } = options;
    await saveSchedule(context.home, 'year', { everyMs: DAY_MS / ticksADay, full, retention, sinceMs: 0 });
    simulated.now = () => simulation.#nowMs;
    return simulation;
  }

  /** Lives a day. */
  async live(): Promise<Day> {
    const { ticksADay } = this.#options;
    const took = new Map<Work, Took[]>();
    const time = async <T>(work: Work, does: () => Promise<T>): Promise<T> => {
      const startedMs = performance.now();
      const before = process.cpuUsage();
      const result = await does();
      const { user, system } = process.cpuUsage(before);
      const list = took.get(work) ?? [];
      list.push({ wallMs: performance.now() - startedMs, cpuMs: (user + system) / 1000 });
      took.set(work, list);
      return result;
    };
    const { context } = this;
    const tickBytes: number[] = [];
    let fullBytes = 0;
    let farPeak: StoreSizes = new Map();
    const pushRequests = { put: 0, get: 0, list: 0, head: 0, delete: 0 };
    let pushBytes = 0;
    for (let tick = 1; tick <= ticksADay; tick += 1) {
      this.#nowMs = START_MS + (this.#day + tick / ticksADay) * DAY_MS;
      for (const store of [this.#here, this.#far]) store.begin({ realMs: Date.now(), nowMs: this.#nowMs });
      this.#tick += 1;
      this.#agent.work(this.#tick);
      const isFull = tick === ticksADay;
      if (isFull) farPeak = await this.#far.measure();
      const kind = isFull ? 'full' : 'incremental';
      const saved = await time(isFull ? 'full' : 'commit', () =>
        backUp(context, 'year', { kind, full: isFull, trigger: 'schedule' }),
      );
      if (saved.suspicion !== undefined) throw new Error(`an alarm: ${JSON.stringify(saved.suspicion.findings)}`);
      if (isFull) fullBytes = saved.bytes.stored;
      else tickBytes.push(saved.bytes.stored);
      const { requests, bytes } = await time('push', () => push(context, 'year', {}));
      for (const name of Object.keys(pushRequests) as RequestKind[]) pushRequests[name] += requests[name];
      pushBytes += bytes;
    }
    const pruned = await this.#prune(time);
    this.#day += 1;
    await time('list', () => drain(listBackups(context, { agent: 'year', all: false })));
    await time('log', () => drain(listLog(context, { agent: 'year', words: [], paths: [], limit: 20 })));
    if (this.#day % RESTORE_EVERY === 0) await time('restore', () => this.#restore());
    return {
      took,
      tickBytes,
      fullBytes,
      pushRequests,
      pushBytes,
      ...pruned,
      ...(await this.#look()),
      here: await this.#here.measure(),
      far: await this.#far.measure(),
      farPeak,
    };
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  close(): void {
    this.#agent.close();
  }

  async #prune(time: <T>(work: Work, does: () => Promise<T>) => Promise<T>) {
    for (const store of [this.#here, this.#far]) store.age();
    let pruneMemoryBytes = 0;
    const watch = setInterval(() => {
      pruneMemoryBytes = Math.max(pruneMemoryBytes, process.memoryUsage.rss());
    }, 20);
    const { retention } = this.#options;
    const result = await time('prune', () =>
      prune(this.context, 'year', { retention, isDryRun: false, isLocal: false }),
    );
    clearInterval(watch);
    pruneMemoryBytes = Math.max(pruneMemoryBytes, process.memoryUsage.rss());
    const [far] = result.remotes;
    if (far === undefined || far.error !== undefined) throw far?.error ?? new Error('the remote was not pruned');
    const { requests: pruneRequests, bytes: pruneBytes } = far;
    return { pruneMemoryBytes, pruneRequests, pruneBytes };
  }

  async #look() {
    await using open = await openAgent(this.context, 'year');
    const { index, log, refs, storage } = open.repository;
    const commits = await index.listCommits();
    const expired = commits.filter(({ isExpired }) => isExpired).length;
    let historyBytes = 0;
    for (const id of log.begin.history)
      historyBytes += (await storage.stat(`packs/${id.slice(0, 2)}/${id}`))?.sizeBytes ?? 0;
    return { kept: commits.length - expired, expired, historyBytes, runs: index.runs.length, refs: refs.size };
  }

  async #restore(): Promise<void> {
    const dir = join(this.#options.dir, 'restored');
    await using open = await openAgent(this.context, 'year');
    const plan = await planRestore(this.context, open, { revision: undefined, timestamp: undefined, dir });
    await applyRestore(this.context, open, plan);
    rmSync(dir, { recursive: true });
  }
}

function noteRuns({ home, clock, random }: OpsContext): LocalRuns {
  const warn = (message: string): never => {
    throw new Error(message);
  };
  return new LocalRuns({ homeDir: home.dir, clock, random, findUrl: async () => undefined, warn });
}

async function drain(items: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of items);
}
