// Between the state and the operations: looks at the state for what is wanted, has it done off the render path, and stops what nobody
// wants any more. Components only ever see the state.

import { isMoltError, MoltError } from '../src/model/error.ts';
import type { Progress } from '../src/model/ports.ts';
import type { Browser } from '../src/ops/browser.ts';
import type { OpsContext } from '../src/ops/context.ts';
import { openAgent, type OpenAgent } from '../src/ops/open.ts';
import { readSafety } from '../src/ops/safety.ts';
import { findMomentAt, readNewestTimeline, readTimeline, refreshHistory, type Timeline } from '../src/ops/timeline.ts';
import { foldDays, type LocalTime } from './days.ts';
import { runJob } from './jobs.ts';
import { Lookups } from './lookups.ts';
import { Moments } from './moments.ts';
import { makePlan } from './plans.ts';
import { describeProgress, throttle } from './progress.ts';
import { Questions } from './questions.ts';
import { reduce, type Event } from './reduce.ts';
import { Slot } from './slot.ts';
import { filterTimeline, load, troubleOf } from './source.ts';
import { initialState, type State } from './state.ts';
import { localTime } from './views/screen.ts';

/** How often it is looked whether another process saved something, and how often ages are told anew. */
const FOLLOW_MS = 2000;
const AGE_MS = 10_000;

/** The interface's work. */
export class Session {
  readonly #browser: Browser;
  readonly #local: LocalTime;
  readonly #closing = new AbortController();
  readonly #listeners = new Set<() => void>();
  readonly #slots = {
    history: new Slot(),
    plan: new Slot(),
    pods: new Slot(),
    jump: new Slot(),
    job: new Slot(),
    agent: new Slot(),
  };
  #state: State;
  #open: OpenAgent | undefined;
  #failure: Error | undefined;
  readonly #questions = new Questions((event) => this.dispatch(event));
  readonly #moments = new Moments(
    (event) => this.dispatch(event),
    (signal) => this.#context(signal),
  );
  readonly #lookups = new Lookups(
    (event) => this.dispatch(event),
    (signal, progress) => this.#context(signal, progress),
  );
  #timeline: Timeline | undefined;
  #version = 0;
  #timers: NodeJS.Timeout[] = [];
  #copied = 0;
  #isScheduled = false;
  #isFollowing = false;
  /** The job under way, and what stops it. */
  #work: Promise<void> = Promise.resolve();
  #stop: AbortController | undefined;

  constructor(browser: Browser, size: State['size']) {
    const { program, label, zone, colour, ops, commands } = browser;
    this.#browser = browser;
    this.#local = localTime(zone);
    this.#state = initialState({ program, label, zone, size, colour, nowMs: ops.clock.now(), commands });
  }

  readonly getState = (): State => this.#state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly dispatch = (event: Event): void => {
    const next = reduce(this.#state, event);
    if (next === this.#state) return;
    this.#state = next;
    for (const listener of this.#listeners) listener();
    if (this.#isScheduled || this.#closing.signal.aborted) return;
    this.#isScheduled = true;
    // After the frame that shows the key.
    setImmediate(() => {
      this.#isScheduled = false;
      if (!this.#closing.signal.aborted) this.#reconcile();
    });
  };

  /** What keeps the agent from being shown at all. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Opens the agent and reads its history. */
  async start(label = this.#browser.label): Promise<void> {
    const { ops } = this.#browser;
    const context = this.#context(this.#closing.signal);
    try {
      const open = await openAgent(context, label, { isLongLived: true });
      if (this.#closing.signal.aborted) {
        // Whoever leaves at once is gone before the agent is open.
        await open[Symbol.asyncDispose]();
        return;
      }
      this.#open = open;
      const { label: name, branch, stateDir } = open.agent;
      this.dispatch({ type: 'opened', agent: { label: name, branch, stateDir } });
      await this.#readHistory();
      if (this.#closing.signal.aborted) return;
      this.#timers.push(
        setInterval(() => void this.#follow(), FOLLOW_MS),
        setInterval(() => this.dispatch({ type: 'tick', nowMs: ops.clock.now() }), AGE_MS),
      );
      await this.#readSafety(true);
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      if (label === undefined && isMoltError(error, 'AMBIGUOUS')) {
        this.dispatch({ type: 'which-agent', agents: await context.home.listAgents() });
        return;
      }
      if (isMoltError(error, 'WRONG_PASSPHRASE') && this.#questions.forgetSecrets()) {
        this.dispatch({ type: 'note', note: { message: error.message } });
        await this.start(label);
        return;
      }
      this.#failure = error instanceof Error ? error : new Error(String(error));
      this.dispatch({ type: 'fatal', trouble: troubleOf(error) });
    }
  }

  /** Stops everything; what is being written is seen to its end. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#closing.abort(new MoltError('INTERRUPTED', 'interrupted'));
    this.#questions.close();
    for (const slot of Object.values(this.#slots)) slot.reset();
    this.#moments.close();
    await this.#lookups.close();
    await this.#work;
    await this.#open?.[Symbol.asyncDispose]();
  }

  /** Returns what an operation runs with that is stopped by a signal. */
  #context(signal: AbortSignal, progress: (progress: Progress) => void = () => {}): OpsContext {
    const { ops, unlockWith } = this.#browser;
    const own: Partial<OpsContext> = {
      signal: AbortSignal.any([signal, this.#closing.signal]),
      unlock: unlockWith((subject) => this.#questions.askSecret(subject)),
      reporter: { progress, warn: (message) => this.dispatch({ type: 'note', note: { message } }) },
    };
    // By their descriptors: the system's zone takes time to ask for, and stays unasked where nobody wants it.
    return Object.defineProperties(own, {
      ...Object.getOwnPropertyDescriptors(ops),
      ...Object.getOwnPropertyDescriptors(own),
    }) as OpsContext;
  }

  async #readHistory(): Promise<void> {
    if (this.#open === undefined) return;
    const isFirst = this.#timeline === undefined;
    const newest = isFirst ? await readNewestTimeline(this.#open) : undefined;
    if (newest !== undefined) this.#takeHistory(newest);
    this.#takeHistory(await readTimeline(this.#open));
  }

  #takeHistory(timeline: Timeline): void {
    this.#timeline = timeline;
    this.#version += 1;
    this.#reconcile();
  }

  async #readSafety(isCheckWanted: boolean): Promise<void> {
    const open = this.#open;
    if (open === undefined) return;
    const context = this.#context(this.#closing.signal);
    const known = this.#state.safety?.verifiedMs;
    const safety = await readSafety(context, open);
    const remotes = safety.remotes.map(({ lock, ...remote }) => ({
      ...remote,
      lock: lock === undefined ? undefined : `${lock.mode} ${lock.days} d`,
    }));
    const { newestMs } = safety;
    this.dispatch({ type: 'safety', safety: { newestMs, remotes, verifiedMs: known } });
    if (!isCheckWanted) return;
    const check = await this.#browser.findLastCheck(context, open.agent.label).catch(() => undefined);
    this.dispatch({ type: 'safety', safety: { newestMs, remotes, verifiedMs: check?.lastMs } });
  }

  /** Takes up what other processes saved. */
  async #follow(): Promise<void> {
    if (this.#open === undefined || this.#isFollowing) return;
    this.#isFollowing = true;
    try {
      if (await refreshHistory(this.#open)) {
        await this.#readHistory();
        await this.#readSafety(false);
      }
    } catch (error) {
      this.dispatch({ type: 'note', note: troubleOf(error) });
    } finally {
      this.#isFollowing = false;
    }
  }

  #reconcile(): void {
    const state = this.#state;
    this.#questions.take(state);
    if (state.copy !== undefined && state.copy.id !== this.#copied) {
      this.#copied = state.copy.id;
      const text = Buffer.from(state.copy.text).toString('base64');
      this.#browser.stdout.write(`\u001b]52;c;${text}\u0007`);
    }
    if (this.#browser.label === undefined)
      this.#slots.agent.want(state.wantedLabel, async () => this.start(state.wantedLabel));
    this.#wantJob(state);
    if (this.#open === undefined || this.#timeline === undefined) return;
    this.#wantHistory(state, this.#open, this.#timeline);
    if (state.shown !== undefined) this.#moments.wantRows(state, this.#open, state.shown);
    this.#moments.wantDetail(state, this.#open);
    this.#wantOverlay(state, this.#open);
    this.#lookups.want(state);
  }

  #wantHistory(state: State, open: OpenAgent, timeline: Timeline): void {
    const { filter } = state;
    this.#slots.history.want(`${this.#version} ${filter}`, async (signal) => {
      try {
        const context = this.#context(signal);
        const show = (hits: readonly number[] | undefined, isWhole: boolean): void => {
          if (signal.aborted) return;
          const days = foldDays(timeline, hits, this.#local, state.nowMs);
          this.dispatch({ type: 'shown', shown: { timeline, hits, days }, filter, isWhole });
        };
        const onSome = (some: readonly number[]): void => show(some, false);
        const options = { local: this.#local, onSome };
        show(filter === '' ? undefined : await filterTimeline(context, open, timeline, filter, options), true);
      } catch (error) {
        if (!signal.aborted) this.dispatch({ type: 'not-shown', filter, trouble: troubleOf(error) });
      }
    });
  }

  #wantOverlay(state: State, open: OpenAgent): void {
    const { overlay, jump } = state;
    const planned = overlay?.kind === 'restore' && overlay.step === 'plan' ? overlay : undefined;
    const key =
      planned === undefined ? undefined : `${planned.commit} ${planned.target} ${planned.name} ${planned.isUndo}`;
    this.#slots.plan.want(key, async (signal) => {
      if (key === undefined || planned === undefined) return;
      this.dispatch({ type: 'plan', plan: { key, is: 'loading' } });
      const plan = await load(key, () => makePlan(this.#context(signal), open, planned));
      if (!signal.aborted) this.dispatch({ type: 'plan', plan });
    });
    this.#slots.pods.want(overlay?.kind === 'pods' ? 'pods' : undefined, async (signal) => {
      const pods = await load('', async () => {
        const { listPods } = await import('../src/ops/pods.ts');
        return listPods(this.#context(signal));
      });
      if (!signal.aborted) this.dispatch({ type: 'pods', pods });
    });
    this.#slots.jump.want(jump === undefined ? undefined : `${jump.id}`, async (signal) => {
      const timeline = this.#timeline;
      if (jump === undefined || timeline === undefined) return;
      try {
        const at = await findMomentAt(this.#context(signal), open, timeline, jump.text);
        if (!signal.aborted) this.dispatch({ type: 'jumped', at });
      } catch (error) {
        if (!signal.aborted) this.dispatch({ type: 'not-jumped', trouble: troubleOf(error) });
      }
    });
  }

  #wantJob({ job, agent }: State): void {
    if (job === undefined || agent === undefined) return;
    if (job.state === 'stopping') this.#stop?.abort(new MoltError('INTERRUPTED', 'stopped by you'));
    this.#slots.job.want(`${job.id}`, async () => {
      this.#work = this.#runJob(job, agent.label);
      await this.#work;
    });
  }

  async #runJob({ id, request }: NonNullable<State['job']>, label: string): Promise<void> {
    this.#stop = new AbortController();
    const context = this.#context(
      this.#stop.signal,
      throttle((progress) => {
        this.dispatch({ type: 'progress', id, ...describeProgress(progress) });
      }),
    );
    try {
      const { lines, undo } = await runJob(context, label, request, (question) => this.#questions.confirm(question));
      this.dispatch({ type: 'job-ended', id, lines, undo });
    } catch (error) {
      this.dispatch({ type: 'job-failed', id, trouble: troubleOf(error) });
    }
    await this.#follow();
    await this.#readSafety(request.verb === 'verify').catch(() => undefined);
  }
}
