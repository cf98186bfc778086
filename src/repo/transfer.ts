// Copies what one storage of a repository has and another lacks, in the order of the source's log: push, fetch, clone and bundles are
// all this. A log is closed, each object follows those that it names, so whatever part of it has arrived is whole in itself, and a
// copy that was cut off goes on from there. Packs travel byte for byte; what segments hold is opened and sealed again, as it is
// encoded, under the target's next number.

import { createHash } from 'node:crypto';
import pMap, { pMapIterable } from 'p-map';
import { encodeBlock } from '../chunk/compress.ts';
import type { ContainerReader, EncodedBlock } from '../format/container.ts';
import type { Footer, ObjectEntry } from '../format/footer.ts';
import { footerEntries, type IndexEntry } from '../format/index-run.ts';
import { BLOCK, ENCODING, KIND, OBJECT } from '../format/layout.ts';
import {
  packName,
  parseSegmentRecord,
  segmentName,
  type CommitNote,
  type PackNote,
  type RefMove,
} from '../format/segment.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { PackId, SegmentSeq } from '../model/ids.ts';
import type { CommitTable } from './commit-table.ts';
import { decode, namedPack } from './containers.ts';
import { gitKey, mapKey } from './keys.ts';
import type { Repository } from './repository.ts';
import { sealSegment, type SegmentBlock } from './seal-segment.ts';
import { keepYoungHeapSmall } from './young-heap.ts';

/** What one segment carries at most before another one is begun. */
const SEGMENT_LIMIT_BYTES = 8 << 20;
const SEGMENT_LIMIT_OBJECTS = 50_000;
/** Segments that are read ahead, and packs under way: 16 MiB each in memory. */
const SEGMENTS_AHEAD = 6;
const PACKS_AT_ONCE = 3;
/** From so many segments on, the target's commits are looked at before its objects are. */
const MANY_SEGMENTS = 16;
/** How often a ref may be moved by others before a transfer gives up. */
const MOST_TRIES = 100;

/** What to copy. */
export interface TransferOptions {
  /** Says whether the target is known to have all that a segment of the source brings; the others are looked through. */
  readonly isKnown: (seq: SegmentSeq) => boolean;
  /**
   * Returns the refs that move on the target, as it stands, and those that must not; asked again when somebody else moved one of them.
   * @throws {MoltError} to give up
   */
  readonly moves: () => Promise<readonly RefMove[]>;
  /** What the target lost is to be sent anew: that it has a commit does not mean that it has all that the commit needs. */
  readonly heals?: boolean;
  /** A segment is written even if there is nothing to bring. */
  readonly writesAnyway?: boolean;
  /** Each read of the source is a request. */
  readonly isSourceFar?: boolean;
  /** Told how many bytes have arrived, and how many there are to come as far as the source's log was read. */
  readonly onBytes?: (doneBytes: number, knownBytes: number) => void;
  /** Told of what the source has lost, which can't be copied. */
  readonly onLost?: (problem: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** What was copied. */
export interface Transferred {
  /** Segments that were written. */
  segments: number;
  packs: number;
  objects: number;
  /** Bytes of segments and packs. */
  bytes: number;
  /** Refs that moved. */
  moves: readonly RefMove[];
}

/**
 * Copies what the target lacks, and moves refs there.
 * @throws {MoltError} DAMAGED when something of the source can't be read, what the storages fail with, and what `moves` throws
 */
export async function transfer(source: Repository, target: Repository, options: TransferOptions): Promise<Transferred> {
  return new Transfer(source, target, options).run();
}

/** A segment of the source, opened. */
interface OpenSegment {
  readonly bytes: Buffer;
  readonly reader: ContainerReader;
  readonly footer: Footer;
}

class Transfer {
  readonly #source: Repository;
  readonly #target: Repository;
  readonly #options: TransferOptions;
  readonly #done: Transferred = { segments: 0, packs: 0, objects: 0, bytes: 0, moves: [] };
  /** What the next segment of the target will hold. */
  #blocks: SegmentBlock[] = [];
  #blockBytes = 0;
  #objects = new Set<string>();
  #commits: CommitNote[] = [];
  #packs: PackNote[] = [];
  #packEntries: IndexEntry[] = [];
  #knownBytes = 0;
  /** The target's commits, where looking up every object would take long. */
  #known: CommitTable | undefined;

  constructor(source: Repository, target: Repository, options: TransferOptions) {
    keepYoungHeapSmall();
    this.#source = source;
    this.#target = target;
    this.#options = options;
  }

  async run(): Promise<Transferred> {
    const { isKnown, signal } = this.#options;
    const { tip, holes } = this.#source.log;
    const skipped = new Set(holes);
    const wanted: SegmentSeq[] = [];
    for (let seq = 1 as SegmentSeq; seq <= tip.seq; seq = (seq + 1) as SegmentSeq)
      if (!skipped.has(seq) && !isKnown(seq)) wanted.push(seq);
    if (wanted.length >= MANY_SEGMENTS && this.#options.heals !== true)
      this.#known = await this.#target.index.readCommits();
    const ahead = { concurrency: SEGMENTS_AHEAD, backpressure: SEGMENTS_AHEAD };
    for await (const segment of pMapIterable(wanted, (seq) => this.#openSegment(seq), ahead)) {
      signal?.throwIfAborted();
      if (segment !== undefined) await this.#take(segment);
    }
    await this.#publishMoves();
    return this.#done;
  }

  async #openSegment(seq: SegmentSeq): Promise<OpenSegment | undefined> {
    const name = segmentName(seq);
    const bytes = await this.#source.storage.read(name);
    if (bytes === undefined) {
      this.#options.onLost?.(`${name} is missing in ${this.#source.storage.label}, and what it held is not copied`);
      return undefined;
    }
    const reader = this.#source.containers.openWhole(bytes, { name, kind: KIND.segment, seq });
    const { footer } = await reader.readFooter(async (start, end) => bytes.subarray(start, end), bytes.length);
    return { bytes, reader, footer };
  }

  async #take({ bytes, reader, footer }: OpenSegment): Promise<void> {
    const record = parseSegmentRecord(footer.record, reader.name);
    // Where a commit is there, all that it needs came before it or with it.
    const known = this.#known;
    const isThere =
      known !== undefined && record.commits.length > 0 && record.commits.every(({ id }) => known.find(id) >= 0);
    // Tags can come without their commits.
    const objects = isThere ? footer.objects.filter(({ type }) => type === OBJECT.tag) : footer.objects;
    if (isThere && objects.length === 0) return;
    this.#knownBytes += bytes.length + record.packs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const packs = await pMap(isThere ? [] : record.packs, (pack) => this.#takePack(pack), {
      concurrency: PACKS_AT_ONCE,
    });
    for (const [at, entries] of packs.entries()) {
      const note = record.packs[at];
      if (entries === undefined || note === undefined) continue;
      this.#packs.push(note);
      this.#packEntries.push(...entries);
      for (const { key } of entries) this.#objects.add(mapKey(key));
    }
    const inBlock = Map.groupBy(footer.objects, ({ block }) => block);
    for (const [number, some] of Map.groupBy(objects, ({ block }) => block)) {
      const lacking: ObjectEntry[] = [];
      // oxlint-disable-next-line no-await-in-loop -- answered from memory, mostly
      for (const object of some) if (!(await this.#has(object.key))) lacking.push(object);
      if (lacking.length === 0) continue;
      // oxlint-disable-next-line no-await-in-loop -- one block in memory after the other
      await this.#takeBlock({ bytes, reader, footer }, number, lacking, inBlock.get(number)?.length ?? 0);
    }
    for (const commit of record.commits) if (this.#objects.has(mapKey(gitKey(commit.id)))) this.#commits.push(commit);
    if (this.#blockBytes >= SEGMENT_LIMIT_BYTES || this.#objects.size >= SEGMENT_LIMIT_OBJECTS) await this.#publish([]);
  }

  async #has(key: Buffer): Promise<boolean> {
    return this.#objects.has(mapKey(key)) || (await this.#target.index.find(key)) !== undefined;
  }

  /** Sends a pack whole; returns its objects, or undefined if the target has it. */
  async #takePack(note: PackNote): Promise<readonly IndexEntry[] | undefined> {
    const { id, sizeBytes } = note;
    const name = packName(id);
    // A copy that was cut off may have left it; a pack is written whole or not at all.
    const isThere = (await this.#target.storage.stat(name))?.sizeBytes === sizeBytes;
    // From far away all of it is read at once: its footer alone takes as many requests.
    const far = this.#options.isSourceFar === true && !isThere ? await this.#readPack(name, id) : undefined;
    const footer =
      far === undefined ? await this.#source.containers.readFooter({ pack: id }) : await this.#open(far, id);
    const entries = [...footerEntries({ pack: id }, footer)];
    if (await this.#hasPack(id, entries)) return undefined;
    if (isThere) return entries;
    const bytes = far ?? (await this.#readPack(name, id));
    await this.#target.storage.createOnce(name, [bytes]);
    this.#done.packs += 1;
    this.#count(bytes.length);
    return entries;
  }

  async #readPack(name: string, id: PackId): Promise<Buffer> {
    const bytes = await this.#source.storage.read(name);
    if (bytes === undefined) throw lostPack(name, 'is missing');
    if (createHash('sha256').update(bytes).digest('hex') !== id) throw lostPack(name, 'is damaged');
    return bytes;
  }

  async #open(bytes: Buffer, id: PackId): Promise<Footer> {
    const reader = this.#source.containers.openWhole(bytes, namedPack(id));
    return (await reader.readFooter(async (start, end) => bytes.subarray(start, end), bytes.length)).footer;
  }

  async #hasPack(id: PackId, entries: readonly IndexEntry[]): Promise<boolean> {
    for (const { key } of entries) {
      // oxlint-disable-next-line no-await-in-loop -- the first answers, unless another pack has it too
      const place = await this.#target.index.find(key);
      if (place === undefined) return false;
      if ('pack' in place.container && place.container.pack === id) return true;
    }
    return true;
  }

  /** Takes the objects of a block that the target lacks: the block as it is if that is all of them. */
  async #takeBlock(
    { bytes, reader, footer }: OpenSegment,
    number: number,
    lacking: readonly ObjectEntry[],
    count: number,
  ): Promise<void> {
    const entry = footer.blocks[number];
    if (entry === undefined) throw new MoltError('DAMAGED', `${reader.name} has no block ${number}`);
    const sealed = bytes.subarray(entry.offsetBytes, entry.offsetBytes + entry.sealedBytes);
    const encoded = reader.openBlock(number, BLOCK.data, sealed);
    const whole: EncodedBlock = {
      type: BLOCK.data,
      encoding: entry.encoding,
      bytes: encoded,
      plainBytes: entry.plainBytes,
    };
    // A delta's base is there: the source's log has it before the delta, so it was sent before, or just now.
    const block =
      lacking.length === count
        ? { block: whole, objects: lacking }
        : pick(decode(encoded, entry.encoding, entry.plainBytes, reader.name), entry.encoding, lacking);
    this.#add(block);
  }

  #add(block: SegmentBlock): void {
    this.#blocks.push(block);
    this.#blockBytes += block.block.bytes.length;
    for (const { key } of block.objects) this.#objects.add(mapKey(key));
  }

  /** Publishes what is left with the moves, until none of them was overtaken. */
  async #publishMoves(): Promise<void> {
    for (let tries = 0; ; tries += 1) {
      // oxlint-disable-next-line no-await-in-loop -- again only when somebody else moved a ref
      const moves = await this.#options.moves();
      const isEmpty = moves.every(staysPut) && this.#blocks.length === 0 && this.#packs.length === 0;
      if (isEmpty && this.#options.writesAnyway !== true) return;
      try {
        // oxlint-disable-next-line no-await-in-loop -- the same
        await this.#publish(moves);
        return;
      } catch (error) {
        if (!isMoltError(error, 'CONFLICT') || error.details['ref'] === undefined || tries >= MOST_TRIES) throw error;
      }
      // oxlint-disable-next-line no-await-in-loop -- the same
      await this.#target.refresh();
    }
  }

  async #publish(moves: readonly RefMove[]): Promise<void> {
    const target = this.#target;
    const content = { moves, commits: this.#commits, packs: this.#packs, blocks: this.#blocks };
    const segment = await target.log.append((next) => sealSegment(target, next, content));
    this.#done.segments += 1;
    this.#done.objects += this.#objects.size;
    this.#done.moves = [...this.#done.moves, ...moves.filter((move) => !staysPut(move))];
    this.#count(segment.sizeBytes);
    await target.indexNew({ packs: this.#packs, entries: this.#packEntries, storedBytes: 0 });
    this.#blocks = [];
    this.#blockBytes = 0;
    this.#objects = new Set();
    this.#commits = [];
    this.#packs = [];
    this.#packEntries = [];
  }

  #count(bytes: number): void {
    this.#done.bytes += bytes;
    this.#options.onBytes?.(this.#done.bytes, Math.max(this.#knownBytes, this.#done.bytes));
  }
}

function staysPut({ from, to }: RefMove): boolean {
  return from === to;
}

/** Makes a block of some objects of another one. */
function pick(plain: Buffer, encoding: EncodedBlock['encoding'], objects: readonly ObjectEntry[]): SegmentBlock {
  let offsetBytes = 0;
  const placed = objects.map((object) => {
    const at = offsetBytes;
    offsetBytes += object.lengthBytes;
    return { ...object, offsetBytes: at };
  });
  const bytes = Buffer.concat(
    objects.map((object) => plain.subarray(object.offsetBytes, object.offsetBytes + object.lengthBytes)),
  );
  // What lay uncompressed stays so: it may be secret.
  if (encoding !== ENCODING.zstd)
    return { block: { type: BLOCK.data, encoding, bytes, plainBytes: bytes.length }, objects: placed };
  const encoded = encodeBlock(bytes);
  const block = {
    type: BLOCK.data,
    encoding: ENCODING[encoded.encoding],
    bytes: encoded.bytes,
    plainBytes: bytes.length,
  } as const;
  return { block, objects: placed };
}

function lostPack(name: string, what: string): MoltError {
  return new MoltError('DAMAGED', `${name} ${what}, and can't be copied`, { hint: 'run molt verify --repair' });
}
