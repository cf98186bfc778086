// The line of history that a commit ends: from parent to first parent, those commits that still have their content. A year of them is
// a table of rows; a commit is made of its row when somebody asks for it.

import type { CommitId } from '../model/ids.ts';
import { NO_PARENT, UNKNOWN_PARENT, type CommitTable } from '../repo/commit-table.ts';
import type { Repository } from '../repo/repository.ts';
import { readHistoryCommit, type CommitOutline } from './ancestry.ts';

/** A commit of the line. */
export interface LineCommit extends CommitOutline {
  readonly id: CommitId;
  /** Between it and the commit before it in the line, or before it if it is the first, are commits whose content was pruned. */
  readonly isAfterGap: boolean;
}

const ID_BYTES = 20;
/** Searches of all ids, each a millisecond, before they are put into a map. */
const MOST_SCANS = 64;

/** A line of history, oldest first. */
export class Line {
  readonly length: number;
  readonly #table: CommitTable;
  /** Rows of the table, or, below zero, those that it lacks. */
  readonly #rows: readonly number[];
  readonly #others: readonly LineCommit[];
  readonly #gaps: ReadonlySet<number>;
  readonly #ids: Buffer;
  #scans = 0;
  #places: Map<string, number> | undefined;

  /** @param rows newest first, as they are walked; below zero: -1 for the first of `others`, and so on */
  constructor(table: CommitTable, rows: readonly number[], others: readonly LineCommit[], gaps: ReadonlySet<number>) {
    this.#table = table;
    this.#rows = rows.toReversed();
    this.#others = others;
    this.#gaps = new Set([...gaps].map((at) => rows.length - 1 - at));
    this.length = rows.length;
    this.#ids = Buffer.alloc(rows.length * ID_BYTES);
    for (const [at, row] of this.#rows.entries()) {
      const id = row >= 0 ? table.idBytes(row) : Buffer.from(others[-1 - row]?.id ?? '', 'hex');
      id.copy(this.#ids, at * ID_BYTES);
    }
  }

  /** Returns a commit by its place, from 0. */
  at(place: number): LineCommit | undefined {
    const row = this.#rows[place];
    if (row === undefined) return undefined;
    const isAfterGap = this.#gaps.has(place);
    const other = row < 0 ? this.#others[-1 - row] : undefined;
    if (other !== undefined) return { ...other, isAfterGap };
    return { id: this.#table.entry(row).id, ...this.#table.outline(row), isAfterGap };
  }

  *[Symbol.iterator](): Iterator<LineCommit> {
    for (let place = 0; place < this.length; place += 1) {
      const commit = this.at(place);
      if (commit !== undefined) yield commit;
    }
  }

  /** Returns the bytes of a commit's id; those of none where there is no such place. */
  idBytes(place: number): Buffer {
    if (place < 0 || place >= this.length) return Buffer.alloc(ID_BYTES);
    return this.#ids.subarray(place * ID_BYTES, (place + 1) * ID_BYTES);
  }

  /** Returns the place of a commit, or -1. @param likely where it probably is */
  placeOf(id: Buffer, likely: number): number {
    if (this.idBytes(likely).equals(id)) return likely < this.length ? likely : -1;
    if (this.#places === undefined && this.#scans < MOST_SCANS) {
      this.#scans += 1;
      for (let at = this.#ids.indexOf(id); at >= 0; at = this.#ids.indexOf(id, at + 1))
        if (at % ID_BYTES === 0) return at / ID_BYTES;
      return -1;
    }
    this.#places ??= new Map(Array.from({ length: this.length }, (_, at) => [this.idBytes(at).toString('latin1'), at]));
    return this.#places.get(id.toString('latin1')) ?? -1;
  }
}

/** Reads the line that a commit ends. */
export async function readLine(repository: Repository, tip: CommitId): Promise<Line> {
  const table = await repository.index.readCommits();
  const rows: number[] = [];
  const others: LineCommit[] = [];
  const gaps = new Set<number>();
  const walked = new Set<CommitId>();
  let isExpired = false;
  let [id, row]: [CommitId | undefined, number] = [tip, table.find(tip)];
  while (id !== undefined || row >= 0) {
    // oxlint-disable-next-line no-await-in-loop -- of those that the table lacks
    const outline: CommitOutline = row >= 0 ? table.outline(row) : await outlineOf(repository, id);
    // Of the commit after it, which was walked before.
    if (outline.isExpired && !isExpired && rows.length > 0) gaps.add(rows.length - 1);
    isExpired = outline.isExpired;
    if (!isExpired && row < 0 && id !== undefined) others.push({ id, ...outline, isAfterGap: false });
    if (!isExpired) rows.push(row >= 0 ? row : -others.length);
    // Only a hostile history comes back to where it was.
    if (row < 0 && id !== undefined && walked.has(id)) break;
    if (row < 0 && id !== undefined) walked.add(id);
    const parent: number = row >= 0 ? table.parent(row) : UNKNOWN_PARENT;
    if (parent === NO_PARENT) break;
    if (parent === UNKNOWN_PARENT) {
      // oxlint-disable-next-line no-await-in-loop -- merges, mostly
      id = await firstParentOf(repository, id ?? table.entry(row).id);
      row = id === undefined ? -1 : table.find(id);
    } else [id, row] = [undefined, parent];
  }
  return new Line(table, rows, others, gaps);
}

async function outlineOf(repository: Repository, id: CommitId | undefined): Promise<CommitOutline> {
  if (id === undefined) throw new Error('a commit has neither row nor id');
  const { text, isExpired } = await readHistoryCommit(repository, id);
  return { timeMs: text.timeMs, kind: text.kind, seq: undefined, hasPaths: false, isExpired };
}

async function firstParentOf(repository: Repository, id: CommitId): Promise<CommitId | undefined> {
  return (await readHistoryCommit(repository, id)).commit.parents[0];
}
