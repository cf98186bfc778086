// Tells people what happens to their backups when they don't look: through a webhook, a command, or both. What can't be delivered waits
// in MOLT_HOME and goes with the next one. Nothing here ever keeps a backup from being made.

import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Fields } from '../format/fields.ts';
import { isMoltError, isSystemError } from '../model/error.ts';
import { formatSpan } from '../model/duration.ts';
import { shortId } from '../model/ids.ts';
import { withoutSecrets } from '../model/secret-variables.ts';
import { formatJsonTime } from '../model/time-format.ts';
import { runCommand } from '../pod/command.ts';
import { newMark } from '../storage/owner.ts';
import { hostOf, readAlertSettings, type AlertSettings } from './alert-settings.ts';
import type { OpsContext } from './context.ts';
import { readIfThere, type Home } from './home.ts';
import type { SaveEvent } from './run-save.ts';
import type { Suspicion } from './suspicion.ts';

/** What is told. Further members say more about single events; programs that read it ignore those they don't know. */
export interface AlertMessage {
  readonly event: 'failed' | 'recovered' | 'overdue' | 'suspicious' | 'test';
  readonly agent: string;
  /** For people, one line or more. */
  readonly text: string;
  /** What failed or works again: `commit`, `push NAME`. */
  readonly what?: string;
  readonly code?: string;
  readonly hint?: string;
  readonly sinceTime?: string;
  readonly suspicion?: Suspicion;
}

/** By which way something is told. */
export type Channel = 'webhook' | 'command';

/** What came of telling it by one way. */
export interface Delivery {
  readonly channel: Channel;
  /** Undefined if it was delivered. */
  readonly problem: string | undefined;
}

/** One try of one way takes no longer than this. */
const TIMEOUT_MS = 10_000;
/** Of what could not be delivered so many wait; older ones are dropped. */
const MOST_WAITING = 100;

/** A message that waits, as its file holds it. */
interface Waiting {
  readonly file: string;
  readonly channel: Channel;
  readonly body: string;
}

/**
 * Tells something by every way that is set, after what waits. What can't be delivered waits for the next call, and is warned of.
 * @returns what came of it by each way; none where no way is set
 */
export async function sendAlert(context: OpsContext, message: AlertMessage): Promise<Delivery[]> {
  const time = formatJsonTime(context.clock.now());
  const body = JSON.stringify({ molt: 'alert', version: 1, time, ...message });
  return deliver(context, body);
}

/** Tries again to deliver what waits. */
export async function sendWaitingAlerts(context: OpsContext): Promise<Delivery[]> {
  return (await listWaiting(context.home)).length === 0 ? [] : deliver(context, undefined);
}

/** Counts what could not be delivered yet. */
export async function countWaitingAlerts(home: Home): Promise<number> {
  return (await listWaiting(home)).length;
}

async function deliver(context: OpsContext, body: string | undefined): Promise<Delivery[]> {
  const { home, reporter } = context;
  const settings = await readAlertSettings(home);
  const waiting = await listWaiting(home);
  const channels = (['webhook', 'command'] as const).filter((channel) => settings[channel] !== undefined);
  const deliveries = await Promise.all(
    channels.map(async (channel): Promise<Delivery> => {
      let problem: string | undefined;
      for (const one of waiting.filter((other) => other.channel === channel)) {
        // oxlint-disable-next-line no-await-in-loop -- in the order in which they came
        problem = await send(settings, channel, one.body, home.dir);
        if (problem !== undefined) break;
        // oxlint-disable-next-line no-await-in-loop -- the same
        await rm(one.file, { force: true });
      }
      // While an older one can't be delivered the new one need not be tried.
      if (body !== undefined && problem === undefined) problem = await send(settings, channel, body, home.dir);
      if (body !== undefined && problem !== undefined) await keepWaiting(context, channel, body);
      return { channel, problem };
    }),
  );
  for (const { channel, problem } of deliveries)
    if (problem !== undefined) reporter.warn(`an alert waits, the ${nameOf(settings, channel)} ${problem}`);
  return deliveries;
}

/** Returns how a way is called where it is shown. */
function nameOf({ webhook, command }: AlertSettings, channel: Channel): string {
  return channel === 'webhook' ? `webhook at ${hostOf(webhook ?? '')}` : `command ${command?.[0] ?? ''}`;
}

/** Sends one message one way; returns what went wrong, in words that hold no URL. */
async function send(
  { webhook, command }: AlertSettings,
  channel: Channel,
  body: string,
  cwd: string,
): Promise<string | undefined> {
  try {
    if (channel === 'webhook') return webhook === undefined ? undefined : await post(webhook, body);
    if (command === undefined) return undefined;
    return await runCommand(command, {
      cwd,
      env: withoutSecrets(process.env),
      timeoutMs: TIMEOUT_MS,
      input: `${body}\n`,
    });
  } catch (error) {
    return isMoltError(error) ? error.message : 'failed';
  }
}

async function post(webhook: string, body: string): Promise<string | undefined> {
  try {
    const response = await fetch(webhook, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'user-agent': 'molt' },
      body,
      // A secret in the URL is meant for this host alone.
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    await response.body?.cancel();
    return response.ok ? undefined : `answered with status ${response.status}`;
  } catch (error) {
    if (error instanceof Error && error.name === 'TimeoutError') return `did not answer within ${TIMEOUT_MS / 1000} s`;
    const cause = error instanceof Error ? error.cause : undefined;
    return `can’t be reached${isSystemError(cause) ? ` (${cause.code ?? ''})` : ''}`;
  }
}

async function keepWaiting({ home, clock }: OpsContext, channel: Channel, body: string): Promise<void> {
  const name = `${String(clock.now()).padStart(16, '0')}-${newMark()}.json`;
  const text = JSON.stringify({ molt: 'waiting', version: 1, channel, body });
  await home.write(join(folderOf(home), name), Buffer.from(`${text}\n`, 'utf8'), { replace: false });
  const surplus = (await listWaiting(home)).slice(0, -MOST_WAITING);
  await Promise.all(surplus.map(({ file }) => rm(file, { force: true })));
}

/** Lists what waits, oldest first. */
async function listWaiting(home: Home): Promise<Waiting[]> {
  const names = await readdir(folderOf(home)).catch((error: unknown) => {
    if (isSystemError(error, 'ENOENT')) return [];
    throw error;
  });
  const waiting = await Promise.all(
    names.toSorted(byName).map(async (name): Promise<Waiting | undefined> => {
      const file = join(folderOf(home), name);
      const bytes = await readIfThere(file);
      if (bytes === undefined) return undefined;
      try {
        const fields = new Fields(JSON.parse(bytes.toString('utf8')), 'an alert that waits');
        const channel = fields.text('channel', /^(webhook|command)$/) as Channel;
        return { file, channel, body: fields.text('body', /^\{/) };
      } catch {
        return undefined;
      }
    }),
  );
  return waiting.filter((one) => one !== undefined);
}

function byName(a: string, b: string): number {
  return a < b ? -1 : 1;
}

function folderOf(home: Home): string {
  return join(home.dir, 'alerts');
}

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
  #queue: Promise<void> = Promise.resolve();

  constructor(context: OpsContext, agent: string) {
    this.#context = context;
    this.#agent = agent;
  }

  /** Takes an event of saving; never throws, and returns before anything is sent. */
  take(event: SaveEvent): void {
    const message = this.#messageOf(event);
    if (message !== undefined) this.#enqueue(() => sendAlert(this.#context, message));
  }

  /** To be called at each tick: tells of what has failed for too long, and tries again to deliver what waits. */
  tick(): void {
    this.#enqueue(async () => {
      await sendWaitingAlerts(this.#context);
      const { overdueMs } = await readAlertSettings(this.#context.home);
      const nowMs = this.#context.clock.now();
      for (const [what, failing] of this.#failing) {
        if (failing.isOverdue || nowMs - failing.sinceMs < overdueMs) continue;
        failing.isOverdue = true;
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        await sendAlert(this.#context, this.#overdueMessage(what, failing.sinceMs));
      }
    });
  }

  /** Tells that no backup was made in time, as whoever keeps the schedule finds after a pause. */
  overdue(what: string, sinceMs: number): void {
    this.#enqueue(() => sendAlert(this.#context, this.#overdueMessage(what, sinceMs)));
  }

  /** Waits until all was told or put aside. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#queue;
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
