// The record of a segment (FORMAT.md, "Segments"): what one event of the log says.

import { MoltError } from '../model/error.ts';
import type { CommitId, GitId, PackId, SegmentSeq } from '../model/ids.ts';
import { Fields, HEX_16, HEX_20, HEX_32 } from './fields.ts';
import {
  encodeLogBase,
  encodePackNotes,
  parseLogBase,
  parsePackNotes,
  type LogBase,
  type PackNote,
} from './log-base.ts';
import { REF_NAME } from './ref-name.ts';
import { PATH_HASH_BYTES, PATH_NOTE_MOST } from './path-note.ts';

/** The kinds of log event: a `sweep` says what of the log is gone, and what it stood for. A reader that meets another one stops politely. */
export type SegmentType = 'commit' | 'sweep';

/** A ref that moves; undefined is absence. */
export interface RefMove {
  /** `refs/heads/…`, `refs/tags/…` or `refs/molt/WORD/…`. A move from where it is to there only asks that it still stands there. */
  readonly name: string;
  readonly from: GitId | undefined;
  readonly to: GitId | undefined;
  /** Where `to` is an annotated tag, the commit that it names: so that lists need not read every tag. */
  readonly commit?: CommitId | undefined;
}

/** A number of the log that holds something which is no segment of this log. */
export interface Hole {
  readonly seq: SegmentSeq;
  /** Of the bytes that stand there, hex. */
  readonly sha256: string;
}

/** A commit that the segment brings, for lookups without reading the commit. */
export interface CommitNote {
  readonly id: CommitId;
  /** When it was captured, in milliseconds since the Unix epoch. */
  readonly timeMs: number;
  readonly kind: CommitKind;
  /** Its parents; undefined if the note does not say. */
  readonly parents?: readonly CommitId[] | undefined;
  /** Hashes of the paths that differ from its first parent's (path-note.ts); undefined if the note does not say. */
  readonly paths?: Buffer | undefined;
  /** The segment that first brought it, where that is another one: a swept one. */
  readonly seq?: SegmentSeq | undefined;
}

/** Why a commit was made. */
export const COMMIT_KINDS = ['incremental', 'full', 'manual', 'safety'] as const;
export type CommitKind = (typeof COMMIT_KINDS)[number];

/** What a segment says. */
export interface SegmentRecord {
  readonly type: SegmentType;
  readonly seq: SegmentSeq;
  /** SHA-256 of the previous segment's bytes; 64 zeros before the first. */
  readonly previous: string;
  /** Random id of the writing process, 32 hex digits. */
  readonly writer: string;
  /** Random, new for every attempt: tells a writer after a lost answer whether it was the winner. 32 hex digits. */
  readonly nonce: string;
  readonly timeMs: number;
  /** Newest generation of the keyring that the writer knew. */
  readonly keyGeneration: number;
  readonly holes: readonly Hole[];
  readonly refs: readonly RefMove[];
  readonly commits: readonly CommitNote[];
  readonly packs: readonly PackNote[];
  /** In a bundle: commits that whoever takes it must have, with all that they need. */
  readonly requires?: readonly CommitId[] | undefined;
  /** Those of the packs that hold commits whose content is gone (history-note.ts). */
  readonly history?: readonly PackId[] | undefined;
  /** In a sweep: where the log begins, and all that what is gone said. */
  readonly base?: LogBase | undefined;
}

/** What stands for "no segment before". */
export const NO_PREVIOUS = '0'.repeat(64);

/** Returns the object name of a segment. */
export function segmentName(seq: number): string {
  return `log/${String(seq).padStart(12, '0')}`;
}

/** Returns the number behind a segment's object name, or undefined if it is none. */
export function parseSegmentName(name: string): SegmentSeq | undefined {
  const match = /^log\/(\d{12})$/.exec(name);
  const seq = Number(match?.[1] ?? 0);
  return seq > 0 ? (seq as SegmentSeq) : undefined;
}

/** Returns the object name of a pack. */
export function packName(id: PackId): string {
  return `packs/${id.slice(0, 2)}/${id}`;
}

/** Returns the JSON value of a segment's record. */
export function encodeSegmentRecord(record: SegmentRecord): unknown {
  return {
    type: record.type,
    seq: record.seq,
    previous: record.previous,
    writer: record.writer,
    nonce: record.nonce,
    time: record.timeMs,
    keys: record.keyGeneration,
    holes: record.holes,
    refs: record.refs.map(({ name, from, to, commit }) => {
      return { name, from: from ?? null, to: to ?? null, ...(commit !== undefined && { commit }) };
    }),
    commits: record.commits.map(({ id, timeMs, kind, parents, paths, seq: from }) => {
      return {
        id,
        time: timeMs,
        kind,
        ...(parents !== undefined && { parents }),
        ...(paths !== undefined && { paths: paths.toString('base64') }),
        ...(from !== undefined && { seq: from }),
      };
    }),
    packs: encodePackNotes(record.packs),
    ...(record.requires !== undefined && { requires: record.requires }),
    ...(record.history !== undefined && { history: record.history }),
    ...(record.base !== undefined && { base: encodeLogBase(record.base) }),
  };
}

/**
 * Parses a segment's record.
 * @throws {MoltError} DAMAGED, or NEWER_FORMAT for a type of event that this reader does not know
 */
export function parseSegmentRecord(value: unknown, name: string): SegmentRecord {
  const fields = new Fields(value, `the record of ${name}`);
  const type = fields.text('type', /^[a-z]{1,20}$/);
  if (type !== 'commit' && type !== 'sweep') {
    throw new MoltError('NEWER_FORMAT', `${name} records a "${type}", which this molt does not know`, {
      hint: 'install a newer molt; nothing was changed',
    });
  }
  const seq = fields.integer('seq', 1) as SegmentSeq;
  return {
    type,
    seq,
    previous: fields.text('previous', HEX_32),
    writer: fields.text('writer', HEX_16),
    nonce: fields.text('nonce', HEX_16),
    timeMs: fields.integer('time', Number.MIN_SAFE_INTEGER),
    keyGeneration: fields.integer('keys', 1),
    holes: fields.list('holes').map((hole) => ({
      seq: hole.integer('seq', 1) as SegmentSeq,
      sha256: hole.text('sha256', HEX_32),
    })),
    refs: fields.list('refs').map(parseRefMove),
    commits: fields.list('commits').map((commit) => ({
      id: commit.text('id', HEX_20) as CommitId,
      timeMs: commit.integer('time', Number.MIN_SAFE_INTEGER),
      kind: commit.text('kind', /^(incremental|full|manual|safety)$/) as CommitKind,
      parents: commit.has('parents') ? (commit.texts('parents', HEX_20) as CommitId[]) : undefined,
      paths: commit.has('paths')
        ? Buffer.from(commit.text('paths', PATH_NOTE, PATH_NOTE_MAX_LENGTH), 'base64')
        : undefined,
      ...(commit.has('seq') && { seq: commit.integer('seq', 1) as SegmentSeq }),
    })),
    packs: parsePackNotes(fields, 'packs'),
    requires: fields.has('requires') ? (fields.texts('requires', HEX_20) as CommitId[]) : undefined,
    ...(fields.has('history') && { history: fields.texts('history', HEX_32) as PackId[] }),
    ...(type === 'sweep' && { base: parseLogBase(fields, name, seq) }),
  };
}

function parseRefMove(fields: Fields): RefMove {
  return {
    name: fields.text('name', REF_NAME),
    from: parseOid(fields, 'from'),
    to: parseOid(fields, 'to'),
    commit: parseOid(fields, 'commit'),
  };
}

function parseOid(fields: Fields, key: string): GitId | undefined {
  const text = fields.has(key) && !fields.isNull(key) ? fields.text(key, HEX_20) : undefined;
  return text as GitId | undefined;
}

/** A note's length as base64, and base64 of any number of bytes. */
const PATH_NOTE_MAX_LENGTH = Math.ceil((PATH_NOTE_MOST * PATH_HASH_BYTES) / 3) * 4;
const PATH_NOTE = /^[A-Za-z0-9+/]*={0,2}$/;
