// Walks the ancestors of a commit, newest first. The index's table of commits tells times, kinds and parents, so that a year is walked
// in milliseconds and only those commits are read that somebody wants, or about which the table does not know enough.

import type { CommitKind } from '../format/segment.ts';
import type { CommitId } from '../model/ids.ts';
import { CommitTable, NO_PARENT, UNKNOWN_PARENT } from '../repo/commit-table.ts';
import { readCommit, type Commit } from '../repo/git.ts';
import type { Repository } from '../repo/repository.ts';
import { parseCommitText, type CommitText } from './commit-message.ts';

/** A commit and what its message says. */
export interface HistoryCommit {
  readonly commit: Commit;
  readonly text: CommitText;
}

/** What is known of a commit before it is read. */
export interface CommitOutline {
  readonly id: CommitId;
  readonly timeMs: number;
  readonly kind: CommitKind;
  /** The segment that brought it, and whether the index has every path that it changed; undefined outside of the table. */
  readonly seq: number | undefined;
  readonly hasPaths: boolean;
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

/** Reads a commit and its message. */
export async function readHistoryCommit(repository: Repository, id: CommitId): Promise<HistoryCommit> {
  const commit = await readCommit(repository, id);
  return { commit, text: parseCommitText(commit.message, commit.timestampS * 1000) };
}

/** Walks a commit's ancestors and itself, newest first, by all parents. */
export async function* walkHistory(
  repository: Repository,
  tip: CommitId,
  filter: AncestorFilter = {},
): AsyncIterable<HistoryCommit> {
  const table = filter.few === true ? new CommitTable(Buffer.alloc(0)) : await repository.index.readCommits();
  yield* new Ancestry(repository, table).walk(tip, filter);
}

/** Finds the newest of a commit's ancestors and itself that was captured at or before a time; of several the last in the log. */
export async function findNewestAt(
  repository: Repository,
  tip: CommitId,
  timeMs: number,
): Promise<HistoryCommit | undefined> {
  let best: CommitOutline | undefined;
  const accepts = (commit: CommitOutline): boolean => {
    const isNewer = best === undefined || commit.timeMs > best.timeMs;
    if (isNewer || (commit.timeMs === best?.timeMs && (commit.seq ?? 0) > (best.seq ?? 0))) best = commit;
    return false;
  };
  // Nothing is accepted, so the walk runs to its end without reading a commit.
  // oxlint-disable-next-line no-unused-vars -- the same
  for await (const none of walkHistory(repository, tip, { untilMs: timeMs, accepts })) break;
  return best === undefined ? undefined : readHistoryCommit(repository, best.id);
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

  async *walk(tip: CommitId, filter: AncestorFilter): AsyncIterable<HistoryCommit> {
    const { sinceMs = -Infinity, untilMs = Infinity, accepts = () => true } = filter;
    const first = await this.#rowOf(tip);
    const seen = new Set([first]);
    const waiting = [first];
    const visit = (row: number): void => {
      if (seen.has(row)) return;
      seen.add(row);
      const timeMs = this.#timeMs(row);
      const at = waiting.findIndex((other) => this.#timeMs(other) < timeMs);
      waiting.splice(at === -1 ? waiting.length : at, 0, row);
    };
    let slack = SLACK_COMMITS;
    for (let row = waiting.shift(); row !== undefined && slack > 0; row = waiting.shift()) {
      const timeMs = this.#timeMs(row);
      slack = timeMs < sinceMs ? slack - 1 : SLACK_COMMITS;
      const isWanted = timeMs >= sinceMs && timeMs <= untilMs && accepts(this.#outline(row));
      // oxlint-disable-next-line no-await-in-loop -- one after the other, as many as the caller takes
      if (isWanted) yield await this.#load(row);
      const parent = row < this.#table.count ? this.#table.parent(row) : UNKNOWN_PARENT;
      if (parent === NO_PARENT) continue;
      if (parent !== UNKNOWN_PARENT) {
        visit(parent);
        continue;
      }
      // oxlint-disable-next-line no-await-in-loop -- the same
      const { parents } = (await this.#load(row)).commit;
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

  async #load(row: number): Promise<HistoryCommit> {
    const read = this.#read[row - this.#table.count];
    return read ?? readHistoryCommit(this.#repository, this.#table.entry(row).id);
  }

  #timeMs(row: number): number {
    return this.#read[row - this.#table.count]?.text.timeMs ?? this.#table.timeMs(row);
  }

  #outline(row: number): CommitOutline {
    const read = this.#read[row - this.#table.count];
    if (read === undefined) return this.#table.entry(row);
    const { commit, text } = read;
    return { id: commit.id, timeMs: text.timeMs, kind: text.kind, seq: undefined, hasPaths: false };
  }
}
