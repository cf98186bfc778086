// Schedules as they are to be: what is asked for on top of what there is, once it is sure that the daemon can open the agent at all.

import { isMoltError, MoltError } from '../model/error.ts';
import { DAILY_AT, DAILY_ZONE, parseDaily } from '../policy/daily.ts';
import { parseCron, type FullTimes } from '../policy/full-times.ts';
import { parseScheduleRetention } from '../policy/retention-rules.ts';
import type { OpsContext } from './context.ts';
import type { Agent } from './home.ts';
import { openRepositoryOf } from './open.ts';
import { listRemotes } from './remotes.ts';
import {
  dropSchedule,
  EVERY_MS,
  formatTimeOfDay,
  LEAST_EVERY_MS,
  loadSchedule,
  MOST_EVERY_MS,
  saveSchedule,
  type Schedule,
} from './schedule.ts';

/** What a user asks for; what is left out stays as it is, or is as usual. */
export interface ScheduleWish {
  readonly everyMs?: number | undefined;
  /** `daily`, or a cron expression. */
  readonly autoBackup?: string | undefined;
  readonly dailyAt?: string | undefined;
  readonly zone?: string | undefined;
  readonly retention?: string | undefined;
}

/** A schedule that is planned, beside the one there is. */
export interface SchedulePlan {
  readonly agent: Agent;
  readonly schedule: Schedule;
  readonly before: Schedule | undefined;
  /** Whether it has a remote whose credentials may come from the environment. */
  readonly hasS3: boolean;
}

/**
 * Plans an agent's schedule; changes nothing.
 * @throws {MoltError} USAGE; WRONG_KEY when the agent doesn't open without somebody who is asked; what opening it throws
 */
export async function planSchedule(context: OpsContext, agent: Agent, wish: ScheduleWish): Promise<SchedulePlan> {
  const { home, clock } = context;
  const before = await loadSchedule(home, agent.label).catch((error: unknown) => {
    // What can't be read is written anew.
    if (isMoltError(error, 'DAMAGED')) return undefined;
    throw error;
  });
  const everyMs = wish.everyMs ?? before?.everyMs ?? EVERY_MS;
  if (everyMs < LEAST_EVERY_MS) throw new MoltError('USAGE', '--every takes a second or more');
  if (everyMs > MOST_EVERY_MS) throw new MoltError('USAGE', '--every takes 31 days at most');
  const full = await planFull(before?.full, wish);
  const retention = wish.retention ?? before?.retention;
  if (retention !== undefined) parseScheduleRetention(retention);
  await checkUnattended(context, agent);
  const remotes = await listRemotes(home, agent.repository);
  const isSame =
    before !== undefined &&
    before.everyMs === everyMs &&
    before.retention === retention &&
    JSON.stringify(before.full) === JSON.stringify(full);
  return {
    agent,
    before,
    schedule: isSame ? before : { everyMs, full, retention, sinceMs: clock.now() },
    hasS3: remotes.some(({ url }) => url.startsWith('s3:')),
  };
}

/** Does what was planned: the daemon takes it up by itself. */
export async function applySchedule({ home }: OpsContext, { agent, schedule, before }: SchedulePlan): Promise<void> {
  if (schedule !== before) await saveSchedule(home, agent.label, schedule);
}

/** Ends an agent's schedule. @throws {MoltError} NOT_FOUND when it has none */
export async function removeSchedule({ home }: OpsContext, label: string): Promise<void> {
  if (await dropSchedule(home, label)) return;
  throw new MoltError('NOT_FOUND', `agent "${label}" has no schedule`, {
    hint: 'molt schedule status lists those there are',
  });
}

async function planFull(before: FullTimes | undefined, wish: ScheduleWish): Promise<FullTimes> {
  const zone = wish.zone ?? before?.zone ?? DAILY_ZONE;
  const cron =
    wish.autoBackup ?? (before !== undefined && 'cron' in before && wish.dailyAt === undefined ? before.cron : 'daily');
  if (cron !== 'daily') {
    if (wish.dailyAt === undefined) return parseCron(cron, zone);
    throw new MoltError('USAGE', '--daily-at goes with --auto-backup=daily, not with a cron expression');
  }
  const known = before !== undefined && 'hour' in before ? formatTimeOfDay(before.hour, before.minute) : DAILY_AT;
  return parseDaily(wish.dailyAt ?? known, zone);
}

/** Opens an agent as the daemon will: by what lies on this machine, with nobody to ask. */
async function checkUnattended(context: OpsContext, agent: Agent): Promise<void> {
  const { label } = agent;
  const unlock = async (): Promise<never> => {
    throw new MoltError(
      'WRONG_KEY',
      `agent "${label}" opens only with a passphrase or another secret that somebody gives, and nobody is there at night`,
      { hint: `molt key add device -a ${label} lets this machine in` },
    );
  };
  const { access: _, ...rest } = context;
  await using _open = await openRepositoryOf({ ...rest, unlock }, agent);
}
