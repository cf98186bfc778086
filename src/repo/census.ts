// Counts what a storage's containers hold, and how much of it some commits need: what a sweep is decided by. Reads the containers' own
// footers, so that a broken index can't mislead it.

import pMap from 'p-map';
import type { ContainerRef } from '../format/index-run.ts';
import type { Footer } from '../format/footer.ts';
import { OBJECT } from '../format/layout.ts';
import type { PackNote } from '../format/log-base.ts';
import { packName, parseSegmentName, parseSegmentRecord, segmentName } from '../format/segment.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { CommitId, GitId, PackId, SegmentSeq } from '../model/ids.ts';
import { listEdges } from './edges.ts';
import { gitKey, keyText } from './keys.ts';
import { heldMark, MARK, ObjectTable } from './object-table.ts';
import type { Repository } from './repository.ts';
import { isStorageFailure } from './storage-failure.ts';

/** Footers that are read at once. */
const READS_AT_ONCE = 8;

/** A container and what of it is needed. */
export interface CountedContainer {
  readonly ref: ContainerRef;
  readonly sizeBytes: number;
  /** The storage does not let it go yet. */
  readonly isLocked: boolean;
  /** Its number in the census. */
  readonly ordinal: number;
  /** The share of its objects, by stored bytes, that are needed and have no better place. */
  liveShare: number;
  /** It could not be read, and stays as it is. */
  isDamaged: boolean;
}

/** The packs and segments of a repository, and their objects. */
export class Census {
  readonly containers: CountedContainer[] = [];
  /** The packs that the log names. */
  readonly packs: ReadonlyMap<PackId, PackNote>;
  /** What `begin.seq + 1` and later segments say that they follow, by their own number. */
  readonly previous: ReadonlyMap<number, string>;
  readonly #repository: Repository;
  /** Has most of the same objects, and is quicker to read. */
  readonly #near: Repository | undefined;
  readonly #table: ObjectTable;
  /** The base of an object that is only held as a delta, by number. */
  readonly #bases = new Map<number, number>();
  /** The bases of a container's deltas, by ordinal. */
  readonly #basesIn: number[][] = [];
  /** About how many bytes the objects of a container take, by ordinal, and one object takes where it is, by number. */
  readonly #totals: number[] = [];
  #stored = new Float32Array(1024);

  private constructor(
    repository: Repository,
    near: Repository | undefined,
    packs: ReadonlyMap<PackId, PackNote>,
    previous: ReadonlyMap<number, string>,
  ) {
    this.#repository = repository;
    this.#near = near;
    this.#table = new ObjectTable();
    this.packs = packs;
    this.previous = previous;
  }

  /** Reads all footers of a repository, as of its log's tip. */
  static async take(
    repository: Repository,
    options: {
      readonly near?: Repository | undefined;
      readonly signal?: AbortSignal | undefined;
      /** Containers written after this are locked. */
      readonly lockedAfterMs?: number;
    } = {},
  ): Promise<Census> {
    const { log, storage } = repository;
    const { lockedAfterMs = Infinity } = options;
    const packs = new Map<PackId, PackNote>();
    const previous = new Map<number, string>();
    const census = new Census(repository, options.near, packs, previous);
    const segments: { seq: SegmentSeq; sizeBytes: number; isLocked: boolean }[] = [];
    for await (const { name, sizeBytes, modifiedMs } of storage.list('log/', segmentName(log.begin.seq))) {
      const seq = parseSegmentName(name);
      if (seq !== undefined && seq <= log.tip.seq && !log.holes.includes(seq))
        segments.push({ seq, sizeBytes, isLocked: modifiedMs > lockedAfterMs });
    }
    const read = async (segment: (typeof segments)[number]): Promise<void> => {
      options.signal?.throwIfAborted();
      const { seq, sizeBytes, isLocked } = segment;
      const counted = census.#open({ seq }, sizeBytes, isLocked);
      const footer = await census.#footer(counted);
      if (footer === undefined) return;
      const record = parseSegmentRecord(footer.record, segmentName(seq));
      previous.set(seq, record.previous);
      // The last sweep says what counts of all before it.
      const counting = seq === log.begin.sweepSeq ? record.base?.packs : seq > log.begin.sweepSeq ? record.packs : [];
      for (const note of counting ?? []) packs.set(note.id, note);
    };
    await pMap(segments, read, { concurrency: READS_AT_ONCE });
    if (log.begin.sweepSeq > 0 && !previous.has(log.begin.sweepSeq))
      throw new MoltError('DAMAGED', `${segmentName(log.begin.sweepSeq)}, which says what counts, can't be read`, {
        hint: 'nothing was deleted; run molt verify',
      });
    const stats = new Map<string, number>();
    for await (const { name, modifiedMs } of storage.list('packs/')) stats.set(name, modifiedMs);
    const readPack = async ({ id, sizeBytes }: PackNote): Promise<void> => {
      options.signal?.throwIfAborted();
      const isLocked = (stats.get(packName(id)) ?? 0) > lockedAfterMs;
      await census.#footer(census.#open({ pack: id }, sizeBytes, isLocked));
    };
    await pMap(packs.values(), readPack, { concurrency: READS_AT_ONCE });
    return census;
  }

  /** Marks everything that a commit needs: itself, its tree and all below. @throws {MoltError} DAMAGED when some of it is missing */
  async markCommit(id: CommitId): Promise<void> {
    await this.#walk(gitKey(id));
  }

  /** Marks one object of Git's alone: a commit whose content goes, a tag. @throws {MoltError} DAMAGED when it is missing */
  markAlone(id: GitId): void {
    const key = gitKey(id);
    const number = this.#table.find(key);
    if (number < 0 || !this.#table.isHeld(number)) throw missing(key);
    this.#table.mark(number, MARK.live);
  }

  /** Marks all objects of a container. */
  async markAll(ref: ContainerRef): Promise<void> {
    const { objects } = await this.#repository.containers.readFooter(ref);
    for (const { key } of objects) this.#table.mark(this.#table.add(key), MARK.live);
  }

  /**
   * Marks the bases of all deltas of segments that stay, also of those that nobody needs any more: a delta without its base would be
   * taken for stored by whoever has the same content again.
   */
  markBases(throughSeq: number): void {
    for (const { ref, ordinal } of this.containers) {
      if ('seq' in ref && ref.seq > throughSeq)
        for (const base of this.#basesIn[ordinal] ?? []) this.#table.mark(base, MARK.live);
    }
  }

  /** Counts what was marked, with the bases of deltas. */
  count(): void {
    for (let number = 0; number < this.#table.count; number += 1) {
      const base = this.#isLive(number) ? this.#bases.get(number) : undefined;
      if (base !== undefined) this.#table.mark(base, MARK.live);
    }
    const live = new Float64Array(this.containers.length);
    for (let number = 0; number < this.#table.count; number += 1) {
      const container = this.#isLive(number) ? this.#containerOf(number) : undefined;
      if (container !== undefined)
        live[container.ordinal] = (live[container.ordinal] ?? 0) + (this.#stored[number] ?? 0);
    }
    for (const container of this.containers) {
      const total = this.#totals[container.ordinal] ?? 0;
      container.liveShare = total === 0 ? 0 : (live[container.ordinal] ?? 0) / total;
    }
  }

  /** Lists the marked objects of a container that have no better place, in the order of its footer. */
  async listLive(container: CountedContainer): Promise<{ readonly key: Buffer; readonly isDelta: boolean }[]> {
    const { ordinal } = container;
    const footer = await this.#repository.containers.readFooter(container.ref, container.sizeBytes);
    return footer.objects.flatMap(({ key, base }, entry) => {
      const number = this.#table.find(key);
      const place = this.#table.place(number);
      const isHere = this.#isLive(number) && place.container === ordinal && place.entry === entry;
      return isHere ? [{ key, isDelta: base !== undefined }] : [];
    });
  }

  #open(ref: ContainerRef, sizeBytes: number, isLocked: boolean): CountedContainer {
    const counted = { ref, sizeBytes, isLocked, ordinal: this.containers.length, liveShare: 0, isDamaged: false };
    this.containers.push(counted);
    return counted;
  }

  async #footer(counted: CountedContainer): Promise<Footer | undefined> {
    try {
      const footer = await this.#repository.containers.readFooter(counted.ref, counted.sizeBytes);
      this.#takeObjects(counted, footer);
      return footer;
    } catch (error) {
      if (!isMoltError(error) || isStorageFailure(error)) throw error;
      counted.isDamaged = true;
      return undefined;
    }
  }

  #takeObjects(counted: CountedContainer, footer: Footer): void {
    const isPack = 'pack' in counted.ref;
    for (const [entry, { key, type, base, block, lengthBytes }] of footer.objects.entries()) {
      const number = this.#table.add(key);
      if (base !== undefined) (this.#basesIn[counted.ordinal] ??= []).push(this.#table.add(base));
      const sizeBytes = storedBytes(footer, block, lengthBytes);
      this.#totals[counted.ordinal] = (this.#totals[counted.ordinal] ?? 0) + sizeBytes;
      const held = this.#table.isHeld(number) ? this.#containerOf(number) : undefined;
      const wasWhole = held !== undefined && !this.#bases.has(number);
      const isWhole = base === undefined;
      const isBetter =
        held === undefined || (isWhole && !wasWhole) || (isWhole === wasWhole && isPack && !('pack' in held.ref));
      if (!isBetter) continue;
      this.#table.setPlace(number, counted.ordinal, entry);
      this.#table.mark(number, heldMark(type));
      this.#keepSize(number, sizeBytes);
      if (base === undefined) this.#bases.delete(number);
      else this.#bases.set(number, this.#table.add(base));
    }
  }

  async #walk(first: Buffer): Promise<void> {
    const waiting = [first];
    for (let key = waiting.pop(); key !== undefined; key = waiting.pop()) {
      const number = this.#table.find(key);
      if (number < 0 || !this.#table.isHeld(number)) throw missing(key);
      if ((this.#table.marks(number) & MARK.seen) !== 0) continue;
      this.#table.mark(number, MARK.seen | MARK.live);
      if ((this.#table.marks(number) & heldMark(OBJECT.chunk)) !== 0) continue;
      // oxlint-disable-next-line no-await-in-loop -- neighbouring objects share blocks
      const found = (await this.#near?.objects.find(key)) ?? (await this.#repository.objects.find(key));
      if (found === undefined) throw missing(key);
      for (const edge of listEdges({ key, type: found.type }, found.bytes))
        if (edge.isParent !== true) waiting.push(edge.key);
    }
  }

  #keepSize(number: number, sizeBytes: number): void {
    if (number >= this.#stored.length) {
      const grown = new Float32Array(this.#stored.length * 2);
      grown.set(this.#stored);
      this.#stored = grown;
    }
    this.#stored[number] = sizeBytes;
  }

  #isLive(number: number): boolean {
    return (this.#table.marks(number) & MARK.live) !== 0;
  }

  #containerOf(number: number): CountedContainer | undefined {
    return this.#table.isHeld(number) ? this.containers[this.#table.place(number).container] : undefined;
  }
}

/** Returns an object's share of its block as it is stored. */
function storedBytes(footer: Footer, block: number, lengthBytes: number): number {
  const { sealedBytes = 0, plainBytes = 0 } = footer.blocks[block] ?? {};
  return plainBytes === 0 ? 0 : (sealedBytes * lengthBytes) / plainBytes;
}

function missing(key: Buffer): MoltError {
  return new MoltError('DAMAGED', `${keyText(key)}, which a backup, branch or tag to keep needs, is missing`, {
    hint: 'nothing was deleted; run molt verify',
  });
}
