// What a sweep says in place of all that it takes away (FORMAT.md, "Sweeps"): where the log begins since, and the state as of the sweep.

import { MoltError } from '../model/error.ts';
import type { CommitId, GitId, PackId } from '../model/ids.ts';
import { Fields, HEX_20, HEX_32 } from './fields.ts';
import { REF_MAX_LENGTH, REF_NAME } from './ref-name.ts';

/** A pack that a segment adds, or that counts. */
export interface PackNote {
  readonly id: PackId;
  readonly sizeBytes: number;
}

/** Where a log begins, and what counts as of the sweep that says so. */
export interface LogBase {
  /** The last number that is gone, 0 if none is; segments up to it count no more, whether or not they were deleted yet. */
  readonly seq: number;
  /** SHA-256 of that segment, which the one behind it follows; 64 zeros for number 0. */
  readonly hash: string;
  readonly refs: ReadonlyMap<string, GitId>;
  readonly tagged: ReadonlyMap<string, CommitId>;
  /** Every pack that counts, the sweep's own among them. */
  readonly packs: readonly PackNote[];
  /** Those of them that hold commits whose content is gone. */
  readonly history: readonly PackId[];
  /** Packs that count no more and may still be there. Nothing may name them again. */
  readonly swept: readonly PackId[];
}

/** Returns the JSON value of a base. */
export function encodeLogBase({ seq, hash, refs, tagged, packs, history, swept }: LogBase): unknown {
  return {
    seq,
    hash,
    refs: Object.fromEntries(refs),
    tagged: Object.fromEntries(tagged),
    packs: encodePackNotes(packs),
    history,
    swept,
  };
}

/**
 * Parses the base of a sweep.
 * @param sweepSeq the sweep's own number
 * @throws {MoltError} DAMAGED
 */
export function parseLogBase(record: Fields, name: string, sweepSeq: number): LogBase {
  const fields = new Fields(record.value('base'), `the base in ${name}`);
  const ids = (key: string): PackId[] => fields.texts(key, HEX_32) as PackId[];
  const [seq, packs, swept] = [fields.integer('seq'), parsePackNotes(fields, 'packs'), ids('swept')];
  const gone = new Set(swept);
  // What it takes away is deleted by its word alone.
  if (seq >= sweepSeq || packs.some(({ id }) => gone.has(id)))
    throw new MoltError('DAMAGED', `${name} takes away what it says counts`);
  return {
    seq,
    hash: fields.text('hash', HEX_32),
    refs: parseRefs(fields, 'refs', name),
    tagged: parseRefs(fields, 'tagged', name),
    packs,
    history: ids('history'),
    swept,
  };
}

/** Returns the JSON value of a list of packs. */
export function encodePackNotes(packs: readonly PackNote[]): unknown {
  return packs.map(({ id, sizeBytes }) => ({ id, size: sizeBytes }));
}

/** Parses a list of packs. @throws {MoltError} DAMAGED */
export function parsePackNotes(fields: Fields, key: string): PackNote[] {
  return fields.list(key).map((pack) => ({
    id: pack.text('id', HEX_32) as PackId,
    sizeBytes: pack.integer('size', 1),
  }));
}

/** Parses refs by name. @throws {MoltError} DAMAGED */
export function parseRefs(fields: Fields, key: string, name: string): Map<string, GitId> {
  const entries = fields.entries(key).map(([ref, id]): [string, GitId] => {
    if (ref.length > REF_MAX_LENGTH || !REF_NAME.test(ref) || typeof id !== 'string' || !HEX_20.test(id)) {
      throw new MoltError('DAMAGED', `${name} has an impossible ref`);
    }
    return [ref, id as GitId];
  });
  return new Map(entries);
}
