// The schedules of this machine's agents, and what came of them: how often each is committed, when fulls are made, and what the daemon did.
//
//     schedules/<label>.json      a schedule: what the user wants
//     daemon/agents/<label>.json  what the daemon did of it; without it everything is due
//     daemon/beat.json            the daemon that runs, or ran last

import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Fields } from '../format/fields.ts';
import { isMoltError, isSystemError, MoltError } from '../model/error.ts';
import { systemFailure } from '../model/system-error.ts';
import { parseDaily } from '../policy/daily.ts';
import { parseCron, type FullTimes } from '../policy/full-times.ts';
import { checkLabel, readIfThere, type Home } from './home.ts';

/** When an agent is saved, as its user wants it. */
export interface Schedule {
  /** From one commit to the next; milliseconds. */
  readonly everyMs: number;
  readonly full: FullTimes;
  /** How long backups are kept, as the user gave it: a span (`90d`) or a plan (`pro`); for ever unless given. */
  readonly retention: string | undefined;
  /** When it was last changed: nothing counts as missed that would have come before. Milliseconds. */
  readonly sinceMs: number;
}

/** A schedule, or why its file can't be read. */
export type NamedSchedule =
  | { readonly label: string; readonly schedule: Schedule; readonly problem?: undefined }
  | { readonly label: string; readonly problem: MoltError; readonly schedule?: undefined };

/** A commit every five minutes is what agents are saved by unless something else is said. */
export const EVERY_MS = 300_000;
/** The shortest time between commits; milliseconds. */
export const LEAST_EVERY_MS = 1000;
/** The longest, so that a mistyped unit is noticed; milliseconds. */
export const MOST_EVERY_MS = 31 * 86_400_000;

/** Saves an agent's schedule. */
export async function saveSchedule(home: Home, label: string, schedule: Schedule): Promise<void> {
  checkLabel(label);
  const { everyMs, full, retention, sinceMs } = schedule;
  const times =
    'cron' in full
      ? { cron: full.cron, zone: full.zone }
      : { dailyAt: formatTimeOfDay(full.hour, full.minute), zone: full.zone };
  const value = {
    molt: 'schedule',
    version: 1,
    everyMs,
    ...times,
    ...(retention !== undefined && { retention }),
    sinceMs,
  };
  await home.write(scheduleFile(home, label), Buffer.from(`${JSON.stringify(value, undefined, 2)}\n`, 'utf8'), {
    replace: true,
  });
}

/** Loads an agent's schedule, or undefined if it has none. @throws {MoltError} DAMAGED, NEWER_FORMAT */
export async function loadSchedule(home: Home, label: string): Promise<Schedule | undefined> {
  checkLabel(label);
  const bytes = await readIfThere(scheduleFile(home, label));
  return bytes === undefined ? undefined : parseSchedule(bytes, label);
}

/** Lists the schedules by label. One that can't be read stands there with its problem. */
export async function listSchedules(home: Home): Promise<NamedSchedule[]> {
  const dir = join(home.dir, 'schedules');
  let names: string[];
  try {
    names = await readdir(dir);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return [];
    throw systemFailure(error, `cannot look into "${dir}"`, dir);
  }
  const found: NamedSchedule[] = [];
  for (const name of names.filter((one) => one.endsWith('.json')).toSorted()) {
    const label = name.slice(0, -'.json'.length);
    try {
      // oxlint-disable-next-line no-await-in-loop -- thousands at once would take as many descriptors
      const schedule = await loadSchedule(home, label);
      if (schedule !== undefined) found.push({ label, schedule });
    } catch (error) {
      if (!isMoltError(error)) throw error;
      found.push({ label, problem: error });
    }
  }
  return found;
}

/** Forgets an agent's schedule and what came of it. Returns whether there was one. */
export async function dropSchedule(home: Home, label: string): Promise<boolean> {
  const was = (await readIfThere(scheduleFile(home, label))) !== undefined;
  await rm(scheduleFile(home, label), { force: true });
  await rm(runsFile(home, label), { force: true });
  return was;
}

/** Gives an agent's schedule to its new name. */
export async function moveSchedule(home: Home, from: string, to: string): Promise<void> {
  const schedule = await loadSchedule(home, from).catch((error: unknown) => {
    if (isMoltError(error, 'DAMAGED', 'NEWER_FORMAT')) return undefined;
    throw error;
  });
  if (schedule === undefined) return;
  const runs = await readIfThere(runsFile(home, from));
  if (runs !== undefined) await home.write(runsFile(home, to), runs, { replace: true });
  await saveSchedule(home, to, schedule);
  await dropSchedule(home, from);
}

/** Returns where it is noted what the daemon did of an agent's schedule. */
export function runsFile(home: Home, label: string): string {
  return join(home.dir, 'daemon', 'agents', `${label}.json`);
}

/** Returns a time of day as users write it: `02:00`. */
export function formatTimeOfDay(hour: number, minute: number): string {
  return `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`;
}

/** Returns the folder that schedules lie in. */
export function schedulesDir(home: Home): string {
  return join(home.dir, 'schedules');
}

async function parseSchedule(bytes: Buffer, label: string): Promise<Schedule> {
  const name = `the schedule of agent "${label}"`;
  const hint = `molt schedule remove ${label}, and install it again`;
  try {
    const fields = new Fields(JSON.parse(bytes.toString('utf8')), name);
    if (fields.integer('version') > 1) throw new MoltError('NEWER_FORMAT', `${name} was written by a newer molt`);
    const zone = fields.text('zone', /^\S+$/);
    return {
      everyMs: fields.integer('everyMs', LEAST_EVERY_MS),
      full: fields.has('cron')
        ? await parseCron(fields.text('cron', /^[\S ]+$/), zone)
        : parseDaily(fields.text('dailyAt', /^\S+$/), zone),
      retention: fields.has('retention') ? fields.text('retention', /^\S+$/) : undefined,
      sinceMs: fields.integer('sinceMs'),
    };
  } catch (cause) {
    if (isMoltError(cause, 'NEWER_FORMAT')) throw cause;
    throw new MoltError('DAMAGED', `${name} can't be read`, { hint, cause });
  }
}

function scheduleFile(home: Home, label: string): string {
  return join(schedulesDir(home), `${label}.json`);
}
