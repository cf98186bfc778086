// Deletes what the last sweep says counts no more. Cut off anywhere, it is taken up again by the next call; what is deleted twice is gone
// once.

import { packName, parseSegmentName, segmentName } from '../format/segment.ts';
import { isMoltError, type MoltError } from '../model/error.ts';
import type { Repository } from './repository.ts';

/** How long after it was written a name of the log is deleted at the earliest: no writer goes by an older sight of the log's end. */
export const LOG_GRACE_MS = 72 * 3_600_000;
/** How long packs stay on a remote after the sweep that took them away, for whoever reads there; an hour less than a day's sweeps. */
export const READER_GRACE_MS = 23 * 3_600_000;

/** What was deleted, and what was not. */
export interface Deleted {
  objects: number;
  sizeBytes: number;
  /** Bytes and number of what count no more and stay for now, because of their age, or because they are locked. */
  laterObjects: number;
  laterBytes: number;
  readonly refused: RefusedDeletion[];
}

/** What the storage does not let go, and until when, where it says that it is locked. */
export interface RefusedDeletion {
  readonly name: string;
  readonly sizeBytes: number;
  readonly error: MoltError;
  readonly lockedUntilMs: number | undefined;
}

/**
 * Deletes packs and segments that count no more.
 * @param options.nowMs the storage's time, in milliseconds since the Unix epoch
 * @param options.packGraceMs packs are deleted only if the sweep that took them away is at least so old
 */
export async function deleteSwept(
  repository: Repository,
  options: { readonly nowMs: number; readonly packGraceMs: number; readonly signal?: AbortSignal | undefined },
): Promise<Deleted> {
  const { log, storage } = repository;
  const { begin } = log;
  const done: Deleted = { objects: 0, sizeBytes: 0, laterObjects: 0, laterBytes: 0, refused: [] };
  if (begin.sweepSeq === 0) return done;
  const remove = async (name: string, sizeBytes: number): Promise<boolean> => {
    options.signal?.throwIfAborted();
    try {
      await storage.delete(name);
      done.objects += 1;
      done.sizeBytes += sizeBytes;
      return true;
    } catch (error) {
      // Locked, mostly: it is told, and everything else goes.
      if (!isMoltError(error, 'REMOTE_REFUSED', 'IO')) throw error;
      const until = error.details['lockedUntilMs'];
      done.refused.push({ name, sizeBytes, error, lockedUntilMs: typeof until === 'number' ? until : undefined });
      later(sizeBytes);
      return false;
    }
  };
  const later = (sizeBytes: number): void => {
    done.laterObjects += 1;
    done.laterBytes += sizeBytes;
  };
  const swept = new Set(begin.swept.map((id) => packName(id)));
  const sweptMs = (await storage.stat(segmentName(begin.sweepSeq)))?.modifiedMs ?? Infinity;
  const mayGo = options.packGraceMs === 0 || sweptMs <= options.nowMs - options.packGraceMs;
  for await (const { name, sizeBytes } of storage.list('packs/')) {
    if (!swept.has(name)) continue;
    if (mayGo) await remove(name, sizeBytes);
    else later(sizeBytes);
  }
  // In the order of their numbers, and none behind one that stays: whoever finds the one before its own still there knows that its own
  // was not deleted.
  let isNext = true;
  for await (const { name, sizeBytes, modifiedMs } of storage.list('log/')) {
    const seq = parseSegmentName(name);
    if (seq === undefined) continue;
    if (seq > begin.seq) break;
    isNext &&= modifiedMs < options.nowMs - LOG_GRACE_MS;
    if (isNext) isNext = await remove(name, sizeBytes);
    else later(sizeBytes);
  }
  return done;
}
