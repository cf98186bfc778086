// A transaction: new objects collect in blocks and become, at `publish`, one segment of the log (and packs before it, if there is
// much). Until then nothing of it can be seen, and giving it up costs nothing but packs that no segment names.

import type { Chunker } from '../chunk/chunker.ts';
import { ContentChunker } from '../chunk/fastcdc.ts';
import { FixedChunker } from '../chunk/fixed-chunker.ts';
import { encodeBlock } from '../chunk/compress.ts';
import { encodeBlobRecord, type BlobRecord, type NodeEntry } from '../format/blob.ts';
import type { EncodedBlock } from '../format/container.ts';
import type { ContainerRef, Place } from '../format/index-run.ts';
import { BLOCK, BLOCK_MAX_BYTES, ENCODING, OBJECT, type ObjectType } from '../format/layout.ts';
import { REF_NAME } from '../format/ref-name.ts';
import type { CommitNote, RefMove } from '../format/segment.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { BlobWriter, Chunking } from '../model/entry.ts';
import type { BlobId, GitId } from '../model/ids.ts';
import { BlobHash } from './blob-hash.ts';
import { BlobSink, type ObjectSink, type PreviousChunks } from './blob-sink.ts';
import { BlockBuilder, type BlockGroup, type PlainBlock } from './block-builder.ts';
import { chooseDelta } from './choose-delta.ts';
import { gitKey, mapKey } from './keys.ts';
import { gitIdOf, type GitType } from './objects.ts';
import { PackPool, type EncodedPlainBlock, type StoredPacks } from './pack-pool.ts';
import type { Repository } from './repository.ts';
import { sealSegment, type SegmentBlock, type SegmentContent } from './seal-segment.ts';
import { Sha1Thread } from './sha1-thread.ts';
import { isDamage } from './storage-failure.ts';

/** Encoded bytes that a segment may carry before a transaction turns to packs. */
const SEGMENT_LIMIT_BYTES = 8 << 20;
/** Objects that a segment may carry before that: its footer is read and held whole. */
const SEGMENT_LIMIT_OBJECTS = 20_000;
/** Bytes that a full backup encodes on this thread before workers are worth starting. */
const INLINE_BYTES = 4 << 20;

/** A blob of this size starts the thread that hashes blobs, and then it hashes those of the lesser size too. */
export const LARGE_BLOB_BYTES = 48 << 20;
const HASHED_THERE_BYTES = 8 << 20;

/** How a transaction stores. */
export interface TransactionOptions {
  readonly packs: boolean;
  readonly isGoing?: (container: ContainerRef) => boolean;
  readonly near?: Repository | undefined;
}

/** What a sweep says beside what a commit does; asked for each place in the log. */
export type SealSweep = (stored: StoredPacks) => Pick<SegmentContent, 'packs' | 'base' | 'history'>;

/** What a transaction published. */
export interface Published {
  readonly seq: number;
  /** Bytes that reached the storage: segment, packs, and now and then a checkpoint with its index run. */
  readonly storedBytes: number;
}

/** A block that is encoded and waits for its container. */
interface ReadyBlock extends SegmentBlock {
  readonly group: BlockGroup;
}

/** Collects objects and ref moves. One blob is written at a time. */
export class Transaction implements ObjectSink {
  readonly #repository: Repository;
  readonly #builder: BlockBuilder;
  readonly #packs: PackPool;
  readonly #new = new Map<string, { readonly type: ObjectType; readonly bytes: Buffer | undefined }>();
  readonly #chunkers: Record<Chunking, Chunker>;
  /** Blocks that are no pack's: the segment's, or for a full backup so few that no worker is worth starting. */
  #segmentBlocks: ReadyBlock[] = [];
  #segmentBytes = 0;
  #segmentObjects = 0;
  /** Bytes that those blocks had before they were encoded. */
  #plainBytes = 0;
  /** A block went to the pool since it was last asked whether it has room. */
  #emitted = false;
  readonly #whole: boolean;
  readonly #isGoing: (container: ContainerRef) => boolean;
  readonly #near: Repository | undefined;
  #pooled = false;
  #mayBePublished = false;
  #sha1Thread: Sha1Thread | undefined;
  /** The sweep that it began after: another one may take away what it does not write because it is stored. */
  readonly #sweepSeq: number;

  /**
   * @param options.packs all objects go to packs whole, as a full backup asks for
   * @param options.isGoing says of a container that it is about to be swept away: what it holds counts as not stored
   * @param options.near has most of the same objects, and is quicker to read
   */
  constructor(repository: Repository, options: TransactionOptions) {
    this.#repository = repository;
    this.#whole = options.packs;
    this.#isGoing = options.isGoing ?? (() => false);
    this.#near = options.near;
    this.#sweepSeq = repository.log.begin.sweepSeq;
    this.#packs = new PackPool(repository.storage, () => repository.containerSpec());
    this.#builder = new BlockBuilder(
      (block) => this.#take(block),
      () => this.#packs.takeMemory(),
    );
    this.#chunkers = { content: new ContentChunker(repository.gear), fixed: new FixedChunker() };
  }

  /**
   * Starts a blob.
   * @param options.sizesBytes the numbers of bytes that may follow, mostly one
   * @param options.previous an earlier version of the same file
   * @param options.isPreviousStored its chunks are known to be there, so that none of them need be looked up
   */
  openBlob(options: {
    chunking: Chunking;
    sizesBytes: readonly number[];
    secret?: boolean;
    previous?: BlobId | undefined;
    isPreviousStored?: boolean;
  }): BlobWriter {
    const { previous, chunking, sizesBytes, isPreviousStored = false } = options;
    return new BlobSink({
      sink: this,
      idKey: this.#repository.keys.idKey,
      chunker: this.#chunkers[chunking],
      hash: new BlobHash(sizesBytes, this.#hashThread(sizesBytes)),
      secret: options.secret ?? false,
      // For a full backup every chunk is looked up: that the previous version has it does not tell that a pack has it.
      loadPrevious: previous === undefined || this.#whole ? undefined : () => this.#previousChunks(previous),
      isPreviousStored,
    });
  }

  /** Says how many bytes are about to be written, so that what many of them need is there in time. */
  expectBytes(sizeBytes: number): void {
    if (!this.#whole || this.#pooled || sizeBytes <= INLINE_BYTES * 4) return;
    this.#turnToPacks();
    this.#packs.start();
  }

  /** Says how large a blob is that will probably be written: should it need a thread, that is started meanwhile. */
  expectBlob(sizeBytes: number): void {
    this.#hashThread([sizeBytes]);
  }

  /** Returns the thread that hashes large blobs, once there is one that is worth starting it; packing needs the cores itself. */
  #hashThread(sizesBytes: readonly number[]): Sha1Thread | undefined {
    if (this.#whole || this.#pooled) return undefined;
    const [sizeBytes = 0] = sizesBytes;
    if (sizeBytes >= LARGE_BLOB_BYTES) this.#sha1Thread ??= new Sha1Thread();
    return sizeBytes >= HASHED_THERE_BYTES ? this.#sha1Thread : undefined;
  }

  /** Writes a small blob whole. */
  async writeBlob(bytes: Buffer, previous?: BlobId): Promise<BlobId> {
    const blob = this.openBlob({ chunking: 'content', sizesBytes: [bytes.length], previous });
    await blob.write(bytes);
    return (await blob.finish()).id;
  }

  /**
   * Writes a Git object and returns its id.
   * @param findPrevious finds an object that this one follows and probably resembles; only asked if it is new
   */
  async writeGit(type: GitType, content: Buffer, findPrevious?: () => Promise<GitId | undefined>): Promise<GitId> {
    const id = gitIdOf(type, content);
    const key = gitKey(id);
    if (await this.#isKnown(key)) return id;
    const previous = await findPrevious?.();
    const object = { key, type: OBJECT[type], bytes: content };
    await this.#add(
      mapKey(key),
      object,
      type === 'tree' ? 'metadata' : 'history',
      previous === undefined ? undefined : gitKey(previous),
    );
    return id;
  }

  /** Says whether everything that it was given is stored already. */
  get isEmpty(): boolean {
    return this.#new.size === 0;
  }

  /** Says whether an object is among those that this transaction is about to write. */
  isNew(key: Buffer): boolean {
    return this.#new.has(mapKey(key));
  }

  /** Returns a Git object that this transaction is about to write. */
  findNewGit(id: GitId): { type: ObjectType; content: Buffer } | undefined {
    const found = this.#new.get(mapKey(gitKey(id)));
    return found?.bytes === undefined ? undefined : { type: found.type, content: found.bytes };
  }

  put(
    object: { readonly key: Buffer; readonly type: ObjectType; readonly bytes: Buffer },
    group: BlockGroup,
    previous: Buffer | undefined,
  ): void | Promise<void> {
    const id = mapKey(object.key);
    if (this.#new.has(id)) return undefined;
    const known = this.#repository.index.find(object.key);
    if (known === undefined) return this.#add(id, object, group, previous);
    return this.#putUnlessFound(id, object, group, previous, known);
  }

  async putBlob(id: BlobId, record: BlobRecord, chunks: readonly NodeEntry[]): Promise<void> {
    const key = gitKey(id);
    const bytes = encodeBlobRecord(record, id);
    const pending = this.#new.get(mapKey(key))?.bytes;
    const isOther = pending === undefined ? await this.#isOther(id, record, chunks) : !pending.equals(bytes);
    if (isOther) {
      throw new MoltError('COLLISION', `another content has the Git id ${id} already`, {
        hint: 'files with one SHA-1 are made on purpose: find out who wrote this one',
      });
    }
    await this.put({ key, type: OBJECT.blob, bytes }, 'metadata', undefined);
  }

  /** Says whether the repository has a blob of this id with another content; the same one cut otherwise is no other. */
  async #isOther(id: BlobId, record: BlobRecord, chunks: readonly NodeEntry[]): Promise<boolean> {
    const { objects } = this.#repository;
    if (!(await objects.hasBlob(id))) return false;
    try {
      const known = await objects.readBlobRecord(id);
      if (known.root === record.root && known.sizeBytes === record.sizeBytes) return false;
      return !(await objects.hasContent(known, chunks));
    } catch (error) {
      // What can't be read can't be compared, and must not keep the file from being saved.
      if (isDamage(error)) return false;
      throw error;
    }
  }

  async #putUnlessFound(
    id: string,
    object: { readonly key: Buffer; readonly type: ObjectType; readonly bytes: Buffer },
    group: BlockGroup,
    previous: Buffer | undefined,
    found: Place | Promise<Place | undefined>,
  ): Promise<void> {
    if (!this.#isEnough(await found)) await this.#add(id, object, group, previous);
  }

  /** Says whether an object need not be written: it is new here already, or stored, for a full backup in a pack. */
  async #isKnown(key: Buffer): Promise<boolean> {
    if (this.#new.has(mapKey(key))) return true;
    return this.#isEnough(await this.#repository.index.find(key));
  }

  #isEnough(place: Place | undefined): boolean {
    return place !== undefined && !this.#isGoing(place.container) && (!this.#whole || 'pack' in place.container);
  }

  /** Writes an object of the log's segments whole into a pack, for a full backup; does nothing if a pack has it. */
  async promote(key: Buffer): Promise<void> {
    if (await this.#isKnown(key)) return;
    const found = (await this.#near?.objects.find(key)) ?? (await this.#repository.objects.find(key));
    if (found === undefined)
      throw new MoltError('DAMAGED', `an object that the full backup needs is missing`, { hint: 'run molt verify' });
    // A chunk that lies uncompressed may be a secret and stays so; others that do would not compress either.
    const group = found.place.encoding === ENCODING.raw ? 'secret' : 'content';
    await this.#add(mapKey(key), { key, ...found }, found.type === OBJECT.chunk ? group : 'metadata', undefined);
  }

  /** Writes a delta of a segment that goes as it is into this one; false if it does not fit any more, or is none. */
  async carryDelta(key: Buffer): Promise<boolean> {
    const { index, objects } = this.#repository;
    const place = await index.find(key);
    if (place?.encoding !== ENCODING.deltas || this.#segmentBytes + place.lengthBytes > SEGMENT_LIMIT_BYTES)
      return false;
    const bytes = await objects.readPlace(key, place);
    const { frame, base } = await objects.readFrame(key, place);
    this.#new.set(mapKey(key), { type: place.type, bytes: undefined });
    this.#builder.add('delta', { key, type: place.type, bytes: frame, objectBytes: bytes.length, base });
    return true;
  }

  /**
   * Makes everything durable and visible in one step.
   * @param moves refs that move; publishing fails when one of them does not stand at `from` any more
   * @param commits what goes into the time table
   * @param sealSweep makes a sweep of it; may throw to give up when another writer was first
   * @throws {MoltError} CONFLICT when another writer moved a ref; the transaction may be published again with other moves. SWEPT when a
   * sweep came first: then it has to be done anew. USAGE when a ref can't have its name
   */
  async publish(moves: readonly RefMove[], commits: readonly CommitNote[], sealSweep?: SealSweep): Promise<Published> {
    for (const { name } of moves) checkRefName(name);
    this.#builder.flush();
    const stored = await this.#storePacks();
    const repository = this.#repository;
    // From here on a failure may mean that only the answer was lost.
    this.#mayBePublished = true;
    try {
      const content = { moves, commits, packs: stored.packs, blocks: this.#segmentBlocks };
      const segment = await repository.log.append((next) => {
        checkNotSwept(repository, this.#sweepSeq);
        return sealSegment(repository, next, { ...content, ...sealSweep?.(stored) });
      });
      const cachedBytes = await repository.indexNew(stored);
      return { seq: segment.record.seq, storedBytes: stored.storedBytes + segment.sizeBytes + cachedBytes };
    } catch (error) {
      if (!isMoltError(error, 'CONFLICT', 'SWEPT')) throw error;
      this.#mayBePublished = false;
      // What won must be known before the caller can put its commit on top of it.
      await (error.details['pruned'] === true ? repository.startOver() : repository.refresh());
      throw error;
    }
  }

  /** Gives back workers, and what was stored for nothing. Must be called once, published or not. */
  async close(): Promise<void> {
    await Promise.all([this.#packs.close(), this.#sha1Thread?.close()]);
    if (!this.#mayBePublished) await this.#packs.drop();
  }

  async #add(
    id: string,
    object: { readonly key: Buffer; readonly type: ObjectType; readonly bytes: Buffer },
    group: BlockGroup,
    previous: Buffer | undefined,
  ): Promise<void> {
    const { key, type, bytes } = object;
    // The format's cap: what is larger could not be read back.
    if (bytes.length > BLOCK_MAX_BYTES) {
      throw new MoltError(
        'HOSTILE',
        `an object of ${bytes.length} bytes (mostly a folder with too many files) is more than molt keeps in one piece`,
      );
    }
    // Only Git's objects are looked at again before they are published.
    const isGit = type !== OBJECT.chunk && type !== OBJECT.node;
    const mayBeDelta = previous !== undefined && !this.#whole && group !== 'secret' && !this.#isSegmentFull();
    const delta = mayBeDelta ? await chooseDelta(this.#repository, bytes, previous) : undefined;
    this.#new.set(id, { type, bytes: isGit ? Buffer.from(bytes) : undefined });
    if (delta === undefined) this.#builder.add(group, { key, type, bytes, objectBytes: bytes.length, base: undefined });
    else this.#builder.add('delta', { key, type, bytes: delta.frame, objectBytes: bytes.length, base: delta.base });
    if (!this.#emitted) return;
    this.#emitted = false;
    // Waits while the pool has enough to do, and compresses here meanwhile.
    await this.#packs.ready();
  }

  #isSegmentFull(): boolean {
    return this.#segmentBytes > SEGMENT_LIMIT_BYTES || this.#segmentObjects > SEGMENT_LIMIT_OBJECTS;
  }

  /** Takes a block from the builder: into the pool, or encoded at once as long as there is little. */
  #take(plain: PlainBlock): void {
    if (this.#pooled && !staysInSegment(plain.group)) {
      this.#pool(plain);
      return;
    }
    const block = encodePlain(plain);
    this.#segmentBlocks.push({ group: plain.group, block, objects: plain.objects });
    this.#segmentBytes += block.bytes.length;
    this.#plainBytes += plain.plainBytes;
    this.#segmentObjects += plain.objects.length;
    if (this.#isSegmentFull() || (this.#whole && this.#plainBytes > INLINE_BYTES)) this.#turnToPacks();
  }

  #pool(plain: PlainBlock): void {
    const encoding = plain.group === 'secret' ? 'raw' : 'plain';
    this.#packs.add({ ...plain, usedBytes: plain.plainBytes, encoding });
    this.#emitted = true;
  }

  /** From now on all blocks go to packs, with those that were meant for the segment and need not stay in it. */
  #turnToPacks(): void {
    this.#pooled = true;
    for (const block of this.#takePackable()) this.#packs.add(block);
    this.#emitted = true;
  }

  #takePackable(): EncodedPlainBlock[] {
    const blocks = this.#segmentBlocks;
    this.#segmentBlocks = blocks.filter(({ group }) => staysInSegment(group));
    this.#segmentBytes = this.#segmentBlocks.reduce((sum, { block }) => sum + block.bytes.length, 0);
    return blocks.filter(({ group }) => !staysInSegment(group)).map(packable);
  }

  async #storePacks(): Promise<StoredPacks> {
    if (this.#whole && !this.#pooled) return this.#packs.packHere(this.#takePackable());
    return this.#packs.finish();
  }

  async #previousChunks(id: BlobId): Promise<PreviousChunks> {
    const { objects } = this.#repository;
    try {
      if (await objects.hasBlob(id)) return await objects.readChunkList(await objects.readBlobRecord(id));
    } catch (error) {
      if (!isDamage(error)) throw error;
    }
    return { ids: [], nodes: [] };
  }
}

/** @throws {MoltError} SWEPT when a log was swept since */
export function checkNotSwept({ log }: Repository, sweepSeq: number): void {
  if (log.begin.sweepSeq === sweepSeq) return;
  throw new MoltError('SWEPT', 'the repository was pruned while this ran, and nothing was saved', {
    hint: 'run the command again',
  });
}

/** Only a segment may hold deltas, and of commits and tags it tells where they are without a search. */
function staysInSegment(group: BlockGroup): boolean {
  return group === 'delta' || group === 'history';
}

function encodePlain({ group, memory, plainBytes }: PlainBlock): EncodedBlock {
  const plain = Buffer.from(memory, 0, plainBytes);
  if (group === 'delta') return { type: BLOCK.data, encoding: ENCODING.deltas, bytes: plain, plainBytes };
  const isRaw = group === 'secret' || group === 'history';
  const { encoding, bytes } = isRaw ? { encoding: 'raw' as const, bytes: plain } : encodeBlock(plain);
  return { type: BLOCK.data, encoding: ENCODING[encoding], bytes, plainBytes };
}

/** Returns an encoded block as the pool takes it, in memory of its own. */
function packable({ group, block, objects }: ReadyBlock): EncodedPlainBlock {
  const memory = new SharedArrayBuffer(block.bytes.length);
  new Uint8Array(memory).set(block.bytes);
  const encoding = block.encoding === ENCODING.zstd ? 'zstd' : 'raw';
  return { group, objects, memory, plainBytes: block.plainBytes, usedBytes: block.bytes.length, encoding };
}

function checkRefName(name: string): void {
  if (REF_NAME.test(name)) return;
  throw new MoltError('USAGE', `"${name}" is no name for a branch or tag`, { hint: 'use letters, digits, - and /' });
}
