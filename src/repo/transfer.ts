// Copies what one storage of a repository has and another lacks, in the order of the source's log: push, fetch, clone and bundles are
// all this. A log is closed, each object follows those that it names, so whatever part of it has arrived is whole in itself, and a
// copy that was cut off goes on from there. Packs travel byte for byte; what segments hold is opened and sealed again, as it is
// encoded, under the target's next number. Where something expired, a log is closed only for commits that have their content: what new
// ones need beside what came is looked for before they are noted.

import { createHash } from 'node:crypto';
import pMap, { pMapIterable } from 'p-map';
import { encodeBlock } from '../chunk/compress.ts';
import type { ContainerReader, EncodedBlock } from '../format/container.ts';
import type { Footer, ObjectEntry } from '../format/footer.ts';
import { parseHistoryNote } from '../format/history-note.ts';
import { footerEntries, type IndexEntry } from '../format/index-run.ts';
import { BLOCK, ENCODING, KIND, OBJECT } from '../format/layout.ts';
import { packName, parseSegmentRecord, segmentName, type CommitNote, type RefMove } from '../format/segment.ts';
import type { PackNote } from '../format/log-base.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { CommitId, PackId, SegmentSeq } from '../model/ids.ts';
import type { CommitTable } from './commit-table.ts';
import { decode, namedPack } from './containers.ts';
import { storeHistory } from './history-pack.ts';
import { gitKey, mapKey } from './keys.ts';
import type { Repository } from './repository.ts';
import { sealSegment, type SegmentBlock } from './seal-segment.ts';
import { GapFinder } from './transfer-gaps.ts';
import { checkNotSwept } from './transaction.ts';
import { keepYoungHeapSmall } from './heap.ts';

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
/** And how often the target may be swept. */
const MOST_SWEEPS = 5;

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
  for (let tries = 1; ; tries += 1) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- again only when the target was swept meanwhile
      return await new Transfer(source, target, options).run();
    } catch (error) {
      if (!isMoltError(error, 'SWEPT') || tries === MOST_SWEEPS) throw error;
    }
    // oxlint-disable-next-line no-await-in-loop -- the same
    await target.refresh();
  }
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
  /** Those of them that hold commits whose content is gone. */
  #ownHistory: PackId[] = [];
  /** The packs that the source's last sweep names, once they were taken. */
  #basePacks: ReadonlySet<PackId> = new Set();
  #packEntries: IndexEntry[] = [];
  #knownBytes = 0;
  /** The target's commits, where looking up every object would take long. */
  #known: CommitTable | undefined;
  /** The target's last sweep: what is known to be there may be gone by another one. */
  readonly #sweepSeq: number;
  /** Commits whose content is gone in the source, and its packs of them. */
  #expired: ReadonlySet<CommitId> = new Set();
  readonly #history: ReadonlySet<PackId>;
  readonly #gaps: GapFinder;

  constructor(source: Repository, target: Repository, options: TransferOptions) {
    keepYoungHeapSmall();
    this.#source = source;
    this.#target = target;
    this.#options = options;
    this.#sweepSeq = target.log.begin.sweepSeq;
    this.#history = new Set(source.log.begin.history);
    this.#gaps = new GapFinder(source, target, (key) => this.#objects.has(mapKey(key)));
  }

  async run(): Promise<Transferred> {
    const { isKnown, signal } = this.#options;
    const { tip, holes, begin } = this.#source.log;
    this.#expired = await this.#source.listExpired();
    const skipped = new Set(holes);
    const wanted: SegmentSeq[] = [];
    for (let seq = (begin.seq + 1) as SegmentSeq; seq <= tip.seq; seq = (seq + 1) as SegmentSeq)
      if (!skipped.has(seq) && !isKnown(seq)) wanted.push(seq);
    // What was known of before the last sweep lies elsewhere since.
    if ((wanted[0] ?? Infinity) < begin.sweepSeq) await this.#takeBase(begin.sweepSeq as SegmentSeq);
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

  /** Takes what the source's last sweep left: all its packs, and the commits whose segments are gone. */
  async #takeBase(seq: SegmentSeq): Promise<void> {
    const segment = await this.#openSegment(seq);
    const record = segment && parseSegmentRecord(segment.footer.record, segment.reader.name);
    if (record?.base === undefined) return;
    const { packs } = record.base;
    this.#basePacks = new Set(packs.map(({ id }) => id));
    this.#knownBytes += packs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    for (let at = 0; at < packs.length; at += PACKS_AT_ONCE) {
      this.#options.signal?.throwIfAborted();
      // oxlint-disable-next-line no-await-in-loop -- a few packs in memory at a time
      await this.#takePacks(packs.slice(at, at + PACKS_AT_ONCE));
      // oxlint-disable-next-line no-await-in-loop -- the same
      if (this.#isFull()) await this.#publish([]);
    }
    await this.#addCommits(record.commits);
  }

  async #takePacks(notes: readonly PackNote[]): Promise<void> {
    const packs = await pMap(notes, (pack) => this.#takePack(pack), { concurrency: PACKS_AT_ONCE });
    for (const [at, entries] of packs.entries()) {
      const note = notes[at];
      if (entries === undefined || note === undefined) continue;
      this.#packs.push(note);
      this.#packEntries.push(...entries);
      for (const { key } of entries) this.#objects.add(mapKey(key));
    }
  }

  /** Notes the commits that are on their way, but for those that the target knows already, and those that have no content. */
  async #addCommits(commits: readonly CommitNote[]): Promise<void> {
    for (const { seq: _, ...commit } of commits) {
      const key = gitKey(commit.id);
      if (!this.#objects.has(mapKey(key)) || this.#expired.has(commit.id)) continue;
      // oxlint-disable-next-line no-await-in-loop -- answered from memory, mostly
      if ((await this.#target.index.find(key)) === undefined) this.#commits.push(commit);
    }
  }

  /** Takes what the next commits need and share with those of which the target has no content. */
  async #fillGaps(): Promise<void> {
    if (!this.#target.isThinned) return;
    for (const { id } of this.#commits) {
      // oxlint-disable-next-line no-await-in-loop -- oldest first, each shares most with the one before
      for await (const key of this.#gaps.listGaps(id)) {
        await this.#takeObject(key);
        if (this.#isFull()) await this.#append([], []);
      }
    }
  }

  async #takeObject(key: Buffer): Promise<void> {
    const found = await this.#source.objects.find(key);
    if (found === undefined) throw new MoltError('DAMAGED', 'an object is missing', { hint: 'run molt verify' });
    const { bytes, type, place } = found;
    const object = { key, type, offsetBytes: 0, lengthBytes: bytes.length, objectBytes: bytes.length, base: undefined };
    const isSecret = place.encoding === ENCODING.raw;
    const encoded = isSecret ? { encoding: 'raw' as const, bytes } : encodeBlock(bytes);
    const { encoding } = encoded;
    const block = { type: BLOCK.data, encoding: ENCODING[encoding], bytes: encoded.bytes, plainBytes: bytes.length };
    this.#add({ block, objects: [object] });
  }

  #isFull(): boolean {
    return this.#blockBytes >= SEGMENT_LIMIT_BYTES || this.#objects.size >= SEGMENT_LIMIT_OBJECTS;
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
    // Packs from before the sweep came with it, or are gone.
    const isStale = record.seq < this.#source.log.begin.sweepSeq;
    if (!isThere && !isStale) await this.#takePacks(record.packs.filter(({ id }) => !this.#basePacks.has(id)));
    const inBlock = Map.groupBy(footer.objects, ({ block }) => block);
    for (const [number, some] of Map.groupBy(objects, ({ block }) => block)) {
      const lacking: ObjectEntry[] = [];
      // oxlint-disable-next-line no-await-in-loop -- answered from memory, mostly
      for (const object of some) if (!(await this.#has(object.key))) lacking.push(object);
      if (lacking.length === 0) continue;
      // oxlint-disable-next-line no-await-in-loop -- one block in memory after the other
      await this.#takeBlock({ bytes, reader, footer }, number, lacking, inBlock.get(number)?.length ?? 0);
    }
    // Those of a sweep came with segments before it.
    await this.#addCommits(record.commits.filter(({ seq }) => seq === undefined));
    if (this.#isFull()) await this.#publish([]);
  }

  async #has(key: Buffer): Promise<boolean> {
    return this.#objects.has(mapKey(key)) || (await this.#target.index.find(key)) !== undefined;
  }

  /** Sends a pack whole; returns its objects, or undefined if the target has it, or got what it lacks of it otherwise. */
  async #takePack(note: PackNote): Promise<readonly IndexEntry[] | undefined> {
    const { id, sizeBytes } = note;
    const name = packName(id);
    if (this.#history.has(id)) return this.#takeHistory(note);
    // A name that the target swept may be deleted at any time.
    if (this.#target.log.begin.swept.includes(id)) {
      const { objects } = await this.#source.containers.readFooter({ pack: id });
      for (const { key } of objects) {
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        if (!(await this.#has(key))) await this.#takeObject(key);
      }
      return undefined;
    }
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

  /**
   * Sends what the target lacks of a history pack, as one: of commits that it lists it may have the content too. That it has a commit's
   * object says nothing: a pack that is not written anew yet brings that without its line.
   */
  async #takeHistory({ id }: PackNote): Promise<undefined> {
    const footer = await this.#source.containers.readFooter({ pack: id });
    const listed = await this.#target.index.readCommits();
    const lacking = parseHistoryNote(footer, packName(id)).filter((entry) => listed.find(entry.id) < 0);
    for (const pack of await storeHistory(this.#source, this.#target, lacking)) {
      this.#done.packs += 1;
      this.#count(pack.note.sizeBytes);
      this.#packs.push(pack.note);
      this.#packEntries.push(...pack.entries);
      this.#ownHistory.push(pack.note.id);
      for (const { key } of pack.entries) this.#objects.add(mapKey(key));
    }
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

  /** A commit is never in the target without what it needs: a copy that is cut off would not look at it again. */
  async #publish(moves: readonly RefMove[]): Promise<void> {
    await this.#fillGaps();
    await this.#append(moves, this.#commits);
    this.#commits = [];
  }

  async #append(moves: readonly RefMove[], commits: readonly CommitNote[]): Promise<void> {
    const target = this.#target;
    const history = this.#ownHistory;
    const content = { moves, commits, packs: this.#packs, blocks: this.#blocks, history };
    const segment = await target.log.append((next) => {
      checkNotSwept(target, this.#sweepSeq);
      return sealSegment(target, next, content);
    });
    this.#done.segments += 1;
    this.#done.objects += this.#objects.size;
    this.#done.moves = [...this.#done.moves, ...moves.filter((move) => !staysPut(move))];
    this.#count(segment.sizeBytes);
    await target.indexNew({ packs: this.#packs, entries: this.#packEntries, storedBytes: 0 });
    this.#blocks = [];
    this.#blockBytes = 0;
    this.#objects = new Set();
    this.#ownHistory = [];
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
