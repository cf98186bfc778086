// Keeps the object index up with the log: what segments since the last checkpoint brought, and what sweeps among them took away.

import { parseHistoryNote, type HistoryEntry } from '../format/history-note.ts';
import { containerName, footerEntries, type IndexEntry } from '../format/index-run.ts';
import type { LogBase } from '../format/log-base.ts';
import { packName } from '../format/segment.ts';
import { isMoltError } from '../model/error.ts';
import type { CommitId, PackId, SegmentSeq } from '../model/ids.ts';
import type { Containers } from './containers.ts';
import type { FoundBase } from './find-base.ts';
import type { Log, LogProblem, ReplayedSegment } from './log.ts';
import type { LostObjects } from './lost-objects.ts';
import type { ObjectIndex } from './object-index.ts';
import type { StoredPacks } from './pack-pool.ts';
import { isStorageFailure } from './storage-failure.ts';

/** The part of the log that no index run covers yet. */
export class IndexTail {
  readonly #containers: Containers;
  readonly #index: ObjectIndex;
  readonly #lost: LostObjects | undefined;
  #segments = 0;
  /** Their numbers, and the packs that they added, with the number of who did. */
  #seqs: SegmentSeq[] = [];
  #packs = new Map<PackId, SegmentSeq>();
  #history: readonly PackId[] = [];
  #problems: LogProblem[] = [];

  /** @param lost objects that can't be read and are left out */
  constructor(containers: Containers, index: ObjectIndex, lost: LostObjects | undefined) {
    this.#containers = containers;
    this.#index = index;
    this.#lost = lost;
  }

  /** How many segments there are in it. */
  get segments(): number {
    return this.#segments;
  }

  /** Packs of commits whose content is gone, as of the log's end. */
  get history(): readonly PackId[] {
    return this.#history;
  }

  /** Packs that could not be read. */
  get problems(): readonly LogProblem[] {
    return this.#problems;
  }

  /** Begins behind a checkpoint. @param history the packs of expired commits as of it */
  startAt(history: readonly PackId[]): void {
    this.#history = history;
  }

  /** Empties it: a checkpoint covers what it had, or it begins anew. */
  clear(): void {
    this.#problems = [];
    this.#segments = 0;
    this.#seqs = [];
    this.#packs = new Map();
  }

  /** Takes over what another one holds of the same log. */
  adopt(other: IndexTail): void {
    this.#segments = other.#segments;
    this.#seqs = other.#seqs;
    this.#packs = other.#packs;
  }

  /** Begins at a sweep, for a log whose beginning is gone: with all that it names. */
  async takeBase({ base, commits, seq }: FoundBase): Promise<void> {
    // oxlint-disable-next-line no-await-in-loop -- one in memory at a time
    for (const { id } of base.packs) await this.#takePack(id, seq, base.history);
    const expired: HistoryEntry[] = [];
    // oxlint-disable-next-line no-await-in-loop -- the same
    for (const id of base.history) expired.push(...(await this.#readHistory(id, seq)));
    this.#history = base.history;
    const ids = new Set(expired.map(({ id }) => id));
    this.#index.markSwept({ throughSeq: base.seq, packs: new Set(base.swept), expired: ids });
    const gone = commits.flatMap((note) => (note.seq === undefined ? [] : [{ ...note, seq: note.seq }]));
    this.#index.addGone(
      gone.filter((note) => note.seq <= base.seq),
      expired,
    );
  }

  /**
   * Takes up what was applied to a log since the last call.
   * @param own what this process stored itself: its footers need not be read
   */
  async take(log: Log, own: Pick<StoredPacks, 'packs' | 'entries'> = { packs: [], entries: [] }): Promise<void> {
    const ownPacks = new Set(own.packs.map(({ id }) => id));
    for (const id of ownPacks) this.#packs.set(id, log.tip.seq);
    this.#index.add(own.entries, []);
    const applied = log.takeApplied();
    const { sweepSeq } = log.begin;
    const lastSweep = applied.findLast(({ record }) => record.base !== undefined)?.record;
    const swept = lastSweep && { seq: lastSweep.seq, live: new Set(lastSweep.base?.packs.map(({ id }) => id)) };
    for (const { record, footer } of applied) {
      this.#segments += 1;
      // oxlint-disable-next-line no-await-in-loop -- a log is read in order
      if (record.base !== undefined) await this.#takeSweep(record.base, record.seq, record.seq === swept?.seq);
      for (const { id } of record.packs) {
        if (ownPacks.has(id) || !counts(id, record.seq, { swept, sweepSeq })) continue;
        // oxlint-disable-next-line no-await-in-loop -- packs since the last checkpoint are few
        await this.#takePack(id, record.seq, record.history);
      }
      // oxlint-disable-next-line no-await-in-loop -- the same
      if (record.seq >= sweepSeq) await this.#takeHistory(record);
      this.#seqs.push(record.seq);
      const commits = record.commits
        .filter(({ seq }) => seq === undefined)
        .map((note) => ({ ...note, seq: record.seq }));
      this.#index.add(this.#readable(footerEntries({ seq: record.seq }, footer)), commits);
    }
  }

  /** Takes a sweep's containers out of the index, and what is left of the tail in again. */
  async #takeSweep(base: LogBase, seq: SegmentSeq, isLast: boolean): Promise<void> {
    if (!isLast) {
      // A later one follows, which may have taken away what this one names, and names what counts of it.
      this.#index.markSwept({ throughSeq: base.seq, packs: new Set(base.swept), expired: new Set() });
      return;
    }
    const known = new Set(this.#history);
    const fresh = base.history.filter((id) => !known.has(id));
    const expired = new Set<CommitId>();
    for (const id of fresh) {
      // oxlint-disable-next-line no-await-in-loop -- one a sweep, mostly
      for (const commit of await this.#readHistory(id, seq)) expired.add(commit.id);
    }
    this.#history = base.history;
    this.#index.sweep({ throughSeq: base.seq, packs: new Set(base.swept), expired });
    const live = new Set(base.packs.map(({ id }) => id));
    for (const [id, by] of this.#packs) {
      if (!live.has(id)) this.#packs.delete(id);
      // oxlint-disable-next-line no-await-in-loop -- those since the last checkpoint
      else await this.#takePack(id, by);
    }
    this.#seqs = this.#seqs.filter((number) => number > base.seq);
    for (const number of this.#seqs) {
      // oxlint-disable-next-line no-await-in-loop -- the same
      const footer = await this.#containers.readFooter({ seq: number });
      this.#index.add(this.#readable(footerEntries({ seq: number }, footer)), []);
    }
  }

  /** Takes up the commits of history packs that came with another storage's history: no segment of this log has brought them. */
  async #takeHistory({ seq, base, history = [] }: ReplayedSegment['record']): Promise<void> {
    if (base !== undefined) return;
    for (const id of history) {
      // oxlint-disable-next-line no-await-in-loop -- once in a clone
      this.#index.addGone([], await this.#readHistory(id, seq));
      this.#history = [...this.#history, id];
    }
  }

  async #readHistory(id: PackId, seq: SegmentSeq): Promise<HistoryEntry[]> {
    try {
      return parseHistoryNote(await this.#containers.readFooter({ pack: id }), packName(id));
    } catch (error) {
      if (!isMoltError(error) || isStorageFailure(error)) throw error;
      this.#problems.push({ seq, problem: error.message });
      return [];
    }
  }

  /**
   * Takes up the objects of a pack. A damaged one must not keep the rest of the repository from opening.
   * @param history those of the packs that hold commits whose content is gone, beside those known
   */
  async #takePack(id: PackId, seq: SegmentSeq, history: readonly PackId[] = []): Promise<void> {
    this.#packs.set(id, seq);
    try {
      const footer = await this.#containers.readFooter({ pack: id });
      const isHistory = this.#history.includes(id) || history.includes(id);
      this.#index.add(this.#readable(footerEntries({ pack: id }, footer)), [], { isHistory });
    } catch (error) {
      if (!isMoltError(error) || isStorageFailure(error)) throw error;
      this.#problems.push({ seq, problem: error.message });
    }
  }

  *#readable(entries: Iterable<IndexEntry>): Iterable<IndexEntry> {
    for (const entry of entries) {
      const { container, block } = entry.place;
      if (this.#lost?.has(containerName(container), block, entry.key) !== true) yield entry;
    }
  }
}

/**
 * Says whether a pack of a segment counts. Of those from before a sweep only those that it names do; where the log was opened from that
 * sweep, they are known already.
 */
function counts(
  id: PackId,
  seq: SegmentSeq,
  {
    swept,
    sweepSeq,
  }: {
    readonly swept: { readonly seq: SegmentSeq; readonly live: ReadonlySet<PackId> } | undefined;
    readonly sweepSeq: number;
  },
): boolean {
  return swept !== undefined && seq < swept.seq ? swept.live.has(id) : seq >= sweepSeq;
}
