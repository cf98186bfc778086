// The whole history of a branch at a glance, for an interface that scrolls through it: times, kinds and ids of a year in a few
// megabytes, and single commits read when somebody looks at them.

import type { CommitKind } from '../format/segment.ts';
import type { CommitId, SegmentSeq } from '../model/ids.ts';
import { displayPath } from '../model/name.ts';
import { NO_PARENT, type CommitTable } from '../repo/commit-table.ts';
import type { Repository } from '../repo/repository.ts';
import { readHistoryCommit, walkOutlines, type CommitOutline, type OutlinedCommit } from './ancestry.ts';
import { readAttributes, readCommitView } from './commit-files.ts';
import type { OpsContext } from './context.ts';
import { readTagsByCommit, summarize, type CommitSummary } from './history.ts';
import { resolvePaths } from './commit-path.ts';
import type { OpenAgent } from './open.ts';
import { findCandidates, PathHistory } from './path-history.ts';
import { listRefNames } from './ref-name.ts';
import { getHead, resolveTimestamp } from './revision.ts';
import { peelToCommit, readCommit } from '../repo/git.ts';

const KINDS: readonly CommitKind[] = ['incremental', 'full', 'manual', 'safety'];
/** More files than these are not looked for at once. */
const MOST_PATHS = 100;
const NO_SEQ = 0xffff_ffff;

/** The commits of a branch, newest first, by their number from 0. */
export class Timeline {
  readonly tip: CommitId;
  readonly count: number;
  /** Names of tags by commit. */
  readonly tags: ReadonlyMap<CommitId, readonly string[]>;
  /** Names of branches by the commit that they stand at. */
  readonly branches: ReadonlyMap<CommitId, readonly string[]>;
  /** Milliseconds since the Unix epoch. */
  readonly times: Float64Array;
  /** It is all of the history; else older commits are missing. */
  readonly isWhole: boolean;
  readonly #kinds: Uint8Array;
  readonly #flags: Uint8Array;
  readonly #seqs: Uint32Array;
  readonly #ids: Buffer;

  constructor(
    tip: CommitId,
    columns: { times: Float64Array; kinds: Uint8Array; flags: Uint8Array; seqs: Uint32Array; ids: Buffer },
    names: Pick<Timeline, 'tags' | 'branches'>,
    { isWhole }: Pick<Timeline, 'isWhole'> = { isWhole: true },
  ) {
    this.tip = tip;
    this.count = columns.times.length;
    this.times = columns.times;
    this.#kinds = columns.kinds;
    this.#flags = columns.flags;
    this.#seqs = columns.seqs;
    this.#ids = columns.ids;
    this.tags = names.tags;
    this.branches = names.branches;
    this.isWhole = isWhole;
  }

  id(at: number): CommitId {
    return this.#ids.toString('hex', at * 20, at * 20 + 20) as CommitId;
  }

  kind(at: number): CommitKind {
    return KINDS[this.#kinds[at] ?? 0] ?? 'incremental';
  }

  /** Says whether the content of a commit was pruned. */
  isExpired(at: number): boolean {
    return ((this.#flags[at] ?? 0) & 1) !== 0;
  }

  /** Says whether the index has every path that a commit changed. */
  hasPaths(at: number): boolean {
    return ((this.#flags[at] ?? 0) & 2) !== 0;
  }

  /** The segment that brought a commit, if that is known. */
  seq(at: number): SegmentSeq | undefined {
    const seq = this.#seqs[at] ?? NO_SEQ;
    return seq === NO_SEQ ? undefined : (seq as SegmentSeq);
  }

  /** Returns the number of a commit, or -1. */
  find(id: CommitId): number {
    const bytes = Buffer.from(id, 'hex');
    for (let at = this.#ids.indexOf(bytes); at >= 0; at = this.#ids.indexOf(bytes, at + 1))
      if (at % 20 === 0) return at / 20;
    return -1;
  }
}

/** Fewer are read whole as quickly. */
const NEWEST_COMMITS = 3000;

/**
 * Reads the newest part of the history of an agent's branch.
 * @param least that many commits, if the newest of the repository are in one line up to the branch's tip
 * @returns undefined where there are not so many, or where they are not in one line
 */
export async function readNewestTimeline(
  { agent, repository }: OpenAgent,
  least = NEWEST_COMMITS,
): Promise<Timeline | undefined> {
  const tip = getHead({ agent, repository });
  const table = await repository.index.readNewestCommits(least);
  if (table.count < least) return undefined;
  const columns = new Columns(table.count);
  // What older rows say of a segment is not known: a parent is taken to be the row before, or not at all.
  for (let row = table.find(tip); row > 1; row -= 1) {
    columns.addRow(table, row);
    if (table.parent(row) !== row - 1) break;
  }
  if (columns.count < least / 2) return undefined;
  return new Timeline(tip, columns.end(), await readNames(repository), { isWhole: false });
}

/** Reads the history of an agent's branch; single commits are not read for it. @throws {MoltError} NOT_FOUND without a commit */
export async function readTimeline({ agent, repository }: OpenAgent): Promise<Timeline> {
  const tip = getHead({ agent, repository });
  const names = await readNames(repository);
  const table = await repository.index.readCommits();
  const columns = new Columns(table.count + 1);
  // One line of history, as nearly all of it is, is read off the table at once.
  let row = table.find(tip);
  while (row >= 0 && columns.count <= table.count) {
    columns.addRow(table, row);
    row = table.parent(row);
  }
  if (row === NO_PARENT) return new Timeline(tip, columns.end(), names);
  columns.count = 0;
  for await (const commit of walkOutlines(repository, tip)) columns.add(commit);
  return new Timeline(tip, columns.end(), names);
}

/** Collects the columns of a timeline. */
class Columns {
  count = 0;
  #times: Float64Array;
  #kinds: Uint8Array;
  #flags: Uint8Array;
  #seqs: Uint32Array;
  #ids: Buffer;

  constructor(most: number) {
    this.#times = new Float64Array(most);
    this.#kinds = new Uint8Array(most);
    this.#flags = new Uint8Array(most);
    this.#seqs = new Uint32Array(most);
    this.#ids = Buffer.alloc(most * 20);
  }

  addRow(table: CommitTable, row: number): void {
    table.copyId(row, this.#ids, this.count * 20);
    this.#addOutline(table.outline(row));
  }

  add(commit: OutlinedCommit): void {
    // More than the table has came from elsewhere meanwhile: the next look takes it up.
    if (this.count >= this.#times.length) return;
    this.#ids.write(commit.id, this.count * 20, 'hex');
    this.#addOutline(commit);
  }

  end(): ConstructorParameters<typeof Timeline>[1] {
    const { count } = this;
    return {
      times: this.#times.subarray(0, count),
      kinds: this.#kinds.subarray(0, count),
      flags: this.#flags.subarray(0, count),
      seqs: this.#seqs.subarray(0, count),
      ids: this.#ids.subarray(0, count * 20),
    };
  }

  #addOutline({ timeMs, kind, isExpired, hasPaths, seq }: CommitOutline): void {
    const at = this.count;
    this.#times[at] = timeMs;
    this.#kinds[at] = KINDS.indexOf(kind);
    this.#flags[at] = (isExpired ? 1 : 0) + (hasPaths ? 2 : 0);
    this.#seqs[at] = seq ?? NO_SEQ;
    this.count = at + 1;
  }
}

async function readNames(repository: Repository): Promise<Pick<Timeline, 'tags' | 'branches'>> {
  return { tags: await readTagsByCommit(repository), branches: await readBranches(repository) };
}

async function readBranches(repository: Repository): Promise<Map<CommitId, string[]>> {
  const names = new Map<CommitId, string[]>();
  for (const name of listRefNames(repository, 'branch')) {
    const id = repository.refs.get(`refs/heads/${name}`);
    // oxlint-disable-next-line no-await-in-loop -- few
    if (id !== undefined) addName(names, await peelToCommit(repository, id), name);
  }
  return names;
}

function addName(names: Map<CommitId, string[]>, id: CommitId, name: string): void {
  names.set(id, [...(names.get(id) ?? []), name]);
}

/** Reads what lists show of one commit of a timeline. @throws {MoltError} what reading it throws, if it is damaged */
export async function readMoment({ repository }: OpenAgent, timeline: Timeline, at: number): Promise<CommitSummary> {
  const isExpired = timeline.isExpired(at);
  const seq = isExpired ? undefined : timeline.seq(at);
  return summarize(await readHistoryCommit(repository, timeline.id(at), seq, isExpired), timeline.tags);
}

/** Returns the first parent of a commit, if it has one that has its content still. */
export async function findWholeParent({ repository }: OpenAgent, id: CommitId): Promise<CommitId | undefined> {
  const [first] = (await readCommit(repository, id)).parents;
  return first === undefined || (await repository.isExpired(first)) ? undefined : first;
}

/**
 * Lists the commits of a timeline that changed a file, newest first, by their numbers.
 * @param text what stands in the paths of the files that are meant; else a path as a user writes it
 * @throws {MoltError} USAGE or NOT_FOUND when it is no path of the agent
 */
export async function* listChangesOf(
  context: OpsContext,
  open: OpenAgent,
  timeline: Timeline,
  text: string,
): AsyncIterable<number> {
  const { repository } = open;
  const like = await findPathsLike(repository, timeline.tip, text);
  const paths = like.length > 0 ? like : await resolvePaths(context, open, [text]);
  const accepts = await findCandidates(repository, paths);
  const history = new PathHistory(repository, paths);
  for (let at = 0; at < timeline.count; at += 1) {
    context.signal?.throwIfAborted();
    const [isExpired, hasPaths] = [timeline.isExpired(at), timeline.hasPaths(at)];
    const outline = { timeMs: timeline.times[at] ?? 0, kind: timeline.kind(at), seq: timeline.seq(at) };
    if (!accepts({ ...outline, isExpired, hasPaths })) continue;
    // oxlint-disable-next-line no-await-in-loop -- newest first
    const commit = await readHistoryCommit(repository, timeline.id(at), timeline.seq(at), isExpired);
    // oxlint-disable-next-line no-await-in-loop -- the same
    if (await history.isChangedBy(commit)) yield at;
  }
}

/** Returns the files of a commit in whose path a text stands; those that end in it before all others. */
async function findPathsLike(repository: Repository, commit: CommitId, text: string): Promise<string[]> {
  const wanted = text.toLowerCase();
  const attributes = await readAttributes(repository, await readCommitView(repository, commit));
  const found = [...attributes.values()].filter(
    ({ path, type }) => type !== 'directory' && displayPath(path).toLowerCase().includes(wanted),
  );
  const exact = found.filter(({ path }) => displayPath(path).toLowerCase().endsWith(`/${wanted}`));
  return (exact.length > 0 ? exact : found).slice(0, MOST_PATHS).map(({ path }) => path);
}

/**
 * Returns the number of the commit that a time stands for.
 * @param time a TIME
 * @throws {MoltError} USAGE when it is no time, NOT_FOUND when nothing had been saved by then
 */
export async function findMomentAt(
  context: OpsContext,
  open: OpenAgent,
  timeline: Timeline,
  time: string,
): Promise<number> {
  return timeline.find(await resolveTimestamp(context, open, time));
}

/**
 * Takes up what other processes did since.
 * @returns whether the history or its names changed
 */
export async function refreshHistory({ repository }: OpenAgent): Promise<boolean> {
  const before = new Map(repository.refs);
  await repository.refresh();
  if (before.size !== repository.refs.size) return true;
  for (const [name, id] of repository.refs) if (before.get(name) !== id) return true;
  return false;
}
