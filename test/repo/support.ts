// What the tests of src/repo share: repositories in memory with fixed keys and clock, and small commits of files by path.

import { createRootKeys } from '../../src/crypto/roots.ts';
import type { Chunking } from '../../src/model/entry.ts';
import type { BlobId, CommitId, GitId, RepositoryId, StorageId, TreeId } from '../../src/model/ids.ts';
import type { Clock } from '../../src/model/ports.ts';
import type { CommitKind, RefMove } from '../../src/format/segment.ts';
import { readCommit, writeCommit } from '../../src/repo/git.ts';
import { claimStorage, Repository, type OpenedKeys } from '../../src/repo/repository.ts';
import type { Transaction } from '../../src/repo/transaction.ts';
import { parseTree, TREE_MODES, writeTrees, type TreeFile } from '../../src/repo/trees.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { seededRandom } from '../crypto/random.ts';

export const TIME_MS = 1_772_676_000_000;
export const MAIN = 'refs/heads/main';
export const IDS = { repositoryId: '0a'.repeat(16) as RepositoryId, storageId: '0b'.repeat(16) as StorageId };
export const KEYS: OpenedKeys = { roots: createRootKeys(seededRandom('roots')), generation: 1 };

/** A clock that goes on by a second with each look at it. */
export function tickingClock(startMs = TIME_MS): Clock {
  let now = startMs;
  return {
    now() {
      now += 1000;
      return now;
    },
  };
}

/** Opens a repository; each opening has randomness of its own. */
export async function openRepository(
  storage: Storage,
  clock: Clock = tickingClock(),
  keys: OpenedKeys = KEYS,
): Promise<Repository> {
  opened += 1;
  return Repository.open(storage, keys, { clock, random: seededRandom(`process ${process.pid} opening ${opened}`) });
}
let opened = 0;

/** Makes an empty repository in a storage, in memory unless given. */
export async function makeRepository(
  storage: Storage = new MemoryStorage({ now: () => TIME_MS }),
): Promise<Repository> {
  await claimStorage(storage, IDS);
  return openRepository(storage);
}

/** A file to commit: its bytes, and how it is treated. */
export interface TestFile {
  readonly bytes: Buffer;
  readonly chunking?: Chunking;
  readonly secret?: boolean;
}
export type TestFiles = Record<string, TestFile | Buffer | string>;

export interface CommitChoices {
  readonly ref?: string;
  readonly full?: boolean;
  readonly kind?: CommitKind;
  readonly timeMs?: number;
  readonly message?: string;
  /** Ref moves that go with the commit's own. */
  readonly moves?: readonly RefMove[];
}

/** Writes one file's bytes in pieces; returns the blob's id. */
export async function writeFile(transaction: Transaction, file: TestFile, previous?: BlobId): Promise<BlobId> {
  const { bytes, chunking = 'content', secret = false } = file;
  const blob = transaction.openBlob({ chunking, sizesBytes: [bytes.length], secret, previous });
  for (let at = 0; at < bytes.length; at += 1 << 20) await blob.write(bytes.subarray(at, at + (1 << 20)));
  return (await blob.finish()).id;
}

/** Writes files, trees and a commit into a transaction. */
export async function writeFiles(
  repository: Repository,
  transaction: Transaction,
  files: TestFiles,
  choices: CommitChoices & { readonly parents?: readonly CommitId[] } = {},
): Promise<CommitId> {
  const parents = choices.parents ?? parentsOf(repository, choices.ref ?? MAIN);
  const earlier = parents[0] === undefined ? new Map<string, BlobId>() : await listBlobs(repository, parents[0]);
  const entries: [string, TreeFile][] = [];
  for (const [path, file] of Object.entries(files)) {
    const given = typeof file === 'string' || Buffer.isBuffer(file) ? { bytes: Buffer.from(file) } : file;
    entries.push([path, { mode: TREE_MODES.file, blob: await writeFile(transaction, given, earlier.get(path)) }]);
  }
  const tree = await writeTrees(entries, (content) => transaction.writeGit('tree', content));
  const timestampS = Math.floor((choices.timeMs ?? TIME_MS) / 1000);
  const signature = { name: 'tester', email: 'tester@molt', timestampS };
  return writeCommit(transaction, { tree, parents, signature, message: choices.message ?? 'a test\n' });
}

/** Commits files on a branch, on top of what is there. */
export async function commitFiles(
  repository: Repository,
  files: TestFiles,
  choices: CommitChoices = {},
): Promise<CommitId> {
  const { ref = MAIN, full = false, kind = full ? 'full' : 'incremental', timeMs = TIME_MS, moves = [] } = choices;
  return repository.transact({ packs: full }, async (transaction) => {
    const from = repository.refs.get(ref);
    const id = await writeFiles(repository, transaction, files, choices);
    await transaction.publish([{ name: ref, from, to: id }, ...moves], [{ id, timeMs, kind }]);
    return id;
  });
}

/** Commits on a branch until no other writer is faster. */
export async function commitInRace(repository: Repository, files: TestFiles, message: string): Promise<CommitId> {
  return repository.transact({ packs: false }, async (transaction) => {
    for (;;) {
      const from = repository.refs.get(MAIN);
      const id = await writeFiles(repository, transaction, files, { message });
      try {
        await transaction.publish([{ name: MAIN, from, to: id }], [{ id, timeMs: TIME_MS, kind: 'incremental' }]);
        return id;
      } catch (error) {
        if ((error as { code?: string }).code !== 'CONFLICT') throw error;
      }
    }
  });
}

/** Reads every file of a commit whole, by path. */
export async function readFiles(repository: Repository, commit: CommitId): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for (const [path, blob] of await listBlobs(repository, commit)) {
    files.set(path, await repository.objects.readBlobWhole(blob, 1 << 30));
  }
  return files;
}

/** Lists the blobs of a commit by path. */
export async function listBlobs(repository: Repository, commit: CommitId): Promise<Map<string, BlobId>> {
  const blobs = new Map<string, BlobId>();
  const visit = async (id: TreeId, prefix: string): Promise<void> => {
    for (const entry of parseTree(await repository.objects.readGit(id, 'tree'), id)) {
      if (entry.mode === TREE_MODES.tree) await visit(entry.id, `${prefix}${entry.name}/`);
      else blobs.set(prefix + entry.name, entry.id);
    }
  };
  await visit((await readCommit(repository, commit)).tree, '');
  return blobs;
}

/** Lists a branch's commits by first parents, newest first. */
export async function listChain(repository: Repository, ref = MAIN): Promise<CommitId[]> {
  const chain: CommitId[] = [];
  for (let id: CommitId | undefined = repository.refs.get(ref); id !== undefined;) {
    chain.push(id);
    [id] = (await readCommit(repository, id)).parents;
  }
  return chain;
}

/** Lists the names in a storage. */
export async function listNames(storage: Storage, prefix = ''): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of storage.list(prefix)) names.push(name);
  return names;
}

/** Replaces an object by other bytes, as damage or an attacker would. */
export async function replaceObject(storage: Storage, name: string, change: (bytes: Buffer) => Buffer): Promise<void> {
  const bytes = await storage.read(name);
  if (bytes === undefined) throw new Error(`${name} is not there`);
  await storage.delete(name);
  await storage.createOnce(name, [change(Buffer.from(bytes))]);
}

/** Flips one bit in the middle. */
export function flipMiddle(bytes: Buffer): Buffer {
  const at = bytes.length >>> 1;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  return bytes;
}

/** Copies a storage into a new one in memory. */
export async function copyStorage(from: Storage): Promise<MemoryStorage> {
  const to = new MemoryStorage({ now: () => TIME_MS });
  for (const name of await listNames(from)) {
    await to.createOnce(name, [(await from.read(name)) ?? Buffer.alloc(0)]);
  }
  return to;
}

function parentsOf(repository: Repository, ref: string): CommitId[] {
  const head: GitId | undefined = repository.refs.get(ref);
  return head === undefined ? [] : [head];
}

/** Returns a value that must be there. */
export function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('a value is missing');
  return value;
}
