// Which backups are kept, and why each is kept or dropped. Some never go: the newest full backup, the newest commit of each branch, and
// what is held, tagged by the user, not pushed yet or locked. Of the others each stays that a plan or any rule names.
//
// "Newest" is by the time of capture, then by history. A backup whose time is still to come, because a clock was wrong, stays until
// that time and takes no other one's place. A full backup's incrementals are those that follow it in history up to the next full.

import { formatSpan } from '../model/duration.ts';
import type { CommitId } from '../model/ids.ts';
import { formatTime } from '../model/time-format.ts';
import { Calendar, type CalendarUnit } from './calendar.ts';
import type { RetentionPlan, RetentionRules } from './retention-rules.ts';

/** What retention knows of a commit. */
export interface RetentionCommit {
  readonly id: CommitId;
  /** When it was captured. */
  readonly timeMs: number;
  readonly kind: 'full' | 'manual' | 'safety' | 'incremental';
  /** Those that are not in the list count as gone. */
  readonly parents: readonly CommitId[];
  /** The names that the user gave it; not full/… and manual/…, which come with each backup. */
  readonly tags: readonly string[];
  readonly isHeld: boolean;
  /** The newest commit of a branch. */
  readonly isTip: boolean;
  readonly isUnpushed: boolean;
  readonly lockedUntilMs?: number | undefined;
}

/** What becomes of a commit. */
export interface RetentionDecision {
  readonly id: CommitId;
  readonly isKept: boolean;
  /** In words, at least one: all that it is kept for, or why it is dropped. */
  readonly reasons: readonly string[];
}

/** A commit on its way to a decision. */
interface Candidate {
  readonly commit: RetentionCommit;
  readonly timeMs: number;
  children: Candidate[] | undefined;
  /** Parents that are still to be followed. */
  waitsFor: number;
  /** The longest way to it from a commit without parents: orders those of one time. */
  depth: number;
  /** The full backup that it belongs to; its own self if it is one. */
  full: Candidate | undefined;
  isPlanned: boolean;
  timeText: string | undefined;
  readonly kept: string[];
  readonly dropped: string[];
}

const DAY_MS = 86_400_000;
// The last instant that Date can show, less what a zone can add to it.
const LAST_MS = 8.64e15 - 2 * DAY_MS;

const UNITS = [
  ['hourly', 'hour'],
  ['daily', 'day'],
  ['weekly', 'week'],
  ['monthly', 'month'],
  ['yearly', 'year'],
] as const satisfies readonly (readonly [keyof RetentionRules, CalendarUnit])[];

/**
 * Decides what is kept of a list of commits.
 * @param commits in any order
 * @param options.zone where the days of `daily` begin
 * @returns one decision a commit, in the order of the commits
 * @throws {MoltError} USAGE when there is no such zone
 */
export function decideRetention(
  commits: readonly RetentionCommit[],
  rules: RetentionRules,
  { nowMs, zone }: { readonly nowMs: number; readonly zone: string },
): RetentionDecision[] {
  const candidates = commits.map(makeCandidate);
  followHistory(candidates);
  const newestFirst = candidates.filter(({ timeMs }) => timeMs <= nowMs).sort(compareNewestFirst);
  const fulls = newestFirst.filter(({ commit }) => commit.kind === 'full');
  // With nothing but full backups of the future, those stay anyway.
  fulls[0]?.kept.push('it is the newest full backup');
  for (const candidate of candidates) keepProtected(candidate, nowMs);
  const { plan, last, withinMs } = rules;
  if (plan !== undefined) applyPlan(newestFirst, fulls, plan, nowMs);
  if (last !== undefined)
    for (const { kept } of newestFirst.slice(0, last)) kept.push(`it is one of the last ${last} (keep-last)`);
  if (withinMs !== undefined) keepWithin(newestFirst, withinMs);
  if (UNITS.some(([rule]) => rules[rule] !== undefined)) keepByCalendar(newestFirst, rules, new Calendar(zone));
  const hasRules = Object.values(rules).some((rule) => rule !== undefined);
  const hasKeepRules = Object.entries(rules).some(([name, rule]) => name !== 'plan' && rule !== undefined);
  return candidates.map(({ commit: { id }, kept, dropped }) => {
    if (!hasRules) kept.push('there is no rule by which it could go');
    if (kept.length > 0) return { id, isKept: true, reasons: kept };
    return { id, isKept: false, reasons: hasKeepRules ? [...dropped, 'no keep rule names it'] : dropped };
  });
}

function makeCandidate(commit: RetentionCommit): Candidate {
  const timeMs = Number.isFinite(commit.timeMs) ? Math.max(-LAST_MS, Math.min(LAST_MS, commit.timeMs)) : 0;
  return {
    commit,
    timeMs,
    children: undefined,
    waitsFor: 0,
    depth: 0,
    full: undefined,
    isPlanned: false,
    timeText: undefined,
    kept: [],
    dropped: [],
  };
}

function compareNewestFirst(a: Candidate, b: Candidate): number {
  return (
    b.timeMs - a.timeMs || b.depth - a.depth || (a.commit.id < b.commit.id ? 1 : a.commit.id > b.commit.id ? -1 : 0)
  );
}

/** Fills in, parents before children, how deep each lies and which full backup it belongs to: of several parents' the newest. */
function followHistory(candidates: readonly Candidate[]): void {
  const byId = new Map(candidates.map((one) => [one.commit.id, one]));
  for (const one of candidates)
    for (const id of one.commit.parents) {
      const parent = byId.get(id);
      if (parent === undefined) continue;
      (parent.children ??= []).push(one);
      one.waitsFor += 1;
    }
  const ready = candidates.filter(({ waitsFor }) => waitsFor === 0);
  for (let one = ready.pop(); one !== undefined; one = ready.pop()) {
    if (one.commit.kind === 'full') one.full = one;
    for (const child of one.children ?? []) {
      child.depth = Math.max(child.depth, one.depth + 1);
      if (one.full !== undefined && (child.full === undefined || compareNewestFirst(one.full, child.full) < 0))
        child.full = one.full;
      child.waitsFor -= 1;
      if (child.waitsFor === 0) ready.push(child);
    }
  }
}

function keepProtected({ commit, timeMs, kept }: Candidate, nowMs: number): void {
  if (commit.isTip) kept.push('it is the newest of a branch');
  if (commit.isHeld) kept.push('it is held');
  if (commit.tags.length > 0) kept.push(`it is tagged ${commit.tags.join(', ')}`);
  if (commit.isUnpushed) kept.push('it is not pushed yet');
  if (commit.lockedUntilMs !== undefined && commit.lockedUntilMs > nowMs)
    kept.push(`it is locked until ${formatTime(Math.min(commit.lockedUntilMs, LAST_MS))}`);
  if (timeMs > nowMs) kept.push('its time is still to come');
}

function applyPlan(
  newestFirst: readonly Candidate[],
  fulls: readonly Candidate[],
  { days, fulls: most }: RetentionPlan,
  nowMs: number,
): void {
  const span = formatSpan(days * DAY_MS);
  const isWithin = ({ timeMs }: Candidate): boolean => nowMs - timeMs <= days * DAY_MS;
  const old = `it is older than ${span}`;
  for (const [rank, full] of fulls.entries()) {
    if (isWithin(full) && rank < most) {
      full.kept.push(`it is within ${span}${most === Infinity ? '' : ` and among the newest ${most} full backups`}`);
      full.isPlanned = true;
    }
    if (!isWithin(full)) full.dropped.push(old);
    if (rank >= most) full.dropped.push(`it is not among the newest ${most} full backups`);
  }
  // What followed the newest full is all that there is since: it stays by its days, however long ago that full was made.
  const newest = fulls[0];
  if (newest !== undefined) newest.isPlanned = true;
  for (const one of newestFirst) {
    const { kind } = one.commit;
    if (kind === 'full') continue;
    const { full } = one;
    if (kind === 'incremental' && full !== undefined && !full.isPlanned && full.timeMs <= nowMs) {
      one.dropped.push(`it belongs to the full backup of ${timeOf(full)}, which the plan does not keep`);
    } else if (!isWithin(one)) one.dropped.push(old);
    else if (kind !== 'incremental') one.kept.push(`it is a ${kind} backup within ${span}`);
    else if (full === undefined) one.kept.push(`it is within ${span}, and its full backup is gone`);
    else one.kept.push(`it belongs to the full backup of ${timeOf(full)}`);
  }
}

/** Returns when a full backup was made, in words. */
function timeOf(full: Candidate): string {
  full.timeText ??= formatTime(full.timeMs);
  return full.timeText;
}

function keepWithin(newestFirst: readonly Candidate[], withinMs: number): void {
  const [newest] = newestFirst;
  if (newest === undefined) return;
  const reason = `it is within ${formatSpan(withinMs)} before the newest backup (keep-within)`;
  for (const one of newestFirst) {
    if (newest.timeMs - one.timeMs > withinMs) return;
    one.kept.push(reason);
  }
}

function keepByCalendar(newestFirst: readonly Candidate[], rules: RetentionRules, calendar: Calendar): void {
  for (const [rule, unit] of UNITS) {
    let left = rules[rule] ?? 0;
    const reason = `it is the last of its ${unit} (keep-${rule})`;
    // Not only the one before: clocks set back just after midnight show a day, the day before it, and the day again.
    const seen = new Set<number>();
    for (const one of newestFirst) {
      if (left === 0) break;
      const number = calendar.unitOf(one.timeMs, unit);
      if (seen.has(number)) continue;
      seen.add(number);
      left -= 1;
      one.kept.push(reason);
    }
  }
}
