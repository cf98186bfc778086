// Finds the entries that are names of one file. A database with several names is only safe to read under the name that has its
// write-ahead log; with two logs nobody can tell which one belongs to it.

import type { SkippedPath } from '../model/entry.ts';
import type { ScannedEntry } from './scan.ts';

/** Returns the entries with their link groups numbered in the order of their first names, less those that can't be read safely. */
export function linkEntries(entries: readonly ScannedEntry[]): {
  entries: readonly ScannedEntry[];
  skipped: SkippedPath[];
} {
  const groups = new Map<string, ScannedEntry[]>();
  for (const entry of entries) {
    if (entry.type !== 'file' || entry.linkCount < 2) continue;
    const id = `${entry.device}:${entry.inode}`;
    const group = groups.get(id);
    if (group === undefined) groups.set(id, [entry]);
    else group.push(entry);
  }
  const replaced = new Map<ScannedEntry, ScannedEntry | undefined>();
  const skipped: SkippedPath[] = [];
  let linkGroup = 0;
  for (const group of groups.values()) {
    if (group.length < 2) continue;
    const logged = group.filter((entry) => hasLog(entry));
    if (logged.length > 1) {
      for (const entry of group) {
        replaced.set(entry, undefined);
        skipped.push({
          path: entry.path,
          reason: 'a database with several names, each with a log of its own',
          kept: false,
        });
      }
      continue;
    }
    linkGroup += 1;
    const source = logged[0];
    for (const entry of group) replaced.set(entry, { ...entry, ...(source && readThrough(source)), linkGroup });
  }
  if (replaced.size === 0) return { entries, skipped };
  return { entries: entries.flatMap((entry) => (replaced.has(entry) ? (replaced.get(entry) ?? []) : entry)), skipped };
}

function hasLog(entry: ScannedEntry): boolean {
  return (entry.wal?.sizeBytes ?? 0) > 0 || (entry.journal?.sizeBytes ?? 0) > 0;
}

function readThrough({ native, wal, journal }: ScannedEntry): Partial<ScannedEntry> {
  return { native, ...(wal && { wal }), ...(journal && { journal }) };
}
