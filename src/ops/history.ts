// What lists show of a branch's commits, and of which tags they have.

import { readTag } from '../repo/git.ts';
import type { CommitKind } from '../format/segment.ts';
import type { ComponentSize } from '../model/component.ts';
import type { CommitId, GitId } from '../model/ids.ts';
import { formatJsonTime } from '../model/time-format.ts';
import type { Repository } from '../repo/repository.ts';
import { findNewestAt, readHistoryCommit, walkHistory, type HistoryCommit } from './ancestry.ts';
import type { FileCounts } from './commit-message.ts';

/** A commit as lists show it: CLI.md's JSON for `log` and `backup list`. */
export interface CommitSummary {
  readonly id: CommitId;
  readonly kind: CommitKind;
  readonly time: string;
  /** How large the agent was. */
  readonly sizeBytes: number;
  readonly message: string;
  readonly tags: readonly string[];
  readonly parents: readonly CommitId[];
  /** What set it off: `cli`, `init`, `schedule`, `run`. */
  readonly trigger: string;
  readonly files: FileCounts;
  readonly components: readonly ComponentSize[];
  /** Its content was pruned. */
  readonly expired: boolean;
}

/** Which part of a history is meant; times are inclusive, in milliseconds since the Unix epoch. */
export interface HistoryRange {
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
}

/** Returns what lists show of a commit. */
export function summarize(
  { commit, text, isExpired }: HistoryCommit,
  tags: ReadonlyMap<CommitId, readonly string[]>,
): CommitSummary {
  return {
    id: commit.id,
    kind: text.kind,
    time: formatJsonTime(text.timeMs),
    sizeBytes: text.components.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    message: text.message,
    tags: tags.get(commit.id) ?? [],
    parents: commit.parents,
    trigger: text.trigger,
    files: text.counts,
    components: text.components,
    expired: isExpired,
  };
}

/** Finds the newest commit of a branch that was captured at or before a time. */
export async function findCommitBefore(
  repository: Repository,
  tip: CommitId,
  timeMs: number,
): Promise<HistoryCommit | undefined> {
  const newest = await readHistoryCommit(repository, tip);
  return newest.text.timeMs <= timeMs ? newest : findNewestAt(repository, tip, timeMs);
}

/** Lists a branch's commits of some kinds, newest first. */
export function listByKind(
  repository: Repository,
  tip: CommitId,
  wanted: HistoryRange & { readonly kinds: ReadonlySet<CommitKind> },
): AsyncIterable<HistoryCommit> {
  const { kinds, ...range } = wanted;
  return walkHistory(repository, tip, { ...range, accepts: ({ kind, isExpired }) => kinds.has(kind) && !isExpired });
}

/** Returns the tags of each commit that has some, by name. */
export async function readTagsByCommit(repository: Repository): Promise<Map<CommitId, string[]>> {
  const names = [...repository.refs]
    .filter(([name]) => name.startsWith('refs/tags/'))
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  const tags = new Map<CommitId, string[]>();
  // The log says what the tags that molt makes name: a year has hundreds, each in a container of its own.
  const commits = await Promise.all(
    names.map(async ([name, id]) => repository.tagged.get(name) ?? peelTag(repository, id)),
  );
  for (const [index, [name]] of names.entries()) {
    const commit = commits[index];
    if (commit !== undefined) tags.set(commit, [...(tags.get(commit) ?? []), name.slice('refs/tags/'.length)]);
  }
  return tags;
}

/** A damaged tag must not hide the history. */
async function peelTag(repository: Repository, id: GitId): Promise<CommitId | undefined> {
  const found = await repository.objects.findGit(id).catch(() => undefined);
  if (found?.type === 'commit') return id;
  return found?.type === 'tag' ? (await readTag(repository, id)).commit : undefined;
}
