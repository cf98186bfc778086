// Keeps one generation of an agent running: the first start has to succeed; after that an agent that ends or hangs is started again, with
// pauses that grow while it keeps doing that.

import { setTimeout as delay } from 'node:timers/promises';
import { MoltError } from '../model/error.ts';
import { endOf, startChild, type Child, type ChildOutput } from './child.ts';
import { describeEnd } from './command.ts';
import { podEnvironment } from './environment.ts';
import { waitHealthy } from './health.ts';
import type { ProcessId } from './process-id.ts';
import type { PodExit, PodState, PodStatus, ProviderOptions } from './provider.ts';
import type { FilledPod } from './spec.ts';
import { watchLife } from './watch.ts';

/** The pause before the first start again; it doubles with each, up to the longest. */
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 30_000;
/** An agent that was healthy for so long begins with the shortest pause again. */
const SETTLED_MS = 60_000;
/** Pauses differ by up to this part, so that pods which fell together don't get up together. */
const JITTER = 0.2;

/** What a keeper works with. */
export interface KeeperOptions {
  readonly pod: FilledPod;
  /** What the agent may see of, by its allow-list. */
  readonly surroundings: Readonly<Record<string, string | undefined>>;
  readonly output: ChildOutput;
  /** Called after every change of `status`. */
  readonly onChange: () => void;
}

/** Returns how long to wait before an agent is started for the nth time again, from 0. */
export function pauseMs(attempt: number, random: number): number {
  const plain = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(attempt, 30));
  return Math.round(plain * (1 - JITTER + 2 * JITTER * random));
}

/** One generation. */
export class Keeper {
  readonly pod: FilledPod;
  readonly #options: KeeperOptions;
  readonly #stopping = new AbortController();
  #child: Child | undefined;
  #state: PodState = 'starting';
  #sinceMs = Date.now();
  #restarts = 0;
  #lastExit: PodExit | undefined;
  #problem: string | undefined;
  #lastRestart: string | undefined;
  #work: Promise<void> = Promise.resolve();

  constructor(options: KeeperOptions) {
    this.pod = options.pod;
    this.#options = options;
  }

  get status(): PodStatus {
    const child = this.#child;
    return {
      state: this.#state,
      generation: this.pod.generation,
      restarts: this.#restarts,
      sinceMs: this.#sinceMs,
      ...(child !== undefined && child.exit === undefined && { pid: child.id.pid }),
      ...(this.#lastExit && { lastExit: this.#lastExit }),
      ...(this.#problem !== undefined && { problem: this.#problem }),
      ...(this.#restarts > 0 && this.#lastRestart !== undefined && { lastRestart: this.#lastRestart }),
    };
  }

  /** The process that runs, if one does. */
  get process(): ProcessId | undefined {
    return this.#child?.exit === undefined ? this.#child?.id : undefined;
  }

  /**
   * Starts the agent and waits until it is healthy; from then on it is started again whenever it ends.
   * @throws {MoltError} UNHEALTHY: then it is stopped
   */
  async start({ signal, onTry }: ProviderOptions): Promise<void> {
    const either = signal === undefined ? this.#stopping.signal : AbortSignal.any([signal, this.#stopping.signal]);
    const launch = this.#launch(either, onTry);
    this.#work = launch.catch(() => undefined);
    try {
      await launch;
    } catch (error) {
      await this.#end();
      throw error;
    }
    this.#work = this.#keep();
  }

  /** Stops the agent for good; returns how it ended, if it ever ran. */
  async stop(): Promise<PodExit | undefined> {
    this.#stopping.abort(new MoltError('INTERRUPTED', `${this.pod.name} was stopped`));
    await this.#child?.stop(this.pod.stop);
    await this.#work;
    // One that was just being started.
    return this.#end();
  }

  async #end(): Promise<PodExit | undefined> {
    const exit = await this.#child?.stop(this.pod.stop);
    this.#lastExit = exit ?? this.#lastExit;
    this.#enter('stopped');
    return this.#lastExit;
  }

  async #launch(signal: AbortSignal, onTry?: (answer: string) => void): Promise<void> {
    const { pod, surroundings, output } = this.#options;
    signal.throwIfAborted();
    this.#enter('starting');
    const child = await startChild(pod, podEnvironment(pod, surroundings), output);
    this.#child = child;
    this.#enter('starting');
    await waitHealthy(pod, { signal, onTry, ended: () => endOf(child) });
    this.#enter('running');
  }

  /** Waits for the end of an agent and starts it again, until it is stopped. */
  async #keep(): Promise<void> {
    const { signal } = this.#stopping;
    let failure: string | undefined;
    for (let attempt = 0; ; attempt += 1) {
      // oxlint-disable-next-line no-await-in-loop -- one life after the other
      const { exit, hang, wellMs } = await this.#live(signal);
      if (signal.aborted) return;
      if (failure === undefined && wellMs >= SETTLED_MS) attempt = 0;
      const waitMs = pauseMs(attempt, Math.random());
      this.#lastExit = exit;
      const end = failure ?? hang ?? (exit ? `it ${describeEnd(exit)}` : 'it could not be started');
      this.#lastRestart = end;
      this.#enter('failed', `${end}; it is started again in ${(waitMs / 1000).toFixed(1)} s`);
      // oxlint-disable-next-line no-await-in-loop -- the same
      await delay(waitMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      this.#restarts += 1;
      // oxlint-disable-next-line no-await-in-loop -- the same
      failure = await this.#relaunch(signal);
    }
  }

  /** Returns how an agent came to its end; one that hangs is ended. */
  async #live(signal: AbortSignal): Promise<{ exit: PodExit | undefined; hang: string | undefined; wellMs: number }> {
    const child = this.#child;
    if (child === undefined || child.exit !== undefined) return { exit: child?.exit, hang: undefined, wellMs: 0 };
    const over = new AbortController();
    void child.ended.then(() => over.abort());
    const watching = { group: child.id.pid, signal: AbortSignal.any([signal, over.signal]) };
    const { hang, wellMs } = await watchLife(this.pod, {
      ...watching,
      onChange: (problem) => this.#enter('running', problem),
    });
    if (hang !== undefined && !watching.signal.aborted) {
      this.#say(hang);
      this.#enter('failed', `${hang}; it is being ended`);
      await child.stop(this.pod.stop);
    }
    return { exit: await child.ended, hang, wellMs };
  }

  /** Writes into the agent's log, where it has one. */
  #say(text: string): void {
    const { output } = this.#options;
    if (output !== 'inherit') output.write(Buffer.from(`molt, ${new Date().toISOString()}: ${text}\n`));
  }

  /** Starts the agent again; returns what went wrong, if anything did. */
  async #relaunch(signal: AbortSignal): Promise<string | undefined> {
    try {
      await this.#launch(signal);
      return undefined;
    } catch (error) {
      // One that hangs is no better than one that has ended.
      await this.#child?.stop(this.pod.stop);
      return error instanceof Error ? error.message : String(error);
    }
  }

  #enter(state: PodState, problem?: string): void {
    if (state !== this.#state) this.#sinceMs = Date.now();
    this.#state = state;
    this.#problem = problem;
    this.#options.onChange();
  }
}
