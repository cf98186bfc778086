// The stat cache of an agent on disk: sealed, since it holds names, and derived: whatever is wrong with it, it is as if it were not there.

import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseStatCache, encodeStatCache, type StatCache } from '../agent/stat-cache.ts';
import { HEX_20 } from '../format/fields.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { CommitId, GitId } from '../model/ids.ts';
import { openLocalFile, sealLocalFile, type LocalFileSpec } from '../repo/local-file.ts';
import type { Repository } from '../repo/repository.ts';
import { newMark } from '../storage/owner.ts';
import { readIfThere, type Agent, type Home } from './home.ts';

/** What the last commit left behind for the next one. */
export interface CommitCache {
  /** The commit whose files the cache describes. */
  readonly head: CommitId;
  /** The entries of that commit's root tree but agent.json, by name. */
  readonly top: ReadonlyMap<string, GitId>;
  /** The commit's roots, whose numbers the next one keeps. */
  readonly roots: readonly { readonly key: string; readonly dir: string }[];
  readonly stat: StatCache;
}

/** Loads an agent's cache, or undefined if there is none that can be used. */
export async function loadCommitCache(
  home: Home,
  agent: Agent,
  repository: Repository,
): Promise<CommitCache | undefined> {
  const bytes = await readIfThere(home.cacheFile(agent));
  if (bytes === undefined) return undefined;
  try {
    return await openCache(bytes, repository);
  } catch (error) {
    if (isMoltError(error)) return undefined;
    throw error;
  }
}

/** Saves an agent's cache: whole or not at all. It is not flushed to the disk: after a power cut it is made anew. */
export async function saveCommitCache(
  home: Home,
  agent: Agent,
  repository: Repository,
  cache: CommitCache,
): Promise<void> {
  const path = home.cacheFile(agent);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await mkdir(home.tempDir, { recursive: true, mode: 0o700 });
  const temp = join(home.tempDir, `${newMark()}.tmp`);
  try {
    await writeFile(temp, sealCache(repository, cache), { mode: 0o600, flag: 'wx' });
    await rename(temp, path);
  } catch (error) {
    await rm(temp, { force: true }).catch(() => undefined);
    throw error;
  }
}

/** Forgets an agent's cache: the next commit reads every file. */
export async function dropCommitCache(home: Home, agent: Agent): Promise<void> {
  await rm(home.cacheFile(agent), { force: true });
}

function sealCache(repository: Repository, { stat, head, top, roots }: CommitCache): Buffer {
  const record = { head, top: Object.fromEntries(top), roots };
  return sealLocalFile(specOf(repository), { record, content: encodeStatCache(stat) }, repository);
}

async function openCache(bytes: Buffer, repository: Repository): Promise<CommitCache | undefined> {
  const file = await openLocalFile(bytes, specOf(repository));
  const stat = file && parseStatCache(file.content);
  if (file === undefined || stat === undefined) return undefined;
  const { record } = file;
  return {
    head: record.text('head', HEX_20) as CommitId,
    top: new Map(record.entries('top').map(([key, id]) => [key, gitId(id)])),
    roots: record
      .list('roots')
      .map((root) => ({ key: root.text('key', /^[a-z0-9/]+$/), dir: root.text('dir', /^\//) })),
    stat,
  };
}

function specOf({ id: repositoryId, storageId, keys }: Repository): LocalFileSpec {
  return { name: 'the stat cache', repositoryId, storageId, key: keys.cacheKey };
}

function gitId(value: unknown): GitId {
  if (typeof value === 'string' && HEX_20.test(value)) return value as GitId;
  throw new MoltError('DAMAGED', 'the stat cache has an impossible id');
}
