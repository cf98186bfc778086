// A blob that is read in part, and what of it differs from another: chunks have ids, so what is alike is not read.

import type { BlobId } from '../model/ids.ts';
import type { NodeEntry } from '../format/blob.ts';
import type { Objects } from './objects.ts';
import { Lru } from './lru.ts';

/** Decoded chunks that are kept: what two versions of a file have changed, mostly. */
const CHUNK_CACHE_BYTES = 16 << 20;

/** Chunks that several views of one history share. */
export type ChunkCache = Lru<Buffer>;

/** Makes a cache for views. */
export function makeChunkCache(): ChunkCache {
  return new Lru<Buffer>(CHUNK_CACHE_BYTES);
}

/** Bytes from a place up to, but without, another. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** A blob with its list of chunks. */
export class BlobView {
  readonly id: BlobId;
  readonly sizeBytes: number;
  readonly #objects: Objects;
  readonly #cache: ChunkCache;
  readonly #chunks: readonly NodeEntry[];
  /** Where each chunk begins, and the blob ends. */
  readonly #starts: readonly number[];

  private constructor(objects: Objects, cache: ChunkCache, id: BlobId, chunks: readonly NodeEntry[]) {
    this.#objects = objects;
    this.#cache = cache;
    this.id = id;
    this.#chunks = chunks;
    const starts = [0];
    for (const { sizeBytes } of chunks) starts.push((starts.at(-1) ?? 0) + sizeBytes);
    this.#starts = starts;
    this.sizeBytes = starts.at(-1) ?? 0;
  }

  /** Opens a blob: reads its list of chunks, none of them. @throws {MoltError} DAMAGED when it is missing */
  static async open(objects: Objects, cache: ChunkCache, id: BlobId): Promise<BlobView> {
    const chunks: NodeEntry[] = [];
    for await (const chunk of objects.listChunks(await objects.readBlobRecord(id))) chunks.push(chunk);
    return new BlobView(objects, cache, id, chunks);
  }

  /** Reads bytes, as many as there are of them; the buffer must not be written to. @throws {MoltError} DAMAGED */
  async read(offsetBytes: number, lengthBytes: number): Promise<Buffer> {
    const end = Math.min(offsetBytes + lengthBytes, this.sizeBytes);
    const parts: Buffer[] = [];
    for (let chunk = this.#chunkAt(offsetBytes); chunk < this.#chunks.length; chunk += 1) {
      const start = this.#starts[chunk] ?? 0;
      if (start >= end) break;
      // oxlint-disable-next-line no-await-in-loop -- in order
      const bytes = await this.#readChunk(chunk);
      parts.push(bytes.subarray(Math.max(offsetBytes - start, 0), end - start));
    }
    const [only] = parts;
    return only !== undefined && parts.length === 1 ? only : Buffer.concat(parts);
  }

  /** Lists the bytes that do not lie in chunks which another blob has at the same place, in order. */
  listChanged(other: BlobView): ByteRange[] {
    const places = new Map(other.#chunks.map(({ id }, chunk) => [other.#starts[chunk], id]));
    const ranges: ByteRange[] = [];
    for (const [chunk, { id, sizeBytes }] of this.#chunks.entries()) {
      const start = this.#starts[chunk] ?? 0;
      if (places.get(start) !== id) ranges.push({ start, end: start + sizeBytes });
    }
    return ranges;
  }

  /** Returns what lies between the chunks that both blobs begin with, and those that both end with. */
  static middles(a: BlobView, b: BlobView): readonly [ByteRange, ByteRange] {
    const shorter = Math.min(a.#chunks.length, b.#chunks.length);
    let head = 0;
    while (head < shorter && a.#chunks[head]?.id === b.#chunks[head]?.id) head += 1;
    let tail = 0;
    while (tail < shorter - head && a.#chunks.at(-1 - tail)?.id === b.#chunks.at(-1 - tail)?.id) tail += 1;
    const range = (of: BlobView): ByteRange => ({
      start: of.#starts[head] ?? 0,
      end: of.#starts[of.#chunks.length - tail] ?? 0,
    });
    return [range(a), range(b)];
  }

  /** Returns the chunk that holds a byte. */
  #chunkAt(offsetBytes: number): number {
    let [low, high] = [0, this.#chunks.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#starts[middle + 1] ?? Infinity) <= offsetBytes) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  async #readChunk(number: number): Promise<Buffer> {
    const entry = this.#chunks[number];
    if (entry === undefined) throw new Error('there is no such chunk');
    const known = this.#cache.get(entry.id);
    if (known !== undefined) return known;
    const bytes = await this.#objects.readChunk(entry.id);
    this.#cache.set(entry.id, bytes, bytes.length);
    return bytes;
  }
}
