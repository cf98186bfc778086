// What runs pods: a supervised process, a container engine, later a cluster. What all of them have in common, and nothing that only
// one of them has: a place on this machine for its files, a filled-in spec, and an answer to how it is.

import type { FilledPod, ProviderName, StopSpec } from './spec.ts';

/** Where a provider keeps what it needs of a pod. */
export interface PodPlace {
  readonly name: string;
  /** A folder of the pod's own; absolute, 0700. Its log, and what its supervisor notes, lie there. */
  readonly dir: string;
}

/** How a pod is: `starting` until it is healthy for the first time; `failed` when it should run and does not. */
export type PodState = 'running' | 'starting' | 'stopped' | 'failed';

/** What a provider knows of a pod at the moment. */
export interface PodStatus {
  readonly state: PodState;
  /** Of the agent itself. */
  readonly pid?: number;
  /** The generation that runs, where a provider can run several after each other. */
  readonly generation?: number;
  /** How often it was started again because it had ended. */
  readonly restarts: number;
  /** When the state began; milliseconds. */
  readonly sinceMs?: number;
  /** Whether a generation is about to take over, or the one that it took over from has not ended yet. */
  readonly isSwitching?: boolean;
  /** How it ended the last time: a status, or the signal. */
  readonly lastExit?: PodExit;
  /** What is wrong, for people. */
  readonly problem?: string;
  /** Why it was started again the last time, for people. */
  readonly lastRestart?: string;
}

/** How a process ended. */
export interface PodExit {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** What a health check answered. */
export interface Health {
  readonly isHealthy: boolean;
  /** Whether it answered at all: one that says no is alive. */
  readonly hasAnswered: boolean;
  /** For people: `GET /readyz answered 503`. */
  readonly answer: string;
}

/** Options of what may take long. */
export interface ProviderOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called after each try of the health check that was no success, with what it answered. */
  readonly onTry?: ((answer: string) => void) | undefined;
}

/** Which part of a pod's log is wanted. */
export interface LogOptions {
  /** The last so many lines; all unless given. */
  readonly lines?: number | undefined;
  /** Go on with what is written from now on, until the signal is aborted. */
  readonly follow?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What runs pods. Every method may be called by any process of this machine's user, at any time. */
export interface Provider {
  readonly name: ProviderName;

  /**
   * Checks that this pod could be started: that the runtime is there, and the program.
   * @throws {MoltError} UNHEALTHY or NOT_FOUND, with a hint
   */
  check(pod: FilledPod): Promise<void>;

  /**
   * Starts a pod and waits until it is healthy.
   * @throws {MoltError} RUNNING when it runs already, UNHEALTHY when it does not become healthy: then nothing of it runs any more
   */
  start(place: PodPlace, pod: FilledPod, options?: ProviderOptions): Promise<void>;

  /** Stops a pod, and what an earlier supervisor may have left of it; says nothing if nothing runs. */
  stop(place: PodPlace, stop: StopSpec): Promise<void>;

  /** Returns how a pod is. */
  inspect(place: PodPlace): Promise<PodStatus>;

  /** Asks a pod that runs how it is, once, by its health check. Never throws for a bad answer. */
  ask(place: PodPlace, pod: FilledPod, timeoutMs: number, signal?: AbortSignal): Promise<Health>;

  /** Lists lines of what the agent wrote. */
  logs(place: PodPlace, options: LogOptions): AsyncIterable<string>;

  /**
   * Starts another generation beside the one that runs, waits until it is healthy, lets it take over the public ports in one step, and
   * stops the old one. Only where the provider owns them (`FilledPod.isFronted`).
   * @throws {MoltError} UNHEALTHY when the new one does not become healthy: the old one goes on
   */
  switchTo?(place: PodPlace, pod: FilledPod, options?: ProviderOptions): Promise<void>;
}
