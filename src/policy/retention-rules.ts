// Which backups are to be kept, as users say it: a plan by its name, rules of their own, or both.

import { parseDuration } from '../model/duration.ts';
import { MoltError } from '../model/error.ts';
import { findNearest } from '../model/nearest.ts';

/** A plan: full backups while they are within the days and among the newest ones, and with each what was saved until the next. */
export interface RetentionPlan {
  readonly days: number;
  /** May be Infinity. */
  readonly fulls: number;
}

/** What to keep. Of several rules each keeps what it names: what no rule names may go. No rule at all keeps everything. */
export interface RetentionRules {
  readonly plan?: RetentionPlan | undefined;
  /** The newest backups, of any kind. */
  readonly last?: number | undefined;
  /** Every backup in this span before the newest one, the newest included. */
  readonly withinMs?: number | undefined;
  /** The last backup of each of the newest hours, days, … that have one. */
  readonly hourly?: number | undefined;
  readonly daily?: number | undefined;
  readonly weekly?: number | undefined;
  readonly monthly?: number | undefined;
  readonly yearly?: number | undefined;
}

/** The plans by name (product-page.md). */
export const PLANS = {
  free: { days: 7, fulls: 3 },
  pro: { days: 30, fulls: 30 },
  enterprise: { days: 365, fulls: Infinity },
} as const satisfies Readonly<Record<string, RetentionPlan>>;

/** The options of retention, by their names in camel case, as the user gave them. */
export interface RetentionWords {
  readonly plan?: string | undefined;
  readonly keepLast?: number | undefined;
  readonly keepWithin?: string | undefined;
  readonly keepHourly?: number | undefined;
  readonly keepDaily?: number | undefined;
  readonly keepWeekly?: number | undefined;
  readonly keepMonthly?: number | undefined;
  readonly keepYearly?: number | undefined;
}

const DAY_MS = 86_400_000;

/**
 * Returns the rules that options give; undefined where there is none of them.
 * @throws {MoltError} USAGE when there is no such plan, a number is not one from 1 up, or a span is none
 */
export function parseRetention(words: RetentionWords): RetentionRules | undefined {
  const rules: RetentionRules = {
    plan: words.plan === undefined ? undefined : parsePlan('--plan', words.plan),
    last: parseCount('keep-last', words.keepLast),
    withinMs: words.keepWithin === undefined ? undefined : parseSpan('keep-within', words.keepWithin),
    hourly: parseCount('keep-hourly', words.keepHourly),
    daily: parseCount('keep-daily', words.keepDaily),
    weekly: parseCount('keep-weekly', words.keepWeekly),
    monthly: parseCount('keep-monthly', words.keepMonthly),
    yearly: parseCount('keep-yearly', words.keepYearly),
  };
  return Object.values(rules).some((rule) => rule !== undefined) ? rules : undefined;
}

/**
 * Returns the rules of a schedule's `--retention`: a span (`90d`), which is a plan of that many days with any number of full backups, or
 * a plan's name.
 * @throws {MoltError} USAGE when it is neither
 */
export function parseScheduleRetention(text: string): RetentionRules {
  if (!/^\s*\d/.test(text)) return { plan: parsePlan('--retention', text) };
  return { plan: { days: parseSpan('retention', text) / DAY_MS, fulls: Infinity } };
}

function parsePlan(option: string, text: string): RetentionPlan {
  const name = text.trim().toLowerCase();
  const names = Object.keys(PLANS);
  const plan = names.includes(name) ? PLANS[name as keyof typeof PLANS] : undefined;
  if (plan !== undefined) return plan;
  const nearest = findNearest(name.slice(0, 60), names);
  throw new MoltError('USAGE', `there is no plan '${text.slice(0, 60)}'`, {
    hint:
      nearest === undefined
        ? `${option} takes ${names.join(', ')}${option === '--retention' ? ', or a span such as 90d' : ''}`
        : `did you mean ${option}=${nearest}`,
  });
}

function parseCount(option: string, count: number | undefined): number | undefined {
  if (count === undefined || (Number.isSafeInteger(count) && count > 0)) return count;
  throw new MoltError('USAGE', `--${option} takes a whole number from 1 up, not ${count}`, {
    hint: `--${option} 7, or leave it out`,
  });
}

function parseSpan(option: string, text: string): number {
  const ms = parseDuration(option, text);
  if (ms > 0) return ms;
  throw new MoltError('USAGE', `--${option} takes a span longer than none, not '${text}'`, {
    hint: `--${option} 7d, or leave it out`,
  });
}
