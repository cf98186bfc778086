// What pruning a storage came to: what was deleted, what waits, and what is locked and until when.

import { formatJsonTime } from '../model/time-format.ts';
import type { SweepOutcome } from '../repo/sweep.ts';
import type { Deleted } from '../repo/sweep-delete.ts';
import type { PrunedBackup } from './prune-decide.ts';

/** What pruning one storage did, or would do. Sizes are bytes of the storage. */
export interface PrunedStorage {
  /** Of what counts no more, and of what was written in its place. */
  readonly freedBytes: number;
  readonly writtenBytes: number;
  /** What was deleted, and what is only deleted later, because it is young or locked. */
  readonly deletedBytes: number;
  readonly deletedObjects: number;
  readonly laterBytes: number;
  readonly laterObjects: number;
  /** Names that could not be deleted, and why; and until when those are locked that are. */
  readonly refused: readonly { readonly name: string; readonly why: string; readonly lockedUntil?: string }[];
  /** Those of them that are locked. */
  readonly locked?: { readonly objects: number; readonly bytes: number; readonly until: string };
}

/** Backups that are kept only because their objects are locked, and when the last of these locks ends. */
export interface KeptByLock {
  readonly backups: number;
  readonly until: string;
}

/** Returns what a sweep and the deletions before and after it did to a storage. */
export function toStorage(outcome: SweepOutcome | undefined, deleted: readonly Deleted[]): PrunedStorage {
  const last = deleted.at(-1);
  const refused = last?.refused ?? [];
  const locked = refused.filter(({ lockedUntilMs }) => lockedUntilMs !== undefined);
  const sum = (of: (one: Deleted) => number): number => deleted.reduce((total, one) => total + of(one), 0);
  return {
    freedBytes: outcome?.freedBytes ?? 0,
    writtenBytes: outcome?.writtenBytes ?? 0,
    deletedBytes: sum(({ sizeBytes }) => sizeBytes),
    deletedObjects: sum(({ objects }) => objects),
    laterBytes: last?.laterBytes ?? 0,
    laterObjects: last?.laterObjects ?? 0,
    refused: refused.map(({ name, error, lockedUntilMs }) => ({
      name,
      why: error.message,
      ...(lockedUntilMs !== undefined && { lockedUntil: formatJsonTime(lockedUntilMs) }),
    })),
    ...(locked.length > 0 && {
      locked: {
        objects: locked.length,
        bytes: locked.reduce((total, { sizeBytes }) => total + sizeBytes, 0),
        until: formatJsonTime(Math.max(...locked.map(({ lockedUntilMs = 0 }) => lockedUntilMs))),
      },
    }),
  };
}

/** Counts the backups that retention would let go if they were not locked. */
export function findKeptByLock(backups: readonly PrunedBackup[]): { readonly keptByLock?: KeptByLock } {
  const ends = backups.flatMap(({ lockedUntil, reasons }) =>
    lockedUntil === undefined || reasons.length > 1 ? [] : [lockedUntil],
  );
  const until = ends.toSorted().at(-1);
  return until === undefined ? {} : { keptByLock: { backups: ends.length, until } };
}
