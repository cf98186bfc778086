// Finds the place of an object: first in the log's tail, held in memory, then by the index runs, block by block. A run only says
// where to look: what its rows lead to is held against the footers of the containers.

import {
  containerName,
  encodeEntry,
  ENTRY_ROW_BYTES,
  PATH_ROW_BYTES,
  placeOf,
  PREFIX_BYTES,
  RUN_TABLES,
  type ContainerRef,
  type EntryRef,
  type IndexEntry,
  type Place,
} from '../format/index-run.ts';
import { ENCODING } from '../format/layout.ts';
import type { RunNote } from '../format/checkpoint.ts';
import {
  encodeCommitRow,
  sweepCommitRows,
  COMMIT_ROW_BYTES,
  type CommitEntry,
  type SweptCommits,
} from '../format/commit-rows.ts';
import type { HistoryEntry } from '../format/history-note.ts';
import { listPathHashes } from '../format/path-note.ts';
import { mergeRows, sortRows } from '../format/rows.ts';
import type { CommitNote } from '../format/segment.ts';
import type { CommitId, PackId, SegmentSeq } from '../model/ids.ts';
import { CommitTable } from './commit-table.ts';
import type { Containers } from './containers.ts';
import { IndexRun } from './index-run.ts';
import { mapKey } from './keys.ts';
import { isDamage } from './storage-failure.ts';

/** What the table says of commits whose segment is not known any more: only they themselves tell their parents. */
const OF_HISTORY = { seq: 0 as SegmentSeq, parentSeq: undefined, hasPaths: false, isExpired: true };

/** Makes an index of the same storage, from its checkpoints and log or from its log alone. */
export type ReopenIndex = (useCheckpoints: boolean) => Promise<ObjectIndex>;

/** A commit of the tail. */
export type TailCommit = CommitNote & { readonly seq: SegmentSeq };

/** What a sweep took away, that runs of before it still list: segments up to a number, packs, and the content of commits. */
export interface Swept extends SweptCommits {
  readonly packs: ReadonlySet<PackId>;
}

/** The object index of one storage, as of the log's tip. */
export class ObjectIndex {
  readonly #containers: Containers;
  readonly #reopen: ReopenIndex;
  #runs: readonly IndexRun[] = [];
  #tail = new Map<string, Place>();
  /** Further places of the tail's objects. */
  #others: IndexEntry[] = [];
  #commits: TailCommit[] = [];
  /** Expired commits that no run lists. */
  #history: readonly HistoryEntry[] = [];
  /** What a sweep since the last checkpoint took away. */
  #swept: Swept | undefined;
  /** The last segment whose commits were added. */
  #commitsSeq = 0;
  #rebuilding: Promise<void> | undefined;

  /** @param reopen makes the index anew from the log, when a run turns out to be damaged or gone */
  constructor(containers: Containers, reopen: ReopenIndex) {
    this.#containers = containers;
    this.#reopen = reopen;
  }

  /** Starts over from a checkpoint's runs, with an empty tail. */
  reset(runs: readonly RunNote[]): void {
    this.#runs = runs.map((note) => new IndexRun(note, this.#containers));
    this.#tail = new Map();
    this.#others = [];
    this.#commits = [];
    this.#history = [];
    this.#swept = undefined;
    this.#commitsSeq = runs.at(-1)?.toSeq ?? 0;
  }

  /**
   * Makes the index anew from the storage: runs are a cache, so one that is lost costs time, never data.
   * @param useCheckpoints false reads the whole log
   */
  async rebuild(useCheckpoints: boolean): Promise<void> {
    this.#rebuilding ??= this.#reopen(useCheckpoints)
      .then((index) => this.#adopt(index))
      .finally(() => {
        this.#rebuilding = undefined;
      });
    return this.#rebuilding;
  }

  #adopt(index: ObjectIndex): void {
    this.#runs = index.#runs;
    this.#tail = index.#tail;
    this.#others = index.#others;
    this.#commits = index.#commits;
    this.#history = index.#history;
    this.#swept = index.#swept;
    this.#commitsSeq = index.#commitsSeq;
  }

  /** The runs, oldest first. */
  get runs(): readonly IndexRun[] {
    return this.#runs;
  }

  get tailSize(): number {
    return this.#tail.size + this.#others.length;
  }

  /** Adds what a segment brought. */
  add(entries: Iterable<IndexEntry>, commits: readonly TailCommit[], { isHistory } = { isHistory: false }): void {
    for (const { key, place } of entries) {
      const id = mapKey(key);
      const known = this.#tail.get(id);
      if (known !== undefined && isSamePlace(place, known)) continue;
      // A later sweep may take away any of the places but one, and not say which: the next run lists them all.
      if (known !== undefined) this.#others.push({ key, place: isHistory || isBetter(place, known) ? known : place });
      if (known === undefined || isHistory || isBetter(place, known)) this.#tail.set(id, place);
    }
    // After a rebuild the log may bring segments that the index has already.
    const fresh = commits.filter(({ seq }) => seq > this.#commitsSeq);
    this.#commits.push(...fresh);
    this.#commitsSeq = fresh.at(-1)?.seq ?? this.#commitsSeq;
  }

  /** What a sweep since the last checkpoint took away: the next one must leave it out of every run. */
  get swept(): Swept | undefined {
    return this.#swept;
  }

  /** Takes away what a sweep did. The tail's objects are forgotten: what of them is left has to be added again. */
  sweep(swept: Swept): void {
    this.markSwept(swept);
    this.#tail = new Map();
    this.#others = [];
  }

  /** Notes what a sweep took away of what is or will be added. */
  markSwept(swept: Swept): void {
    const { packs = [], expired = [], throughSeq = 0 } = this.#swept ?? {};
    this.#swept = {
      throughSeq: Math.max(throughSeq, swept.throughSeq),
      packs: new Set([...packs, ...swept.packs]),
      expired: new Set([...expired, ...swept.expired]),
    };
  }

  /** Adds commits that came by segments which are gone: those that have their content, and those whose content is gone too. */
  addGone(commits: readonly TailCommit[], history: readonly HistoryEntry[]): void {
    this.#commits.unshift(...commits);
    this.#history = [...this.#history, ...history];
  }

  /** Returns the tail's entries as sorted rows. @param packs numbers of the packs that they name, filled in here */
  tailEntries(packs: Map<PackId, number>): Buffer {
    const rows = Buffer.allocUnsafe(this.tailSize * ENTRY_ROW_BYTES);
    let at = 0;
    for (const [id, place] of this.#tail) {
      encodeEntry({ key: Buffer.from(id, 'latin1'), place }, rows, at, packs);
      at += ENTRY_ROW_BYTES;
    }
    for (const entry of this.#others) {
      encodeEntry(entry, rows, at, packs);
      at += ENTRY_ROW_BYTES;
    }
    return sortRows(rows, ENTRY_ROW_BYTES, PREFIX_BYTES);
  }

  /** Returns the tail's commits as sorted rows. */
  async tailCommitRows(): Promise<Buffer> {
    const noted = new Set(this.#history.length === 0 ? [] : this.#commits.map(({ id }) => id));
    const history = this.#history.filter(({ id }) => !noted.has(id));
    const rows = Buffer.allocUnsafe((this.#commits.length + history.length) * COMMIT_ROW_BYTES);
    let at = 0;
    for (const commit of history) {
      encodeCommitRow({ ...commit, ...OF_HISTORY }, rows, at);
      at += COMMIT_ROW_BYTES;
    }
    for (const commit of this.#commits) {
      // oxlint-disable-next-line no-await-in-loop -- answered from memory but for the first
      encodeCommitRow(await this.#commitEntry(commit), rows, at);
      at += COMMIT_ROW_BYTES;
    }
    return sweepCommitRows(sortRows(rows, COMMIT_ROW_BYTES, RUN_TABLES.commits.keyBytes), this.#swept);
  }

  /** Returns the tail's path notes as sorted rows. */
  tailPathRows(): Buffer {
    const notes = this.#commits.flatMap(({ paths, seq }) => {
      return [...listPathHashes(paths ?? Buffer.alloc(0))].map((hash) => ({ hash, seq }));
    });
    const rows = Buffer.allocUnsafe(notes.length * PATH_ROW_BYTES);
    for (const [at, { hash, seq }] of notes.entries()) {
      rows.writeUInt32BE(hash, at * PATH_ROW_BYTES);
      rows.writeUInt32BE(seq, at * PATH_ROW_BYTES + 4);
    }
    return sortRows(rows, PATH_ROW_BYTES, RUN_TABLES.paths.keyBytes);
  }

  /** Finds an object's place; answers at once when no run has to be read. */
  find(key: Buffer): Place | undefined | Promise<Place | undefined> {
    const place = this.#tail.get(mapKey(key));
    if (place !== undefined || this.#runs.length === 0) return place;
    return this.#ask(async () => this.#tail.get(mapKey(key)) ?? this.#findInRuns(key));
  }

  /** Finds an object where it is expected, in a segment; undefined if it isn't there or the segment can't be read. */
  async findInSegment(key: Buffer, seq: SegmentSeq): Promise<Place | undefined> {
    try {
      const footer = await this.#containers.readFooter({ seq });
      const entry = footer.objects.findIndex((object) => object.key.equals(key));
      return entry < 0 ? undefined : placeOf({ seq }, footer, entry);
    } catch (error) {
      if (isDamage(error)) return undefined;
      throw error;
    }
  }

  /** Finds a whole copy of an object that may also be there as a delta: two writers that didn't know of each other may store both. */
  async findWhole(key: Buffer): Promise<Place | undefined> {
    const place = await this.find(key);
    if (place?.encoding !== ENCODING.deltas) return place;
    const inRuns = await this.#ask(() => this.#findInRuns(key));
    return inRuns?.encoding === ENCODING.deltas ? undefined : inRuns;
  }

  /**
   * Looks from the newest run to the oldest. A full backup packs what older segments hold, so the newest copy is the best one; only
   * a delta is not taken before all were asked.
   */
  async #findInRuns(key: Buffer): Promise<Place | undefined> {
    let best: Place | undefined;
    for (const run of this.#runs.toReversed()) {
      // oxlint-disable-next-line no-await-in-loop -- newest first, and mostly the first has it
      for (const ref of await run.findEntries(key)) {
        if (isSwept(ref.container, this.#swept)) continue;
        // oxlint-disable-next-line no-await-in-loop -- rarely more than one
        const place = await this.#resolve(ref, key);
        if (place !== undefined && (best === undefined || isBetter(place, best))) best = place;
      }
      if (best !== undefined && best.encoding !== ENCODING.deltas) return best;
    }
    return best;
  }

  /** Reads the place that a row leads to; undefined if it is another object's, or its container holds nothing any more. */
  async #resolve(ref: EntryRef, key: Buffer): Promise<Place | undefined> {
    try {
      const footer = await this.#containers.readFooter(ref.container);
      if (footer.objects[ref.entry]?.key.equals(key) !== true) return undefined;
      return placeOf(ref.container, footer, ref.entry);
    } catch (error) {
      // An object of a bad container is missing, and is stored again if it comes up again.
      if (isDamage(error)) return undefined;
      throw error;
    }
  }

  /** Asks the runs; when one of them can't be read, once more after a newer checkpoint was looked for, and then without any. */
  async #ask<T>(ask: () => Promise<T>): Promise<T> {
    for (const useCheckpoints of [true, false]) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- one try after the other
        return await ask();
      } catch (error) {
        if (!isDamage(error)) throw error;
      }
      // oxlint-disable-next-line no-await-in-loop -- the same
      await this.rebuild(useCheckpoints);
    }
    return ask();
  }

  /** Reads the table of all commits. */
  async readCommits(): Promise<CommitTable> {
    return this.#ask(async () => {
      let rows = await this.tailCommitRows();
      for (const run of this.#runs.toReversed()) {
        // oxlint-disable-next-line no-await-in-loop -- newest first: the smaller into the larger
        rows = mergeRows(await run.readTable('commits'), rows, COMMIT_ROW_BYTES, RUN_TABLES.commits.keyBytes);
      }
      return new CommitTable(sweepCommitRows(rows, this.#swept));
    });
  }

  /**
   * Reads a table of the newest commits alone, which takes as long however many there are.
   * @param least that many, if there are
   */
  async readNewestCommits(least: number): Promise<CommitTable> {
    return this.#ask(async () => {
      let rows = await this.tailCommitRows();
      for (const run of this.#runs.toReversed()) {
        const wanted = least - rows.length / COMMIT_ROW_BYTES;
        if (wanted <= 0) break;
        // oxlint-disable-next-line no-await-in-loop -- newest first, until there are enough
        const newest = await run.readNewestCommits(wanted);
        rows = mergeRows(newest, rows, COMMIT_ROW_BYTES, RUN_TABLES.commits.keyBytes);
      }
      return new CommitTable(sweepCommitRows(rows, this.#swept));
    });
  }

  /** Lists the commits whose id begins with a prefix of at least four hex digits. */
  async findCommitsByPrefix(prefix: string): Promise<CommitId[]> {
    return (await this.readCommits()).findByPrefix(prefix);
  }

  /** Lists all commits by capture time, oldest first. */
  async listCommits(): Promise<CommitEntry[]> {
    return (await this.readCommits()).entries();
  }

  /** Finds the segments whose commits note that they changed a path of this hash. */
  async findSegmentsByPath(hash: number): Promise<Set<number>> {
    const found = await this.#ask(() => Promise.all(this.#runs.map((run) => run.findSegmentsByPath(hash))));
    const { throughSeq = 0 } = this.#swept ?? {};
    const segments = new Set(found.flat().filter((seq) => seq > throughSeq));
    for (const { paths, seq } of this.#commits) {
      for (const noted of listPathHashes(paths ?? Buffer.alloc(0))) if (noted === hash) segments.add(seq);
    }
    return segments;
  }

  async #commitEntry({ id, timeMs, seq, kind, parents, paths }: TailCommit): Promise<CommitEntry> {
    const parentSeq = parents === undefined || parents.length > 1 ? undefined : await this.#seqOf(parents[0]);
    return { id, timeMs, seq, kind, parentSeq, hasPaths: paths !== undefined, isExpired: false };
  }

  /** Returns a parent's segment, 0 for none; undefined when it isn't among the recent ones. */
  async #seqOf(id: CommitId | undefined): Promise<number | undefined> {
    if (id === undefined) return 0;
    const inTail = this.#commits.find((commit) => commit.id === id);
    if (inTail !== undefined) return inTail.seq;
    for (const run of this.#runs.toReversed()) {
      // oxlint-disable-next-line no-await-in-loop -- the newest run has it, mostly
      const seq = await run.findRecentCommit(id);
      if (seq !== undefined) return seq;
    }
    return undefined;
  }
}

/** Says whether a sweep took a container away. */
export function isSwept(container: ContainerRef, swept: Swept | undefined): boolean {
  if (swept === undefined) return false;
  return 'seq' in container ? container.seq <= swept.throughSeq : swept.packs.has(container.pack);
}

function isSamePlace(a: Place, b: Place): boolean {
  return a.entry === b.entry && containerName(a.container) === containerName(b.container);
}

/** Of two places of one object a pack's is better than a segment's, and a whole one better than a delta. */
export function isBetter(place: Place, known: Place): boolean {
  const rank = (of: Place): number => ('pack' in of.container ? 2 : 0) + (of.encoding === ENCODING.deltas ? 0 : 1);
  return rank(place) > rank(known);
}
