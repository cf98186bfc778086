// What a restore in place has to do: the files of a commit, compared with what was captured of the live agent.

import { lstatSync } from 'node:fs';
import { isSameStamp, stampOf, type FileStamp } from '../agent/stamp.ts';
import { nativeOf, type SwitchPlan } from '../agent/switch.ts';
import { suffixNative, type NativePath } from '../agent/native-path.ts';
import type { CachedFile } from '../agent/stat-cache.ts';
import type { EntryAttributes, RestoreEntry } from '../model/entry.ts';
import { MoltError } from '../model/error.ts';
import { shortId, type CommitId } from '../model/ids.ts';
import { displayPath } from '../model/name.ts';
import type { CapturedAgent } from './capture-agent.ts';
import { readCommitView, readRestoreEntries, readRoots } from './commit-files.ts';
import type { OpenAgent } from './open.ts';

/** What is to be done, and what was there when it was worked out. */
export interface ComparedPlan extends SwitchPlan {
  readonly unchanged: number;
  /** The files as they were when their content was captured. */
  readonly saved: ReadonlyMap<string, CachedFile>;
}

/** Returns where the roots of a commit are. */
export async function dirsOf({ agent, repository }: OpenAgent, commit: CommitId): Promise<Map<string, string>> {
  const roots = await readRoots(repository, await readCommitView(repository, commit));
  return new Map(roots.map(({ key, dir }) => [key, key === 'state' ? agent.stateDir : dir]));
}

/**
 * Works out what makes the live agent a commit's.
 * @throws {MoltError} CONFLICT when the agent's folders were elsewhere then; what reading the commit throws
 */
export async function comparePlan(
  { repository }: OpenAgent,
  commit: CommitId,
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
  return compare(entries, captured, dirs);
}

function compare(
  entries: readonly RestoreEntry[],
  live: CapturedAgent,
  dirs: ReadonlyMap<string, string>,
): ComparedPlan {
  const there = new Map(live.attributes.map((entry) => [entry.path, entry]));
  const wanted = new Map(entries.map((entry) => [entry.path, entry]));
  const isRight = (entry: RestoreEntry): boolean =>
    there.get(entry.path)?.type === entry.type && live.files.get(entry.path)?.blob === entry.blob;
  const files = entries.filter(({ type }) => type !== 'directory');
  const groupsThere = namesByGroup(live.attributes);
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
  const remove = live.attributes.filter(({ path, type }) => {
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

/** Returns which names share a file with an entry, as text. */
function namesByGroup(entries: readonly EntryAttributes[]): (entry: EntryAttributes | undefined) => string {
  const names = new Map<number, string[]>();
  for (const { path, linkGroup } of entries) {
    if (linkGroup !== 0) names.set(linkGroup, [...(names.get(linkGroup) ?? []), path]);
  }
  return (entry) => names.get(entry?.linkGroup ?? 0)?.join('\0') ?? '';
}

function keyOf(path: string): string {
  return /^(state|roots\/[0-9]+)(?=\/|$)/.exec(path)?.[1] ?? '';
}

/**
 * Makes sure that what is about to be replaced or removed is what was captured, and so can come back.
 * @throws {MoltError} RUNNING when something wrote to it since
 */
export function checkSaved({ dirs, put, remove, saved }: ComparedPlan): void {
  for (const { path } of [...put, ...remove]) {
    const known = saved.get(path);
    // Content that changed while it was captured has no stamp to compare with.
    if (known === undefined || known.sizeBytes < 0) continue;
    const native = nativeOf(dirs, path);
    if (isSameStamp(stampAt(native), known) && isSameLog(stampAt(suffixNative(native, '-wal')), known.wal)) continue;
    throw new MoltError('RUNNING', `"${displayPath(path)}" was written to since it was saved`, {
      hint: 'stop whatever writes there and try again; nothing was changed',
    });
  }
}

function stampAt(native: NativePath): FileStamp | undefined {
  const stats = lstatSync(native, { bigint: true, throwIfNoEntry: false });
  return stats && stampOf(stats);
}

/** A log's change time says nothing (stat-cache.ts). */
function isSameLog(log: FileStamp | undefined, known: FileStamp | undefined): boolean {
  return log?.sizeBytes === known?.sizeBytes && log?.mtimeNs === known?.mtimeNs && log?.inode === known?.inode;
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
