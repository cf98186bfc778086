// Reads the history of an agent: all commits, or the backups among them.

import type { CommitKind } from '../format/segment.ts';
import { resolvePaths } from './commit-path.ts';
import type { OpsContext } from './context.ts';
import { walkHistory } from './ancestry.ts';
import { listByKind, readTagsByCommit, summarize, type CommitSummary } from './history.ts';
import { openAgent } from './open.ts';
import { openForWords } from './open-words.ts';
import { findCandidates, PathHistory } from './path-history.ts';
import { getHead, parseRange, resolveRevision } from './revision.ts';
import { MoltError } from '../model/error.ts';

/** Up to so many commits are read one by one. */
const FEW_COMMITS = 200;

/** Which commits to list; times are written as TIME. */
export interface LogOptions {
  readonly agent: string | undefined;
  /** An agent, a revision to start from, or both in this order. */
  readonly words: readonly string[];
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  readonly limit?: number | undefined;
  /** Only commits that changed one of these. */
  readonly paths: readonly string[];
}

/** Lists commits, newest first, reading no more than the caller takes. */
export async function* listLog(context: OpsContext, options: LogOptions): AsyncIterable<CommitSummary> {
  await using opened = await openForWords(context, options.agent, options.words);
  const { open, words } = opened;
  if (words.length > 1)
    throw new MoltError('USAGE', `log takes one revision, not ${words.length}`, {
      hint: 'paths go behind --: molt log -- PATH',
    });
  const { repository } = open;
  const range = await parseRange(context, options);
  const tip = words[0] === undefined ? getHead(open) : await resolveRevision(context, open, words[0]);
  const paths = await resolvePaths(context, open, options.paths);
  const filter = paths.length === 0 ? undefined : new PathHistory(repository, paths);
  const tags = await readTagsByCommit(repository);
  let left = options.limit ?? Infinity;
  if (left === 0) return;
  const accepts = await findCandidates(repository, paths);
  const few = paths.length === 0 && range.untilMs === undefined && left <= FEW_COMMITS;
  for await (const entry of walkHistory(repository, tip, { ...range, accepts, few })) {
    if (filter !== undefined && !(await filter.isChangedBy(entry))) continue;
    yield summarize(entry, tags);
    left -= 1;
    if (left <= 0) return;
  }
}

/** Which backups to list. */
export interface BackupListOptions {
  readonly agent: string | undefined;
  /** Incrementals too. */
  readonly all: boolean;
  readonly since?: string | undefined;
  readonly limit?: number | undefined;
}

/** Lists backups, newest first. */
export async function* listBackups(context: OpsContext, options: BackupListOptions): AsyncIterable<CommitSummary> {
  await using open = await openAgent(context, options.agent);
  const { repository } = open;
  const { sinceMs } = await parseRange(context, options);
  const kinds = new Set<CommitKind>(['full', 'manual', 'safety', ...(options.all ? (['incremental'] as const) : [])]);
  const tags = await readTagsByCommit(repository);
  let left = options.limit ?? Infinity;
  if (left === 0) return;
  for await (const entry of listByKind(repository, getHead(open), { kinds, sinceMs })) {
    yield summarize(entry, tags);
    left -= 1;
    if (left <= 0) return;
  }
}
