// What of a remote is locked against deletion, and until when. All locks are extended, since what counts no more was deleted or is still
// locked from its birth; late, because each costs a request.

import pMap from 'p-map';
import { isMoltError } from '../model/error.ts';
import type { ObjectLock, RemoteStorage, VersionedObjects } from '../storage/remote.ts';

const REQUESTS_AT_ONCE = 8;
const DAY_MS = 86_400_000;
/** A lock is extended when less than this share of its time is left. */
const LATE_SHARE = 1 / 3;
/** Caches can be made anew, so they may go. */
const NEEDED = ['format.json', 'keys/', 'log/', 'packs/'];

/** How a remote's objects are locked. */
export interface LockReport {
  readonly objects: number;
  readonly unlocked: number;
  /** When the first of the locks ends, in milliseconds since the Unix epoch. */
  readonly firstEndMs: number | undefined;
  readonly extended: number;
}

/**
 * Reads the locks of everything that a backup needs.
 * @param options.counts says of a segment or pack whether it is part of the repository
 * @param options.extend extends those that are about to end; needs the remote's lock
 * @throws {MoltError} REMOTE_REFUSED without the permission
 */
export async function checkLocks(
  storage: RemoteStorage & { readonly versions: VersionedObjects },
  options: {
    readonly lock: ObjectLock;
    readonly extend: boolean;
    readonly nowMs: number;
    readonly counts: (name: string) => boolean;
  },
): Promise<LockReport> {
  const { versions } = storage;
  const { lock, extend, nowMs, counts } = options;
  const names: string[] = [];
  for (const prefix of NEEDED)
    for await (const { name } of storage.list(prefix))
      if (!/^(log|packs)\//.test(name) || counts(name)) names.push(name);
  const report = { objects: names.length, unlocked: 0, extended: 0 };
  let firstEndMs: number | undefined;
  await pMap(
    names,
    async (name) => {
      const [oldest] = (await versions.list(name)).versions;
      if (oldest === undefined) return;
      const found = await versions.findRetention(name, oldest.versionId);
      let untilMs = found !== undefined && found.untilMs > nowMs ? found.untilMs : undefined;
      const isLate = untilMs === undefined || untilMs - nowMs < lock.days * DAY_MS * LATE_SHARE;
      if (extend && isLate) {
        untilMs = nowMs + lock.days * DAY_MS;
        await versions.extendRetention(name, oldest.versionId, { mode: lock.mode, untilMs });
        report.extended += 1;
      }
      if (untilMs === undefined) report.unlocked += 1;
      else firstEndMs = Math.min(firstEndMs ?? untilMs, untilMs);
    },
    { concurrency: REQUESTS_AT_ONCE },
  );
  return { ...report, firstEndMs };
}

/** Asks when the locks of some objects end, of those that have one; of none where the server does not tell. */
export async function findLockEnds(
  versions: VersionedObjects,
  names: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const ends = new Map<string, number>();
  const ask = async (name: string): Promise<void> => {
    const [oldest] = (await versions.list(name)).versions;
    const found = oldest && (await versions.findRetention(name, oldest.versionId));
    if (found !== undefined) ends.set(name, found.untilMs);
  };
  try {
    await pMap(names, ask, { concurrency: REQUESTS_AT_ONCE });
  } catch (error) {
    // A bucket without locks, or no permission: then deleting is refused where it has to be.
    if (!isMoltError(error, 'REMOTE_REFUSED')) throw error;
  }
  return ends;
}

/** Returns a lock report in words. */
export function describeLocks({ objects, unlocked, firstEndMs, extended }: LockReport): string {
  const end = firstEndMs === undefined ? '' : `, the first until ${new Date(firstEndMs).toISOString()}`;
  const more = extended === 0 ? '' : `; ${extended} were extended`;
  const open =
    unlocked === 0 ? '' : `; ${unlocked} can be deleted: molt verify --remote NAME --extend-locks locks them`;
  return `locks ${objects - unlocked} of ${objects} objects${end}${more}${open}`;
}
