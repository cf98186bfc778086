// Reads blocks and footers of a storage's containers, with their headers, recent footers and decoded blocks kept in memory.

import { createHash } from 'node:crypto';
import { decodeBlock } from '../chunk/compress.ts';
import { ContainerReader, findDamage, type EpochKeys, type ReadRange } from '../format/container.ts';
import { detached, release } from '../format/detached.ts';
import type { BlockEntry, Footer } from '../format/footer.ts';
import { containerName, indexName, type ContainerRef, type Place } from '../format/index-run.ts';
import { BLOCK, BLOCK_MAX_BYTES, ENCODING, HEADER_BYTES, KIND, type Kind } from '../format/layout.ts';
import { packName } from '../format/segment.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { PackId, RepositoryId, StorageId } from '../model/ids.ts';
import type { Storage } from '../storage/storage.ts';
import type { KeptEnds } from './kept-ends.ts';
import { Lru } from '../model/lru.ts';

/** How much of what was read is kept in memory. */
export interface CacheSizes {
  /** Decoded blocks, in bytes. */
  readonly blocksBytes: number;
  readonly footersBytes: number;
  /** Opened containers; each takes some ten kilobytes with its key. */
  readonly readers: number;
}

export const CACHES: CacheSizes = { blocksBytes: 24 << 20, footersBytes: 16 << 20, readers: 1024 };
/** Of whoever stays open for as long as people look at it. */
export const SMALL_CACHES: CacheSizes = { blocksBytes: 8 << 20, footersBytes: 4 << 20, readers: 128 };
/** About what a kept block takes beside its bytes: most of a history's are small. */
const BLOCK_ENTRY_BYTES = 512;
const SMALL_BYTES = 64 << 10;
/** Up to this size a container is read whole for its footer alone: that costs less than a second request. */
const ONE_REQUEST_BYTES = 12 << 10;
/** What is read of the end of a larger one first. */
const END_BYTES = 6 << 10;

/** What names a container of this storage: where it is, and what it must be. */
export interface Named {
  readonly name: string;
  readonly kind: Kind;
  readonly seq: number | undefined;
}

/** Where a block is. */
export type BlockPlace = Pick<
  Place,
  'container' | 'block' | 'blockOffsetBytes' | 'blockSealedBytes' | 'blockPlainBytes' | 'encoding'
>;

/** Reads containers of one storage. */
export class Containers {
  readonly storage: Storage;
  readonly repositoryId: RepositoryId;
  readonly storageId: StorageId;
  /** Ends of segments that are kept nearer than the storage. */
  ends: KeptEnds | undefined;
  readonly #keys: EpochKeys;
  readonly #readers: Lru<ContainerReader>;
  readonly #footers: Lru<Footer>;
  readonly #blocks: Lru<Buffer>;
  /** The small container that was read last, whole. */
  #small: { readonly name: string; readonly bytes: Buffer } | undefined;

  constructor(
    storage: Storage,
    ids: { repositoryId: RepositoryId; storageId: StorageId },
    keys: EpochKeys,
    caches = CACHES,
  ) {
    this.storage = storage;
    this.repositoryId = ids.repositoryId;
    this.storageId = ids.storageId;
    this.#keys = keys;
    this.#readers = new Lru(caches.readers);
    this.#footers = new Lru(caches.footersBytes);
    this.#blocks = new Lru(caches.blocksBytes);
  }

  /** Opens a container whose bytes are at hand; checks the header only. */
  openBytes(bytes: Buffer, named: Named): ContainerReader {
    const storageId = named.kind === KIND.pack ? undefined : this.storageId;
    const { name, kind, seq } = named;
    return ContainerReader.open(bytes, { name, kind, seq, repositoryId: this.repositoryId, storageId }, this.#keys);
  }

  /**
   * Opens a container whose bytes are all at hand. What its own checksums show to be damage is called that, and not taken for a
   * container of another key, repository or name.
   */
  openWhole(bytes: Buffer, named: Named): ContainerReader {
    try {
      return this.openBytes(bytes, named);
    } catch (error) {
      throw isMoltError(error) ? (findDamage(bytes, named.name) ?? error) : error;
    }
  }

  /**
   * Returns the decoded block that holds an object.
   * @throws {MoltError} DAMAGED and its kin
   */
  async readBlock(place: BlockPlace): Promise<Buffer> {
    const name = containerName(place.container);
    const cacheKey = `${name}#${place.block}`;
    const cached = this.#blocks.get(cacheKey);
    if (cached !== undefined) return cached;
    const reader = await this.#reader(namedRef(place.container));
    const sealed = await this.#read(name, place.blockOffsetBytes, place.blockOffsetBytes + place.blockSealedBytes);
    const plain = reader.openBlock(place.block, BLOCK.data, sealed);
    release(sealed);
    const block = decode(plain, place.encoding, place.blockPlainBytes, name);
    if (block !== plain) release(plain);
    const own = detached(block);
    this.#blocks.set(cacheKey, own, own.length + BLOCK_ENTRY_BYTES);
    return own;
  }

  /** Forgets the decoded blocks and gives their memory back at once: no part of one may be in use. */
  dropBlocks(): void {
    for (const block of this.#blocks.clear()) release(block);
  }

  /**
   * Returns the footer of a container of objects.
   * @param sizeBytes the container's size, of whoever knows it and wants the footer alone: then no more is read than that takes
   */
  async readFooter(ref: ContainerRef, sizeBytes?: number): Promise<Footer> {
    return this.#footer(namedRef(ref), sizeBytes);
  }

  /** Returns the footer of an index run. */
  async readIndexFooter(id: string): Promise<Footer> {
    return this.#footer(namedIndex(id));
  }

  /**
   * Returns a block of an index run.
   * @param parse makes of the decoded block what is kept in memory
   */
  async readIndexBlock(
    id: string,
    number: number,
    block: BlockEntry,
    parse: (plain: Buffer) => Buffer = (plain) => plain,
  ): Promise<Buffer> {
    const named = namedIndex(id);
    const cacheKey = `${named.name}#${number}`;
    const cached = this.#blocks.get(cacheKey);
    if (cached !== undefined) return cached;
    const reader = await this.#reader(named);
    const sealed = await this.#read(named.name, block.offsetBytes, block.offsetBytes + block.sealedBytes);
    const { encoding, plainBytes, type } = block;
    const parsed = parse(decode(reader.openBlock(number, type, sealed), encoding, plainBytes, named.name));
    this.#blocks.set(cacheKey, parsed, parsed.length + BLOCK_ENTRY_BYTES);
    return parsed;
  }

  /** Checks every byte of a whole container and its name, and returns its footer. */
  async verifyWhole(bytes: Buffer, named: Named): Promise<Footer> {
    const footer = await this.openWhole(bytes, named).verifyWhole(bytes);
    if (named.kind === KIND.pack || named.kind === KIND.index) {
      const hash = createHash('sha256').update(bytes).digest('hex');
      if (!named.name.endsWith(hash))
        throw new MoltError('RENAMED', `${named.name} holds a whole container of another name`);
    }
    return footer;
  }

  async #footer(named: Named, knownBytes?: number): Promise<Footer> {
    const { name } = named;
    const cached = this.#footers.get(name);
    if (cached !== undefined) return cached;
    const kept = knownBytes === undefined ? undefined : await this.#keptFooter(named, knownBytes);
    if (kept !== undefined) return kept;
    const sizeBytes = knownBytes ?? (await this.storage.stat(name))?.sizeBytes;
    if (sizeBytes === undefined) throw missing(name);
    const [wholeUpTo, endBytes] =
      knownBytes === undefined ? [SMALL_BYTES, SMALL_BYTES] : [ONE_REQUEST_BYTES, END_BYTES];
    const whole = sizeBytes <= wholeUpTo ? await this.storage.read(name) : undefined;
    const isWhole = whole?.length === sizeBytes;
    // Who asks for the footer of a small container wants a block of it next: one read serves all three.
    if (isWhole) this.#small = { name, bytes: whole };
    const read = isWhole
      ? async (start: number, end: number): Promise<Buffer> => whole.subarray(start, end)
      : remembering((start, end) => this.#read(name, start, end));
    const reader = await this.#reader(named, read);
    const { footer } = await reader.readFooter(read, sizeBytes, endBytes);
    this.#footers.set(name, footer, footerWeight(footer));
    if (knownBytes !== undefined) await this.ends?.keep(name, sizeBytes, read);
    return footer;
  }

  /** Returns a footer that is kept here; undefined if it isn't, or not what was sealed. */
  async #keptFooter(named: Named, sizeBytes: number): Promise<Footer | undefined> {
    try {
      const read = await this.ends?.find(named.name, sizeBytes);
      if (read === undefined) return undefined;
      const reader = this.openBytes(await read(0, HEADER_BYTES), named);
      const { footer } = await reader.readFooter(read, sizeBytes, 0);
      this.#footers.set(named.name, footer, footerWeight(footer));
      return footer;
    } catch (error) {
      if (!isMoltError(error)) throw error;
      await this.ends?.drop(named.name);
      return undefined;
    }
  }

  async #reader(named: Named, read?: ReadRange): Promise<ContainerReader> {
    const cached = this.#readers.get(named.name);
    if (cached !== undefined) return cached;
    const reader = await this.#open(named, read ?? ((start, end) => this.#read(named.name, start, end)));
    this.#readers.set(named.name, reader, 1);
    return reader;
  }

  async #open(named: Named, read: ReadRange): Promise<ContainerReader> {
    const header = await read(0, HEADER_BYTES);
    try {
      return this.openBytes(header, named);
    } catch (error) {
      const whole = isMoltError(error) ? await this.storage.read(named.name) : undefined;
      throw whole === undefined ? error : (findDamage(whole, named.name) ?? error);
    }
  }

  async #read(name: string, start: number, end: number): Promise<Buffer> {
    if (this.#small?.name === name && end <= this.#small.bytes.length) return this.#small.bytes.subarray(start, end);
    const bytes = await this.storage.read(name, { start, end });
    if (bytes === undefined) throw missing(name);
    if (bytes.length < end - start)
      throw new MoltError('TRUNCATED', `${name} ends at ${start + bytes.length}, before a block of it does`);
    return bytes;
  }
}

/** Returns a reader that asks for nothing twice. */
function remembering(ask: ReadRange): ReadRange {
  const answers: { readonly start: number; readonly bytes: Buffer }[] = [];
  return async (start, end) => {
    const known = answers.find((one) => one.start <= start && end <= one.start + one.bytes.length);
    if (known !== undefined) return known.bytes.subarray(start - known.start, end - known.start);
    const bytes = await ask(start, end);
    answers.push({ start, bytes });
    return bytes;
  };
}

/** Returns about how much memory a footer takes. */
function footerWeight({ objects }: Footer): number {
  return 1024 + objects.length * 480;
}

/** Returns what the name of a container of objects promises. */
export function namedRef(ref: ContainerRef): Named {
  if ('seq' in ref) return { name: containerName(ref), kind: KIND.segment, seq: ref.seq };
  return namedPack(ref.pack);
}

/** Decodes an opened data block; a `deltas` block stays as it is, its frames are decoded one by one. */
export function decode(plain: Buffer, encoding: Place['encoding'], plainBytes: number, name: string): Buffer {
  if (plainBytes > BLOCK_MAX_BYTES) throw new MoltError('DAMAGED', `${name} has a block of impossible size`);
  if (encoding === ENCODING.zstd) return decodeBlock('zstd', plain, plainBytes);
  if (plain.length !== plainBytes) throw new MoltError('DAMAGED', `${name} has a block of another length than it says`);
  return plain;
}

/** Returns what a pack's name promises. */
export function namedPack(id: PackId): Named {
  return { name: packName(id), kind: KIND.pack, seq: 0 };
}

/** Returns what an index run's name promises. */
export function namedIndex(id: string): Named {
  return { name: indexName(id), kind: KIND.index, seq: undefined };
}

function missing(name: string): MoltError {
  return new MoltError('DAMAGED', `${name} is missing`, { hint: 'molt verify says which commits need it' });
}
