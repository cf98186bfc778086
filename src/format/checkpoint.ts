// A checkpoint (FORMAT.md, "Checkpoints"): refs and index runs as of a segment, so that opening need not replay the whole log.
// It is a cache: believed only if the segment it names has the hash it names.

import { zstdCompressSync } from 'node:zlib';
import { MoltError } from '../model/error.ts';
import type { CommitId, GitId, SegmentSeq } from '../model/ids.ts';
import { Fields, HEX_20, HEX_32 } from './fields.ts';
import type { EncodedBlock } from './container.ts';
import { BLOCK, ENCODING } from './layout.ts';
import { REF_MAX_LENGTH, REF_NAME } from './segment.ts';

/** An index run as a checkpoint names it. */
export interface RunNote {
  /** SHA-256 of the run's bytes, which is its name. */
  readonly id: string;
  /** The segments it covers, both ends included. */
  readonly fromSeq: number;
  readonly toSeq: number;
  readonly objects: number;
}

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
  const ids = (key: string): Map<string, GitId> => {
    const entries = fields.entries(key).map(([ref, id]): [string, GitId] => {
      if (ref.length > REF_MAX_LENGTH || !REF_NAME.test(ref) || typeof id !== 'string' || !HEX_20.test(id)) {
        throw new MoltError('DAMAGED', `${name} has an impossible ref`);
      }
      return [ref, id as GitId];
    });
    return new Map(entries);
  };
  const [refs, tagged] = [ids('refs'), ids('tagged')];
  return { seq, hash: fields.text('hash', HEX_32), refs, tagged, runs, holes: fields.integers('holes') };
}

function parseJson(plain: Buffer, name: string): unknown {
  try {
    return JSON.parse(plain.toString('utf8'));
  } catch (cause) {
    throw new MoltError('DAMAGED', `${name} is not JSON`, { cause });
  }
}
