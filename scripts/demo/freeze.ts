// Freezes a state folder: a plain copy of every file, and of every database what SQLite itself gives as its content now, with all
// that still lies in its write-ahead log. molt has no part in it, so that what molt restores can be compared with it.

import { execFileSync } from 'node:child_process';
import { chmodSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';
import { isDatabase, listPaths } from './compare.ts';

/** What a backup of OpenClaw leaves out: caches, locks and links of the running program. The demo's own list, not molt's. */
export function isTransient(path: string): boolean {
  return /^(tmp|cache|plugin-skills)(\/|$)|\.sqlite\.(generation-lock|generation-writer|reindex-lock)\.sqlite$/.test(
    path,
  );
}

/** Freezes a state folder into a new one. Nobody may write meanwhile; databases may be open. */
export async function freezeState(stateDir: string, dir: string): Promise<void> {
  // A process of its own: closing a database's file in this one would drop the locks of the handles that are open here.
  execFileSync('cp', ['-a', stateDir, dir]);
  for (const path of listPaths(dir, isTransient)) {
    const copy = join(dir, path);
    if (!isDatabase(copy)) continue;
    const { mode } = statSync(copy);
    for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(copy + suffix, { force: true });
    const database = new DatabaseSync(join(stateDir, path), { readOnly: true });
    await backup(database, copy);
    database.close();
    chmodSync(copy, mode);
  }
}
