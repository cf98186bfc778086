// The two kinds of thing that can be compared: a commit, and the live agent. Both are trees, blobs and attributes; the live agent's
// are worked out in memory by the same capture that a commit uses, with nothing stored.

import type { BlobWriter, EntryAttributes } from '../model/entry.ts';
import type { BlobId, CommitId, TreeId } from '../model/ids.ts';
import { BlobHash } from '../repo/blob-hash.ts';
import type { Repository } from '../repo/repository.ts';
import { parseTree, type TreeEntry } from '../repo/trees.ts';
import { captureAgent, type BlobStore, type CapturedAgent } from './capture-agent.ts';
import {
  ATTRIBUTES_FILE,
  HeadCommit,
  POD_FILE,
  readAttributes,
  readCommitView,
  type CommitView,
} from './commit-files.ts';
import { planTree } from './commit.ts';
import type { OpsContext } from './context.ts';
import type { OpenAgent } from './open.ts';
import { getHead } from './revision.ts';
import type { TreeSource } from './tree-diff.ts';

/** One side of a comparison. */
export interface Side extends TreeSource {
  attributes(): Promise<ReadonlyMap<string, EntryAttributes>>;
  /** Returns a blob's size, and its bytes unless there are more than `maxBytes` of them or they were not kept. */
  readBlob(id: BlobId, maxBytes: number): Promise<{ readonly sizeBytes: number; readonly bytes: Buffer | undefined }>;
}

/** The live agent as a side. */
export interface LiveSide extends Side {
  /** The id that the attributes would have as a file of a commit. */
  readonly attributesId: BlobId | undefined;
  readonly captured: CapturedAgent;
}

/** Content of changed live files that is kept for a comparison: of one file, and of all. */
const KEEP_FILE_BYTES = 8 << 20;
const KEEP_BYTES = 96 << 20;

/** Returns a commit as a side. */
export async function commitSide(repository: Repository, id: CommitId): Promise<Side & { readonly view: CommitView }> {
  const view = await readCommitView(repository, id);
  return {
    ...storedSide(repository),
    view,
    root: view.commit.tree,
    attributes: () => readAttributes(repository, view),
  };
}

/** Captures the live agent as a side; content that the branch's head has is not kept. */
export async function liveSide(
  context: OpsContext,
  open: OpenAgent,
  options: { readonly keepContent: boolean },
): Promise<LiveSide> {
  const { agent, repository } = open;
  const store = new HashStore(options.keepContent ? KEEP_BYTES : 0);
  const head = new HeadCommit(repository, getHead(open));
  const captured = await captureAgent(context, agent, repository, store, { head, full: false });
  const plan = await planTree(agent, captured);
  const trees = new Map<TreeId, Buffer>(plan.trees.map(({ id, content }) => [id, content]));
  const blobs = new Map<BlobId, Buffer>([
    ...store.kept,
    [plan.compared.get(POD_FILE) as BlobId, plan.descriptions.pod],
  ]);
  const sizes = new Map([...captured.files.values()].map(({ blob, sizeBytes }) => [blob, sizeBytes]));
  const stored = storedSide(repository);
  return {
    captured,
    attributesId: plan.compared.get(ATTRIBUTES_FILE),
    root: plan.root,
    readTree: async (id) => {
      const content = trees.get(id);
      return content === undefined ? stored.readTree(id) : parseTree(content, id);
    },
    attributes: async () => new Map(captured.attributes.map((entry) => [entry.path, entry])),
    readBlob: async (id, maxBytes) => {
      const bytes = blobs.get(id);
      if (bytes !== undefined) return { sizeBytes: bytes.length, bytes: bytes.length > maxBytes ? undefined : bytes };
      if (await repository.objects.hasBlob(id)) return stored.readBlob(id, maxBytes);
      return { sizeBytes: sizes.get(id) ?? 0, bytes: undefined };
    },
  };
}

function storedSide(repository: Repository): Pick<Side, 'readTree' | 'readBlob'> {
  const { objects } = repository;
  return {
    readTree: async (id): Promise<TreeEntry[]> => parseTree(await objects.readGit(id, 'tree'), id),
    readBlob: async (id, maxBytes) => {
      const { sizeBytes } = await objects.readBlobRecord(id);
      return { sizeBytes, bytes: sizeBytes > maxBytes ? undefined : await objects.readBlobWhole(id, maxBytes) };
    },
  };
}

/** Works out the ids of blobs, and keeps the content of those that differ from their previous version. */
class HashStore implements BlobStore {
  readonly kept = new Map<BlobId, Buffer>();
  #left: number;

  constructor(keepBytes: number) {
    this.#left = keepBytes;
  }

  expectBytes(): void {}

  expectBlob(): void {}

  openBlob({ sizesBytes, previous }: Parameters<BlobStore['openBlob']>[0]): BlobWriter {
    const hash = new BlobHash(sizesBytes);
    let parts: Buffer[] | undefined = Math.max(...sizesBytes) <= Math.min(KEEP_FILE_BYTES, this.#left) ? [] : undefined;
    return {
      write: (bytes) => {
        hash.update(bytes);
        parts?.push(Buffer.from(bytes));
      },
      finish: async () => {
        const id = hash.digest();
        const { written } = hash;
        if (parts !== undefined && id !== previous && !this.kept.has(id)) {
          this.kept.set(id, Buffer.concat(parts));
          this.#left -= written;
        }
        return { id, sizeBytes: written };
      },
      abort: () => {
        parts = undefined;
      },
    };
  }
}
