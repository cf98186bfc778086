// The two kinds of thing that can be compared: a commit, and the live agent. Both are trees, blobs and attributes; the live agent's
// are worked out in memory by the same capture that a commit uses, with nothing stored.

import type { BlobWriter, EntryAttributes } from '../model/entry.ts';
import { chunkId } from '../crypto/ids.ts';
import type { NodeEntry } from '../format/blob.ts';
import type { BlobId, ChunkId, CommitId, TreeId } from '../model/ids.ts';
import { BlobHash } from '../repo/blob-hash.ts';
import type { Repository } from '../repo/repository.ts';
import { unlessDamaged } from '../repo/storage-failure.ts';
import { parseTree, type TreeEntry } from '../repo/trees.ts';
import { BlobReader, ChunkReader, type BlobPiece } from '../repo/blob-reader.ts';
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
  /** Opens a blob to read parts of it; its size alone if its content was not kept. */
  openBlob(id: BlobId): Promise<BlobReader | { readonly sizeBytes: number }>;
}

/** The live agent as a side. */
export interface LiveSide extends Side {
  /** The id that the attributes would have as a file of a commit. */
  readonly attributesId: BlobId | undefined;
  readonly captured: CapturedAgent;
}

/** How much content of changed live files is kept for a comparison. */
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
  const store = new HashStore(repository, options.keepContent ? KEEP_BYTES : 0);
  const head = new HeadCommit(repository, getHead(open));
  const captured = await captureAgent(context, agent, repository, store, { head, full: false });
  const plan = await planTree(agent, captured);
  const trees = new Map<TreeId, Buffer>(plan.trees.map(({ id, content }) => [id, content]));
  const { pod } = plan.descriptions;
  const kept = new Map<BlobId, readonly BlobPiece[]>([
    ...store.kept,
    [plan.compared.get(POD_FILE) as BlobId, [{ id: undefined, sizeBytes: pod.length, bytes: pod }]],
  ]);
  const sizes = new Map([...captured.files.values()].map(({ blob, sizeBytes }) => [blob, sizeBytes]));
  const stored = storedSide(repository);
  const openBlob: Side['openBlob'] = async (id) => {
    const pieces = kept.get(id);
    if (pieces !== undefined) return new BlobReader(pieces, store.chunks);
    return (await repository.objects.hasBlob(id)) ? stored.openBlob(id) : { sizeBytes: sizes.get(id) ?? 0 };
  };
  return {
    captured,
    attributesId: plan.compared.get(ATTRIBUTES_FILE),
    root: plan.root,
    readTree: async (id) => {
      const content = trees.get(id);
      return content === undefined ? stored.readTree(id) : parseTree(content, id);
    },
    attributes: async () => new Map(captured.attributes.map((entry) => [entry.path, entry])),
    openBlob,
    readBlob: async (id, maxBytes) => readAtMost(await openBlob(id), maxBytes),
  };
}

function storedSide(repository: Repository): Pick<Side, 'readTree' | 'readBlob' | 'openBlob'> {
  const { objects } = repository;
  const chunks = new ChunkReader(objects);
  return {
    readTree: async (id): Promise<TreeEntry[]> => parseTree(await objects.readGit(id, 'tree'), id),
    openBlob: (id) => chunks.open(id),
    readBlob: async (id, maxBytes) => {
      // Of a large one the list of its chunks is not wanted.
      const { sizeBytes } = await objects.readBlobRecord(id);
      return { sizeBytes, bytes: sizeBytes > maxBytes ? undefined : await objects.readBlobWhole(id, maxBytes) };
    },
  };
}

async function readAtMost(
  opened: BlobReader | { readonly sizeBytes: number },
  maxBytes: number,
): Promise<{ readonly sizeBytes: number; readonly bytes: Buffer | undefined }> {
  const { sizeBytes } = opened;
  const isReadable = opened instanceof BlobReader && sizeBytes <= maxBytes;
  return { sizeBytes, bytes: isReadable ? await opened.read(0, sizeBytes) : undefined };
}

/** How long a piece is of which no earlier version tells. */
const PIECE_BYTES = 64 * 1024;

/**
 * Works out the ids of blobs, and keeps what their previous versions don't have. A blob is cut where its previous version is: as long as
 * nothing is inserted, that finds what both have in common.
 */
class HashStore implements BlobStore {
  readonly kept = new Map<BlobId, readonly BlobPiece[]>();
  readonly chunks: ChunkReader;
  readonly #repository: Repository;
  #left: number;

  constructor(repository: Repository, keepBytes: number) {
    this.#repository = repository;
    this.#left = keepBytes;
    this.chunks = new ChunkReader(repository.objects);
  }

  expectBytes(): void {}

  expectBlob(): void {}

  openBlob({ sizesBytes, previous }: Parameters<BlobStore['openBlob']>[0]): BlobWriter {
    const hash = new BlobHash(sizesBytes);
    const cutter = this.#left > 0 ? new PieceCutter(this.#repository, previous, this.#left) : undefined;
    return {
      write: (bytes) => {
        hash.update(bytes);
        return cutter?.write(bytes);
      },
      finish: async () => {
        const id = hash.digest();
        const { written } = hash;
        if (cutter !== undefined && id !== previous && !this.kept.has(id)) {
          const pieces = cutter.finish();
          if (pieces !== undefined) {
            this.kept.set(id, pieces);
            this.#left -= pieces.reduce((sum, { bytes }) => sum + (bytes?.length ?? 0), 0);
          }
        }
        return { id, sizeBytes: written };
      },
      abort: () => {},
    };
  }
}

/** Cuts one blob into pieces, and keeps those that its previous version does not have at the same place. */
class PieceCutter {
  readonly #repository: Repository;
  readonly #previous: BlobId | undefined;
  readonly #pieces: BlobPiece[] = [];
  #earlier: readonly NodeEntry[] | undefined;
  #parts: Buffer[] = [];
  #partBytes = 0;
  #left: number;

  constructor(repository: Repository, previous: BlobId | undefined, keepBytes: number) {
    this.#repository = repository;
    this.#previous = previous;
    this.#left = keepBytes;
  }

  async write(bytes: Buffer): Promise<void> {
    this.#earlier ??= await this.#loadEarlier();
    for (let rest = bytes; rest.length > 0;) {
      const wanted = this.#wantedBytes - this.#partBytes;
      const part = rest.subarray(0, wanted);
      this.#parts.push(Buffer.from(part));
      this.#partBytes += part.length;
      if (part.length === wanted) this.#cut();
      rest = rest.subarray(part.length);
    }
  }

  /** Returns the pieces; undefined if there was more to keep than could be. */
  finish(): BlobPiece[] | undefined {
    if (this.#partBytes > 0) this.#cut();
    return this.#left < 0 ? undefined : this.#pieces;
  }

  get #wantedBytes(): number {
    return this.#earlier?.[this.#pieces.length]?.sizeBytes ?? PIECE_BYTES;
  }

  #cut(): void {
    const bytes = Buffer.concat(this.#parts);
    this.#parts = [];
    this.#partBytes = 0;
    const earlier = this.#earlier?.[this.#pieces.length];
    const id = chunkId(this.#repository.keys.idKey, bytes).toString('hex') as ChunkId;
    const isKnown = earlier?.id === id;
    if (!isKnown) this.#left -= bytes.length;
    this.#pieces.push({ id, sizeBytes: bytes.length, bytes: isKnown || this.#left < 0 ? undefined : bytes });
  }

  async #loadEarlier(): Promise<readonly NodeEntry[]> {
    const { objects } = this.#repository;
    const chunks: NodeEntry[] = [];
    if (this.#previous === undefined) return chunks;
    // A previous version that is lost must not keep the live one from being looked at.
    await unlessDamaged(
      (async () => {
        for await (const chunk of objects.listChunks(await objects.readBlobRecord(this.#previous as BlobId)))
          chunks.push(chunk);
      })(),
    );
    return chunks;
  }
}
