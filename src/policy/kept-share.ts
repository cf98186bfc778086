// How many backups a rule keeps of an agent that is saved evenly: found by letting the rule decide over such a history.

import type { CommitId } from '../model/ids.ts';
import { decideRetention, type RetentionCommit } from './retention.ts';
import type { RetentionRules } from './retention-rules.ts';

const DAY_MS = 86_400_000;
/** A history is no longer than this, and has no more commits: of more ticks every second, third, … stands for all. */
const MOST_DAYS = 800;
const MOST_COMMITS = 40_000;

/** How often an agent is saved. */
export interface Rhythm {
  readonly ticksADay: number;
  readonly fullsADay: number;
}

/** What is kept on average between two prunes. */
export interface Kept {
  readonly fulls: number;
  /** Incrementals whose predecessor is kept too. */
  readonly followers: number;
  /** Incrementals that stand alone. */
  readonly loose: number;
}

/**
 * Returns what rules keep in the long run; a prune follows each full backup.
 * @param lockDays how long each object is locked, and its backup stays for that
 */
export function keptBy({ ticksADay, fullsADay }: Rhythm, rules: RetentionRules, lockDays = 0): Kept {
  const days = Math.min(MOST_DAYS, reachDays({ ticksADay, fullsADay }, rules, lockDays) + 3);
  const thin = Math.max(1, Math.ceil((days * ticksADay) / MOST_COMMITS));
  const commits = history({ ticksADay: ticksADay / thin, fullsADay }, days, lockDays);
  const decisions = decideRetention(commits, rules, { nowMs: 0, zone: 'UTC' });
  const kept = new Set(decisions.filter(({ isKept }) => isKept).map(({ id }) => id));
  let [fulls, followers, loose] = [0, 0, 0];
  for (const { id, kind, parents } of commits) {
    if (!kept.has(id)) continue;
    if (kind === 'full') fulls += 1;
    else if (parents.every((parent) => kept.has(parent))) followers += thin;
    else loose += 1;
  }
  // Until the next prune comes.
  return { fulls, followers: followers + ticksADay / Math.max(fullsADay, 1 / days) / 2, loose };
}

/** Returns how far back rules can reach, in days. */
function reachDays({ ticksADay, fullsADay }: Rhythm, rules: RetentionRules, lockDays: number): number {
  const { plan, last = 0, withinMs = 0, hourly = 0, daily = 0, weekly = 0, monthly = 0, yearly = 0 } = rules;
  const planDays = Math.min(plan?.days ?? 0, (plan?.fulls ?? 0) / Math.max(fullsADay, 1e-3));
  const byCount = last / Math.max(ticksADay + fullsADay, 1e-3);
  return Math.max(
    planDays,
    lockDays,
    byCount,
    withinMs / DAY_MS,
    hourly / 24,
    daily,
    weekly * 7,
    monthly * 31,
    yearly * 366,
  );
}

/** Makes a history of evenly spread commits that ends with a full backup at the time 0. */
function history({ ticksADay, fullsADay }: Rhythm, days: number, lockDays: number): RetentionCommit[] {
  const fullMs = DAY_MS / Math.max(fullsADay, 1 / days);
  const times: { timeMs: number; kind: 'full' | 'incremental' }[] = [];
  for (let timeMs = 0; timeMs >= -days * DAY_MS; timeMs -= fullMs) times.push({ timeMs, kind: 'full' });
  const tickMs = ticksADay === 0 ? Infinity : DAY_MS / ticksADay;
  // Half an interval aside, so that none comes at the time of a full.
  for (let timeMs = -tickMs / 2; timeMs >= -days * DAY_MS; timeMs -= tickMs)
    times.push({ timeMs, kind: 'incremental' });
  times.sort((a, b) => a.timeMs - b.timeMs);
  return times.map(({ timeMs, kind }, index) => ({
    id: idOf(index),
    timeMs,
    kind,
    parents: index === 0 ? [] : [idOf(index - 1)],
    tags: [],
    isHeld: false,
    isTip: index === times.length - 1,
    isUnpushed: false,
    lockedUntilMs: lockDays === 0 ? undefined : timeMs + lockDays * DAY_MS,
  }));
}

function idOf(index: number): CommitId {
  return index.toString(16).padStart(40, '0') as CommitId;
}
