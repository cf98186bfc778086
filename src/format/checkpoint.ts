// A checkpoint (FORMAT.md, "Checkpoints"): refs and index runs as of a segment, so that opening need not replay the whole log.
// It is a cache: believed only if the segment it names has the hash it names.

import { zstdCompressSync } from 'node:zlib';
import { MoltError } from '../model/error.ts';
import type { CommitId, GitId, PackId, SegmentSeq } from '../model/ids.ts';
import { Fields, HEX_32 } from './fields.ts';
import type { EncodedBlock } from './container.ts';
import { BLOCK, ENCODING } from './layout.ts';
import { parseRefs } from './log-base.ts';
import { NO_PREVIOUS } from './segment.ts';

/** An index run as a checkpoint names it. */
export interface RunNote {
  /** SHA-256 of the run's bytes, which is its name. */
  readonly id: string;
  /** The segments it covers, both ends included. */
  readonly fromSeq: number;
  readonly toSeq: number;
  readonly objects: number;
}

/** Where a log begins, by its last sweep. */
export interface LogBegin {
  /** The last number that is gone, 0 if none is, and the hash of what stood there. */
  readonly seq: number;
  readonly hash: string;
  /** The sweep's own number, 0 if there was none. */
  readonly sweepSeq: number;
  /** Packs of commits whose content is gone. */
  readonly history: readonly PackId[];
  /** Packs that may still be there and must not be named again. */
  readonly swept: readonly PackId[];
}

/** The beginning of a log that nothing was swept of. */
export const FIRST_BEGIN: LogBegin = { seq: 0, hash: NO_PREVIOUS, sweepSeq: 0, history: [], swept: [] };

/** What a checkpoint says. */
export interface Checkpoint {
  readonly seq: SegmentSeq;
  /** SHA-256 of the segment's bytes. */
  readonly hash: string;
  readonly refs: ReadonlyMap<string, GitId>;
  /** The commits that tags name, by ref, as far as the log says. */
  readonly tagged: ReadonlyMap<string, CommitId>;
  /** Oldest first, together covering 1 to seq without gaps. */
  readonly runs: readonly RunNote[];
  /** Numbers up to seq that are holes. */
  readonly holes: readonly number[];
  readonly begin: LogBegin;
}

/** Returns the object name of a checkpoint. */
export function checkpointName(seq: number, hash: string): string {
  return `checkpoint/${String(seq).padStart(12, '0')}-${hash}`;
}

/** Returns number and hash behind a checkpoint's object name, or undefined if it is none. */
export function parseCheckpointName(name: string): { seq: SegmentSeq; hash: string } | undefined {
  const match = /^checkpoint\/(\d{12})-([0-9a-f]{64})$/.exec(name);
  if (match?.[1] === undefined || match[2] === undefined) return undefined;
  return { seq: Number(match[1]) as SegmentSeq, hash: match[2] };
}

/** Encodes a checkpoint as the one data block of its container. */
export function encodeCheckpoint(checkpoint: Checkpoint): EncodedBlock {
  const plain = Buffer.from(
    JSON.stringify({
      seq: checkpoint.seq,
      hash: checkpoint.hash,
      refs: Object.fromEntries(checkpoint.refs),
      tagged: Object.fromEntries(checkpoint.tagged),
      runs: checkpoint.runs,
      holes: checkpoint.holes,
      ...(checkpoint.begin !== FIRST_BEGIN && { begin: checkpoint.begin }),
    }),
    'utf8',
  );
  return { type: BLOCK.data, encoding: ENCODING.zstd, bytes: zstdCompressSync(plain), plainBytes: plain.length };
}

/**
 * Parses a checkpoint's decoded block.
 * @throws {MoltError} DAMAGED
 */
export function parseCheckpoint(plain: Buffer, name: string): Checkpoint {
  const fields = new Fields(parseJson(plain, name), name);
  const seq = fields.integer('seq', 1) as SegmentSeq;
  const runs = fields.list('runs').map((run) => ({
    id: run.text('id', HEX_32),
    fromSeq: run.integer('fromSeq', 1),
    toSeq: run.integer('toSeq', 1),
    objects: run.integer('objects'),
  }));
  const [refs, tagged] = [parseRefs(fields, 'refs', name), parseRefs(fields, 'tagged', name)];
  const begin = fields.has('begin')
    ? parseBegin(new Fields(fields.value('begin'), `the beginning in ${name}`))
    : FIRST_BEGIN;
  return { seq, hash: fields.text('hash', HEX_32), refs, tagged, runs, holes: fields.integers('holes'), begin };
}

function parseBegin(fields: Fields): LogBegin {
  return {
    seq: fields.integer('seq'),
    hash: fields.text('hash', HEX_32),
    sweepSeq: fields.integer('sweepSeq'),
    history: fields.texts('history', HEX_32) as PackId[],
    swept: fields.texts('swept', HEX_32) as PackId[],
  };
}

function parseJson(plain: Buffer, name: string): unknown {
  try {
    return JSON.parse(plain.toString('utf8'));
  } catch (cause) {
    throw new MoltError('DAMAGED', `${name} is not JSON`, { cause });
  }
}
