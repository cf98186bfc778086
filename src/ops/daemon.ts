// Keeps all scheduled agents of this machine saved, in one process. Commits run one at a time: SQLite's locks belong to a process, so two
// captures that met at one database would break each other's (docs/design.md). Pushes run beside them, several at a time, so that a remote
// that doesn't answer delays nobody's commit.
//
//     daemon/under-way            the agent whose commit is under way; left behind by a daemon that died of it

import { mkdirSync, rmSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import pLimit from 'p-limit';
import { MoltError } from '../model/error.ts';
import { tryLock } from '../pod/lock.ts';
import { identify } from '../pod/process-id.ts';
import { fullSpread } from '../policy/schedule.ts';
import type { OpsContext } from './context.ts';
import { KeptAgent, type AgentEvent } from './daemon-agent.ts';
import { readIfThere } from './home.ts';
import { listSchedules, schedulesDir, type Schedule } from './schedule.ts';
import { loadRuns, saveBeat, type Runs } from './schedule-runs.ts';

/** What the daemon tells of; what is of no single agent comes without a label. */
export type DaemonEvent =
  | AgentEvent
  | { readonly event: 'serving'; readonly agents: number }
  /** An agent is taken on, with what is known of it; `isNew` if its schedule came or changed while the daemon runs. */
  | { readonly event: 'scheduled'; readonly schedule: Schedule; readonly runs: Runs; readonly isNew: boolean }
  | { readonly event: 'unscheduled' }
  /** Retention has let backups go; bytes of this machine. */
  | { readonly event: 'pruned'; readonly expired: number; readonly freedBytes: number }
  /** A commit takes so long that something is wrong; told once of each. */
  | { readonly event: 'stuck'; readonly sinceMs: number }
  | { readonly event: 'stopping' }
  | { readonly event: 'stopped' };

/** How the daemon runs. */
export interface DaemonOptions {
  readonly version: string;
  /** The one place that everything of all agents passes: the log, metrics and alerts listen here. Must not throw. */
  readonly tell: (label: string | undefined, event: DaemonEvent) => void;
  /**
   * Done after an agent's full backup, and after it was pushed, with the schedule's retention. Its context asks nobody, and is interrupted
   * when the daemon is to end. What it fails with is told as `retention`.
   */
  readonly afterFull?:
    | ((context: OpsContext, label: string, retention: string | undefined) => Promise<void>)
    | undefined;
}

/** What of the outside the daemon needs beside an operation's. */
export interface DaemonPorts {
  /** Resolves after a time by the wall clock, also one that a sleeping machine slept through, or as soon as the signal is aborted. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
  /** Aborted when it is to end, after the commit that is under way. */
  readonly stop: AbortSignal;
  /** Aborted when it is to end at once. */
  readonly urgent: AbortSignal;
}

/** How long it sleeps at most: by then it has seen a clock that was set, and schedules that were changed. */
const LONGEST_SLEEP_MS = 30_000;
const BEAT_EVERY_MS = 60_000;
const PUSHES_AT_ONCE = 8;
/** A commit that takes so long is told of. */
const STUCK_MS = 15 * 60_000;

/**
 * Serves all schedules until it is asked to end.
 * @throws {MoltError} RUNNING when another daemon serves this home, IO
 */
export async function runDaemon(context: OpsContext, options: DaemonOptions, ports: DaemonPorts): Promise<void> {
  using lock = tryLock(join(context.home.dir, 'locks', 'daemon'));
  if (lock === undefined)
    throw new MoltError('RUNNING', `another daemon serves ${context.home.dir} already; nothing was started`, {
      hint: 'molt schedule status shows it',
    });
  const daemon = new Daemon(context, options, ports);
  await daemon.run();
}

class Daemon {
  readonly #context: OpsContext;
  readonly #options: DaemonOptions;
  readonly #ports: DaemonPorts;
  readonly #agents = new Map<string, KeptAgent>();
  readonly #commits = pLimit(1);
  readonly #pushes = pLimit(PUSHES_AT_ONCE);
  readonly #working = new Set<Promise<void>>();
  /** Problems that were told, by what they are of. */
  readonly #told = new Map<string, string>();
  readonly #startedMs: number;
  readonly #end: AbortSignal;
  #isServing = false;
  /** The agent whose commit is under way, and since when. */
  #committing: { readonly label: string; readonly sinceMs: number; isTold: boolean } | undefined;
  /** Agents whose schedule was changed while something of theirs was under way. */
  readonly #changed = new Set<string>();
  #poked = new AbortController();
  #looksAnew = true;
  #lookedMs = -Infinity;
  #beatMs = -Infinity;

  constructor(context: OpsContext, options: DaemonOptions, ports: DaemonPorts) {
    const unlock = async (subject: string): Promise<never> => {
      throw new MoltError('WRONG_KEY', `${subject} does not open with this machine’s key, and a daemon asks nobody`, {
        hint: 'molt key add device lets this machine in',
      });
    };
    this.#context = { ...context, trigger: 'scheduled', unlock, signal: ports.urgent };
    this.#options = options;
    this.#ports = ports;
    this.#startedMs = context.clock.now();
    this.#end = AbortSignal.any([ports.stop, ports.urgent]);
  }

  async run(): Promise<void> {
    const { tell } = this.#options;
    const dropped = await this.#takeUnderWay();
    await this.#look(dropped);
    tell(undefined, { event: 'serving', agents: this.#agents.size });
    this.#isServing = true;
    using _ = this.#watch();
    this.#end.addEventListener('abort', () => this.#poke(), { once: true });
    while (!this.#end.aborted) {
      // oxlint-disable-next-line no-await-in-loop -- one turn after the other
      await this.#turn();
    }
    tell(undefined, { event: 'stopping' });
    // What waits in a queue ends at once; what is under way is waited for.
    while (this.#working.size > 0) {
      // oxlint-disable-next-line no-await-in-loop -- what ends may have begun something
      await Promise.all(this.#working);
    }
    await Promise.all([...this.#agents.values()].map((agent) => agent.settle()));
    await this.#attempt('beat', () => this.#beat());
    this.#ports.urgent.throwIfAborted();
    tell(undefined, { event: 'stopped' });
  }

  /** Begins what is due, and sleeps until something may be. */
  async #turn(): Promise<void> {
    this.#poked = new AbortController();
    const { clock } = this.#context;
    if (this.#looksAnew || clock.now() - this.#lookedMs >= LONGEST_SLEEP_MS || clock.now() < this.#lookedMs)
      await this.#look();
    if (clock.now() - this.#beatMs >= BEAT_EVERY_MS || clock.now() < this.#beatMs)
      await this.#attempt('beat', () => this.#beat());
    const nowMs = clock.now();
    this.#tellIfStuck(nowMs);
    let wakeMs = nowMs + LONGEST_SLEEP_MS;
    const due: { readonly agent: KeptAgent; readonly dueMs: number }[] = [];
    for (const agent of this.#agents.values()) {
      if (agent.isBusy) continue;
      let dueMs = nowMs + LONGEST_SLEEP_MS;
      // oxlint-disable-next-line no-await-in-loop -- known, but after a commit
      await this.#attempt('times', async () => void (dueMs = await agent.dueMs()), agent.label);
      if (dueMs <= nowMs) due.push({ agent, dueMs });
      else wakeMs = Math.min(wakeMs, dueMs);
    }
    due.sort((a, b) => a.dueMs - b.dueMs);
    for (const { agent } of due) this.#beginCommit(agent);
    if (!this.#end.aborted) await this.#ports.wait(wakeMs - nowMs, this.#poked.signal);
  }

  #beginCommit(agent: KeptAgent): void {
    agent.isBusy = true;
    this.#work(agent, async () => {
      try {
        await this.#commits(() => this.#commit(agent));
      } finally {
        agent.isBusy = false;
      }
      this.#beginPush(agent);
      this.#poke();
    });
  }

  async #commit(agent: KeptAgent): Promise<void> {
    const { label } = agent;
    if (this.#end.aborted || this.#agents.get(label) !== agent) return;
    this.#committing = { label, sinceMs: this.#context.clock.now(), isTold: false };
    this.#noteUnderWay(label);
    try {
      await agent.commit();
    } finally {
      this.#committing = undefined;
      this.#noteUnderWay('');
    }
  }

  /** Pushes an agent, once at a time; what was committed meanwhile is pushed after that. */
  #beginPush(agent: KeptAgent): void {
    if (agent.pushing !== 'no') {
      agent.pushing = 'again';
      return;
    }
    agent.pushing = 'under-way';
    this.#work(agent, async () => {
      await this.#pushes(async () => {
        try {
          if (!this.#end.aborted && this.#agents.get(agent.label) === agent) await agent.send(this.#end);
        } finally {
          const isMore = agent.pushing === 'again' && !this.#end.aborted;
          agent.pushing = 'no';
          if (isMore) this.#beginPush(agent);
        }
      });
    });
  }

  /** Takes on the schedules that are new or changed, and lets go of those that are gone. */
  async #look(dropped?: string): Promise<void> {
    this.#looksAnew = false;
    this.#lookedMs = this.#context.clock.now();
    await this.#attempt('schedules', async () => {
      const named = await listSchedules(this.#context.home);
      const before = this.#agents.size;
      const labels = new Set(named.map(({ label }) => label));
      for (const [label, agent] of this.#agents) {
        if (labels.has(label)) continue;
        agent.drop();
        this.#agents.delete(label);
        this.#options.tell(label, { event: 'unscheduled' });
      }
      for (const { label, schedule, problem } of named) {
        this.#tellProblem('schedule', problem, label);
        // One whose file can't be read any more is served as it was.
        if (schedule === undefined || isDeepStrictEqual(this.#agents.get(label)?.schedule, schedule)) continue;
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        await this.#take(label, schedule, label === dropped);
      }
      if (this.#agents.size !== before) for (const agent of this.#agents.values()) agent.reconsider();
    });
  }

  async #take(label: string, schedule: Schedule, wasUnderWay: boolean): Promise<void> {
    const { tell, afterFull } = this.#options;
    const known = this.#agents.get(label);
    // A commit under way goes on as the old one, and must not be met by another.
    if (known !== undefined && (known.isBusy || known.pushing !== 'no')) {
      this.#changed.add(label);
      return;
    }
    const agent = new KeptAgent(this.#context, {
      label,
      schedule,
      runs: known?.runs ?? (await loadRuns(this.#context.home, label)),
      fullSpreadMs: () => fullSpread(this.#agents.size),
      afterFull:
        afterFull && (async () => afterFull({ ...this.#context, signal: this.#end }, label, schedule.retention)),
      tell: (event) => tell(label, event),
    });
    known?.drop();
    this.#agents.set(label, agent);
    tell(label, { event: 'scheduled', schedule, runs: agent.runs, isNew: this.#isServing });
    if (!wasUnderWay) return;
    const error = new MoltError('IO', 'the daemon ended in the middle of its commit, which lost nothing');
    tell(label, { event: 'warned', message: `${error.message}; it is tried again after one interval` });
    await agent.postpone(error);
  }

  async #beat(): Promise<void> {
    this.#beatMs = this.#context.clock.now();
    const own = identify(process.pid);
    if (own === undefined) return;
    await saveBeat(this.#context.home, {
      process: own,
      version: this.#options.version,
      startedMs: this.#startedMs,
      beatMs: this.#beatMs,
      agents: this.#agents.size,
    });
  }

  /** Has a turn made as soon as a schedule is added, changed or removed. Where the system can't tell, it is noticed at the next look. */
  #watch(): Disposable {
    const changed = (): void => {
      this.#looksAnew = true;
      this.#poke();
    };
    try {
      const dir = schedulesDir(this.#context.home);
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      const watcher = watch(dir, { persistent: false }, changed);
      watcher.on('error', () => watcher.close());
      return { [Symbol.dispose]: () => watcher.close() };
    } catch {
      return { [Symbol.dispose]: () => undefined };
    }
  }

  #poke(): void {
    this.#poked.abort();
  }

  #work({ label }: KeptAgent, work: () => Promise<void>): void {
    const working = this.#attempt('daemon', work, label).then(() => {
      this.#working.delete(working);
      if (!this.#changed.delete(label)) return;
      this.#looksAnew = true;
      this.#poke();
    });
    this.#working.add(working);
  }

  #tellIfStuck(nowMs: number): void {
    const at = this.#committing;
    if (at === undefined || at.isTold || nowMs - at.sinceMs < STUCK_MS) return;
    at.isTold = true;
    this.#options.tell(at.label, { event: 'stuck', sinceMs: at.sinceMs });
  }

  /** Does something whose failure must end nobody's backups. */
  async #attempt(what: string, work: () => Promise<void>, label?: string): Promise<void> {
    try {
      await work();
      this.#tellProblem(what, undefined, label);
    } catch (error) {
      this.#tellProblem(what, error instanceof Error ? error : new Error(String(error)), label);
    }
  }

  /** Tells a problem when it is new, and that it is over when it is. */
  #tellProblem(what: string, problem: Error | undefined, label?: string): void {
    const key = `${label ?? ''} ${what}`;
    if (problem === undefined) {
      if (this.#told.delete(key)) this.#options.tell(label, { event: 'recovered', what });
      return;
    }
    if (this.#told.get(key) === problem.message) return;
    this.#told.set(key, problem.message);
    this.#options.tell(label, { event: 'failed', what, error: problem });
  }

  /** Notes which agent is committed: one that takes the daemon down must not be the first that the next one tries. Not flushed. */
  #noteUnderWay(label: string): void {
    try {
      writeFileSync(this.#underWayFile, label, { mode: 0o600 });
    } catch {
      // Then nobody can be told of it.
    }
  }

  async #takeUnderWay(): Promise<string | undefined> {
    const label = (await readIfThere(this.#underWayFile).catch(() => undefined))?.toString('utf8');
    mkdirSync(join(this.#context.home.dir, 'daemon'), { recursive: true, mode: 0o700 });
    rmSync(this.#underWayFile, { force: true });
    return label === '' ? undefined : label;
  }

  get #underWayFile(): string {
    return join(this.#context.home.dir, 'daemon', 'under-way');
  }
}
