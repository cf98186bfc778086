// Sweeps a storage: what is no longer needed leaves the log in one event, after all that stays was written where it can stay. Deleting
// follows (sweep-delete.ts), and can be cut off and taken up again.

import { packName, segmentName, type CommitKind, type CommitNote } from '../format/segment.ts';
import type { CommitEntry } from '../format/commit-rows.ts';
import { parseHistoryNote, type HistoryEntry } from '../format/history-note.ts';
import type { ContainerRef } from '../format/index-run.ts';
import type { LogBase, PackNote } from '../format/log-base.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { CommitId, PackId } from '../model/ids.ts';
import { Census, type CountedContainer } from './census.ts';
import { HISTORY_PACK_COMMITS, storeHistory, type HistoryPack } from './history-pack.ts';
import type { Repository } from './repository.ts';
import { sealSegment } from './seal-segment.ts';
import { findBegin, planSweep, type SweepPlan } from './sweep-plan.ts';
import type { Transaction } from './transaction.ts';

/** What is to stay and what is to go. */
export interface SweepOrder {
  /** Commits that keep their content. */
  readonly keep: readonly CommitEntry[];
  /** Commits of which only they themselves are kept. */
  readonly expire: readonly { readonly id: CommitId; readonly timeMs: number; readonly kind: CommitKind }[];
  /** Refs that go with them. */
  readonly dropRefs: readonly string[];
}

/** What a sweep would do, or did. */
export interface SweepOutcome {
  /** Bytes of the containers that count no more, and of those that were written for it. */
  readonly freedBytes: number;
  readonly writtenBytes: number;
  readonly segments: number;
  readonly packs: number;
  readonly expired: number;
}

/** How a sweep is done. */
export interface SweepOptions {
  /** What garbage is, that no segment names: packs older than this, in milliseconds by the storage's clock. */
  readonly orphanedBeforeMs: number;
  /** Containers younger than this are locked by the storage, so that to take them away would free nothing. */
  readonly lockedAfterMs?: number | undefined;
  /** Another storage of the repository that has most of the same objects, and is quicker to read. */
  readonly near?: Repository | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onPhase?: (phase: string) => void;
}

/** How often a sweep that lost its number to another writer is planned anew. */
const MOST_TRIES = 5;

/** Finds out what a sweep would do. @throws {MoltError} DAMAGED when something that stays is not whole */
export async function lookSweep(
  repository: Repository,
  order: SweepOrder,
  options: SweepOptions,
): Promise<SweepOutcome> {
  const { plan } = await plotSweep(repository, order, options);
  return outcomeOf(plan, order, plan.copiedBytes);
}

/**
 * Sweeps. Nothing is deleted yet; from the event on what it names counts no more.
 * @param decide says what stays, of the log as it is; asked again when another writer was first
 * @returns undefined if there is nothing to take away
 * @throws {MoltError} DAMAGED when something that stays is not whole: then nothing is taken away
 */
export async function sweep(
  repository: Repository,
  decide: () => Promise<SweepOrder>,
  options: SweepOptions,
): Promise<SweepOutcome | undefined> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- again only when another writer was first
      return await sweepOnce(repository, await decide(), options);
    } catch (error) {
      if (!isMoltError(error, 'SWEPT') || attempt === MOST_TRIES) throw error;
    }
  }
}

/** Works out what goes, and marks what stays. */
async function plotSweep(
  repository: Repository,
  order: SweepOrder,
  { near, signal, onPhase, lockedAfterMs = Infinity }: SweepOptions,
): Promise<{ census: Census; plan: SweepPlan }> {
  const { log } = repository;
  onPhase?.('count');
  const census = await Census.take(repository, { near, signal, lockedAfterMs });
  for (const { id } of order.keep) {
    signal?.throwIfAborted();
    // oxlint-disable-next-line no-await-in-loop -- one tree after the other
    await census.markCommit(id);
  }
  const dropped = new Set(order.dropRefs);
  for (const [name, id] of log.refs) if (!dropped.has(name)) census.markAlone(id);
  // oxlint-disable-next-line no-await-in-loop -- few
  for (const pack of log.begin.history) await census.markAll({ pack });
  census.count();
  const throughSeq = findBegin(census, log.begin.seq);
  census.markBases(throughSeq);
  census.count();
  return { census, plan: planSweep(census, throughSeq, new Set(log.begin.history)) };
}

async function sweepOnce(
  repository: Repository,
  order: SweepOrder,
  options: SweepOptions,
): Promise<SweepOutcome | undefined> {
  const { log } = repository;
  const tip = log.tip.seq;
  const { census, plan } = await plotSweep(repository, order, options);
  const orphans = await listOrphans(repository, census, options.orphanedBeforeMs);
  const isIdle = plan.going.length === 0 && order.expire.length === 0 && order.dropRefs.length === 0;
  if (isIdle && orphans.length === 0) return undefined;
  const merged = await chooseHistory(repository, census, order.expire.length);
  const going = new Set<CountedContainer['ref']>(plan.going.map(({ ref }) => ref));
  const gonePacks = new Set([...plan.going.flatMap(({ ref }) => ('pack' in ref ? [ref.pack] : [])), ...merged]);
  const isGoing = (ref: ContainerRef): boolean =>
    'pack' in ref ? gonePacks.has(ref.pack) : ref.seq <= plan.throughSeq;
  const transaction = repository.begin({ packs: true, isGoing, near: options.near });
  try {
    options.onPhase?.('copy');
    for (const container of going.size === 0 ? [] : plan.going) {
      options.signal?.throwIfAborted();
      // oxlint-disable-next-line no-await-in-loop -- one container after the other
      await carry(transaction, census, container);
    }
    const history = await writeHistory(repository, order, { merged, near: options.near });
    const base = (stored: readonly PackNote[]): LogBase => {
      // What came since may need what goes.
      if (log.tip.seq !== tip) throw overtaken();
      return baseOf(repository, { census, plan, order, gonePacks, orphans, history, merged, stored });
    };
    const moves = order.dropRefs.map((name) => ({ name, from: log.refs.get(name), to: undefined }));
    const notes = order.keep.filter(({ seq }) => seq <= plan.throughSeq);
    const commits = notes.map(({ id, timeMs, kind, seq }) => ({ id, timeMs, kind, seq }));
    options.onPhase?.('record');
    let sealed: LogBase | undefined;
    const { storedBytes } = await transaction.publish(moves, commits, (stored) => {
      sealed = base(stored.packs);
      return { packs: [...stored.packs, ...history.map(({ note }) => note)], base: sealed };
    });
    if (sealed !== undefined) await repeat(repository, sealed, commits);
    const written = storedBytes + history.reduce((sum, { note }) => sum + note.sizeBytes, 0);
    return outcomeOf(plan, order, written);
  } finally {
    await transaction.close();
  }
}

/** Says the same once more: what a sweep names is named nowhere else, and one bad block must not take all of it. */
async function repeat(repository: Repository, base: LogBase, commits: readonly CommitNote[]): Promise<void> {
  const { log } = repository;
  const { sweepSeq } = log.begin;
  try {
    await log.append((next) => {
      // Another writer was faster: the next sweep says it again.
      if (log.tip.seq !== sweepSeq) throw overtaken();
      return sealSegment(repository, next, { moves: [], commits, packs: [], blocks: [], base });
    });
    await repository.indexNew({ packs: [], entries: [], storedBytes: 0 });
  } catch (error) {
    // The sweep itself stands.
    if (!isMoltError(error)) throw error;
  }
}

/** Writes what is needed of a container that goes where it stays: deltas as they are, all else whole into packs. */
async function carry(transaction: Transaction, census: Census, container: CountedContainer): Promise<void> {
  for (const { key, isDelta } of await census.listLive(container)) {
    // oxlint-disable-next-line no-await-in-loop -- neighbouring objects share blocks
    if (isDelta && (await transaction.carryDelta(key))) continue;
    // oxlint-disable-next-line no-await-in-loop -- the same
    await transaction.promote(key);
  }
}

/** Chooses the history packs that are written anew with the commits that come to them, so that there are few. */
async function chooseHistory(repository: Repository, census: Census, count: number): Promise<PackId[]> {
  const chosen: PackId[] = [];
  let commits = count;
  if (commits === 0) return chosen;
  for (const id of repository.log.begin.history.toReversed()) {
    if (!census.packs.has(id)) continue;
    // oxlint-disable-next-line no-await-in-loop -- the smallest come first, and mostly one or two
    const { objects } = await repository.containers.readFooter({ pack: id });
    if (objects.length > commits || objects.length + commits > HISTORY_PACK_COMMITS) break;
    commits += objects.length;
    chosen.unshift(id);
  }
  return chosen;
}

async function writeHistory(
  repository: Repository,
  { expire }: SweepOrder,
  { merged, near }: { readonly merged: readonly PackId[]; readonly near: Repository | undefined },
): Promise<HistoryPack[]> {
  const entries: HistoryEntry[] = [];
  for (const pack of merged) {
    // oxlint-disable-next-line no-await-in-loop -- oldest first
    entries.push(...parseHistoryNote(await repository.containers.readFooter({ pack }), packName(pack)));
  }
  entries.push(...expire.map(({ id, timeMs, kind }) => ({ id, timeMs, kind })));
  return storeHistory(repository, repository, entries, near);
}

function baseOf(
  repository: Repository,
  sweeping: {
    readonly census: Census;
    readonly plan: SweepPlan;
    readonly order: SweepOrder;
    readonly gonePacks: ReadonlySet<PackId>;
    readonly orphans: readonly PackId[];
    readonly history: readonly HistoryPack[];
    readonly merged: readonly PackId[];
    readonly stored: readonly PackNote[];
  },
): LogBase {
  const { census, plan, order, gonePacks, orphans, history, merged, stored } = sweeping;
  const { log } = repository;
  const dropped = new Set(order.dropRefs);
  const kept = <T>(map: ReadonlyMap<string, T>): Map<string, T> =>
    new Map([...map].filter(([name]) => !dropped.has(name)));
  const own = history.map(({ note }) => note);
  const live = [...census.packs.values()].filter(({ id }) => !gonePacks.has(id));
  return {
    seq: plan.throughSeq,
    hash: hashOf(repository, census, plan.throughSeq),
    refs: kept(log.refs),
    tagged: kept(log.tagged),
    packs: [...live, ...stored, ...own],
    history: [...log.begin.history.filter((id) => !merged.includes(id)), ...own.map(({ id }) => id)],
    swept: [...gonePacks, ...orphans],
  };
}

/** Returns what the first segment that stays says that it follows. */
function hashOf({ log }: Repository, { previous }: Census, throughSeq: number): string {
  if (throughSeq === log.begin.seq) return log.begin.hash;
  for (let seq = throughSeq + 1; seq <= log.tip.seq; seq += 1) {
    const hash = previous.get(seq);
    if (hash !== undefined) return hash;
  }
  throw new MoltError('DAMAGED', `no segment behind ${segmentName(throughSeq)} can be read`, {
    hint: 'nothing was deleted; run molt verify',
  });
}

/** Lists packs that no segment names and that are too old to be of a writer that is still at it, and those swept before that are still there. */
async function listOrphans(repository: Repository, census: Census, beforeMs: number): Promise<PackId[]> {
  const swept = new Set(repository.log.begin.swept);
  const orphans: PackId[] = [];
  for await (const { name, modifiedMs } of repository.storage.list('packs/')) {
    const id = name.slice(name.lastIndexOf('/') + 1) as PackId;
    if (packName(id) !== name || census.packs.has(id)) continue;
    if (swept.has(id) || modifiedMs < beforeMs) orphans.push(id);
  }
  return orphans;
}

function outcomeOf({ going, freedBytes }: SweepPlan, { expire }: SweepOrder, writtenBytes: number): SweepOutcome {
  const packs = going.filter(({ ref }) => 'pack' in ref).length;
  return { freedBytes, writtenBytes, packs, segments: going.length - packs, expired: expire.length };
}

function overtaken(): MoltError {
  return new MoltError('SWEPT', 'another process saved to the repository all the time while it was to be pruned', {
    hint: 'nothing was taken away; run it again',
  });
}
