// All commits of a storage in memory, flat: a year of them is walked in milliseconds, and only those that are wanted are read.

import {
  COMMIT_ROW_BYTES,
  parseCommitRow,
  readCommitOutline,
  readCommitTime,
  readParentSeq,
  type CommitEntry,
} from '../format/commit-rows.ts';
import type { CommitId } from '../model/ids.ts';

/** Stands for a parent that only the commit itself tells. */
export const UNKNOWN_PARENT = -2;
/** Stands for no parent. */
export const NO_PARENT = -1;
const MOST_SEGMENTS_A_ROW = 64;

/** The commits that the log notes, by capture time, then segment. A row is a commit's number from 0. */
export class CommitTable {
  readonly #rows: Buffer;
  #rowOfSeq: Int32Array | undefined;

  /** @param rows sorted */
  constructor(rows: Buffer) {
    this.#rows = rows;
  }

  get count(): number {
    return this.#rows.length / COMMIT_ROW_BYTES;
  }

  entry(row: number): CommitEntry {
    return parseCommitRow(this.#rows, row);
  }

  outline(row: number): ReturnType<typeof readCommitOutline> {
    return readCommitOutline(this.#rows, row * COMMIT_ROW_BYTES);
  }

  /** Copies the 20 bytes of a commit's id to a place. */
  copyId(row: number, target: Buffer, at: number): void {
    const start = row * COMMIT_ROW_BYTES + 16;
    this.#rows.copy(target, at, start, start + 20);
  }

  timeMs(row: number): number {
    return readCommitTime(this.#rows, row * COMMIT_ROW_BYTES);
  }

  /** Returns the 20 bytes of a row's id. */
  idBytes(row: number): Buffer {
    const at = row * COMMIT_ROW_BYTES + 16;
    return this.#rows.subarray(at, at + 20);
  }

  entries(): CommitEntry[] {
    return Array.from({ length: this.count }, (_, row) => this.entry(row));
  }

  /** Returns a commit's row, or -1. */
  find(id: CommitId): number {
    const bytes = Buffer.from(id, 'hex');
    for (let at = this.#rows.indexOf(bytes); at >= 0; at = this.#rows.indexOf(bytes, at + 1)) {
      const row = Math.floor(at / COMMIT_ROW_BYTES);
      if (at === row * COMMIT_ROW_BYTES + 16) return row;
    }
    return -1;
  }

  /** Lists the commits whose id begins with some hex digits. */
  findByPrefix(prefix: string): CommitId[] {
    const ids = new Set<CommitId>();
    const whole = Buffer.from(prefix.slice(0, prefix.length & ~1), 'hex');
    for (let at = 16; at < this.#rows.length; at += COMMIT_ROW_BYTES) {
      if (whole.compare(this.#rows, at, at + whole.length) !== 0) continue;
      const id = this.#rows.toString('hex', at, at + 20) as CommitId;
      if (id.startsWith(prefix)) ids.add(id);
    }
    return [...ids].toSorted();
  }

  /** Returns the row of a commit's only parent, NO_PARENT or UNKNOWN_PARENT. */
  parent(row: number): number {
    const parentSeq = readParentSeq(this.#rows, row * COMMIT_ROW_BYTES);
    if (parentSeq === undefined) return UNKNOWN_PARENT;
    if (parentSeq === 0) return NO_PARENT;
    // Nearly always the row before.
    if (row > 0 && this.#seq(row - 1) === parentSeq && (row === 1 || this.#seq(row - 2) !== parentSeq)) return row - 1;
    this.#rowOfSeq ??= this.#indexSegments();
    return this.#rowOfSeq[parentSeq] ?? UNKNOWN_PARENT;
  }

  #seq(row: number): number {
    return this.#rows.readUInt32BE(row * COMMIT_ROW_BYTES + 8);
  }

  /** A segment of several commits does not tell which of them is meant. */
  #indexSegments(): Int32Array {
    // A number far beyond the rows there are must not take its room: such a parent is asked of its commit.
    const most = this.count * MOST_SEGMENTS_A_ROW;
    let last = 0;
    for (let row = 0; row < this.count; row += 1) last = Math.max(last, Math.min(this.#seq(row), most));
    const rows = new Int32Array(last + 1).fill(UNKNOWN_PARENT);
    const several = new Set<number>();
    for (let row = 0; row < this.count; row += 1) {
      const seq = this.#seq(row);
      if (seq > last) continue;
      if (rows[seq] !== UNKNOWN_PARENT) several.add(seq);
      rows[seq] = row;
    }
    for (const seq of several) rows[seq] = UNKNOWN_PARENT;
    return rows;
  }
}
