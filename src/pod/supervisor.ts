// Supervises a pod: owns its public ports, keeps its agent running, answers on its control socket, and lets one generation take over
// from another. It runs in a process of its own behind `molt pod start`, and in the foreground of `molt run`.

import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isSystemError, MoltError } from '../model/error.ts';
import { systemFailure } from '../model/system-error.ts';
import { stopLeftover, type ChildOutput } from './child.ts';
import { listenForControl, socketPath, type ControlRequest } from './control.ts';
import { Front } from './front.ts';
import { Keeper } from './keeper.ts';
import { tryLock } from './lock.ts';
import { logSize, LogWriter, withLog } from './log-file.ts';
import { dropNote, readNote, writeNote, type SupervisorNote } from './note.ts';
import { identify } from './process-id.ts';
import type { PodExit, PodPlace, PodStatus, ProviderOptions } from './provider.ts';
import type { FilledPod } from './spec.ts';

/** What to supervise. */
export interface SuperviseOptions {
  readonly place: PodPlace;
  readonly pod: FilledPod;
  /** Of which the agent sees what its allow-list names. */
  readonly surroundings: Readonly<Record<string, string | undefined>>;
  /** Where what the agent writes goes: into the pod's log, or where this process writes. */
  readonly output: 'log' | 'inherit';
  /** Called after each change of how the pod is. */
  readonly onStatus?: ((status: PodStatus) => void) | undefined;
}

/** A pod that is supervised by this process. */
export interface Supervised {
  readonly status: PodStatus;
  /**
   * Resolves when the pod is healthy for the first time.
   * @throws {MoltError} UNHEALTHY when it does not become so, INTERRUPTED when it is stopped before: then nothing of it runs any more
   */
  readonly healthy: Promise<void>;
  /** Resolves when the supervision is over, however that came about, to how the agent ended. */
  readonly ended: Promise<PodExit | undefined>;
  /** Stops the agent and ends the supervision; returns how the agent ended. May be called more than once. */
  stop(): Promise<PodExit | undefined>;
  /** Lets another generation take over; @throws {MoltError} UNHEALTHY, and the present one goes on */
  switchTo(pod: FilledPod, options?: ProviderOptions): Promise<void>;
}

/**
 * Begins to supervise a pod and to start its agent. What an earlier supervisor left behind when it was killed is ended first.
 * @throws {MoltError} RUNNING when it is supervised already, UNHEALTHY when its port is taken, IO
 */
export async function supervise(options: SuperviseOptions): Promise<Supervised> {
  const { place, pod } = options;
  mkdirSync(place.dir, { recursive: true, mode: 0o700 });
  const lock = tryLock(join(place.dir, 'supervisor.lock'));
  if (lock === undefined) {
    throw new MoltError('RUNNING', `pod "${place.name}" is supervised already; nothing was changed`, {
      hint: `molt pod list shows it, molt pod stop ${place.name} stops it`,
    });
  }
  await using begun = new AsyncDisposableStack();
  begun.defer(() => lock[Symbol.dispose]());
  for (const agent of readNote(place)?.agents ?? []) {
    // oxlint-disable-next-line no-await-in-loop -- hardly ever more than one
    await stopLeftover(agent, pod.stop);
  }
  dropNote(place);
  const fronts = await openFronts(pod, begun);
  const output = options.output === 'log' ? new LogWriter(place) : 'inherit';
  if (output !== 'inherit') begun.defer(() => output.close());
  const supervisor = new Supervisor(options, fronts, output);
  await supervisor.listen(begun);
  supervisor.begin(begun.move());
  return supervisor;
}

async function openFronts(pod: FilledPod, resources: AsyncDisposableStack): Promise<Map<string, Front>> {
  const fronts = new Map<string, Front>();
  for (const [name, pair] of pod.isFronted ? Object.entries(pod.ports) : []) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other, so that those before are closed when one is taken
    const front = await Front.open(pair.public);
    resources.defer(() => front.close());
    fronts.set(name, front);
  }
  return fronts;
}

class Supervisor implements Supervised {
  readonly healthy: Promise<void>;
  readonly ended: Promise<PodExit | undefined>;
  readonly #place: PodPlace;
  readonly #surroundings: SuperviseOptions['surroundings'];
  readonly #fronts: ReadonlyMap<string, Front>;
  readonly #output: ChildOutput;
  readonly #onStatus: SuperviseOptions['onStatus'];
  readonly #mark = randomBytes(16).toString('hex');
  readonly #socket: string;
  readonly #healthy = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<PodExit | undefined>();
  /** Aborted when the supervision is to end. */
  readonly #interrupt = new AbortController();
  #resources: AsyncDisposableStack | undefined;
  #keeper: Keeper;
  /** The generation that is to take over, and the one that it took over from; until the one is there and the other gone. */
  #next: Keeper | undefined;
  #last: Keeper | undefined;
  #stopping: Promise<PodExit | undefined> | undefined;
  #hasNote = false;

  constructor(
    { place, pod, surroundings, onStatus }: SuperviseOptions,
    fronts: ReadonlyMap<string, Front>,
    output: ChildOutput,
  ) {
    this.#place = place;
    this.#surroundings = surroundings;
    this.#onStatus = onStatus;
    this.#fronts = fronts;
    this.#output = output;
    this.#socket = socketPath(place);
    this.#keeper = this.#makeKeeper(pod);
    this.healthy = this.#healthy.promise;
    this.ended = this.#ended.promise;
    // Who does not wait for it hears of it by the end.
    this.healthy.catch(() => undefined);
  }

  get status(): PodStatus {
    const isSwitching = this.#next !== undefined || this.#last !== undefined;
    return { ...this.#keeper.status, ...(isSwitching && { isSwitching }) };
  }

  /** Lets other processes find this one and ask it. */
  async listen(resources: AsyncDisposableStack): Promise<void> {
    const control = await listenForControl(this.#socket, this.#mark, (request, gone) => this.#answer(request, gone));
    // Who waits for the answer still gets it.
    resources.defer(() => void control.close());
    resources.defer(() => rmSync(this.#socket, { force: true }));
    resources.defer(() => dropNote(this.#place));
    try {
      // Without it nobody would ever find this supervisor.
      writeNote(this.#place, this.#note());
    } catch (error) {
      throw systemFailure(error, `cannot note that pod "${this.#place.name}" runs`, this.#place.dir);
    }
    this.#hasNote = true;
    resources.defer(() => {
      this.#hasNote = false;
    });
  }

  /** Takes over what was opened, and starts the agent. */
  begin(resources: AsyncDisposableStack): void {
    this.#resources = resources;
    this.#start(this.#keeper, {}).then(this.#healthy.resolve, async (error: unknown) => {
      await this.stop().catch(() => undefined);
      this.#healthy.reject(error);
    });
  }

  async stop(): Promise<PodExit | undefined> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async switchTo(pod: FilledPod, { signal, onTry }: ProviderOptions = {}): Promise<void> {
    if (this.#next !== undefined || this.#last !== undefined || this.#stopping !== undefined) {
      throw new MoltError('LOCKED', `pod "${pod.name}" is being switched or stopped already; nothing was changed`);
    }
    if (this.#fronts.size === 0) throw new Error('only a pod whose ports are fronted can be switched');
    const next = this.#makeKeeper(pod);
    this.#next = next;
    try {
      const either = signal ? AbortSignal.any([signal, this.#interrupt.signal]) : this.#interrupt.signal;
      await this.#start(next, { signal: either, onTry });
    } finally {
      this.#next = undefined;
      this.#writeNote();
    }
    // From here on the new one counts, whatever happens.
    const last = this.#keeper;
    this.#last = last;
    this.#keeper = next;
    this.#changed();
    const { ports, stop } = last.pod;
    const drained = [...this.#fronts].map(async ([name, front]) =>
      front.drain(ports[name]?.private ?? 0, stop.graceMs),
    );
    await Promise.all(drained);
    await last.stop();
    this.#last = undefined;
    this.#writeNote();
  }

  async #stop(): Promise<PodExit | undefined> {
    this.#interrupt.abort(new MoltError('INTERRUPTED', `pod "${this.#place.name}" was stopped`));
    try {
      await Promise.all([this.#next?.stop(), this.#last?.stop()]);
      return await this.#keeper.stop();
    } finally {
      await this.#resources?.disposeAsync();
      this.#ended.resolve(this.#keeper.status.lastExit);
    }
  }

  async #start(keeper: Keeper, options: ProviderOptions): Promise<void> {
    const sinceBytes = logSize(this.#place);
    try {
      await keeper.start(options);
    } catch (error) {
      throw this.#output === 'inherit' ? error : withLog(error, this.#place, sinceBytes);
    }
  }

  #makeKeeper(pod: FilledPod): Keeper {
    return new Keeper({
      pod,
      surroundings: this.#surroundings,
      output: this.#output,
      onChange: () => this.#changed(),
    });
  }

  #changed(): void {
    this.#pointFronts();
    this.#writeNote();
    this.#onStatus?.(this.status);
  }

  /** Sends clients to the agent while it is healthy, and lets them wait while it is not. */
  #pointFronts(): void {
    const { pod, status } = this.#keeper;
    for (const [name, front] of this.#fronts) {
      front.pointTo(status.state === 'running' ? pod.ports[name]?.private : undefined);
    }
  }

  #note(): SupervisorNote {
    const supervisor = identify(process.pid) ?? { pid: process.pid, began: '' };
    const processes = [this.#keeper, this.#next, this.#last].map((keeper) => keeper?.process);
    const agents = processes.filter((agent) => agent !== undefined);
    return { mark: this.#mark, supervisor, socket: this.#socket, agents, status: this.status };
  }

  #writeNote(): void {
    if (!this.#hasNote) return;
    try {
      writeNote(this.#place, this.#note());
    } catch (error) {
      // A full disk is no reason to stop an agent; the note that is there still leads to this supervisor.
      if (!isSystemError(error)) throw error;
    }
  }

  async #answer(request: ControlRequest, gone: AbortSignal): Promise<PodStatus> {
    if (request.do === 'switch') await this.switchTo(request.pod, { signal: gone });
    if (request.do === 'stop') await this.stop();
    return this.status;
  }
}
