// Walks a directory storage's objects in the byte order of their names, visiting only folders that can hold some of those wanted.

import { lstatSync, readdirSync } from 'node:fs';
import { isSystemError } from '../model/error.ts';
import { isNamePart, MAX_NAME_LENGTH, SCRATCH_FOLDER } from './name.ts';
import type { ObjectStat } from './storage.ts';

/**
 * Yields the objects under a root whose names begin with `prefix` and come after `startAfter`. A folder is read when the walk comes
 * to it; what is deleted meanwhile is left out. Whatever is no plain file or has no object's name is passed over.
 */
export function* walkObjects(root: string, prefix: string, startAfter: string): Generator<ObjectStat> {
  const start = prefix.slice(0, prefix.lastIndexOf('/') + 1);
  if (start.startsWith(`${SCRATCH_FOLDER}/`) || !isRealFolder(root, start)) return;
  yield* walkFolder({ root, prefix, startAfter }, start);
}

interface Wanted {
  readonly root: string;
  readonly prefix: string;
  readonly startAfter: string;
}

/** @param folder relative to the root, with a slash at its end; empty for the root */
function* walkFolder(wanted: Wanted, folder: string): Generator<ObjectStat> {
  for (const name of readFolder(wanted, folder)) {
    if (name.endsWith('/')) {
      yield* walkFolder(wanted, name);
      continue;
    }
    const stat = lstatSync(`${wanted.root}/${name}`, { throwIfNoEntry: false });
    if (stat?.isFile() === true) yield { name, sizeBytes: stat.size, modifiedMs: Math.trunc(stat.mtimeMs) };
  }
}

/** Returns a folder's wanted names in order. A folder's ends with a slash, which is where the names in it sort: after `a-b`, before `a0`. */
function readFolder(wanted: Wanted, folder: string): string[] {
  const names: string[] = [];
  for (const entry of readEntries(`${wanted.root}/${folder}`)) {
    if (!isNamePart(entry.name) || (folder === '' && entry.name === SCRATCH_FOLDER)) continue;
    const name = folder + entry.name;
    if (name.length > MAX_NAME_LENGTH) continue;
    if (entry.isFile() && isWantedObject(wanted, name)) names.push(name);
    else if (entry.isDirectory() && mayHoldWanted(wanted, `${name}/`)) names.push(`${name}/`);
  }
  return names.sort();
}

function isWantedObject({ prefix, startAfter }: Wanted, name: string): boolean {
  return name.startsWith(prefix) && name > startAfter;
}

function mayHoldWanted({ prefix, startAfter }: Wanted, folder: string): boolean {
  const holdsPrefix = folder.startsWith(prefix) || prefix.startsWith(folder);
  return holdsPrefix && (folder > startAfter || startAfter.startsWith(folder));
}

function readEntries(path: string) {
  try {
    return readdirSync(path, { withFileTypes: true });
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}

function isRealFolder(root: string, folder: string): boolean {
  for (let end = folder.indexOf('/'); end >= 0; end = folder.indexOf('/', end + 1)) {
    if (lstatSync(`${root}/${folder.slice(0, end)}`, { throwIfNoEntry: false })?.isDirectory() !== true) return false;
  }
  return true;
}
