// Sends alerts by a webhook and a command. What can't be delivered waits in MOLT_HOME and goes before the next one.

import { readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Fields } from '../format/fields.ts';
import { isMoltError, isSystemError } from '../model/error.ts';
import { withoutSecrets } from '../model/secret-variables.ts';
import { formatJsonTime } from '../model/time-format.ts';
import { runCommand } from '../pod/command.ts';
import { newMark } from '../storage/owner.ts';
import { hostOf, readAlertSettings, type AlertSettings } from './alert-settings.ts';
import type { OpsContext } from './context.ts';
import { readIfThere, type Home } from './home.ts';
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
 * @param down ways that were found not to work just now: by them it waits untried
 * @returns what came of it by each way; none where no way is set
 */
export async function sendAlert(
  context: OpsContext,
  message: AlertMessage,
  down: ReadonlySet<Channel> = new Set(),
): Promise<Delivery[]> {
  const time = formatJsonTime(context.clock.now());
  const body = JSON.stringify({ molt: 'alert', version: 1, time, ...message });
  return deliver(context, body, down);
}

/** Tries again to deliver what waits. */
export async function sendWaitingAlerts(context: OpsContext): Promise<Delivery[]> {
  return (await listWaiting(context.home)).length === 0 ? [] : deliver(context, undefined, new Set());
}

/** Counts what could not be delivered yet. */
export async function countWaitingAlerts(home: Home): Promise<number> {
  return (await listWaiting(home)).length;
}

async function deliver(context: OpsContext, body: string | undefined, down: ReadonlySet<Channel>): Promise<Delivery[]> {
  const { home, reporter } = context;
  const settings = await readAlertSettings(home);
  const waiting = await listWaiting(home);
  const channels = (['webhook', 'command'] as const).filter((channel) => settings[channel] !== undefined);
  const deliveries = await Promise.all(
    channels.map(async (channel): Promise<Delivery> => {
      let problem = down.has(channel) ? 'did not work just now' : undefined;
      for (const one of waiting.filter((other) => other.channel === channel)) {
        if (problem !== undefined) break;
        // oxlint-disable-next-line no-await-in-loop -- in the order in which they came
        problem = await send(settings, channel, one.body, home.dir);
        // oxlint-disable-next-line no-await-in-loop -- the same
        if (problem === undefined) await rm(one.file, { force: true });
      }
      // While an older one can't be delivered the new one need not be tried.
      if (body !== undefined && problem === undefined) problem = await send(settings, channel, body, home.dir);
      if (body !== undefined && problem !== undefined) await keepWaiting(context, channel, body);
      return { channel, problem };
    }),
  );
  for (const { channel, problem } of deliveries)
    if (problem !== undefined && !down.has(channel))
      reporter.warn(`an alert waits, the ${nameOf(settings, channel)} ${problem}`);
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
  // Behind all that waits, whatever the clock shows.
  const newest = Number.parseInt(basename((await listWaiting(home)).at(-1)?.file ?? '0'), 10);
  const name = `${String(Math.max(clock.now(), newest + 1)).padStart(16, '0')}-${newMark()}.json`;
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
