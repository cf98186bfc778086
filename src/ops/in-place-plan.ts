// What a restore in place has to do: the files of a commit, compared with what was captured of the live agent.

import { lstatSync } from 'node:fs';
import { isSameStamp, stampOf, type FileStamp } from '../agent/stamp.ts';
import { nativeOf, type SwitchPlan } from '../agent/switch.ts';
import { suffixNative, type NativePath } from '../agent/native-path.ts';
import type { CachedFile } from '../agent/stat-cache.ts';
import type { Component } from '../model/component.ts';
import type { EntryAttributes, RestoreEntry } from '../model/entry.ts';
import { isSystemError, MoltError } from '../model/error.ts';
import { shortId, type CommitId } from '../model/ids.ts';
import { displayPath } from '../model/name.ts';
import { systemFailure } from '../model/system-error.ts';
import type { CapturedAgent } from './capture-agent.ts';
import { readCommitView, readRestoreEntries, readRoots } from './commit-files.ts';
import type { OpsContext } from './context.ts';
import type { OpenAgent } from './open.ts';
import { rootDir } from './pod-folders.ts';

/** What is to be brought back. */
export interface Wanted {
  readonly commit: CommitId;
  /** Only these; everything unless given. */
  readonly components?: readonly Component[] | undefined;
}

/** What is to be done, and what was there when it was worked out. */
export interface ComparedPlan extends SwitchPlan {
  readonly unchanged: number;
  /** The files as they were when their content was captured. */
  readonly saved: ReadonlyMap<string, CachedFile>;
}

/** Returns where the roots of a commit were when it was captured, and where the agent has them. */
export async function dirsOf(
  { home }: OpsContext,
  { agent, repository }: OpenAgent,
  commit: CommitId,
): Promise<{ from: Map<string, string>; to: Map<string, string> }> {
  const roots = await readRoots(repository, await readCommitView(repository, commit));
  return {
    from: new Map(roots.map(({ key, dir }) => [key, dir])),
    to: new Map(roots.map(({ key, dir }) => [key, rootDir(home, agent, key, dir)])),
  };
}

/**
 * Works out what makes the live agent a commit's, or some components of it.
 * @throws {MoltError} CONFLICT when the agent's folders were elsewhere then, or components stand in each other's way; what reading
 *   the commit throws
 */
export async function comparePlan(
  { repository }: OpenAgent,
  { commit, components }: Wanted,
  dirs: ReadonlyMap<string, string>,
  captured: CapturedAgent,
): Promise<ComparedPlan> {
  const sizes = new Map([...captured.files.values()].map(({ blob, sizeBytes }) => [blob, sizeBytes]));
  const entries = await readRestoreEntries(repository, await readCommitView(repository, commit), sizes);
  for (const { key, dir } of captured.roots) {
    if ((dirs.get(key) ?? dir) !== dir)
      throw new MoltError('CONFLICT', `${key} is "${dir}" now, and was "${dirs.get(key)}" in ${shortId(commit)}`, {
        hint: 'restore into a new folder: --to DIR',
      });
  }
  if (components === undefined) return compare(entries, captured.attributes, captured, dirs);
  const known = new Map(entries.map((entry) => [entry.path, entry.component]));
  // What is in both is what the commit says that it is.
  const isWanted = ({ path, component }: EntryAttributes): boolean => components.includes(known.get(path) ?? component);
  const plan = compare(entries.filter(isWanted), captured.attributes.filter(isWanted), captured, dirs);
  refuseObstacles(plan, captured.attributes);
  return { ...plan, folders: addParents(plan, entries, captured.attributes) };
}

/** Compares what is wanted with what there is of it. */
function compare(
  entries: readonly RestoreEntry[],
  attributes: readonly EntryAttributes[],
  live: CapturedAgent,
  dirs: ReadonlyMap<string, string>,
): ComparedPlan {
  const there = new Map(attributes.map((entry) => [entry.path, entry]));
  const wanted = new Map(entries.map((entry) => [entry.path, entry]));
  const isRight = (entry: RestoreEntry): boolean =>
    there.get(entry.path)?.type === entry.type && live.files.get(entry.path)?.blob === entry.blob;
  const files = entries.filter(({ type }) => type !== 'directory');
  const groupsThere = namesByGroup(attributes);
  const groups = namesByGroup(entries);
  // Names of one file are put together or not at all.
  const torn = new Set(
    files
      .filter((entry) => !isRight(entry) || groups(entry) !== groupsThere(there.get(entry.path)))
      .map(({ linkGroup }) => linkGroup),
  );
  const put = files.filter(
    (entry) =>
      !isRight(entry) ||
      (entry.linkGroup !== 0 && torn.has(entry.linkGroup)) ||
      groups(entry) !== groupsThere(there.get(entry.path)),
  );
  const putPaths = new Set(put.map(({ path }) => path));
  const touch = files.filter((entry) => {
    const now = there.get(entry.path);
    return !putPaths.has(entry.path) && (now?.mode !== entry.mode || now.mtimeNs !== entry.mtimeNs);
  });
  const remove = attributes.filter(({ path, type }) => {
    const entry = wanted.get(path);
    return (
      dirs.has(keyOf(path)) &&
      path !== keyOf(path) &&
      (entry === undefined || (entry.type !== type && (type === 'directory' || entry.type === 'directory')))
    );
  });
  const folders = entries.filter(({ type }) => type === 'directory');
  return { dirs, remove, folders, put, touch, unchanged: files.length - put.length, saved: live.cache.files };
}

/** @throws {MoltError} CONFLICT when what is wanted needs the place of something that stays */
function refuseObstacles(
  { put, folders, remove }: Pick<ComparedPlan, 'put' | 'folders' | 'remove'>,
  attributes: readonly EntryAttributes[],
): void {
  const leaves = new Set(remove.map(({ path }) => path));
  const stays = attributes.filter(({ path }) => !leaves.has(path));
  const files = new Set(stays.filter(({ type }) => type !== 'directory').map(({ path }) => path));
  // Everything that has something in it that stays.
  const parents = new Set(stays.flatMap(({ path }) => parentsOf(path)));
  const isFolder = new Set(stays.filter(({ type }) => type === 'directory').map(({ path }) => path));
  for (const { path, type } of [...put, ...folders]) {
    const obstacle =
      parentsOf(path).find((parent) => files.has(parent)) ??
      (type === 'directory' ? files.has(path) && path : (parents.has(path) || isFolder.has(path)) && path);
    if (obstacle === false || obstacle === undefined) continue;
    throw new MoltError(
      'CONFLICT',
      `"${displayPath(obstacle)}" is in the way of "${displayPath(path)}" and is to stay`,
      {
        hint: 'restore the component that it belongs to as well, or all of the agent',
      },
    );
  }
}

/** Adds the folders above what is changed: as the commit has them where there are none, and else with the times that they have. */
function addParents(
  { put, remove, folders }: ComparedPlan,
  entries: readonly RestoreEntry[],
  attributes: readonly EntryAttributes[],
): EntryAttributes[] {
  const own = new Map<string, EntryAttributes>(folders.map((entry) => [entry.path, entry]));
  const known = new Map<string, EntryAttributes>(
    [...entries, ...attributes].filter(({ type }) => type === 'directory').map((entry) => [entry.path, entry]),
  );
  const removed = new Set(remove.map(({ path }) => path));
  for (const path of [...put, ...remove, ...folders].flatMap((entry) => parentsOf(entry.path))) {
    const folder = known.get(path);
    if (folder !== undefined && !own.has(path) && !removed.has(path)) own.set(path, folder);
  }
  return [...own.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

/** Returns the folders above a path that are not roots themselves, and the root. */
function parentsOf(path: string): string[] {
  const parents: string[] = [];
  const key = keyOf(path);
  for (let at = path.lastIndexOf('/'); at >= key.length && at > 0; at = path.lastIndexOf('/', at - 1))
    parents.push(path.slice(0, at));
  return parents;
}

/** Returns which names share a file with an entry, as text. */
function namesByGroup(entries: readonly EntryAttributes[]): (entry: EntryAttributes | undefined) => string {
  const names = new Map<number, string[]>();
  for (const { path, linkGroup } of entries) {
    if (linkGroup !== 0) names.set(linkGroup, [...(names.get(linkGroup) ?? []), path]);
  }
  return (entry) => names.get(entry?.linkGroup ?? 0)?.join('\0') ?? '';
}

/** Returns the key of the root that a path lies in; empty for what lies in none. */
export function keyOf(path: string): string {
  return /^(state|roots\/[0-9]+)(?=\/|$)/.exec(path)?.[1] ?? '';
}

/**
 * Makes sure that what is about to be replaced or removed is what was captured, and so can come back.
 * @throws {MoltError} RUNNING when something wrote to it since; CONFLICT when it was never captured, since a rule leaves it out
 */
export function checkSaved({ dirs, put, remove, saved }: ComparedPlan): void {
  const removed = new Set(remove.map(({ path }) => path));
  for (const { path } of [...put, ...remove]) {
    const known = saved.get(path);
    const native = nativeOf(dirs, path);
    if (known === undefined && !removed.has(path) && stampAt(native) !== undefined)
      throw new MoltError(
        'CONFLICT',
        `"${displayPath(path)}" is there, but left out of commits, so that it would be lost`,
        {
          hint: 'move it away, or restore into a new folder: --to DIR',
        },
      );
    // Content that changed while it was captured has no stamp to compare with.
    if (known === undefined || known.sizeBytes < 0) continue;
    if (isSameStamp(stampAt(native), known) && isSameLog(stampAt(suffixNative(native, '-wal')), known.wal)) continue;
    throw new MoltError('RUNNING', `"${displayPath(path)}" was written to since it was saved`, {
      hint: 'stop whatever writes there and try again',
    });
  }
}

function stampAt(native: NativePath): FileStamp | undefined {
  try {
    const stats = lstatSync(native, { bigint: true, throwIfNoEntry: false });
    return stats && stampOf(stats);
  } catch (error) {
    // A file stands where a folder is to be.
    if (isSystemError(error, 'ENOTDIR')) return undefined;
    throw systemFailure(error, 'cannot look at what is to be replaced', 'the folder of the agent');
  }
}

/**
 * A log's change time says nothing (stat-cache.ts). One that is gone had nothing in it, or the database would have changed; and it may
 * lie beside another name of the file.
 */
function isSameLog(log: FileStamp | undefined, known: FileStamp | undefined): boolean {
  if (log === undefined) return true;
  return log.sizeBytes === known?.sizeBytes && log.mtimeNs === known.mtimeNs && log.inode === known.inode;
}

/** Says what going back in time may break, by what is written. */
export function hazardsOf({ put, remove }: ComparedPlan): string[] {
  const paths = [...put, ...remove].map(({ path }) => path);
  const hazards: string[] = [];
  if (paths.some((path) => path.startsWith('state/credentials/')))
    hazards.push('channel logins go back too: a channel that ratchets its keys (WhatsApp) may have to be linked again');
  if (paths.includes('state/state/openclaw.sqlite'))
    hazards.push('scheduled jobs go back too: what ran since then may run again');
  return hazards;
}
