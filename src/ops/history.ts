// The history of a branch, newest first, reading only the commits that are asked for.

import { readCommit, readTag, type Commit } from '../repo/git.ts';
import type { CommitKind } from '../format/segment.ts';
import type { ComponentSize } from '../model/component.ts';
import type { CommitId, GitId } from '../model/ids.ts';
import { formatJsonTime } from '../model/time-format.ts';
import type { Repository } from '../repo/repository.ts';
import { parseCommitText, type CommitText, type FileCounts } from './commit-message.ts';
import type { Agent } from './home.ts';

/** A commit and what its message says. */
export interface HistoryCommit {
  readonly commit: Commit;
  readonly text: CommitText;
}

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
}

/** Which part of a history is meant; times are inclusive, in milliseconds since the Unix epoch. */
export interface HistoryRange {
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
}

/** Clocks that differ may put a parent after its child: a walk goes on for so many commits past its `since`. */
const SLACK_COMMITS = 5;

/** Reads a commit and its message. */
export async function readHistoryCommit(repository: Repository, id: CommitId): Promise<HistoryCommit> {
  const commit = await readCommit(repository, id);
  return { commit, text: parseCommitText(commit.message, commit.timestampS * 1000) };
}

/** Returns what lists show of a commit. */
export function summarize(
  { commit, text }: HistoryCommit,
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
  };
}

/** Walks a commit's ancestors and itself, newest first, by all parents. */
export async function* walkHistory(
  repository: Repository,
  tip: CommitId,
  range: HistoryRange = {},
): AsyncIterable<HistoryCommit> {
  const { sinceMs = -Infinity, untilMs = Infinity } = range;
  const seen = new Set<CommitId>([tip]);
  const waiting = [await readHistoryCommit(repository, tip)];
  let slack = SLACK_COMMITS;
  for (let next = waiting.shift(); next !== undefined && slack > 0; next = waiting.shift()) {
    const { timeMs } = next.text;
    slack = timeMs < sinceMs ? slack - 1 : SLACK_COMMITS;
    if (timeMs >= sinceMs && timeMs <= untilMs) yield next;
    for (const id of next.commit.parents) {
      if (seen.has(id)) continue;
      seen.add(id);
      // oxlint-disable-next-line no-await-in-loop -- one parent in nearly all cases
      insertByTime(waiting, await readHistoryCommit(repository, id));
    }
  }
}

function insertByTime(waiting: HistoryCommit[], entry: HistoryCommit): void {
  const at = waiting.findIndex(({ text }) => text.timeMs < entry.text.timeMs);
  waiting.splice(at === -1 ? waiting.length : at, 0, entry);
}

/**
 * Finds the newest commit of a branch that was captured at or before a time.
 * @param label the agent whose branch it is
 */
export async function findCommitBefore(
  repository: Repository,
  label: Agent['label'],
  tip: CommitId,
  timeMs: number,
): Promise<HistoryCommit | undefined> {
  const newest = await readHistoryCommit(repository, tip);
  if (newest.text.timeMs <= timeMs) return newest;
  if (isOnlyBranch(repository)) {
    const indexed = await repository.index.findCommitAt(timeMs);
    if (indexed === undefined) return undefined;
    const found = await readHistoryCommit(repository, indexed.id);
    if (isOwn(found, label)) return found;
  }
  for await (const found of walkHistory(repository, tip, { untilMs: timeMs })) return found;
  return undefined;
}

/**
 * Lists a branch's commits of some kinds, newest first. The index knows kinds and times, so that commits of other kinds are not
 * read; only where it may know commits of other branches the whole history is walked.
 */
export async function* listByKind(
  repository: Repository,
  label: Agent['label'],
  tip: CommitId,
  wanted: HistoryRange & { readonly kinds: ReadonlySet<CommitKind> },
): AsyncIterable<HistoryCommit> {
  const { kinds, sinceMs = -Infinity, untilMs = Infinity } = wanted;
  if (isOnlyBranch(repository)) {
    const all = await repository.index.listCommits();
    const entries = all.filter(({ kind, timeMs }) => kinds.has(kind) && timeMs >= sinceMs && timeMs <= untilMs);
    let foreign = false;
    const yielded = new Set<CommitId>();
    for (const entry of entries.toReversed()) {
      // oxlint-disable-next-line no-await-in-loop -- newest first, as many as the caller takes
      const found = await readHistoryCommit(repository, entry.id);
      if (!isOwn(found, label)) {
        foreign = true;
        break;
      }
      yielded.add(entry.id);
      yield found;
    }
    if (!foreign) return;
    for await (const found of walkHistory(repository, tip, wanted)) {
      if (kinds.has(found.text.kind) && !yielded.has(found.commit.id)) yield found;
    }
    return;
  }
  for await (const found of walkHistory(repository, tip, wanted)) if (kinds.has(found.text.kind)) yield found;
}

/** Returns the tags of each commit that has some, by name. */
export async function readTagsByCommit(repository: Repository): Promise<Map<CommitId, string[]>> {
  const names = [...repository.refs]
    .filter(([name]) => name.startsWith('refs/tags/'))
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  const tags = new Map<CommitId, string[]>();
  const commits = await Promise.all(names.map(([, id]) => peelTag(repository, id)));
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

/** Where there is one branch, the index's commits are its own, unless another branch was there and is gone. */
function isOnlyBranch(repository: Repository): boolean {
  let heads = 0;
  for (const name of repository.refs.keys()) if (name.startsWith('refs/heads/')) heads += 1;
  return heads === 1;
}

/** Another agent's commits, made in this repository, carry its name. */
function isOwn({ commit }: HistoryCommit, label: string): boolean {
  return commit.author.name === label;
}
