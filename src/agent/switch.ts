// Puts staged files into the place of live ones: the second half of a restore in place. Everything was fetched, checked and written
// into a staging folder of the same root before, so that here is only renaming, removing and setting of attributes. Doing it again
// after a crash is harmless.

import {
  chmodSync,
  close,
  lstatSync,
  lutimesSync,
  mkdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  unlinkSync,
  utimesSync,
} from 'node:fs';
import { join } from 'node:path';
import type { EntryAttributes, RestoreEntry } from '../model/entry.ts';
import { isSystemError, MoltError } from '../model/error.ts';
import { displayPath, unescapeName } from '../model/name.ts';
import { systemFailure } from '../model/system-error.ts';
import { joinNative, suffixNative, type NativePath } from './native-path.ts';
import { openToRead, toTimes } from './rehydrate.ts';
import { isSqliteFile, SQLITE_SIDE_SUFFIXES } from './sqlite-header.ts';

/** The staging folder in each root. Captures pass over it. */
export const STAGING_FOLDER = '.molt-restore';

/** The two parts of a staging folder: what was staged while the agent ran, and what had to be added when it had stopped. */
export type Stage = 'early' | 'late';

const LARGE_BYTES = 16 << 20;

/** What a switch does. */
export interface SwitchPlan {
  /** Where each root is, by its key. */
  readonly dirs: ReadonlyMap<string, string>;
  /** What the moment lacks or has as something else; parents first. */
  readonly remove: readonly EntryAttributes[];
  /** All folders of the moment, parents first. */
  readonly folders: readonly EntryAttributes[];
  /** Files and symlinks that are staged. */
  readonly put: readonly RestoreEntry[];
  /** The folder inside the staging folders where an entry is staged; `late` unless it is given. */
  readonly stages?: ReadonlyMap<string, Stage>;
  /** Files whose content is right, but not their times or mode. */
  readonly touch: readonly EntryAttributes[];
}

/**
 * Carries a plan out, and removes the staging folders.
 * @throws {MoltError} HOSTILE when a path would lead out of its root; IO when the system refuses: then it is to be done again
 */
export function switchFiles(plan: SwitchPlan): void {
  const { dirs } = plan;
  for (const entry of plan.remove.toReversed()) attempt(entry, () => removeEntry(dirs, entry));
  for (const entry of plan.folders) attempt(entry, () => makeFolder(nativeOf(dirs, entry.path)));
  for (const entry of plan.put) attempt(entry, () => putEntry(dirs, entry, plan.stages?.get(entry.path) ?? 'late'));
  // Taking it away changes the time of the folder that it is in.
  for (const dir of dirs.values()) rmSync(join(dir, STAGING_FOLDER), { recursive: true, force: true });
  for (const entry of plan.touch) attempt(entry, () => setAttributes(nativeOf(dirs, entry.path), entry));
  for (const entry of plan.folders.toReversed()) attempt(entry, () => setAttributes(nativeOf(dirs, entry.path), entry));
}

function removeEntry(dirs: ReadonlyMap<string, string>, entry: EntryAttributes): void {
  const native = nativeOf(dirs, entry.path);
  try {
    if (entry.type === 'directory') rmdirSync(native);
    else {
      openParent(dirs, entry.path);
      removeSides(native);
      unlinkSync(native);
    }
  } catch (error) {
    // A folder that holds what is never captured (caches, logs, locks) stays.
    if (!isSystemError(error, 'ENOENT', 'ENOTEMPTY', 'EEXIST')) throw error;
  }
}

function putEntry(dirs: ReadonlyMap<string, string>, entry: RestoreEntry, stage: Stage): void {
  const staged = nativeOf(dirs, entry.path, join(STAGING_FOLDER, stage));
  const native = nativeOf(dirs, entry.path);
  openParent(dirs, entry.path);
  // An old log beside a new database would be played into it.
  if (entry.type === 'file') removeSides(native, isSqliteFile(staged));
  // A large file's room is given back with its last name and descriptor, which takes a while: nobody need wait for it.
  const old = entry.type === 'file' && entry.sizeBytes >= LARGE_BYTES ? openToRead(native) : undefined;
  renameSync(staged, native);
  if (old !== undefined) close(old);
}

function removeSides(native: NativePath, isDatabase = false): void {
  if (!isDatabase && !isSqliteFile(native)) return;
  for (const suffix of SQLITE_SIDE_SUFFIXES) {
    try {
      unlinkSync(suffixNative(native, suffix));
    } catch (error) {
      if (!isSystemError(error, 'ENOENT')) throw error;
    }
  }
}

function makeFolder(native: NativePath): void {
  const stats = lstatSync(native, { throwIfNoEntry: false });
  if (stats === undefined) mkdirSync(native, { mode: 0o700 });
  else if (!stats.isDirectory()) throw new MoltError('IO', 'something else stands where a folder should be');
  else if ((stats.mode & 0o700) !== 0o700) chmodSync(native, stats.mode | 0o700);
}

/** Checks that the folders above a path are folders, not links to elsewhere, and lets the last be written. */
function openParent(dirs: ReadonlyMap<string, string>, path: string): void {
  const key = keyOf(dirs, path);
  for (let at = path.indexOf('/', key.length + 1); at >= 0; at = path.indexOf('/', at + 1))
    makeFolder(nativeOf(dirs, path.slice(0, at)));
}

function setAttributes(native: NativePath, entry: EntryAttributes): void {
  if (entry.type === 'symlink') {
    lutimesSync(native, ...toTimes(entry.mtimeNs));
    return;
  }
  utimesSync(native, ...toTimes(entry.mtimeNs));
  chmodSync(native, entry.mode);
}

/** Returns where an entry is on the disk, in a folder of its root if one is given. */
export function nativeOf(dirs: ReadonlyMap<string, string>, path: string, within?: string): NativePath {
  const key = keyOf(dirs, path);
  let native: NativePath = dirs.get(key) ?? '';
  if (within !== undefined) native = joinNative(native, within);
  for (const escaped of path.slice(key.length + 1).split('/')) {
    if (escaped === '' && path === key) break;
    const name = unescapeName(escaped);
    const isBad = name.length === 0 || name === '.' || name === '..' || name.includes('/') || name.includes('\0');
    if (isBad || name === STAGING_FOLDER)
      throw new MoltError('HOSTILE', `"${displayPath(path)}" has a name that is none`);
    native = joinNative(native, name);
  }
  return native;
}

function keyOf(dirs: ReadonlyMap<string, string>, path: string): string {
  const key = /^(state|roots\/[0-9]+)(?=\/|$)/.exec(path)?.[1];
  if (key === undefined || !dirs.has(key))
    throw new MoltError('HOSTILE', `"${displayPath(path)}" lies in no folder that the agent has`);
  return key;
}

function attempt(entry: EntryAttributes, act: () => void): void {
  try {
    act();
  } catch (error) {
    throw systemFailure(error, `cannot restore "${displayPath(entry.path)}" in place`, 'the folder of the agent');
  }
}
