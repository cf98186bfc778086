// Rows of the table of commits in an index run (FORMAT.md, "Index runs"): enough to walk a history and to find a commit by time,
// kind or short id without reading one commit.

import type { CommitId, SegmentSeq } from '../model/ids.ts';
import { COMMIT_KINDS, type CommitKind } from './segment.ts';

/** A commit in the table. */
export interface CommitEntry {
  readonly id: CommitId;
  readonly timeMs: number;
  readonly seq: SegmentSeq;
  readonly kind: CommitKind;
  /** The segment of its only parent, 0 if it has none; undefined where only the commit itself tells. */
  readonly parentSeq: number | undefined;
  /** The path rows have every path that it changed. */
  readonly hasPaths: boolean;
  /** Its content is gone by a sweep; the commit itself tells what it was. */
  readonly isExpired: boolean;
}

/** A row: time u64 with its top bit flipped, segment u32, parent's segment u32, Git id 20, kind u8, flags u8, 2 zero. */
export const COMMIT_ROW_BYTES = 40;
/** Rows are ordered by time and segment. */
export const COMMIT_KEY_BYTES = 12;
const TIME_BIAS = 1n << 63n;
const UNKNOWN_PARENT = 0xffff_ffff;
const HAS_PATHS = 1;
const IS_EXPIRED = 2;
const ID_AT = 16;
const FLAGS_AT = 37;

/** Encodes a commit row. */
export function encodeCommitRow(commit: CommitEntry, into: Buffer, at: number): void {
  into.writeBigUInt64BE(BigInt(commit.timeMs) + TIME_BIAS, at);
  into.writeUInt32BE(commit.seq, at + 8);
  into.writeUInt32BE(commit.parentSeq ?? UNKNOWN_PARENT, at + 12);
  into.write(commit.id, at + ID_AT, 20, 'hex');
  into.writeUInt8(COMMIT_KINDS.indexOf(commit.kind), at + 36);
  into.writeUInt8((commit.hasPaths ? HAS_PATHS : 0) + (commit.isExpired ? IS_EXPIRED : 0), at + FLAGS_AT);
  into.writeUInt16BE(0, at + 38);
}

/** Reads a commit row. */
export function parseCommitRow(rows: Buffer, row: number): CommitEntry {
  const at = row * COMMIT_ROW_BYTES;
  const id = rows.toString('hex', at + ID_AT, at + ID_AT + 20) as CommitId;
  return { id, parentSeq: readParentSeq(rows, at), ...readCommitOutline(rows, at) };
}

/** Reads what decides whether a commit is wanted, of the row at an offset. */
export function readCommitOutline(
  rows: Buffer,
  at: number,
): Pick<CommitEntry, 'timeMs' | 'seq' | 'kind' | 'hasPaths' | 'isExpired'> {
  return {
    timeMs: readCommitTime(rows, at),
    seq: rows.readUInt32BE(at + 8) as SegmentSeq,
    kind: COMMIT_KINDS[rows.readUInt8(at + 36)] ?? 'incremental',
    hasPaths: (rows.readUInt8(at + FLAGS_AT) & HAS_PATHS) !== 0,
    isExpired: (rows.readUInt8(at + FLAGS_AT) & IS_EXPIRED) !== 0,
  };
}

/** Reads the capture time of the commit row at an offset, in milliseconds. */
export function readCommitTime(rows: Buffer, at: number): number {
  // Two halves, since a year of big integers takes its time.
  return (rows.readUInt32BE(at) - 0x8000_0000) * 0x1_0000_0000 + rows.readUInt32BE(at + 4);
}

/** Reads the parent's segment of the commit row at an offset. */
export function readParentSeq(rows: Buffer, at: number): number | undefined {
  const parent = rows.readUInt32BE(at + 12);
  return parent === UNKNOWN_PARENT ? undefined : parent;
}

/** Which commits a sweep changed what is known of. */
export interface SweptCommits {
  /** Their content is gone. */
  readonly expired: ReadonlySet<CommitId>;
  /** The path rows of segments up to this number are gone. */
  readonly throughSeq: number;
}

/** Returns rows as they are after a sweep. */
export function sweepCommitRows(rows: Buffer, swept: SweptCommits | undefined): Buffer {
  if (swept === undefined) return rows;
  const { expired, throughSeq } = swept;
  const marked = Buffer.from(rows);
  for (let at = 0; at < marked.length; at += COMMIT_ROW_BYTES) {
    const flags = marked.readUInt8(at + FLAGS_AT);
    const isExpired = expired.has(marked.toString('hex', at + ID_AT, at + ID_AT + 20) as CommitId);
    const left = marked.readUInt32BE(at + 8) <= throughSeq ? flags & ~HAS_PATHS : flags;
    marked.writeUInt8(isExpired ? left | IS_EXPIRED : left, at + FLAGS_AT);
  }
  return marked;
}
