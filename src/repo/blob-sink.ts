// Turns one file's bytes into chunks, chunk-list nodes and a blob record. What an earlier version of the file holds is found by
// walking its chunk list alongside: a changed chunk has its predecessor as delta base, and an unchanged one costs no lookup, unless
// nobody vouches for the earlier version.

import type { KeyObject } from 'node:crypto';
import { chunkId, chunkListId } from '../crypto/ids.ts';
import type { Chunker } from '../chunk/chunker.ts';
import { encodeNode, NODE_FANOUT, type BlobRecord, type NodeEntry } from '../format/blob.ts';
import { OBJECT } from '../format/layout.ts';
import type { BlobWriter } from '../model/entry.ts';
import type { BlobId, ChunkId } from '../model/ids.ts';
import type { BlobHash } from './blob-hash.ts';
import { chunkKey } from './keys.ts';
import type { BlockGroup } from './block-builder.ts';

/** Where a sink puts objects. */
export interface ObjectSink {
  /**
   * Adds an object unless the repository has it.
   * @param previous key of an object that this one follows and probably resembles
   */
  put(
    object: { readonly key: Buffer; readonly type: (typeof OBJECT)[keyof typeof OBJECT]; readonly bytes: Buffer },
    group: BlockGroup,
    previous: Buffer | undefined,
  ): void | Promise<void>;

  /**
   * Adds a blob's record unless the repository has the blob.
   * @param chunks the blob's chunks in order
   * @throws {MoltError} COLLISION when it has another content under the same Git id
   */
  putBlob(id: BlobId, record: BlobRecord, chunks: readonly NodeEntry[]): Promise<void>;
}

/** The chunk list of a file's previous version. */
export interface PreviousChunks {
  readonly ids: readonly ChunkId[];
  /** Its chunk-list nodes by level, from the leaves up. */
  readonly nodes: readonly (readonly ChunkId[])[];
}

/** Writes one blob. */
export class BlobSink implements BlobWriter {
  readonly #sink: ObjectSink;
  readonly #idKey: KeyObject;
  readonly #chunker: Chunker;
  readonly #hash: BlobHash;
  readonly #group: BlockGroup;
  readonly #loadPrevious: (() => Promise<PreviousChunks>) | undefined;
  readonly #isPreviousStored: boolean;
  readonly #chunks: NodeEntry[] = [];
  #previous: PreviousList | undefined;

  constructor(options: {
    sink: ObjectSink;
    idKey: KeyObject;
    chunker: Chunker;
    hash: BlobHash;
    secret: boolean;
    loadPrevious: (() => Promise<PreviousChunks>) | undefined;
    isPreviousStored: boolean;
  }) {
    this.#sink = options.sink;
    this.#idKey = options.idKey;
    this.#chunker = options.chunker;
    this.#group = options.secret ? 'secret' : 'content';
    this.#loadPrevious = options.loadPrevious;
    this.#isPreviousStored = options.isPreviousStored;
    this.#hash = options.hash;
  }

  async write(bytes: Buffer): Promise<void> {
    if (this.#loadPrevious !== undefined) this.#previous ??= new PreviousList(await this.#loadPrevious());
    this.#hash.update(bytes);
    this.#chunker.push(bytes);
    for (let chunk = this.#chunker.next(); chunk !== undefined; chunk = this.#chunker.next()) {
      const done = this.#put(chunk);
      // oxlint-disable-next-line no-await-in-loop -- back-pressure
      if (done !== undefined) await done;
    }
    // The next bytes are cut while these are hashed.
    this.#hash.settle(1);
  }

  async finish(): Promise<{ id: BlobId; sizeBytes: number }> {
    const last = this.#chunker.finish();
    if (last !== undefined) await this.#put(last);
    const id = this.#hash.digest();
    const sizeBytes = this.#hash.written;
    const { depth, root } = await this.#writeNodes();
    await this.#sink.putBlob(id, { sizeBytes, depth, root }, this.#chunks);
    return { id, sizeBytes };
  }

  abort(): void {
    // The chunker serves the next blob too: it has to be empty, wherever this one stopped.
    while (this.#chunker.next() !== undefined);
    this.#chunker.finish();
    this.#hash.settle();
  }

  #put(chunk: Buffer): void | Promise<void> {
    const key = chunkId(this.#idKey, chunk);
    const id = key.toString('hex') as ChunkId;
    this.#chunks.push({ id, sizeBytes: chunk.length });
    if (this.#previous === undefined)
      return this.#sink.put({ key, type: OBJECT.chunk, bytes: chunk }, this.#group, undefined);
    const isListed = this.#previous.match(id);
    if (isListed && this.#isPreviousStored) return undefined;
    const previous = isListed ? undefined : this.#previous.next();
    const base = previous === undefined ? undefined : chunkKey(previous);
    return this.#sink.put({ key, type: OBJECT.chunk, bytes: chunk }, this.#group, base);
  }

  async #writeNodes(): Promise<{ depth: number; root: ChunkId | undefined }> {
    let level: readonly NodeEntry[] = this.#chunks;
    let depth = 0;
    while (level.length > 1) {
      const parents: NodeEntry[] = [];
      for (let at = 0; at < level.length; at += NODE_FANOUT) {
        const children = level.slice(at, at + NODE_FANOUT);
        const bytes = encodeNode(children);
        const key = chunkListId(this.#idKey, bytes);
        const previous = this.#previous?.node(depth, parents.length);
        // oxlint-disable-next-line no-await-in-loop -- back-pressure
        await this.#sink.put({ key, type: OBJECT.node, bytes }, 'metadata', previous);
        const sizeBytes = children.reduce((sum, child) => sum + child.sizeBytes, 0);
        parents.push({ id: key.toString('hex') as ChunkId, sizeBytes });
      }
      level = parents;
      depth += 1;
    }
    return { depth, root: level[0]?.id };
  }
}

/** Walks a previous version's chunks alongside the new one's. */
class PreviousList {
  readonly #list: PreviousChunks;
  readonly #positions: Map<ChunkId, number>;
  #cursor = 0;

  constructor(list: PreviousChunks) {
    this.#list = list;
    this.#positions = new Map(list.ids.map((id, index) => [id, index]));
  }

  /** Says whether the previous version has this chunk, and goes on behind it. */
  match(id: ChunkId): boolean {
    if (this.#list.ids[this.#cursor] === id) {
      this.#cursor += 1;
      return true;
    }
    const position = this.#positions.get(id);
    if (position === undefined) return false;
    this.#cursor = position + 1;
    return true;
  }

  /** Returns the chunk that a new one probably replaces. */
  next(): ChunkId | undefined {
    const id = this.#list.ids[Math.min(this.#cursor, this.#list.ids.length - 1)];
    this.#cursor += 1;
    return id;
  }

  node(level: number, index: number): Buffer | undefined {
    const id = this.#list.nodes[level]?.[index];
    return id === undefined ? undefined : chunkKey(id);
  }
}
