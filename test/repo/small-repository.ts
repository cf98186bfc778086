// A small repository with everything in it that a large one has: packs, segments with deltas, chunk lists, annotated tags, index runs
// and a checkpoint; and a storage whose objects a test may change.

import { MemoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { writeCommit, writeTag } from '../../src/repo/git.ts';
import { claimStorage, newRepository, Repository, type OpenedKeys } from '../../src/repo/repository.ts';
import { TREE_MODES, writeTrees, type TreeFile } from '../../src/repo/trees.ts';
import { createKeyring, encodeKeyring } from '../../src/format/keyring.ts';
import type { RootKeys } from '../../src/crypto/roots.ts';
import { createSlot } from '../../src/crypto/slot.ts';
import { keyringName } from '../../src/repo/keyrings.ts';
import { deriveRepositoryKeys } from '../../src/repo/secrets.ts';
import type { VerifyTarget } from '../../src/repo/verify.ts';
import type { BlobId, CommitId, RepositoryId, StorageId } from '../../src/model/ids.ts';
import { seededRandom } from '../crypto/random.ts';

/** A repository on its storage. */
export interface SmallRepository extends VerifyTarget {
  readonly storage: Storage;
  readonly repositoryId: RepositoryId;
  readonly storageId: StorageId;
  readonly opened: OpenedKeys;
  readonly commits: readonly CommitId[];
  open(): Promise<Repository>;
}

/** Makes the repository: a full commit in packs, then incrementals in segments. */
export async function makeSmallRepository(
  options: {
    readonly seed?: number;
    readonly commits?: number;
    readonly ids?: { readonly repositoryId: RepositoryId; readonly storageId: StorageId };
    readonly roots?: RootKeys;
  } = {},
): Promise<SmallRepository> {
  const { seed = 1, commits: count = 4 } = options;
  const random = seededRandom(String(seed));
  let nowMs = Date.UTC(2026, 2, 5);
  const clock = { now: () => (nowMs += 1000) };
  const storage = new MemoryStorage(clock);
  const { roots: newRoots, ...newIds } = newRepository(random);
  const roots = options.roots ?? newRoots;
  const ids = options.ids ?? newIds;
  await claimStorage(storage, ids);
  const secret = { type: 'recovery', key: random.bytes(32) } as const;
  const slot = await createSlot(roots, ids.repositoryId, secret, { label: 'recovery', timeMs: nowMs, random });
  const keyring = createKeyring(roots, {
    repository: ids.repositoryId,
    generation: 1,
    slots: [slot],
    timeMs: nowMs,
    random,
  });
  await storage.createOnce(keyringName(1), [encodeKeyring(keyring)]);
  const opened = { roots, generation: 1 };
  const open = (): Promise<Repository> => Repository.open(storage, opened, { clock, random });
  const repository = await open();
  const commits: CommitId[] = [];
  const database = random.bytes(6000);
  const large = random.bytes(200_000);
  let previous: { database?: BlobId; large?: BlobId } = {};
  for (let tick = 0; tick < count; tick += 1) {
    const full = tick === 0;
    await repository.transact({ packs: full }, async (transaction) => {
      database.write(`tick ${tick}`, 100);
      const write = async (
        bytes: Buffer,
        chunking: 'content' | 'fixed',
        before: BlobId | undefined,
      ): Promise<BlobId> => {
        const blob = transaction.openBlob({ chunking, sizesBytes: [bytes.length], previous: before });
        await blob.write(bytes);
        return (await blob.finish()).id;
      };
      const databaseId = await write(database, 'fixed', previous.database);
      large.write(`tick ${tick}`, 150_000);
      const largeId = await write(large, 'fixed', previous.large);
      previous = { database: databaseId, large: largeId };
      const small = await transaction.writeBlob(Buffer.from(`note ${tick}\n`));
      const files: [string, TreeFile][] = [
        ['state/memory.sqlite', { mode: TREE_MODES.file, blob: databaseId }],
        ['state/large.bin', { mode: TREE_MODES.file, blob: largeId }],
        [`state/notes/${tick}.md`, { mode: TREE_MODES.file, blob: small }],
      ];
      const tree = await writeTrees(files, (content) => transaction.writeGit('tree', content));
      const parent = commits.at(-1);
      const signature = { name: 'agent', email: 'agent@molt', timestampS: 1_770_000_000 + tick };
      const parents = parent === undefined ? [] : [parent];
      const id = await writeCommit(transaction, { tree, parents, signature, message: `tick ${tick}\n` });
      const moves = [{ name: 'refs/heads/main', from: parent, to: id }];
      const tag = full
        ? await writeTag(transaction, { name: 'full/1', commit: id, signature, message: 'full\n' })
        : undefined;
      const tags = tag === undefined ? [] : [{ name: 'refs/tags/full/1', from: undefined, to: tag }];
      await transaction.publish(
        [...moves, ...tags],
        [{ id, timeMs: 1_770_000_000_000 + tick * 1000, kind: full ? 'full' : 'incremental' }],
      );
      commits.push(id);
    });
  }
  return { storage, ...ids, keys: deriveRepositoryKeys(roots), opened, commits, open };
}

/** Returns a copy of a storage in memory; a name mapped to undefined is left out, one mapped to bytes has those. */
export async function copyStorage(
  from: Storage,
  changes: ReadonlyMap<string, Buffer | undefined> = new Map(),
): Promise<MemoryStorage> {
  const copy = new MemoryStorage({ now: () => 0 });
  for await (const { name } of from.list('')) {
    const bytes = changes.has(name) ? undefined : await from.read(name);
    if (bytes !== undefined) await copy.createOnce(name, [bytes]);
  }
  for (const [name, bytes] of changes) if (bytes !== undefined) await copy.createOnce(name, [bytes]);
  return copy;
}

/** Lists the names of a storage that begin with a prefix. */
export async function namesOf(storage: Storage, prefix = ''): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of storage.list(prefix)) names.push(name);
  return names;
}
