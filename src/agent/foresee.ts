// What a scan will find, guessed beforehand, so that what takes long to get ready is begun in time.

import type { Root } from './profile.ts';
import { readStamps } from './sqlite-files.ts';
import { isUnchanged, type StatCache } from './stat-cache.ts';
import { nativeOf } from './switch.ts';

/** Returns the size of the first file of at least so many bytes that is not as the cache knows it, if there is one. */
export function findChangedLarge(
  roots: readonly Root[],
  { files, scanStartNs }: StatCache,
  leastBytes: number,
): number | undefined {
  const dirs = new Map(roots.map(({ key, dir }) => [key, dir]));
  for (const [path, cached] of files) {
    if (cached.blobSizeBytes < leastBytes) continue;
    try {
      const { main, wal, journal } = readStamps(nativeOf(dirs, path));
      const logs = { ...(wal && { wal }), ...(journal && { journal }) };
      if (!isUnchanged({ ...main, ...logs }, cached, scanStartNs)) return main.sizeBytes;
    } catch {
      // The scan says what is wrong with it.
    }
  }
  return undefined;
}
