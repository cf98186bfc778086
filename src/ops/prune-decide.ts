// Decides which backups of a storage stay, by retention and by what must never go.

import type { CommitEntry } from '../format/commit-rows.ts';
import { parseSegmentName, segmentName } from '../format/segment.ts';
import type { CommitId } from '../model/ids.ts';
import { formatJsonTime } from '../model/time-format.ts';
import { DAILY_ZONE } from '../policy/daily.ts';
import { decideRetention, type RetentionCommit, type RetentionDecision } from '../policy/retention.ts';
import type { RetentionRules } from '../policy/retention-rules.ts';
import { peelToCommit, readCommit } from '../repo/git.ts';
import type { Repository } from '../repo/repository.ts';
import type { SweepOrder } from '../repo/sweep.ts';
import type { OpsContext } from './context.ts';
import type { Hold } from './hold.ts';

const DAY_MS = 86_400_000;
/** How long a line of history stays that no branch has. */
const LOOSE_MS = 14 * DAY_MS;

/** A backup and what becomes of it. */
export interface PrunedBackup {
  readonly id: CommitId;
  readonly kind: CommitEntry['kind'];
  readonly time: string;
  readonly kept: boolean;
  /** All that it is kept for, or why it goes. */
  readonly reasons: readonly string[];
  /** Until when the storage does not let it go. */
  readonly lockedUntil?: string;
}

/** How a storage locks. */
export interface StorageLock {
  /** For how many days this machine locks what it writes; others may lock what this one does not. */
  readonly days: number | undefined;
  /** The storage's time. */
  readonly nowMs: number;
  /** Asks when the locks of some objects really end, of those that have one. */
  findEnds(names: readonly string[]): Promise<ReadonlyMap<string, number>>;
}

/** What retention must not touch beside what the repository itself says. */
export interface Protected {
  /** Commits that a restore in place can be taken back to, or has to be finished from. */
  readonly needed: ReadonlyMap<CommitId, string>;
  /** Commits of segments behind this number are not on every remote. */
  readonly pushedSeq: number;
  readonly holds: ReadonlyMap<CommitId, Hold>;
  readonly lock?: StorageLock | undefined;
}

/** Decides what of a storage stays and what goes. */
export async function decideSweep(
  { clock, zone = DAILY_ZONE }: Pick<OpsContext, 'clock' | 'zone'>,
  repository: Repository,
  rules: RetentionRules,
  { needed, pushedSeq, holds, lock }: Protected,
): Promise<{ backups: PrunedBackup[]; order: SweepOrder }> {
  const all = await repository.index.listCommits();
  const commits = all.filter(({ isExpired }) => !isExpired);
  const nowMs = trustedNow(clock.now(), commits);
  const [tips, named] = [await listTips(repository, all, nowMs), await listNames(repository)];
  const ids = new Map<number, CommitId>(commits.map(({ id, seq }) => [seq, id]));
  const locks = await listLocks(repository, commits, lock);
  const candidates: RetentionCommit[] = [];
  for (const { id, timeMs, kind, seq, parentSeq } of commits) {
    const parent = parentSeq === undefined ? undefined : parentSeq === 0 ? [] : ids.get(parentSeq);
    // oxlint-disable-next-line no-await-in-loop -- only merges, and those whose parent is gone
    const parents = typeof parent === 'string' ? [parent] : (parent ?? (await readCommit(repository, id)).parents);
    candidates.push({
      id,
      timeMs,
      kind,
      parents,
      tags: named.get(id) ?? [],
      isHeld: holds.has(id) || needed.has(id),
      isTip: tips.has(id),
      isUnpushed: seq > pushedSeq,
    });
  }
  const decide = (): Map<CommitId, RetentionDecision> => {
    const all = candidates.map((one) => ({ ...one, lockedUntilMs: locks.get(one.id) }));
    return new Map(decideRetention(all, rules, { nowMs, zone }).map((decision) => [decision.id, decision]));
  };
  let decided = decide();
  const dropped = commits.filter(({ id, seq }) => decided.get(id)?.isKept === false && seq > repository.log.begin.seq);
  if (lock !== undefined && (await askLocks(locks, dropped, lock))) decided = decide();
  const isKept = ({ id }: CommitEntry): boolean => decided.get(id)?.isKept !== false;
  const expire = commits.filter((commit) => !isKept(commit));
  const gone = new Set(expire.map(({ id }) => id));
  const dropRefs = [...repository.tagged].flatMap(([name, id]) =>
    name.startsWith('refs/tags/') && gone.has(id) ? [name] : [],
  );
  const backups = commits.toReversed().map((commit) => toBackup(commit, decided.get(commit.id), locks.get(commit.id)));
  return { backups, order: { keep: commits.filter(isKept), expire, dropRefs } };
}

function toBackup(
  { id, kind, timeMs }: CommitEntry,
  decision: RetentionDecision | undefined,
  lockedUntilMs: number | undefined,
): PrunedBackup {
  const { isKept = true, reasons = [] } = decision ?? {};
  const locked = lockedUntilMs === undefined ? {} : { lockedUntil: formatJsonTime(lockedUntilMs) };
  return { id, kind, time: formatJsonTime(timeMs), kept: isKept, reasons, ...locked };
}

/** Works out until when commits are locked. A lock begins when the segment is written, which may be long after the capture. */
async function listLocks(
  { log, storage }: Repository,
  commits: readonly CommitEntry[],
  lock: StorageLock | undefined,
): Promise<Map<CommitId, number>> {
  const ends = new Map<CommitId, number>();
  if (lock?.days === undefined) return ends;
  const written = new Map<number, number>();
  for await (const { name, modifiedMs } of storage.list('log/', segmentName(log.begin.seq)))
    written.set(parseSegmentName(name) ?? 0, modifiedMs);
  for (const { id, seq, timeMs } of commits) {
    const untilMs = (written.get(seq) ?? timeMs) + lock.days * DAY_MS;
    if (untilMs > lock.nowMs) ends.set(id, untilMs);
  }
  return ends;
}

/** Asks whether what is about to go is locked all the same: another machine may have locked it, or its lock was extended. */
async function askLocks(
  locks: Map<CommitId, number>,
  dropped: readonly CommitEntry[],
  lock: StorageLock,
): Promise<boolean> {
  const ends = await lock.findEnds(dropped.map(({ seq }) => segmentName(seq)));
  for (const { id, seq } of dropped) {
    const untilMs = ends.get(segmentName(seq)) ?? 0;
    if (untilMs > lock.nowMs) locks.set(id, untilMs);
  }
  return ends.size > 0;
}

/**
 * Returns the time to count days from: at most a day after the newest backup. A clock that runs ahead, or an agent that rests, must not
 * make all of its past look old at once.
 */
function trustedNow(nowMs: number, commits: readonly CommitEntry[]): number {
  const newestMs = commits.reduce(
    (newest, { timeMs }) => (timeMs <= nowMs ? Math.max(newest, timeMs) : newest),
    -Infinity,
  );
  return Math.min(nowMs, newestMs === -Infinity ? nowMs : newestMs + DAY_MS);
}

/**
 * Lists what branches end in, and lines of history that lately came here and that no branch has yet: a fetch that was cut off goes on
 * from them.
 */
async function listTips(
  { refs, storage }: Repository,
  all: readonly CommitEntry[],
  nowMs: number,
): Promise<ReadonlySet<CommitId>> {
  const tips = new Set<CommitId>();
  for (const [name, id] of refs) if (name.startsWith('refs/heads/')) tips.add(id);
  const parents = new Set(all.map(({ parentSeq }) => parentSeq));
  for (const { id, seq, isExpired } of all) {
    if (isExpired || parents.has(seq) || tips.has(id)) continue;
    // oxlint-disable-next-line no-await-in-loop -- few
    const stat = await storage.stat(segmentName(seq));
    if (stat !== undefined && stat.modifiedMs > nowMs - LOOSE_MS) tips.add(id);
  }
  return tips;
}

/** Returns the names that the user gave, by commit. */
async function listNames(repository: Repository): Promise<Map<CommitId, string[]>> {
  const names = new Map<CommitId, string[]>();
  for (const [ref, id] of repository.refs) {
    const name = ref.startsWith('refs/tags/') ? ref.slice('refs/tags/'.length) : '';
    if (name === '' || /^(full|manual|safety)\/\d{8}T\d{6}Z(-\d+)?$/.test(name)) continue;
    // oxlint-disable-next-line no-await-in-loop -- the log says it, mostly
    const commit = repository.tagged.get(ref) ?? (await peelToCommit(repository, id));
    names.set(commit, [...(names.get(commit) ?? []), name]);
  }
  return names;
}
