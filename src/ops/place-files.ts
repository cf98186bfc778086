// Writes the files of a commit into a new folder, laid out as its tree is: `state/…`, `roots/<n>/…`. Every chunk is checked against
// its keyed id on its way, and each file's list of chunks against its blob; that the content also has its Git id, which guards
// against nothing more, is what `verify --read-data` checks.

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { writeEntries, type WriteResult } from '../agent/rehydrate.ts';
import type { Component } from '../model/component.ts';
import type { RestoreEntry } from '../model/entry.ts';
import { MoltError } from '../model/error.ts';
import type { BlobId } from '../model/ids.ts';
import { displayPath } from '../model/name.ts';
import { FileFiller } from '../repo/file-filler.ts';
import type { Repository } from '../repo/repository.ts';
import type { OpsContext } from './context.ts';

/**
 * Writes entries below a folder that is there and empty.
 * @throws {MoltError} what writeEntries throws, and DAMAGED when content is not what its id says
 */
export async function placeFiles(
  context: OpsContext,
  repository: Repository,
  entries: readonly RestoreEntry[],
  dir: string,
): Promise<WriteResult> {
  const totalBytes = entries.reduce((sum, entry) => sum + entry.sizeBytes, 0);
  const totalFiles = entries.filter(({ type }) => type !== 'directory').length;
  const { reporter, signal } = context;
  return writeEntries({
    targets: targetsOf(entries, dir),
    entries,
    content: new FileFiller(repository, { totalBytes, signal }),
    onProgress: ({ files, links, bytes }) =>
      reporter.progress({ phase: 'write', doneBytes: bytes, totalBytes, doneFiles: files + links, totalFiles }),
  });
}

/** Keeps the entries at or below some paths, and the folders above them. */
export function selectEntries(entries: readonly RestoreEntry[], paths: readonly string[]): RestoreEntry[] {
  if (paths.includes('')) return [...entries];
  const isWanted = ({ path, type }: RestoreEntry): boolean =>
    paths.some(
      (wanted) =>
        path === wanted || path.startsWith(`${wanted}/`) || (type === 'directory' && wanted.startsWith(`${path}/`)),
    );
  return entries.filter(isWanted);
}

/** Keeps the entries of some components, and the folders above them. */
export function selectComponents(entries: readonly RestoreEntry[], components: readonly Component[]): RestoreEntry[] {
  const parents = new Set<string>();
  const isWanted = ({ component }: RestoreEntry): boolean => components.includes(component);
  for (const { path } of entries.filter(isWanted))
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) parents.add(path.slice(0, at));
  return entries.filter((entry) => isWanted(entry) || (entry.type === 'directory' && parents.has(entry.path)));
}

/**
 * Streams a blob, and at its end holds all of it against its Git id.
 * @throws {MoltError} DAMAGED; then what was yielded must be thrown away
 */
export async function* readChecked(
  repository: Repository,
  id: BlobId,
  signal: AbortSignal | undefined,
): AsyncIterable<Buffer> {
  const { sizeBytes } = await repository.objects.readBlobRecord(id);
  const sha1 = createHash('sha1').update(`blob ${sizeBytes}\0`);
  for await (const bytes of repository.objects.readBlob(id)) {
    signal?.throwIfAborted();
    sha1.update(bytes);
    yield bytes;
  }
  if (sha1.digest('hex') !== id)
    throw new MoltError('DAMAGED', `the content of blob ${id} is not what its id says`, { hint: 'run molt verify' });
}

/** Returns where the roots of some entries go: `state` to `dir/state`, `roots/1` to `dir/roots/1`. */
function targetsOf(entries: readonly RestoreEntry[], dir: string): Map<string, string> {
  const targets = new Map<string, string>();
  for (const { path } of entries) {
    const key = /^(state|roots\/[0-9]+)(\/|$)/.exec(path)?.[1];
    if (key === undefined)
      throw new MoltError('HOSTILE', `"${displayPath(path)}" lies in no folder that an agent has`, {
        details: { path },
      });
    targets.set(key, join(dir, key));
  }
  return targets;
}
