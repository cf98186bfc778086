// The index of search on disk: stretches of history, sealed, since they hold what the agent knows, and derived: what is lost, damaged
// or of another history is as if it were not there, and read anew. Stretches are written once under names of their own, so processes
// that index at the same time at most do the work twice.

import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isMoltError, isSystemError } from '../model/error.ts';
import type { CommitId } from '../model/ids.ts';
import { openLocalFile, sealLocalFile, type LocalFileSpec } from '../repo/local-file.ts';
import type { Repository } from '../repo/repository.ts';
import { newMark } from '../storage/owner.ts';
import type { Line } from './first-parents.ts';
import { readIfThere, type Home } from './home.ts';
import { encodeStretch, StretchView, type SearchStretch } from './search-rows.ts';

/** Stretches of fewer commits are joined with the next ones. */
export const STRETCH_COMMITS = 2048;
const VERSION = 3;

/** A stretch on disk. */
export interface StoredStretch {
  readonly file: string;
  readonly view: StretchView;
  /** The place of each of its commits in the line, or -1. */
  readonly places: Int32Array;
}

/**
 * Loads what is indexed. A stretch that tells of commits whose content was pruned meanwhile, or that were compared with another commit
 * than the one that is before them now, is deleted.
 */
export async function loadStretches(
  home: Home,
  repository: Repository,
  line: Line | undefined,
): Promise<StoredStretch[]> {
  const dir = home.searchDir(repository.id);
  const expired = await repository.listExpired();
  const stretches: StoredStretch[] = [];
  for (const name of (await namesIn(dir)) ?? []) {
    const file = join(dir, name);
    // oxlint-disable-next-line no-await-in-loop -- one in memory more at a time
    const view = await loadStretch(repository, file);
    const places = view && placesOf(view, line);
    if (view !== undefined && places !== undefined && !isStale({ view, places, expired, line }))
      stretches.push({ file, view, places });
    // oxlint-disable-next-line no-await-in-loop -- rare
    else await rm(file, { force: true });
  }
  return stretches;
}

/** Saves a stretch in place of others that it holds as well. */
export async function saveStretch(
  home: Home,
  repository: Repository,
  stretch: SearchStretch,
  { line, replaced }: { readonly line: Line; readonly replaced: readonly StoredStretch[] },
): Promise<StoredStretch> {
  const content = encodeStretch(stretch);
  const record = { version: VERSION };
  const file = join(home.searchDir(repository.id), newMark());
  await home.write(file, sealLocalFile(specOf(repository), { record, content }, repository), { replace: false });
  await Promise.all(replaced.map((old) => rm(old.file, { force: true })));
  const view = new StretchView(content);
  return { file, view, places: placesOf(view, line) };
}

/** Deletes what tells of commits whose content was pruned: it must not outlive them. */
export async function forgetPruned(home: Home, repository: Repository): Promise<void> {
  await loadStretches(home, repository, undefined);
}

/** Says whether a repository was ever searched here, so that there is an index to keep. */
export async function hasIndex(home: Home, repository: Repository): Promise<boolean> {
  return (await namesIn(home.searchDir(repository.id))) !== undefined;
}

/** Finds the commits of a stretch in a line; mostly they follow each other in both. */
function placesOf(view: StretchView, line: Line | undefined): Int32Array {
  const places = new Int32Array(view.commitCount).fill(-1);
  if (line === undefined) return places;
  for (let at = 0, last = -1; at < places.length; at += 1) {
    const place = line.placeOf(view.idBytes(at), last + 1);
    places[at] = place;
    if (place >= 0) last = place;
  }
  return places;
}

function isStale({
  view,
  places,
  expired,
  line,
}: Pick<StoredStretch, 'view' | 'places'> & {
  readonly expired: ReadonlySet<CommitId>;
  readonly line: Line | undefined;
}): boolean {
  for (const [at, place] of places.entries()) {
    if (expired.size > 0 && expired.has(view.idBytes(at).toString('hex') as CommitId)) return true;
    if (place >= 0 && line !== undefined && !line.idBytes(place - 1).equals(view.baseBytes(at))) return true;
  }
  return false;
}

async function loadStretch(repository: Repository, file: string): Promise<StretchView | undefined> {
  const bytes = await readIfThere(file);
  if (bytes === undefined) return undefined;
  try {
    const opened = await openLocalFile(bytes, specOf(repository));
    return opened?.record.integer('version') === VERSION ? new StretchView(opened.content) : undefined;
  } catch (error) {
    if (isMoltError(error)) return undefined;
    throw error;
  }
}

function specOf({ id: repositoryId, storageId, keys }: Repository): LocalFileSpec {
  return { name: 'the search index', repositoryId, storageId, key: keys.cacheKey };
}

async function namesIn(dir: string): Promise<string[] | undefined> {
  try {
    return (await readdir(dir)).toSorted();
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  }
}
