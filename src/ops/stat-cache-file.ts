// The stat cache of an agent on disk: sealed, since it holds names, and derived: whatever is wrong with it, it is as if it were not there.

import { zstdCompressSync } from 'node:zlib';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseStatCache, encodeStatCache, type StatCache } from '../agent/stat-cache.ts';
import { decompressFrame } from '../chunk/zstd.ts';
import { ContainerReader, ContainerWriter } from '../format/container.ts';
import { Fields, HEX_20 } from '../format/fields.ts';
import { BLOCK, ENCODING, KIND } from '../format/layout.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { CommitId, GitId } from '../model/ids.ts';
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

// A fifth of each record is a hash, so that no cache is shorter compressed by much more.
const MAX_COMPRESSION = 32;

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

function sealCache(repository: Repository, cache: CommitCache): Buffer {
  const spec = repository.containerSpec();
  const sealing = { epoch: 0, key: repository.keys.cacheKey };
  const writer = new ContainerWriter({ ...spec, sealing, kind: KIND.cache, storageId: repository.storageId, seq: 0 });
  const plain = encodeStatCache(cache.stat);
  writer.add({ type: BLOCK.data, encoding: ENCODING.zstd, bytes: zstdCompressSync(plain), plainBytes: plain.length });
  const record = { head: cache.head, top: Object.fromEntries(cache.top), roots: cache.roots };
  return Buffer.concat(writer.finish(record, [], 'padme').parts);
}

async function openCache(bytes: Buffer, repository: Repository): Promise<CommitCache | undefined> {
  const name = 'the stat cache';
  const { id: repositoryId, storageId } = repository;
  const expected = { name, kind: KIND.cache, repositoryId, storageId, seq: 0 };
  const reader = ContainerReader.open(bytes, expected, () => repository.keys.cacheKey);
  const { footer } = await reader.readFooter(async (start, end) => bytes.subarray(start, end), bytes.length);
  const fields = new Fields(footer.record, name);
  const block = footer.blocks[0];
  if (block === undefined || block.plainBytes > block.sealedBytes * MAX_COMPRESSION) return undefined;
  const packed = reader.openBlock(
    0,
    BLOCK.data,
    bytes.subarray(block.offsetBytes, block.offsetBytes + block.sealedBytes),
  );
  const stat = parseStatCache(decompressFrame(packed, block.plainBytes));
  if (stat === undefined) return undefined;
  return {
    head: fields.text('head', HEX_20) as CommitId,
    top: new Map(fields.entries('top').map(([key, id]) => [key, gitId(id)])),
    roots: fields
      .list('roots')
      .map((root) => ({ key: root.text('key', /^[a-z0-9/]+$/), dir: root.text('dir', /^\//) })),
    stat,
  };
}

function gitId(value: unknown): GitId {
  if (typeof value === 'string' && HEX_20.test(value)) return value as GitId;
  throw new MoltError('DAMAGED', 'the stat cache has an impossible id');
}
