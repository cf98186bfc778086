// Walks the ancestors of a commit, newest first. The index's table of commits tells times, kinds and parents, so that a year is walked
// in milliseconds and only those commits are read that somebody wants, or about which the table does not know enough.

import type { CommitKind } from '../format/segment.ts';
import type { CommitId, SegmentSeq } from '../model/ids.ts';
import { CommitTable, NO_PARENT, UNKNOWN_PARENT } from '../repo/commit-table.ts';
import { readCommit, type Commit } from '../repo/git.ts';
import { gitKey } from '../repo/keys.ts';
import type { Repository } from '../repo/repository.ts';
import { parseCommitText, type CommitText } from './commit-message.ts';

/** A commit and what its message says. */
export interface HistoryCommit {
  readonly commit: Commit;
  readonly text: CommitText;
  /** The segment that brought it, if that is known. */
  readonly seq?: SegmentSeq | undefined;
  /** Its content was pruned. */
  readonly isExpired: boolean;
}

/** What is known of a commit before it is read. */
export interface CommitOutline {
  readonly timeMs: number;
  readonly kind: CommitKind;
  /** The segment that brought it, and whether the index has every path that it changed; undefined outside of the table. */
  readonly seq: number | undefined;
  readonly hasPaths: boolean;
  /** Its content is gone. */
  readonly isExpired: boolean;
}

/** Which ancestors are wanted; times are inclusive, in milliseconds since the Unix epoch. */
export interface AncestorFilter {
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
  readonly accepts?: (commit: CommitOutline) => boolean;
  /** Only few are taken: reading them is quicker than reading the table. */
  readonly few?: boolean;
}

/** Clocks that differ may put a parent after its child: a walk goes on for so many commits past its `since`. */
const SLACK_COMMITS = 5;
/** Commits that are looked at one by one before the whole table is read. */
const NEAR_COMMITS = 3;

/** Reads a commit and its message. */
export async function readHistoryCommit(
  repository: Repository,
  id: CommitId,
  seq?: SegmentSeq,
  isExpired?: boolean,
): Promise<HistoryCommit> {
  const commit = await readCommit(repository, id, seq);
  const text = parseCommitText(commit.message, commit.timestampS * 1000);
  return { commit, text, seq, isExpired: isExpired ?? (await repository.isExpired(id)) };
}

/** Walks a commit's ancestors and itself, newest first, by all parents. */
export async function* walkHistory(
  repository: Repository,
  tip: CommitId,
  filter: AncestorFilter = {},
): AsyncIterable<HistoryCommit> {
  const table = filter.few === true ? new CommitTable(Buffer.alloc(0)) : await repository.index.readCommits();
  const ancestry = new Ancestry(repository, table);
  for await (const row of ancestry.walk(tip, filter)) yield await ancestry.load(row);
}

/**
 * Finds the newest of a commit's ancestors and itself that was captured at or before a time; of several the last in the log.
 * @param options.isWhole only among those that have not expired
 */
export async function findNewestAt(
  repository: Repository,
  tip: CommitId,
  timeMs: number,
  { isWhole }: { readonly isWhole: boolean } = { isWhole: false },
): Promise<HistoryCommit | undefined> {
  const ancestry = new Ancestry(repository, await repository.index.readCommits());
  let best: CommitOutline | undefined;
  let bestRow: number | undefined;
  // A commit is only accepted when it is better than those before, so that few are: clocks seldom go back.
  const accepts = (commit: CommitOutline): boolean => {
    if (isWhole && commit.isExpired) return false;
    const isBest =
      best === undefined ||
      commit.timeMs > best.timeMs ||
      (commit.timeMs === best.timeMs && (commit.seq ?? 0) > (best.seq ?? 0));
    if (isBest) best = commit;
    return isBest;
  };
  for await (const row of ancestry.walk(tip, { untilMs: timeMs, accepts })) bestRow = row;
  return bestRow === undefined ? undefined : ancestry.load(bestRow);
}

/** Says whether a commit is an ancestor of another one, or that one itself. A commit that isn't there is nobody's ancestor. */
export async function isAncestor(repository: Repository, ancestor: CommitId, tip: CommitId): Promise<boolean> {
  return (await countSince(repository, tip, ancestor)) !== undefined;
}

/**
 * Counts the commits that lead from one of a commit's ancestors to it, itself included.
 * @returns undefined if it is no ancestor
 */
export async function countSince(
  repository: Repository,
  tip: CommitId,
  ancestor: CommitId,
): Promise<number | undefined> {
  if (tip === ancestor) return 0;
  for (const id of [ancestor, tip]) {
    // oxlint-disable-next-line no-await-in-loop -- two
    if ((await repository.index.find(gitKey(id))) === undefined) return undefined;
  }
  // Mostly it is among the last few, which are read sooner than the table.
  let next: CommitId | undefined = tip;
  for (let steps = 0; next !== undefined && steps < NEAR_COMMITS; steps += 1) {
    // oxlint-disable-next-line no-await-in-loop -- one parent after the other
    const { parents }: Commit = await readCommit(repository, next);
    if (parents.includes(ancestor)) return steps + 1;
    next = parents.length === 1 ? parents[0] : undefined;
  }
  const ancestry = new Ancestry(repository, await repository.index.readCommits());
  let count = 0;
  for await (const row of ancestry.walk(tip, {})) {
    if (ancestry.id(row) === ancestor) return count;
    count += 1;
  }
  return undefined;
}

/** One commit of a walk that reads none: what the table tells of it. */
export interface OutlinedCommit extends CommitOutline {
  readonly id: CommitId;
}

/** Walks a commit's ancestors and itself, newest first, and reads no commit that the table of commits tells enough of. */
export async function* walkOutlines(repository: Repository, tip: CommitId): AsyncIterable<OutlinedCommit> {
  const ancestry = new Ancestry(repository, await repository.index.readCommits());
  for await (const row of ancestry.walk(tip, {})) yield { id: ancestry.id(row), ...ancestry.outline(row) };
}

/** A walk by rows: those of the table, then those of commits that it lacks. */
class Ancestry {
  readonly #repository: Repository;
  readonly #table: CommitTable;
  readonly #read: (HistoryCommit | undefined)[] = [];
  readonly #rows = new Map<CommitId, number>();

  constructor(repository: Repository, table: CommitTable) {
    this.#repository = repository;
    this.#table = table;
  }

  /** Lists the rows of the ancestors that are wanted, newest first. */
  async *walk(tip: CommitId, filter: AncestorFilter): AsyncIterable<number> {
    const { sinceMs = -Infinity, untilMs = Infinity, accepts = () => true } = filter;
    const first = await this.#rowOf(tip);
    const seen = new Set([first]);
    const waiting = [first];
    const visit = (row: number): void => {
      if (seen.has(row)) return;
      seen.add(row);
      const timeMs = waiting.length === 0 ? 0 : this.#timeMs(row);
      const at = waiting.findIndex((other) => this.#timeMs(other) < timeMs);
      if (at === -1) waiting.push(row);
      else waiting.splice(at, 0, row);
    };
    let slack = SLACK_COMMITS;
    for (let row = waiting.shift(); row !== undefined && slack > 0; row = waiting.shift()) {
      const timeMs = this.#timeMs(row);
      slack = timeMs < sinceMs ? slack - 1 : SLACK_COMMITS;
      const isWanted = timeMs >= sinceMs && timeMs <= untilMs && accepts(this.outline(row));
      if (isWanted) yield row;
      const parent = row < this.#table.count ? this.#table.parent(row) : UNKNOWN_PARENT;
      if (parent === NO_PARENT) continue;
      if (parent !== UNKNOWN_PARENT) {
        // One line of history, as nearly all of it is: whoever else led to the parent was walked before.
        if (waiting.length === 0) waiting.push(parent);
        else visit(parent);
        continue;
      }
      // oxlint-disable-next-line no-await-in-loop -- the same
      const { parents } = (await this.load(row)).commit;
      // What was walked is not needed any more.
      if (row >= this.#table.count) this.#read[row - this.#table.count] = undefined;
      // oxlint-disable-next-line no-await-in-loop -- one parent in nearly all cases
      for (const id of parents) visit(await this.#rowOf(id));
    }
  }

  async #rowOf(id: CommitId): Promise<number> {
    const known = this.#rows.get(id) ?? this.#table.find(id);
    if (known >= 0) return known;
    const row = this.#table.count + this.#read.push(await readHistoryCommit(this.#repository, id)) - 1;
    this.#rows.set(id, row);
    return row;
  }

  /** Returns the id of a row's commit. */
  id(row: number): CommitId {
    return this.#known(row)?.commit.id ?? this.#table.entry(row).id;
  }

  /** Reads a row's commit. */
  async load(row: number): Promise<HistoryCommit> {
    const known = this.#known(row);
    if (known !== undefined) return known;
    const { id, seq, isExpired } = this.#table.entry(row);
    return readHistoryCommit(this.#repository, id, isExpired ? undefined : seq, isExpired);
  }

  #timeMs(row: number): number {
    return this.#known(row)?.text.timeMs ?? this.#table.timeMs(row);
  }

  /** Returns what is known of a row's commit before it is read. */
  outline(row: number): CommitOutline {
    const read = this.#known(row);
    if (read === undefined) return this.#table.outline(row);
    return { timeMs: read.text.timeMs, kind: read.text.kind, seq: undefined, hasPaths: false, isExpired: false };
  }

  #known(row: number): HistoryCommit | undefined {
    return row < this.#table.count ? undefined : this.#read[row - this.#table.count];
  }
}
