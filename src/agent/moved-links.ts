// Points the links of a restored copy at the copy: a link to where the agent lived would make it write there.

import { readdirSync, readlinkSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { systemFailure } from '../model/system-error.ts';
import { quote } from './inside.ts';
import type { MovedPaths } from './moved-paths.ts';
import type { RebindChange } from './revival.ts';
import { SQLITE_SIDE_SUFFIXES, isSqliteFile } from './sqlite-header.ts';

/**
 * Points every link that leads to a folder of the captured machine at what was restored of it, and removes what lies beside the databases
 * of a fresh copy: a commit holds no logs, so they are another database's, and would be laid over this one.
 * @throws {MoltError} IO
 */
export function settleCopy(paths: MovedPaths): RebindChange[] {
  const { from, to } = paths.relocation;
  const changes: RebindChange[] = [];
  for (const [key, dir] of to) {
    const before = from.get(key);
    if (before === undefined || before === dir) continue;
    for (const { native, isLink } of walk(dir)) {
      const below = native.slice(dir.length);
      const what = isStrayLog(native) ? dropFile(native) : isLink ? moveLink(paths, native, before + below) : undefined;
      if (what !== undefined) changes.push({ path: key + below, what, count: 1 });
    }
  }
  return changes;
}

function isStrayLog(native: string): boolean {
  const suffix = SQLITE_SIDE_SUFFIXES.find((one) => native.endsWith(one));
  return suffix !== undefined && isSqliteFile(native.slice(0, -suffix.length));
}

function dropFile(native: string): string {
  try {
    rmSync(native);
  } catch (error) {
    throw systemFailure(error, `cannot remove ${quote(native)}`, dirname(native));
  }
  return 'a stale log (dropped)';
}

/** @param before where the link was on the captured machine */
function moveLink(paths: MovedPaths, native: string, before: string): string | undefined {
  const target = readlinkSync(native);
  const meant = resolve(dirname(before), target);
  const moved = paths.find(meant);
  // Within the copy a relative link leads to the same place as ever, unless its roots lie otherwise to each other.
  if (moved === undefined || resolve(dirname(native), target) === moved) return undefined;
  replaceLink(native, moved);
  return 'link';
}

/** Lists what lies in a folder and below, following no link; a name that isn't valid UTF-8 is passed over. */
function* walk(dir: string): Generator<{ readonly native: string; readonly isLink: boolean }> {
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const native = `${dir}/${entry.name}`;
    if (entry.isDirectory()) yield* walk(native);
    else yield { native, isLink: entry.isSymbolicLink() };
  }
}

function replaceLink(native: string, target: string): void {
  const temp = `${native}.molt-rebind`;
  try {
    rmSync(temp, { force: true });
    symlinkSync(target, temp);
    renameSync(temp, native);
  } catch (error) {
    rmSync(temp, { force: true });
    throw systemFailure(error, `cannot point the link ${quote(native)} at the restored files`, dirname(native));
  }
}
