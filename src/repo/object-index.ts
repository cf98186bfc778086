// Finds the place of an object: first in the log's tail, held in memory, then in the index runs, read block by block.

import {
  entryCount,
  entryKey,
  entryPlace,
  findEntryBlock,
  isInPack,
  lowerBound,
  parseCommits,
  parseIndexRunTable,
  type CommitEntry,
  type IndexEntry,
  type IndexRunTable,
  type Place,
} from '../format/index-run.ts';
import { ENCODING, OBJECT } from '../format/layout.ts';
import type { RunNote } from '../format/checkpoint.ts';
import { MoltError } from '../model/error.ts';
import type { CommitId } from '../model/ids.ts';
import type { Containers } from './containers.ts';
import { mapKey } from './keys.ts';
import { isDamage } from './storage-failure.ts';

/** Makes an index of the same storage, from its checkpoints and log or from its log alone. */
export type ReopenIndex = (useCheckpoints: boolean) => Promise<ObjectIndex>;

/** The object index of one storage, as of the log's tip. */
export class ObjectIndex {
  readonly #containers: Containers;
  readonly #reopen: ReopenIndex;
  #runs: readonly IndexRun[] = [];
  #tail = new Map<string, Place>();
  #commits: CommitEntry[] = [];
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
    this.#commits = [];
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
    this.#commits = index.#commits;
    this.#commitsSeq = index.#commitsSeq;
  }

  /** The runs, oldest first. */
  get runs(): readonly IndexRun[] {
    return this.#runs;
  }

  /** The commits of the tail, in log order. */
  get tailCommits(): readonly CommitEntry[] {
    return this.#commits;
  }

  get tailSize(): number {
    return this.#tail.size;
  }

  /** Adds what a segment brought. */
  add(entries: Iterable<IndexEntry>, commits: readonly CommitEntry[]): void {
    for (const { key, place } of entries) {
      const id = mapKey(key);
      const known = this.#tail.get(id);
      if (known === undefined || isBetter(place, known)) this.#tail.set(id, place);
    }
    // After a rebuild the log may bring segments that the index has already.
    const fresh = commits.filter(({ seq }) => seq > this.#commitsSeq);
    this.#commits.push(...fresh);
    this.#commitsSeq = fresh.at(-1)?.seq ?? this.#commitsSeq;
  }

  /** Returns the tail's entries in key order. */
  tailEntries(): IndexEntry[] {
    return [...this.#tail]
      .map(([id, place]) => ({ key: Buffer.from(id, 'latin1'), place }))
      .toSorted((a, b) => a.key.compare(b.key));
  }

  /** Finds an object's place; answers at once when no run has to be read. */
  find(key: Buffer): Place | undefined | Promise<Place | undefined> {
    const place = this.#tail.get(mapKey(key));
    if (place !== undefined || this.#runs.length === 0) return place;
    return this.#ask(async () => this.#tail.get(mapKey(key)) ?? this.#findInRuns(key));
  }

  /** Finds a whole copy of an object that may also be there as a delta: two writers that didn't know of each other may store both. */
  async findWhole(key: Buffer): Promise<Place | undefined> {
    const place = await this.find(key);
    if (place?.encoding !== ENCODING.deltas) return place;
    const inRuns = await this.#ask(() => this.#findInRuns(key));
    return inRuns?.encoding === ENCODING.deltas ? undefined : inRuns;
  }

  async #findInRuns(key: Buffer): Promise<Place | undefined> {
    let best: Place | undefined;
    for (const run of this.#runs.toReversed()) {
      // oxlint-disable-next-line no-await-in-loop -- newest first, and mostly the first has it
      const place = await run.find(key);
      if (place !== undefined && (best === undefined || isBetter(place, best))) best = place;
      if (best !== undefined && 'pack' in best.container) return best;
    }
    return best;
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

  /** Finds the newest commit captured at or before a time; of several at that time the last in the log. */
  async findCommitAt(timeMs: number): Promise<CommitEntry | undefined> {
    const found = await this.#ask(() => Promise.all(this.#runs.map((run) => run.findCommitAt(timeMs))));
    return [...found, ...this.#commits]
      .filter((commit): commit is CommitEntry => commit !== undefined && commit.timeMs <= timeMs)
      .reduce<CommitEntry | undefined>(
        (best, commit) => (best === undefined || isLater(commit, best) ? commit : best),
        undefined,
      );
  }

  /** Lists the commits whose id begins with a prefix of at least four hex digits. */
  async findCommitsByPrefix(prefix: string): Promise<CommitId[]> {
    const ids = new Set<string>();
    const low = Buffer.alloc(32);
    low.write(prefix.padEnd(40, '0'), 'hex');
    const inRuns = await this.#ask(() => Promise.all(this.#runs.map((run) => run.findCommitsByPrefix(prefix, low))));
    for (const [id, place] of this.#tail) {
      const hex = Buffer.from(id, 'latin1').toString('hex');
      if (place.type === OBJECT.commit && hex.startsWith(prefix)) ids.add(hex.slice(0, 40));
    }
    return [...new Set([...ids, ...inRuns.flat()])].toSorted() as CommitId[];
  }

  /** Lists all commits by capture time, oldest first. */
  async listCommits(): Promise<CommitEntry[]> {
    const inRuns = await this.#ask(() => Promise.all(this.#runs.map((run) => run.readCommits())));
    const all = [...inRuns.flat(), ...this.#commits];
    return all.toSorted((a, b) => a.timeMs - b.timeMs || a.seq - b.seq);
  }
}

/** Of two places of one object a pack's is better than a segment's, and a whole one better than a delta. */
export function isBetter(place: Place, known: Place): boolean {
  const rank = (of: Place): number => ('pack' in of.container ? 2 : 0) + (of.encoding === ENCODING.deltas ? 0 : 1);
  return rank(place) > rank(known);
}

function isLater(commit: CommitEntry, than: CommitEntry): boolean {
  return commit.timeMs > than.timeMs || (commit.timeMs === than.timeMs && commit.seq >= than.seq);
}

/** One index run, read by block. */
export class IndexRun {
  readonly note: RunNote;
  readonly #containers: Containers;
  #table: Promise<IndexRunTable> | undefined;

  constructor(note: RunNote, containers: Containers) {
    this.note = note;
    this.#containers = containers;
  }

  async find(key: Buffer): Promise<Place | undefined> {
    const table = await this.table();
    const entry = table.entryBlocks[findEntryBlock(table, key)];
    if (entry === undefined) return undefined;
    const block = await this.#block(entry.block);
    const at = lowerBound(block, key);
    if (at >= entryCount(block) || !entryKey(block, at).equals(key)) return undefined;
    return this.#place(table, block, at);
  }

  async findCommitAt(timeMs: number): Promise<CommitEntry | undefined> {
    const table = await this.table();
    const last = table.commitBlocks.findLast((block) => block.timeMs <= timeMs);
    if (last === undefined) return undefined;
    const commits = parseCommits(await this.#block(last.block), this.note.id);
    return commits.findLast((commit) => commit.timeMs <= timeMs);
  }

  async findCommitsByPrefix(prefix: string, low: Buffer): Promise<string[]> {
    const table = await this.table();
    const found: string[] = [];
    for (let at = Math.max(findEntryBlock(table, low), 0); at < table.entryBlocks.length; at += 1) {
      const entry = table.entryBlocks[at];
      if (entry === undefined) break;
      // oxlint-disable-next-line no-await-in-loop -- one block in nearly all cases
      const block = await this.#block(entry.block);
      for (let index = lowerBound(block, low); index < entryCount(block); index += 1) {
        const hex = entryKey(block, index).toString('hex');
        if (!hex.startsWith(prefix)) return found;
        // oxlint-disable-next-line no-await-in-loop -- answered from memory
        const place = await this.#place(table, block, index);
        if (place.type === OBJECT.commit) found.push(hex.slice(0, 40));
      }
    }
    return found;
  }

  async readCommits(): Promise<CommitEntry[]> {
    const table = await this.table();
    const blocks = await Promise.all(table.commitBlocks.map(({ block }) => this.#block(block)));
    return blocks.flatMap((block) => parseCommits(block, this.note.id));
  }

  /** Reads all entries, in key order. */
  async *entries(): AsyncIterable<IndexEntry> {
    const table = await this.table();
    for (const entry of table.entryBlocks) {
      // oxlint-disable-next-line no-await-in-loop -- in order, and memory stays flat
      const block = await this.#block(entry.block);
      for (let index = 0; index < entryCount(block); index += 1) {
        // oxlint-disable-next-line no-await-in-loop -- answered from memory
        yield { key: entryKey(block, index), place: await this.#place(table, block, index) };
      }
    }
  }

  table(): Promise<IndexRunTable> {
    this.#table ??= this.#containers
      .readIndexFooter(this.note.id)
      .then((footer) => parseIndexRunTable(footer, this.note.id))
      .catch((error: unknown) => {
        // A storage that failed once may answer the next time.
        this.#table = undefined;
        throw error;
      });
    return this.#table;
  }

  async #block(number: number): Promise<Buffer> {
    const footer = await this.#containers.readIndexFooter(this.note.id);
    const block = footer.blocks[number];
    if (block === undefined) throw new MoltError('DAMAGED', `index/${this.note.id} has no block ${number}`);
    return this.#containers.readIndexBlock(this.note.id, number, block);
  }

  async #place(table: IndexRunTable, block: Buffer, index: number): Promise<Place> {
    const needsPacks = isInPack(block, index) && table.packBlock !== undefined;
    const packs = needsPacks ? await this.#block(table.packBlock ?? 0) : undefined;
    return entryPlace(block, index, packs, `index/${this.note.id}`);
  }
}
