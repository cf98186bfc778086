// Decides which backups of a storage stay, by retention and by what must never go.

import type { CommitEntry } from '../format/commit-rows.ts';
import { segmentName } from '../format/segment.ts';
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
}

/** What retention must not touch beside what the repository itself says. */
export interface Protected {
  /** Commits that a restore in place can be taken back to, or has to be finished from. */
  readonly needed: ReadonlyMap<CommitId, string>;
  /** Commits of segments behind this number are not on every remote. */
  readonly pushedSeq: number;
  readonly holds: ReadonlyMap<CommitId, Hold>;
  /** How long each object is locked. */
  readonly lockDays?: number | undefined;
}

/** Decides what of a storage stays and what goes. */
export async function decideSweep(
  { clock, zone = DAILY_ZONE }: Pick<OpsContext, 'clock' | 'zone'>,
  repository: Repository,
  rules: RetentionRules,
  { needed, pushedSeq, holds, lockDays }: Protected,
): Promise<{ backups: PrunedBackup[]; order: SweepOrder }> {
  const commits = (await repository.index.listCommits()).filter(({ isExpired }) => !isExpired);
  const nowMs = trustedNow(clock.now(), commits);
  const [tips, named] = [await listTips(repository, commits, nowMs), await listNames(repository)];
  const ids = new Map<number, CommitId>(commits.map(({ id, seq }) => [seq, id]));
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
      lockedUntilMs: lockDays === undefined ? undefined : timeMs + lockDays * DAY_MS,
    });
  }
  const decisions = decideRetention(candidates, rules, { nowMs, zone });
  const decided = new Map(decisions.map((decision) => [decision.id, decision]));
  const isKept = ({ id }: CommitEntry): boolean => decided.get(id)?.isKept !== false;
  const expire = commits.filter((commit) => !isKept(commit));
  const gone = new Set(expire.map(({ id }) => id));
  const dropRefs = [...repository.tagged].flatMap(([name, id]) =>
    name.startsWith('refs/tags/') && gone.has(id) ? [name] : [],
  );
  const backups = commits.toReversed().map((commit) => toBackup(commit, decided.get(commit.id)));
  return { backups, order: { keep: commits.filter(isKept), expire, dropRefs } };
}

function toBackup({ id, kind, timeMs }: CommitEntry, decision: RetentionDecision | undefined): PrunedBackup {
  const { isKept = true, reasons = [] } = decision ?? {};
  return { id, kind, time: formatJsonTime(timeMs), kept: isKept, reasons };
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
  commits: readonly CommitEntry[],
  nowMs: number,
): Promise<ReadonlySet<CommitId>> {
  const tips = new Set<CommitId>();
  for (const [name, id] of refs) if (name.startsWith('refs/heads/')) tips.add(id);
  const parents = new Set(commits.map(({ parentSeq }) => parentSeq));
  for (const { id, seq } of commits) {
    if (parents.has(seq) || tips.has(id)) continue;
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
