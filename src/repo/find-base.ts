// Finds where a log begins, for whoever opens it without a checkpoint: at its newest sweep.

import type { LogBase } from '../format/log-base.ts';
import { KIND } from '../format/layout.ts';
import { parseSegmentName, parseSegmentRecord, segmentName, type CommitNote } from '../format/segment.ts';
import type { SegmentSeq } from '../model/ids.ts';
import type { Containers } from './containers.ts';
import { isDamage } from './storage-failure.ts';

/** A sweep, for opening a log from it. */
export interface FoundBase {
  readonly seq: SegmentSeq;
  readonly base: LogBase;
  /** Commits that have their content and came by segments that are gone. */
  readonly commits: readonly CommitNote[];
}

/**
 * Finds the newest sweep of a log whose numbers are not all there from the first; undefined if there is none, or nothing is gone: then
 * the log is read from its beginning, and tells of its sweeps itself.
 */
export async function findBase(containers: Containers): Promise<FoundBase | undefined> {
  const numbers = await listNumbers(containers);
  return numbers.every((seq, at) => seq === at + 1) ? undefined : findSweep(containers, numbers);
}

/** Finds the newest sweep of a log, whether or not anything is gone yet. */
export async function findLastSweep(containers: Containers): Promise<FoundBase | undefined> {
  return findSweep(containers, await listNumbers(containers));
}

async function listNumbers({ storage }: Containers): Promise<SegmentSeq[]> {
  const numbers: SegmentSeq[] = [];
  for await (const { name } of storage.list('log/')) {
    const seq = parseSegmentName(name);
    if (seq !== undefined) numbers.push(seq);
  }
  return numbers;
}

/**
 * Finds the newest sweep among some segments, from the end: a log is swept about once a day.
 * @param known what a checkpoint says: the newest sweep up to its number, 0 for none
 */
export async function findSweep(
  containers: Containers,
  numbers: readonly SegmentSeq[],
  known?: { readonly seq: number; readonly sweepSeq: number },
): Promise<FoundBase | undefined> {
  for (const seq of numbers.toReversed()) {
    if (known !== undefined && seq <= known.seq && seq !== known.sweepSeq) continue;
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    const found = await readSweep(containers, seq);
    if (found !== undefined) return found;
  }
  return undefined;
}

async function readSweep(containers: Containers, seq: SegmentSeq): Promise<FoundBase | undefined> {
  const name = segmentName(seq);
  try {
    const bytes = await containers.storage.read(name);
    if (bytes === undefined) return undefined;
    const reader = containers.openWhole(bytes, { name, kind: KIND.segment, seq });
    const { footer } = await reader.readFooter(async (start, end) => bytes.subarray(start, end), bytes.length);
    const { base, commits, seq: number } = parseSegmentRecord(footer.record, name);
    return base === undefined || number !== seq ? undefined : { seq, base, commits };
  } catch (error) {
    // What is planted, damaged or of a newer molt is the replay's to judge.
    if (isDamage(error)) return undefined;
    throw error;
  }
}
