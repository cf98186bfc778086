// Checks the objects of containers and the graph that they form: every object is what its id says, and everything that it refers to
// is there. Works from the containers' own footers alone, so that a broken index can't mislead it.

import type { KeyObject } from 'node:crypto';
import { decodeDelta } from '../chunk/delta.ts';
import { chunkId, chunkListId } from '../crypto/ids.ts';
import { parseBlobRecord, parseNode } from '../format/blob.ts';
import type { Footer, ObjectEntry } from '../format/footer.ts';
import { containerName, type ContainerRef } from '../format/index-run.ts';
import { BLOCK_MAX_BYTES, ENCODING, OBJECT } from '../format/layout.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { BlobId, ChunkId, CommitId, GitId } from '../model/ids.ts';
import type { Containers } from './containers.ts';
import { isStorageFailure } from './storage-failure.ts';
import { listEdges, type Edge } from './edges.ts';
import { keyText } from './keys.ts';
import { gitIdOf } from './objects.ts';
import { heldMark, MARK, ObjectTable } from './object-table.ts';

/** How much of file content is read; everything else always is. */
export interface CheckDepth {
  /** Blocks that hold nothing but file content are read. */
  readonly content: boolean;
  /** Deltas of file content are decoded, which reads their bases. */
  readonly deltas: boolean;
}

/** Something wrong with a container's objects. */
export interface ObjectProblem {
  /** The container's name. */
  readonly object: string;
  readonly error: MoltError;
  /** The block that is wrong, and the object in it, if not all of it is. */
  readonly block: number;
  readonly key: Buffer | undefined;
}

/** A container that was taken. */
interface TakenContainer {
  readonly ref: ContainerRef;
  /** The segment that brought it. */
  readonly seq: number;
}

/** Who is told of what is met. */
interface TakeListeners {
  readonly onTag: (id: GitId, content: Buffer) => void;
  readonly onCommit: (id: CommitId, parents: readonly CommitId[]) => void;
  /** Says of a commit that its content is gone by design. */
  readonly isExpired: (id: CommitId) => boolean;
}

const EVERYTHING: CheckDepth = { content: true, deltas: true };
const STRUCTURE: CheckDepth = { content: false, deltas: false };
const GIT_TYPES = { [OBJECT.commit]: 'commit', [OBJECT.tree]: 'tree', [OBJECT.tag]: 'tag' } as const;

/** Everything that the log's containers hold. */
export class ObjectGraph {
  readonly table = new ObjectTable();
  readonly #containers: Containers;
  readonly #idKey: KeyObject;
  readonly #taken: TakenContainer[] = [];
  readonly #names = new Set<string>();
  /** Only what is marked as live counts. */
  #isChosen = false;

  constructor(containers: Containers, idKey: KeyObject) {
    this.#containers = containers;
    this.#idKey = idKey;
  }

  /**
   * Takes up a container whose header and footer are good, and checks what it holds. Bases of deltas are in containers taken before.
   * @param readBlock returns a decoded block; throws what is wrong with it
   * @param onTag is told of every annotated tag, `onCommit` of every commit
   */
  async take(
    container: TakenContainer,
    footer: Footer,
    options: TakeListeners & {
      readonly depth: CheckDepth;
      readonly readBlock: (number: number) => Promise<Buffer>;
    },
  ): Promise<ObjectProblem[]> {
    const object = containerName(container.ref);
    const ordinal = this.#taken.push(container) - 1;
    this.#names.add(object);
    const problems: ObjectProblem[] = [];
    for (const [block, entries] of byBlock(footer)) {
      const isBulk = entries.every(({ entry }) => entry.type === OBJECT.chunk);
      let plain: Buffer | undefined;
      try {
        // oxlint-disable-next-line no-await-in-loop -- one block in memory at a time
        if (options.depth.content || !isBulk) plain = await options.readBlock(block);
      } catch (error) {
        if (!isMoltError(error) || isStorageFailure(error)) throw error;
        problems.push({ object, error, block, key: undefined });
        continue;
      }
      for (const { entry, number } of entries) {
        try {
          // oxlint-disable-next-line no-await-in-loop -- bases are read in between
          const bytes = plain === undefined ? undefined : await this.#decode(entry, footer, plain, options.depth);
          if (bytes !== undefined) this.#checkContent(entry, bytes, options);
          this.#hold(entry, footer, ordinal, number);
        } catch (error) {
          if (!isMoltError(error) || isStorageFailure(error)) throw error;
          problems.push({ object, error, block, key: entry.key });
        }
      }
    }
    return problems;
  }

  /** Says whether a container was taken: one that was not is bad. */
  has(container: ContainerRef): boolean {
    return this.#names.has(containerName(container));
  }

  /** Returns which segment brought the place of a held object. */
  seqOf(number: number): number {
    return this.#taken[this.table.place(number).container]?.seq ?? 0;
  }

  /** Returns the numbers of objects that are wanted and not held as they should be. */
  *missing(): Iterable<number> {
    for (let number = 0; number < this.table.count; number += 1) {
      if (!this.table.isSatisfied(number) && this.#counts(number)) yield number;
    }
  }

  /**
   * Tells apart what counts: containers that stay behind a sweep, and copies of them, hold things that nobody needs any more, and what
   * those refer to may be gone. From now on only what these objects need is missing, and the commits before them.
   * @param alone objects that count without what they refer to
   */
  async markLive(keys: Iterable<Buffer>, alone: Iterable<Buffer>): Promise<void> {
    this.#isChosen = true;
    for (const key of alone) this.table.mark(this.table.add(key), MARK.live);
    const waiting = [...keys];
    const visited = new Set<number>();
    for (let key = waiting.pop(); key !== undefined; key = waiting.pop()) {
      const number = this.table.add(key);
      if (visited.has(number)) continue;
      visited.add(number);
      this.table.mark(number, MARK.live);
      const { container, entry: at } = this.table.place(number);
      const ref = this.#taken[container]?.ref;
      if (!this.table.isHeld(number) || ref === undefined) continue;
      // oxlint-disable-next-line no-await-in-loop -- neighbouring objects share blocks
      const footer = await this.#containers.readFooter(ref);
      const entry = footer.objects[at];
      if (entry?.base !== undefined) this.table.mark(this.table.add(entry.base), MARK.live);
      if (entry === undefined || entry.type === OBJECT.chunk) continue;
      // oxlint-disable-next-line no-await-in-loop -- the same
      for (const edge of listEdges(entry, await this.read(key)))
        if (edge.isParent === true) this.table.mark(this.table.add(edge.key), MARK.live);
        else waiting.push(edge.key);
    }
  }

  #counts(number: number): boolean {
    return !this.#isChosen || (this.table.marks(number) & MARK.live) !== 0;
  }

  /** Marks everything that can't be read whole, from missing objects up to commits: passes over the metadata until nothing changes. */
  async markHurt(): Promise<void> {
    for (const number of this.missing()) this.table.mark(number, MARK.hurt);
    for (let changed = true; changed;) {
      changed = false;
      for (const [ordinal, { ref }] of this.#taken.entries()) {
        // oxlint-disable-next-line no-await-in-loop -- one container in memory at a time
        if (await this.#markContainer(ref, ordinal)) changed = true;
      }
    }
  }

  /** Reads a held object, by its own place or through its base. @throws {MoltError} DAMAGED and its kin */
  async read(key: Buffer): Promise<Buffer> {
    const number = this.table.find(key);
    if (number < 0 || !this.table.isHeld(number)) throw new MoltError('DAMAGED', `${keyText(key)} is missing`);
    const { container, entry: at } = this.table.place(number);
    const ref = this.#taken[container]?.ref;
    if (ref === undefined) throw new Error('an object is held by no container');
    const footer = await this.#containers.readFooter(ref);
    const entry = footer.objects[at];
    if (entry === undefined) throw new Error('an object is held by no entry');
    const bytes = await this.#decode(entry, footer, await this.#readBlock(ref, footer, entry.block), EVERYTHING);
    if (bytes === undefined) throw new Error('an object was not decoded');
    this.#checkId(entry, bytes);
    return bytes;
  }

  async #readBlock(ref: ContainerRef, footer: Footer, block: number): Promise<Buffer> {
    const found = footer.blocks[block];
    if (found === undefined) throw new Error('a footer names a block that it has not');
    return this.#containers.readBlock({
      container: ref,
      block,
      blockOffsetBytes: found.offsetBytes,
      blockSealedBytes: found.sealedBytes,
      blockPlainBytes: found.plainBytes,
      encoding: found.encoding,
    });
  }

  /** Returns an object's bytes; undefined for a delta of file content when only the structure is checked. */
  async #decode(entry: ObjectEntry, footer: Footer, plain: Buffer, depth: CheckDepth): Promise<Buffer | undefined> {
    const end = entry.offsetBytes + entry.lengthBytes;
    if (end > plain.length) throw new MoltError('DAMAGED', `${keyText(entry.key)} lies outside of its block`);
    const stored = plain.subarray(entry.offsetBytes, end);
    if (footer.blocks[entry.block]?.encoding !== ENCODING.deltas) return stored;
    if (entry.base === undefined || entry.objectBytes > BLOCK_MAX_BYTES) {
      throw new MoltError('DAMAGED', `the delta ${keyText(entry.key)} is impossible`);
    }
    const number = this.table.find(entry.base);
    if (number < 0 || (this.table.marks(number) & MARK.whole) === 0) {
      this.table.mark(this.table.add(entry.base), MARK.wantWhole);
      throw new MoltError('DAMAGED', `the base of ${keyText(entry.key)} is missing or no whole object`);
    }
    if (!depth.deltas && entry.type === OBJECT.chunk) return undefined;
    return decodeDelta(stored, await this.read(entry.base), entry.objectBytes);
  }

  #checkContent(entry: ObjectEntry, bytes: Buffer, { onTag, onCommit, isExpired }: TakeListeners): void {
    if (bytes.length !== entry.objectBytes)
      throw new MoltError('DAMAGED', `${keyText(entry.key)} has another length than its entry says`);
    this.#checkId(entry, bytes);
    if (entry.type === OBJECT.tag) onTag(keyText(entry.key) as GitId, bytes);
    const edges = listEdges(entry, bytes);
    const isAlone = entry.type === OBJECT.commit && isExpired(keyText(entry.key) as CommitId);
    for (const edge of edges) if (!isAlone || edge.isParent === true) this.#want(edge, entry);
    if (entry.type === OBJECT.commit) {
      const parents = edges.filter((edge) => edge.isParent === true).map((edge) => keyText(edge.key) as CommitId);
      onCommit(keyText(entry.key) as CommitId, parents);
    }
    const number = this.table.add(entry.key);
    if (entry.type === OBJECT.node && !this.table.noteSize(number, nodeSize(entry, bytes))) {
      throw new MoltError('DAMAGED', `chunk list ${keyText(entry.key)} has another length than what refers to it says`);
    }
  }

  #checkId(entry: ObjectEntry, bytes: Buffer): void {
    const { type, key } = entry;
    if (type === OBJECT.chunk && chunkId(this.#idKey, bytes).equals(key)) return;
    if (type === OBJECT.node && chunkListId(this.#idKey, bytes).equals(key)) return;
    if (type === OBJECT.commit || type === OBJECT.tree || type === OBJECT.tag) {
      if (gitIdOf(GIT_TYPES[type], bytes) === keyText(key)) return;
    }
    if (type === OBJECT.blob) {
      parseBlobRecord(bytes, keyText(key) as BlobId);
      return;
    }
    throw new MoltError('DAMAGED', `${keyText(key)} is not what its id says`);
  }

  #want(edge: Edge, from: ObjectEntry): void {
    const number = this.table.add(edge.key);
    this.table.mark(number, edge.mark);
    if (edge.sizeBytes !== undefined && !this.table.noteSize(number, edge.sizeBytes)) {
      throw new MoltError('DAMAGED', `${keyText(from.key)} says another length of ${keyText(edge.key)} than it has`);
    }
  }

  #hold(entry: ObjectEntry, footer: Footer, ordinal: number, at: number): void {
    const number = this.table.add(entry.key);
    const isWhole = footer.blocks[entry.block]?.encoding !== ENCODING.deltas;
    if (entry.type === OBJECT.chunk && !this.table.noteSize(number, entry.objectBytes)) {
      throw new MoltError('DAMAGED', `chunk ${keyText(entry.key)} has another length than what refers to it says`);
    }
    if (entry.base !== undefined) this.table.mark(this.table.add(entry.base), MARK.wantWhole);
    const isBetter = !this.table.isHeld(number) || (isWhole && (this.table.marks(number) & MARK.whole) === 0);
    if (isBetter) this.table.setPlace(number, ordinal, at);
    this.table.mark(number, heldMark(entry.type) | (isWhole ? MARK.whole : 0));
  }

  async #markContainer(ref: ContainerRef, ordinal: number): Promise<boolean> {
    const footer = await this.#containers.readFooter(ref);
    const waiting: { readonly number: number; readonly needs: readonly number[] }[] = [];
    for (const [at, entry] of footer.objects.entries()) {
      const number = this.table.find(entry.key);
      if (number < 0 || !this.table.isHeld(number) || (this.table.marks(number) & MARK.hurt) !== 0) continue;
      // A copy that is not the one to be read may need what is lost: it was stored anew since.
      const place = this.table.place(number);
      if (place.container !== ordinal || place.entry !== at) continue;
      // oxlint-disable-next-line no-await-in-loop -- answered from the block in memory, mostly
      const needs = await this.#needs(ref, footer, entry);
      if (needs.length > 0) waiting.push({ number, needs });
    }
    let changed = false;
    for (let again = true; again;) {
      again = false;
      for (const { number, needs } of waiting) {
        if ((this.table.marks(number) & MARK.hurt) !== 0) continue;
        if (!needs.some((need) => (this.table.marks(need) & MARK.hurt) !== 0)) continue;
        this.table.mark(number, MARK.hurt);
        again = true;
        changed = true;
      }
    }
    return changed;
  }

  /** Returns the numbers of the objects without which this one can't be read whole. */
  async #needs(ref: ContainerRef, footer: Footer, entry: ObjectEntry): Promise<number[]> {
    const keys = entry.base === undefined ? [] : [entry.base];
    if (entry.type !== OBJECT.chunk) {
      try {
        const plain = await this.#readBlock(ref, footer, entry.block);
        const bytes = await this.#decode(entry, footer, plain, STRUCTURE);
        // A commit is whole without its parents.
        const edges = bytes === undefined ? [] : listEdges(entry, bytes).filter((edge) => !edge.isParent);
        keys.push(...edges.map((edge) => edge.key));
      } catch (error) {
        // Then another container holds it; that one says what it needs.
        if (!isMoltError(error) || isStorageFailure(error)) throw error;
      }
    }
    return keys.map((key) => this.table.add(key));
  }
}

function byBlock(footer: Footer): Map<number, { entry: ObjectEntry; number: number }[]> {
  const blocks = new Map<number, { entry: ObjectEntry; number: number }[]>();
  footer.objects.forEach((entry, number) => {
    const list = blocks.get(entry.block);
    if (list === undefined) blocks.set(entry.block, [{ entry, number }]);
    else list.push({ entry, number });
  });
  return blocks;
}

function nodeSize(entry: ObjectEntry, bytes: Buffer): number {
  return parseNode(bytes, keyText(entry.key) as ChunkId).reduce((sum, child) => sum + child.sizeBytes, 0);
}
