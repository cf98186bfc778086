// One agent as the daemon keeps it: when it is due, what came of it, and what is noted of that. It holds nothing open between two saves.

import { isMoltError } from '../model/error.ts';
import { countMissed, nextDue, nextRuns, type MissedRuns } from '../policy/schedule.ts';
import { Alerter } from './alert.ts';
import type { BackupResult } from './backup.ts';
import type { OpsContext } from './context.ts';
import { Saver, type SaveEvent } from './run-save.ts';
import type { Schedule } from './schedule.ts';
import { failingOf, saveRuns, type Failing, type Missed, type Runs } from './schedule-runs.ts';
import { warnOnce } from './warn-once.ts';

/** What the daemon tells of an agent, beside what saving it tells. */
export type AgentEvent =
  | SaveEvent
  /** A commit has ended: with a result, which may be that nothing changed, or with an error, which is told as `failed` when it is new. */
  | {
      readonly event: 'ticked';
      readonly result: BackupResult | undefined;
      readonly error: Error | undefined;
      readonly durationMs: number;
    }
  /** Everything there is was sent to a remote, or was there already. */
  | { readonly event: 'sent'; readonly remote: string }
  | { readonly event: 'missed'; readonly missed: Missed }
  | { readonly event: 'warned'; readonly message: string };

/** What an agent is kept with. */
export interface KeptAgentOptions {
  readonly label: string;
  readonly schedule: Schedule;
  /** What an earlier daemon noted. */
  readonly runs: Runs;
  /** Over how long the fulls of all agents are spread; milliseconds. */
  readonly fullSpreadMs: () => number;
  readonly afterFull: ((label: string) => Promise<void>) | undefined;
  readonly tell: (event: AgentEvent) => void;
}

/** An agent that the daemon keeps saved. */
export class KeptAgent {
  readonly #context: OpsContext;
  readonly #options: KeptAgentOptions;
  readonly #saver: Saver;
  readonly #alerter: Alerter;
  #runs: Runs;
  #dueMs: number | undefined;
  #isDropped = false;
  #writing: Promise<void> = Promise.resolve();
  /** Whether a commit is waited for or under way. */
  isBusy = false;
  /** Whether a push is waited for or under way, and whether there is more to push by now. */
  pushing: 'no' | 'under-way' | 'again' = 'no';

  /** @param context without a signal that would end a commit halfway, and whose `unlock` asks nobody */
  constructor(context: OpsContext, options: KeptAgentOptions) {
    const { label, schedule, runs, tell } = options;
    this.#context = { ...context, reporter: warnOnce((message) => tell({ event: 'warned', message })) };
    this.#options = options;
    this.#runs = runs;
    this.#alerter = new Alerter(this.#context, label, runs.failing);
    this.#saver = new Saver(this.#context, {
      ...options,
      full: schedule.full,
      lastFullMs: runs.fullMs,
      trigger: 'schedule',
      failing: runs.failing.map(({ what, code, message }) => [what, code ?? message]),
      tell: (event) => {
        tell(event);
        this.#alerter.take(event);
      },
    });
  }

  get label(): string {
    return this.#options.label;
  }

  get schedule(): Schedule {
    return this.#options.schedule;
  }

  get runs(): Runs {
    return this.#runs;
  }

  /** When it is to be committed next; milliseconds. */
  async dueMs(): Promise<number> {
    const nowMs = this.#context.clock.now();
    const { tickMs = 0, fullMs } = this.#runs;
    // A clock that was set back: what was worked out by the old time doesn't hold.
    if (tickMs > nowMs + this.schedule.everyMs) this.#dueMs = undefined;
    this.#dueMs ??= nextDue(await nextRuns(this.#timing, { tickMs: this.#runs.tickMs, fullMs }, nowMs), nowMs);
    return this.#dueMs;
  }

  /** Has its times worked out anew. */
  reconsider(): void {
    this.#dueMs = undefined;
  }

  /** Takes its times as those of a commit that was begun now and came to nothing: others come first. */
  async postpone(error: Error): Promise<void> {
    const nowMs = this.#context.clock.now();
    await this.#note({ tickMs: nowMs, failing: this.#failingNow([{ what: 'commit', error }], nowMs) });
  }

  /** Commits it. What fails is told and noted. */
  async commit(): Promise<void> {
    const { clock } = this.#context;
    const { tell } = this.#options;
    const startMs = clock.now();
    const before = this.#runs;
    const { result, error } = await this.#saver.commit();
    const nowMs = clock.now();
    const missed = await this.#missedBefore(before, startMs);
    const durationMs = Math.max(0, nowMs - startMs);
    await this.#note({
      tickMs: startMs,
      ...(error === undefined && { goodMs: startMs, durationMs }),
      fullMs: this.#saver.lastFullMs,
      ...(missed !== undefined && { missed }),
      failing: this.#failingNow([{ what: 'commit', error }], startMs),
    });
    if (missed !== undefined) tell({ event: 'missed', missed });
    tell({ event: 'ticked', result, error, durationMs });
    this.#alerter.tick();
  }

  /** Pushes it to its remotes, and sees to what follows a full. What fails is told and noted. */
  async send(pushSignal: AbortSignal): Promise<void> {
    const nowMs = this.#context.clock.now();
    const sent = await this.#saver.send({ pushSignal });
    if (pushSignal.aborted) return;
    const arrived = sent.flatMap(({ remote, error }) => (remote !== undefined && error === undefined ? [remote] : []));
    const { failing, sentMs } = this.#runs;
    // What is no remote any more doesn't fail any more.
    const known = failing.filter(({ what }) => !what.startsWith('push ') || sent.some((one) => one.what === what));
    if (sent.length === 0 && known.length === failing.length) return;
    await this.#note({
      failing: this.#failingNow(sent, nowMs, known),
      sentMs: Object.fromEntries(
        sent.flatMap(({ remote, error }): [string, number][] => {
          const ms = remote === undefined ? undefined : error === undefined ? nowMs : sentMs[remote];
          return remote === undefined || ms === undefined ? [] : [[remote, ms]];
        }),
      ),
    });
    for (const remote of arrived) this.#options.tell({ event: 'sent', remote });
  }

  /** Resolves once every alert was told or put aside. */
  async settle(): Promise<void> {
    await this.#alerter[Symbol.asyncDispose]();
  }

  /** Stops noting what comes of it: its schedule is gone. */
  drop(): void {
    this.#isDropped = true;
  }

  get #timing() {
    const { label, schedule, fullSpreadMs } = this.#options;
    return { label, everyMs: schedule.everyMs, full: schedule.full, fullSpreadMs: fullSpreadMs() };
  }

  async #missedBefore({ tickMs, fullMs }: Runs, startMs: number): Promise<Missed | undefined> {
    if (tickMs === undefined || tickMs > startMs) return undefined;
    const { sinceMs } = this.schedule;
    const fromMs = Math.max(tickMs, sinceMs);
    const since = { tickMs: fromMs, fullMs: fullMs === undefined ? undefined : Math.max(fullMs, sinceMs) };
    const missed: MissedRuns = await countMissed(this.#timing, since, startMs);
    return missed.ticks === 0 && missed.fulls === 0 ? undefined : { fromMs: tickMs, toMs: startMs, ...missed };
  }

  /** What fails, once these have ended; what failed before is known since when. */
  #failingNow(
    ends: readonly { readonly what: string; readonly error: unknown }[],
    nowMs: number,
    before = this.#runs.failing,
  ): readonly Failing[] {
    const failing = new Map(before.map((one) => [one.what, one]));
    for (const { what, error } of ends) {
      if (error === undefined) failing.delete(what);
      else failing.set(what, failingOf(what, error, failing.get(what)?.sinceMs ?? nowMs));
    }
    return [...failing.values()];
  }

  /** Notes what came of it. One write after the other: the newest must not be overtaken. */
  async #note(changes: Partial<Runs>): Promise<void> {
    this.#runs = { ...this.#runs, ...changes };
    this.#dueMs = undefined;
    this.#writing = this.#writing.then(async () => {
      if (this.#isDropped) return;
      try {
        await saveRuns(this.#context.home, this.label, this.#runs);
      } catch (error) {
        if (!isMoltError(error)) throw error;
        // The daemon knows it itself; what can't be shown meanwhile is the smaller trouble.
        this.#context.reporter.warn(`what came of ${this.label} can't be noted: ${error.message}`);
      }
    });
    await this.#writing;
  }
}
