// Settles which folders are roots of their own: real paths, none inside another, numbers kept from commit to commit.

import { realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { MoltError, isSystemError } from '../model/error.ts';
import { isInside } from './native-path.ts';
import type { Area, AreaKind, EarlierRoot, Root } from './profile.ts';

/** A folder or file that the agent's configuration names. */
export interface RootCandidate {
  /** Absolute; need not exist. */
  readonly path: string;
  readonly kind: AreaKind;
  readonly reason: string;
}

/** A candidate as it lies on the disk: a folder, or a file of one. */
interface Place {
  readonly dir: string;
  readonly file: string | undefined;
  readonly kind: AreaKind;
  readonly reason: string;
}

/**
 * Returns the roots of an agent, the state folder first. A candidate inside the state folder or another root becomes an area of
 * that root; one that doesn't exist is left out unless an earlier commit has it.
 * @throws {MoltError} NOT_FOUND when the state folder is not there; USAGE when a candidate is the whole file system
 */
export function settleRoots(
  stateDir: string,
  candidates: readonly RootCandidate[],
  earlier: readonly EarlierRoot[],
): Root[] {
  const state = findRealFolder(stateDir);
  if (state === undefined) {
    throw new MoltError('NOT_FOUND', `there is no state folder "${stateDir}"`, {
      hint: 'if its disk is not mounted, mount it; molt restore AGENT --in-place brings the agent back there',
    });
  }
  const places = candidates.flatMap((candidate) => placeCandidate(candidate, earlier) ?? []);
  const folders = places.filter((place) => place.file === undefined);
  const outer = folders.filter(
    (place, index) =>
      !isInside(place.dir, state) &&
      !folders.some(
        (other, at) => isInside(place.dir, other.dir) && (place.dir !== other.dir || at < index) && other !== place,
      ),
  );
  const roots: Omit<Root, 'key'>[] = [{ dir: state, reason: 'the state folder', areas: [{ path: '', kind: 'state' }] }];
  for (const { dir, kind, reason } of outer) roots.push({ dir, reason, areas: [{ path: '', kind }] });
  const settled = roots.map((root) => ({ ...root, areas: findAreas(root, folders) }));
  return numberRoots([...settled, ...groupFiles(places, settled)], earlier);
}

/** Returns a folder's real path, or undefined if it isn't there or isn't a folder. */
function findRealFolder(path: string): string | undefined {
  try {
    const real = realpathSync(path);
    return statSync(real).isDirectory() ? real : undefined;
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES')) return undefined;
    throw error;
  }
}

function placeCandidate(candidate: RootCandidate, earlier: readonly EarlierRoot[]): Place | undefined {
  const { kind, reason } = candidate;
  const path = resolve(candidate.path);
  if (kind === 'include') return placeFile(path, reason);
  const dir = findRealFolder(path) ?? (earlier.some((root) => root.dir === path) ? path : undefined);
  if (dir === '/')
    throw new MoltError('USAGE', `${reason} is "/", the whole file system`, { hint: 'give it a folder of its own' });
  return dir === undefined ? undefined : { dir, file: undefined, kind, reason };
}

function placeFile(path: string, reason: string): Place | undefined {
  try {
    const real = realpathSync(path);
    return { dir: dirname(real), file: basename(real), kind: 'include', reason };
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES')) return undefined;
    throw error;
  }
}

/** Returns the areas of a root: its own kind, then the candidates that lie inside it. */
function findAreas(root: Omit<Root, 'key'>, folders: readonly Place[]): Area[] {
  const areas = new Map<string, AreaKind>(root.areas.map((area) => [area.path, area.kind]));
  for (const { dir, kind } of folders) {
    if (!isInside(dir, root.dir)) continue;
    const path = dir.slice(root.dir.length + 1);
    if (!areas.has(path)) areas.set(path, kind);
  }
  return [...areas].map(([path, kind]) => ({ path, kind }));
}

/** Makes one root of the files of each folder that lie in no root yet. */
function groupFiles(places: readonly Place[], roots: readonly Omit<Root, 'key'>[]): Omit<Root, 'key'>[] {
  const byFolder = new Map<string, { names: Set<string>; reason: string }>();
  for (const { dir, file, reason } of places) {
    if (file === undefined || roots.some((root) => isInside(join(dir, file), root.dir))) continue;
    const group = byFolder.get(dir) ?? { names: new Set(), reason };
    group.names.add(file);
    byFolder.set(dir, group);
  }
  return [...byFolder].map(([dir, { names, reason }]) => ({
    dir,
    reason,
    areas: [{ path: '', kind: 'include' as const }],
    only: [...names].sort(),
  }));
}

/** Gives each root its key: the number it had, else the lowest that no root has or had in the commit before. */
function numberRoots(roots: readonly Omit<Root, 'key'>[], earlier: readonly EarlierRoot[]): Root[] {
  const taken = new Set(earlier.map((root) => root.key));
  let next = 1;
  const numbered = roots.map((root, index): Root => {
    if (index === 0) return { key: 'state', ...root };
    const before = earlier.find((other) => other.key !== 'state' && other.dir === root.dir);
    if (before !== undefined) return { key: before.key, ...root };
    while (taken.has(`roots/${next}`)) next += 1;
    taken.add(`roots/${next}`);
    return { key: `roots/${next}`, ...root };
  });
  const numberOf = (root: Root) => (root.key === 'state' ? 0 : Number(root.key.slice('roots/'.length)));
  return numbered.sort((a, b) => numberOf(a) - numberOf(b));
}
