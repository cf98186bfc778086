// Reads objects by key, and blobs as streams of chunks. Every chunk is checked against its keyed id.

import { hash, type KeyObject } from 'node:crypto';
import { chunkId, chunkListId } from '../crypto/ids.ts';
import { decodeDelta } from '../chunk/delta.ts';
import { parseBlobRecord, parseNode, type BlobRecord, type NodeEntry } from '../format/blob.ts';
import type { IndexEntry, Place } from '../format/index-run.ts';
import { BLOCK_MAX_BYTES, ENCODING, OBJECT, type ObjectType } from '../format/layout.ts';
import { containerName } from '../format/index-run.ts';
import { MoltError } from '../model/error.ts';
import type { BlobId, ChunkId, GitId, SegmentSeq } from '../model/ids.ts';
import type { Containers } from './containers.ts';
import { chunkKey, gitKey, keyText, mapKey } from './keys.ts';
import type { ObjectIndex } from './object-index.ts';
import type { RepositoryKeys } from './secrets.ts';

/** The names of the Git object types that are kept as bytes. */
export type GitType = 'commit' | 'tree' | 'tag';
const GIT_TYPES: Record<number, GitType> = { [OBJECT.commit]: 'commit', [OBJECT.tree]: 'tree', [OBJECT.tag]: 'tag' };

/** Reads what one storage holds. */
export class Objects {
  readonly #containers: Containers;
  readonly #index: ObjectIndex;
  readonly #keys: RepositoryKeys;

  constructor(containers: Containers, index: ObjectIndex, keys: RepositoryKeys) {
    this.#containers = containers;
    this.#index = index;
    this.#keys = keys;
  }

  /**
   * Returns an object's bytes and type, or undefined if the index has no such object.
   * @param seq a segment that probably holds it: looking there first saves a search
   */
  async find(key: Buffer, seq?: SegmentSeq): Promise<{ bytes: Buffer; type: ObjectType; place: Place } | undefined> {
    const expected = seq === undefined ? undefined : await this.#index.findInSegment(key, seq);
    const place = expected ?? (await this.#index.find(key));
    if (place === undefined) return undefined;
    return { bytes: await this.readPlace(key, place), type: place.type, place };
  }

  /**
   * Reads an object at its place.
   * @throws {MoltError} DAMAGED and its kin
   */
  async readPlace(key: Buffer, place: Place): Promise<Buffer> {
    const base = place.encoding === ENCODING.deltas ? await this.findWholeBase(key, place) : undefined;
    return readStored(this.#containers, this.#keys.idKey, { key, place, base });
  }

  /**
   * Returns where a delta's base is, whole.
   * @throws {MoltError} DAMAGED when it is nowhere
   */
  async findWholeBase(key: Buffer, place: Place): Promise<IndexEntry> {
    const baseKey = await this.findBase(key, place);
    const basePlace = await this.#index.findWhole(baseKey);
    if (basePlace === undefined || mapKey(baseKey) === mapKey(key)) {
      throw new MoltError('DAMAGED', `the base of ${keyText(key)} is missing or no whole object`);
    }
    return { key: baseKey, place: basePlace };
  }

  /** Reads a delta as it is stored, with the key of its base. */
  async readFrame(key: Buffer, place: Place): Promise<{ readonly frame: Buffer; readonly base: Buffer }> {
    const base = await this.findBase(key, place);
    const block = await this.#containers.readBlock(place);
    return { frame: block.subarray(place.offsetBytes, place.offsetBytes + place.lengthBytes), base };
  }

  /** Returns the key of a delta's base. */
  async findBase(key: Buffer, place: Place): Promise<Buffer> {
    const footer = await this.#containers.readFooter(place.container);
    const entry = footer.objects[place.entry];
    if (entry?.base === undefined || !entry.key.equals(key)) {
      throw new MoltError('DAMAGED', `${containerName(place.container)} has no base for the delta ${keyText(key)}`);
    }
    return entry.base;
  }

  /**
   * Returns a Git object's content (without its header).
   * @throws {MoltError} DAMAGED when it is missing, of another type, or not what its id says
   */
  async readGit(id: GitId, type: GitType, seq?: SegmentSeq): Promise<Buffer> {
    const found = await this.findGit(id, seq);
    if (found === undefined) throw new MoltError('DAMAGED', `${type} ${id} is missing`, { hint: 'run molt verify' });
    if (found.type !== type) throw new MoltError('DAMAGED', `${id} is a ${found.type}, not a ${type}`);
    return found.content;
  }

  /** Returns a Git object of any type but blob, or undefined. */
  async findGit(id: GitId, seq?: SegmentSeq): Promise<{ type: GitType; content: Buffer } | undefined> {
    const found = await this.find(gitKey(id), seq);
    const type = GIT_TYPES[found?.type ?? 0];
    if (found === undefined || type === undefined) return undefined;
    if (gitIdOf(type, found.bytes) !== id) throw new MoltError('DAMAGED', `${type} ${id} is not what its id says`);
    return { type, content: found.bytes };
  }

  /**
   * Returns where a blob's content is.
   * @throws {MoltError} DAMAGED when it is missing
   */
  async readBlobRecord(id: BlobId): Promise<BlobRecord> {
    const found = await this.find(gitKey(id));
    if (found === undefined || found.type !== OBJECT.blob) {
      throw new MoltError('DAMAGED', `blob ${id} is missing`, { hint: 'run molt verify' });
    }
    return parseBlobRecord(found.bytes, id);
  }

  /**
   * Says whether a blob's content is that of these chunks, however it is cut itself.
   * @throws {MoltError} DAMAGED when it can't be read
   */
  async hasContent(record: BlobRecord, chunks: readonly NodeEntry[]): Promise<boolean> {
    let rest: Buffer = Buffer.alloc(0);
    let at = 0;
    for await (const chunk of this.listChunks(record)) {
      rest = Buffer.concat([rest, await this.readChunk(chunk.id)]);
      for (let next = chunks[at]; next !== undefined && rest.length >= next.sizeBytes; next = chunks[at]) {
        if (!chunkId(this.#keys.idKey, rest.subarray(0, next.sizeBytes)).equals(chunkKey(next.id))) return false;
        rest = rest.subarray(next.sizeBytes);
        at += 1;
      }
    }
    return at === chunks.length && rest.length === 0;
  }

  /** Says whether a blob is there. */
  async hasBlob(id: BlobId): Promise<boolean> {
    return (await this.#index.find(gitKey(id)))?.type === OBJECT.blob;
  }

  /** Lists a blob's chunks in order. */
  async *listChunks(record: BlobRecord): AsyncIterable<NodeEntry> {
    if (record.root === undefined) return;
    yield* this.#walk({ id: record.root, sizeBytes: record.sizeBytes }, record.depth);
  }

  /** Reads a blob's whole chunk list: its chunks in order, and its nodes by level from the leaves up. */
  async readChunkList(record: BlobRecord): Promise<{ ids: ChunkId[]; nodes: ChunkId[][] }> {
    const nodes: ChunkId[][] = [];
    let level = record.root === undefined ? [] : [record.root];
    for (let depth = record.depth; depth > 0; depth -= 1) {
      nodes.unshift(level);
      const children: ChunkId[] = [];
      for (const id of level) {
        // oxlint-disable-next-line no-await-in-loop -- in order, one block after the other
        for (const child of parseNode(await this.#readKeyed(id, 'chunk list'), id)) children.push(child.id);
      }
      level = children;
    }
    return { ids: level, nodes };
  }

  /** Lists the chunk-list nodes and chunks of a blob, parents first. */
  async *listKeys(record: BlobRecord): AsyncIterable<{ key: Buffer; isNode: boolean }> {
    if (record.root === undefined) return;
    yield* this.#walkKeys({ id: record.root, sizeBytes: record.sizeBytes }, record.depth);
  }

  /**
   * Streams a blob's content, chunk by chunk, each checked.
   * @throws {MoltError} DAMAGED
   */
  async *readBlob(id: BlobId): AsyncIterable<Buffer> {
    const record = await this.readBlobRecord(id);
    let total = 0;
    for await (const chunk of this.listChunks(record)) {
      const bytes = await this.readChunk(chunk.id);
      if (bytes.length !== chunk.sizeBytes)
        throw new MoltError('DAMAGED', `a chunk of blob ${id} has another length than its list says`);
      total += bytes.length;
      yield bytes;
    }
    if (total !== record.sizeBytes)
      throw new MoltError('DAMAGED', `blob ${id} has ${total} bytes instead of ${record.sizeBytes}`);
  }

  /**
   * Reads a whole blob into memory.
   * @throws {MoltError} HOSTILE when it is larger than `maxBytes`
   */
  async readBlobWhole(id: BlobId, maxBytes: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    let total = 0;
    for await (const part of this.readBlob(id)) {
      total += part.length;
      if (total > maxBytes) throw new MoltError('HOSTILE', `blob ${id} is larger than ${maxBytes} bytes`);
      parts.push(part);
    }
    return Buffer.concat(parts);
  }

  /** Reads a chunk. */
  async readChunk(id: ChunkId): Promise<Buffer> {
    return this.#readKeyed(id, 'chunk');
  }

  async *#walk(entry: NodeEntry, depth: number): AsyncIterable<NodeEntry> {
    if (depth === 0) {
      yield entry;
      return;
    }
    const children = await this.#children(entry);
    // Of a generator inside another each step costs as much as the rest of the way.
    if (depth === 1) yield* children;
    else for (const child of children) yield* this.#walk(child, depth - 1);
  }

  /** Reads a node. Its children must add up to what is said of it: a list that names itself over and over ends nowhere. */
  async #children(entry: NodeEntry): Promise<NodeEntry[]> {
    const children = parseNode(await this.#readKeyed(entry.id, 'chunk list'), entry.id);
    const sizeBytes = children.reduce((sum, child) => sum + child.sizeBytes, 0);
    if (sizeBytes === entry.sizeBytes && children.every((child) => child.sizeBytes > 0)) return children;
    throw new MoltError(
      'DAMAGED',
      `chunk list ${entry.id} adds up to ${sizeBytes} bytes instead of ${entry.sizeBytes}`,
    );
  }

  async *#walkKeys(entry: NodeEntry, depth: number): AsyncIterable<{ key: Buffer; isNode: boolean }> {
    yield { key: chunkKey(entry.id), isNode: depth > 0 };
    if (depth === 0) return;
    for (const child of await this.#children(entry)) yield* this.#walkKeys(child, depth - 1);
  }

  async #readKeyed(id: ChunkId, what: string): Promise<Buffer> {
    const found = await this.find(chunkKey(id));
    if (found === undefined) throw new MoltError('DAMAGED', `${what} ${id} is missing`, { hint: 'run molt verify' });
    return found.bytes;
  }
}

/** An object and, if it is stored as a delta, its whole base. */
export interface StoredObject extends IndexEntry {
  readonly base: IndexEntry | undefined;
}

/**
 * Reads an object where it is said to be, and checks it against its key if it is a chunk or a node. This alone needs no index.
 * @throws {MoltError} DAMAGED and its kin
 */
export async function readStored(containers: Containers, idKey: KeyObject, object: StoredObject): Promise<Buffer> {
  const { place, base } = object;
  const stored = await readPart(containers, place);
  if (base === undefined) {
    checkChunk(idKey, object, stored);
    return stored;
  }
  if (place.objectBytes > BLOCK_MAX_BYTES)
    throw new MoltError('DAMAGED', `${keyText(object.key)} claims an impossible length`);
  // What comes of a base that is not what it should be is not what it should be either: the base need not be hashed as well.
  const whole = await readPart(containers, base.place);
  try {
    const bytes = decodeDelta(stored, whole, place.objectBytes);
    checkChunk(idKey, object, bytes);
    return bytes;
  } catch (error) {
    checkChunk(idKey, base, whole);
    throw error;
  }
}

/** Reads what is stored at a place. */
async function readPart(containers: Containers, place: Place): Promise<Buffer> {
  const block = await containers.readBlock(place);
  const end = place.offsetBytes + place.lengthBytes;
  if (end > block.length)
    throw new MoltError('DAMAGED', `${containerName(place.container)} places an object outside of its block`);
  return block.subarray(place.offsetBytes, end);
}

function checkChunk(idKey: KeyObject, { key, place }: IndexEntry, bytes: Buffer): void {
  if (place.type !== OBJECT.chunk && place.type !== OBJECT.node) return;
  const id = place.type === OBJECT.chunk ? chunkId(idKey, bytes) : chunkListId(idKey, bytes);
  if (!id.equals(key))
    throw new MoltError(
      'DAMAGED',
      `chunk ${keyText(key)} in ${containerName(place.container)} is not what its id says`,
    );
}

/** Returns the Git id of an object. */
export function gitIdOf(type: GitType | 'blob', content: Buffer): GitId {
  return hash('sha1', Buffer.concat([Buffer.from(`${type} ${content.length}\0`, 'latin1'), content]), 'hex') as GitId;
}
