// When full backups are made: daily at a time of day, or by a cron expression. croner and luxon know zones and daylight saving, and are
// loaded only where a time is computed.

import { MoltError } from '../model/error.ts';
import { parseZone } from '../model/zone.ts';
import { nextDaily, type Daily } from './daily.ts';

/** Times by a cron expression: minute, hour, day of month, month, day of week. */
export interface CronTimes {
  readonly cron: string;
  /** As users write it. */
  readonly zone: string;
}

/** When full backups are made. */
export type FullTimes = Daily | CronTimes;

/** Returns the times of a cron expression. @throws {MoltError} USAGE when it is none, never comes, or there is no such zone */
export async function parseCron(text: string, zone: string): Promise<CronTimes> {
  const cron = text.trim().replace(/\s+/g, ' ');
  const times = { cron, zone };
  parseZone(zone);
  const refuse = (why: string, cause?: unknown): MoltError =>
    new MoltError('USAGE', `'${text}' is no schedule of full backups: ${why}`, {
      hint: "--auto-backup=daily, or five fields of cron: --auto-backup '0 2 * * 1-5'",
      cause,
    });
  if (cron.split(' ').length !== 5) throw refuse('cron has five fields: minute, hour, day, month, weekday');
  let next: Date | null;
  try {
    next = (await loadCron(times)).nextRun(new Date(0));
  } catch (cause) {
    throw refuse(cause instanceof Error ? cause.message : String(cause), cause);
  }
  if (next === null) throw refuse('that day never comes');
  return times;
}

/**
 * Returns the first instant after another one at which a full backup is to be made. A time of day that daylight saving skips comes right
 * after the gap, one that it doubles counts once.
 */
export async function nextFullTime(afterMs: number, times: FullTimes): Promise<number> {
  if (!('cron' in times)) return nextDaily(afterMs, times);
  return (await loadCron(times)).nextRun(new Date(afterMs))?.getTime() ?? Infinity;
}

async function loadCron({ cron, zone }: CronTimes) {
  const { Cron } = await import('croner');
  const place = parseZone(zone);
  return new Cron(cron, {
    paused: true,
    ...('iana' in place ? { timezone: place.iana } : { utcOffset: place.offsetMinutes }),
  });
}
