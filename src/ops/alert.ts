// Tells people what happens to their backups when they don't look. Nothing here ever keeps a backup from being made.

import { isMoltError } from '../model/error.ts';
import { formatSpan } from '../model/duration.ts';
import { shortId } from '../model/ids.ts';
import { formatJsonTime } from '../model/time-format.ts';
import { sendAlert, sendWaitingAlerts, type AlertMessage, type Channel, type Delivery } from './alert-send.ts';
import { readAlertSettings } from './alert-settings.ts';
import type { OpsContext } from './context.ts';
import type { SaveEvent } from './run-save.ts';
import type { Suspicion } from './suspicion.ts';

/** Returns what to tell of a commit that looks like a loss. */
export function suspicionMessage(agent: string, suspicion: Suspicion): AlertMessage {
  const { commit, good, findings } = suspicion;
  const lines = findings.slice(0, 5).map(({ text }) => text);
  const more = findings.length > 5 ? [`and ${findings.length - 5} more`] : [];
  const text = [
    `${agent}: ${shortId(commit)} looks as if something had been lost: ${[...lines, ...more].join('; ')}`,
    `The backup before it, ${shortId(good)}, is held and nothing is pruned until you answer: molt alert answer ${shortId(commit)} --fine or --lost`,
  ].join('\n');
  return { event: 'suspicious', agent, text, suspicion };
}

/** Something that has been failing. */
interface Failing {
  readonly sinceMs: number;
  isOverdue: boolean;
}

/** Tells of what happens while an agent is saved again and again. It takes events at once and tells them one after the other. */
export class Alerter implements AsyncDisposable {
  readonly #context: OpsContext;
  readonly #agent: string;
  readonly #failing = new Map<string, Failing>();
  /** Ways that have not worked since the last tick: one of them that hangs may hold up the end of a run once, not for each alert. */
  readonly #down = new Set<Channel>();
  #queue: Promise<void> = Promise.resolve();

  /** @param failing what failed already before this process */
  constructor(
    context: OpsContext,
    agent: string,
    failing: readonly { readonly what: string; readonly sinceMs: number }[] = [],
  ) {
    this.#context = context;
    this.#agent = agent;
    for (const { what, sinceMs } of failing) this.#failing.set(what, { sinceMs, isOverdue: false });
  }

  /** Takes an event of saving; never throws, and returns before anything is sent. */
  take(event: SaveEvent): void {
    const message = this.#messageOf(event);
    if (message !== undefined) this.#enqueue(() => this.#send(message));
  }

  /** To be called at each tick: tells of what has failed for too long, and tries again to deliver what waits. */
  tick(): void {
    this.#enqueue(async () => {
      this.#down.clear();
      this.#note(await sendWaitingAlerts(this.#context));
      const { overdueMs } = await readAlertSettings(this.#context.home);
      const nowMs = this.#context.clock.now();
      for (const [what, failing] of this.#failing) {
        if (failing.isOverdue || nowMs - failing.sinceMs < overdueMs) continue;
        failing.isOverdue = true;
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        await this.#send(this.#overdueMessage(what, failing.sinceMs));
      }
    });
  }

  /** Tells that no backup was made in time, as whoever keeps the schedule finds after a pause. */
  overdue(what: string, sinceMs: number): void {
    this.#enqueue(() => this.#send(this.#overdueMessage(what, sinceMs)));
  }

  /** Waits until all was told or put aside. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#queue;
  }

  async #send(message: AlertMessage): Promise<void> {
    this.#note(await sendAlert(this.#context, message, this.#down));
  }

  #note(deliveries: readonly Delivery[]): void {
    for (const { channel, problem } of deliveries) if (problem !== undefined) this.#down.add(channel);
  }

  #enqueue(work: () => Promise<unknown>): void {
    this.#queue = this.#queue.then(work).then(
      () => undefined,
      (error: unknown) => {
        const why = error instanceof Error ? error.message : String(error);
        this.#context.reporter.warn(`an alert could not be told: ${why}`);
      },
    );
  }

  #overdueMessage(what: string, sinceMs: number): AlertMessage {
    const agent = this.#agent;
    const lateMs = Math.floor((this.#context.clock.now() - sinceMs) / 60_000) * 60_000;
    const text = `${agent}: the backup is overdue: ${what} has not worked for ${formatSpan(lateMs)}`;
    return { event: 'overdue', agent, text, what, sinceTime: formatJsonTime(sinceMs) };
  }

  #messageOf(event: SaveEvent): AlertMessage | undefined {
    const agent = this.#agent;
    if (event.event === 'saved')
      return event.result.suspicion === undefined ? undefined : suspicionMessage(agent, event.result.suspicion);
    if (event.event === 'recovered') {
      const { what } = event;
      const sinceMs = this.#failing.get(what)?.sinceMs;
      this.#failing.delete(what);
      const since = sinceMs === undefined ? {} : { sinceTime: formatJsonTime(sinceMs) };
      return { event: 'recovered', agent, text: `${agent}: ${what} works again`, what, ...since };
    }
    if (event.event !== 'failed') return undefined;
    const { what, error } = event;
    const nowMs = this.#context.clock.now();
    if (!this.#failing.has(what)) this.#failing.set(what, { sinceMs: nowMs, isOverdue: false });
    const why = error instanceof Error ? error.message : String(error);
    const said = isMoltError(error) ? { code: error.code, ...(error.hint !== undefined && { hint: error.hint }) } : {};
    return { event: 'failed', agent, text: `${agent}: ${what} failed: ${why}`, what, ...said };
  }
}
