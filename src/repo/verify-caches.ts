// Checks checkpoints and index runs against the log that they are derived from, after the log itself was checked.

import { KIND } from '../format/layout.ts';
import { parseCheckpointName, type Checkpoint, type RunNote } from '../format/checkpoint.ts';
import type { CommitEntry } from '../format/commit-rows.ts';
import {
  containerName,
  indexName,
  PATH_ROW_BYTES,
  PREFIX_BYTES,
  RUN_TABLES,
  type ContainerRef,
  type RunTableName,
} from '../format/index-run.ts';
import { PATH_HASH_BYTES } from '../format/path-note.ts';
import { lowerBound } from '../format/rows.ts';
import { segmentName } from '../format/segment.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { GitId, SegmentSeq } from '../model/ids.ts';
import { openCheckpoint } from './checkpoints.ts';
import { CommitTable } from './commit-table.ts';
import { namedIndex, type Containers } from './containers.ts';
import { isStorageFailure } from './storage-failure.ts';
import { IndexRun } from './index-run.ts';
import { MARK } from './object-table.ts';
import type { LogCheck, LoggedCommit } from './verify-log.ts';
import type { ObjectGraph } from './verify-objects.ts';
import type { VerifyReport } from './verify-report.ts';

/** What a check of the caches works with. */
export interface CacheCheckOptions {
  readonly containers: Containers;
  readonly graph: ObjectGraph;
  readonly report: VerifyReport;
  readonly objects: ReadonlyMap<string, number>;
  readonly onRead: (bytes: number) => void;
}

/** Checks the caches of a storage: first their bytes, then, told of each segment, what they say. */
export class CacheCheck {
  readonly #options: CacheCheckOptions;
  /** Checkpoints that are well-formed, by the segment that they are of. */
  readonly #checkpoints = new Map<number, { readonly name: string; readonly checkpoint: Checkpoint }[]>();
  /** Of the last segment that has one. */
  #newest: { readonly name: string; readonly checkpoint: Checkpoint } | undefined;
  #isComplete = false;

  constructor(options: CacheCheckOptions) {
    this.#options = options;
  }

  /** Says whether there is a newest checkpoint and nothing is wrong with it and its runs. */
  get isSound(): boolean {
    return this.#newest === undefined || this.#isComplete;
  }

  /** What the newest checkpoint says of the log's sweeps; it is sealed, whether or not the log agrees. */
  get newestBegin(): { readonly seq: number; readonly sweepSeq: number } | undefined {
    const seq = Math.max(0, ...this.#checkpoints.keys());
    const sweepSeq = this.#checkpoints.get(seq)?.[0]?.checkpoint.begin.sweepSeq;
    return sweepSeq === undefined ? undefined : { seq, sweepSeq };
  }

  /** Reads all checkpoints, before the log is checked. */
  async readCheckpoints(): Promise<void> {
    const { containers, report, onRead } = this.#options;
    for (const name of this.#names('checkpoint/')) {
      const named = parseCheckpointName(name);
      if (named === undefined) continue;
      // oxlint-disable-next-line no-await-in-loop -- few, one after the other
      const bytes = await containers.storage.read(name);
      if (bytes === undefined) continue;
      onRead(bytes.length);
      try {
        // oxlint-disable-next-line no-await-in-loop -- the same
        await containers.verifyWhole(bytes, { name, kind: KIND.checkpoint, seq: named.seq });
        // oxlint-disable-next-line no-await-in-loop -- the same
        const checkpoint = await openCheckpoint(containers, name, named.seq, bytes);
        if (checkpoint.seq !== named.seq || checkpoint.hash !== named.hash) {
          throw new MoltError(
            'RENAMED',
            `${name} is the checkpoint of ${segmentName(checkpoint.seq)} ${checkpoint.hash} under another name`,
          );
        }
        this.#checkpoints.set(named.seq, [...(this.#checkpoints.get(named.seq) ?? []), { name, checkpoint }]);
      } catch (error) {
        if (!isMoltError(error) || isStorageFailure(error)) throw error;
        report.add(name, error);
      }
    }
  }

  /** Compares the checkpoints of a segment with the log as of it. */
  compare(log: LogCheck, segment: { readonly seq: SegmentSeq; readonly hash: string }): void {
    // As of a segment before the sweep that the log begins with, nobody can tell any more what the refs were.
    const isBefore = segment.seq < (log.base?.seq ?? 0);
    for (const found of isBefore ? [] : (this.#checkpoints.get(segment.seq) ?? [])) {
      const { name, checkpoint } = found;
      const disagrees = (what: string): void =>
        this.#options.report.add(name, new MoltError('DAMAGED', `${name} disagrees with the log: ${what}`));
      if (checkpoint.hash !== segment.hash) disagrees(`${segmentName(segment.seq)} has another hash`);
      else if (!sameRefs(checkpoint.refs, log.refs)) disagrees('the refs differ');
      else if (!sameRefs(checkpoint.tagged, log.tagged)) disagrees('the commits of its tags differ');
      else if (checkpoint.holes.join() !== log.holes.join()) disagrees('the holes differ');
      else if (!coversAll(checkpoint)) disagrees('its index runs leave segments out');
      else this.#newest = found;
    }
    this.#checkpoints.delete(segment.seq);
  }

  /** Checks the index runs, and what is left over, when the whole log was told. */
  async finish(log: LogCheck): Promise<void> {
    const { report } = this.#options;
    for (const { name, checkpoint } of [...this.#checkpoints.values()].flat()) {
      if (checkpoint.seq <= (log.base?.base.seq ?? 0)) continue;
      const problem = `${name} is of a segment that is not there: the end of the log is lost, or the storage was set back`;
      report.add(name, new MoltError('DAMAGED', problem));
    }
    const used = new Map((this.#newest?.checkpoint.runs ?? []).map((note) => [indexName(note.id), note]));
    for (const name of this.#names('index/')) {
      // oxlint-disable-next-line no-await-in-loop -- one run in memory at a time
      if (/^index\/[0-9a-f]{64}$/.test(name)) await this.#checkRun(log, name, used.get(name));
    }
    const newest = this.#newest;
    if (newest === undefined) return;
    for (const name of used.keys()) {
      if (!this.#options.objects.has(name))
        report.add(newest.name, new MoltError('DAMAGED', `${newest.name} names ${name}, which is missing`));
    }
    const left = this.#countUnindexed(newest.checkpoint.seq);
    const isWhole = [...used.keys()].every((name) => this.#options.objects.has(name) && !report.has(name));
    if (isWhole && left > 0) {
      report.add(
        newest.name,
        new MoltError('DAMAGED', `the index runs of ${newest.name} lack ${left} objects that the log has`),
      );
    }
    this.#isComplete = isWhole && left === 0 && !report.has(newest.name);
  }

  async #checkRun(log: LogCheck, name: string, note: RunNote | undefined): Promise<void> {
    const { containers, report, onRead } = this.#options;
    const bytes = await containers.storage.read(name);
    if (bytes === undefined) return;
    onRead(bytes.length);
    try {
      await containers.verifyWhole(bytes, namedIndex(name.slice('index/'.length)));
      if (note !== undefined) await this.#compareRun(log, name, note);
    } catch (error) {
      if (!isMoltError(error) || isStorageFailure(error)) throw error;
      report.add(name, error);
    }
  }

  async #compareRun(log: LogCheck, name: string, note: RunNote): Promise<void> {
    const wrong = (what: string): MoltError => new MoltError('DAMAGED', `${name} ${what}`);
    const run = new IndexRun(note, this.#options.containers);
    const tables = await run.tables();
    if (tables.fromSeq !== note.fromSeq || tables.toSeq !== note.toSeq)
      throw wrong('covers other segments than its checkpoint says');
    await this.#compareEntries(run, wrong);
    const begin = log.base?.base.seq ?? 0;
    const ofRun = [...log.commits.values()].filter(
      ({ seq }) => seq > begin && seq >= note.fromSeq && seq <= note.toSeq,
    );
    const commits = await run.readTable('commits');
    if (!isInOrder(commits, 'commits')) throw wrong('lists commits out of order');
    const entries = new CommitTable(commits).entries();
    checkGone(log, entries, wrong);
    compareCommits(
      log,
      ofRun,
      entries.filter(({ seq }) => seq > begin),
      wrong,
    );
    comparePaths(log, ofRun, await run.readTable('paths'), wrong);
  }

  /** Holds every entry against the footer of its container. */
  async #compareEntries(run: IndexRun, wrong: (what: string) => MoltError): Promise<void> {
    const { graph, containers } = this.#options;
    const found = new Map<string, { readonly container: ContainerRef; readonly rows: number[] }>();
    let last = -1;
    let objects = 0;
    for await (const { prefix, ref } of run.listEntries()) {
      const key = prefix.readUIntBE(0, PREFIX_BYTES);
      if (key < last) throw wrong('is not in order');
      last = key;
      objects += 1;
      const container = containerName(ref.container);
      const known = found.get(container) ?? { container: ref.container, rows: [] };
      known.rows.push(key, ref.entry, ref.isDelta ? 1 : 0);
      found.set(container, known);
    }
    if (objects !== run.note.objects) throw wrong(`has ${objects} entries instead of ${run.note.objects}`);
    for (const [name, { container, rows }] of found) {
      // A container that can't be read is no fault of the index.
      if (!graph.has(container)) continue;
      // oxlint-disable-next-line no-await-in-loop -- one container after the other
      const footer = await containers.readFooter(container);
      for (let at = 0; at < rows.length; at += 3) {
        const object = footer.objects[rows[at + 1] ?? 0];
        const isDelta = rows[at + 2] === 1;
        if (object?.key.readUIntBE(0, PREFIX_BYTES) !== rows[at] || (object?.base !== undefined) !== isDelta)
          throw wrong(`has an entry of ${name} that is not what the log says`);
        const number = graph.table.find(object?.key ?? Buffer.alloc(0));
        if (number >= 0) graph.table.mark(number, MARK.indexed);
      }
    }
  }

  #countUnindexed(seq: number): number {
    const { graph } = this.#options;
    let count = 0;
    for (let number = 0; number < graph.table.count; number += 1) {
      if (graph.table.isHeld(number) && (graph.table.marks(number) & MARK.indexed) === 0 && graph.seqOf(number) <= seq)
        count += 1;
    }
    return count;
  }

  *#names(prefix: string): Iterable<string> {
    for (const name of this.#options.objects.keys()) if (name.startsWith(prefix)) yield name;
  }
}

function sameRefs(a: ReadonlyMap<string, GitId>, b: ReadonlyMap<string, GitId>): boolean {
  return a.size === b.size && [...a].every(([name, id]) => b.get(name) === id);
}

/** Says whether a checkpoint's runs cover its segments, from the first to its own. */
function coversAll({ runs, seq }: Checkpoint): boolean {
  let next = 1;
  for (const { fromSeq, toSeq } of runs) {
    if (fromSeq !== next || toSeq < fromSeq) return false;
    next = toSeq + 1;
  }
  return next === seq + 1;
}

function isInOrder(rows: Buffer, table: RunTableName): boolean {
  const { rowBytes, keyBytes } = RUN_TABLES[table];
  for (let at = rowBytes; at < rows.length; at += rowBytes) {
    if (rows.compare(rows, at, at + keyBytes, at - rowBytes, at - rowBytes + keyBytes) > 0) return false;
  }
  return true;
}

/** Compares a run's commits with those that the log has of its segments. */
function compareCommits(
  log: LogCheck,
  ofLog: readonly LoggedCommit[],
  listed: readonly CommitEntry[],
  wrong: (what: string) => MoltError,
): void {
  for (const entry of listed) {
    const commit = log.commits.get(entry.id);
    // A commit of a segment that can't be read is no fault of the index.
    if (commit === undefined && log.holes.includes(entry.seq)) continue;
    if (commit === undefined || !isSameCommit(log, commit, entry))
      throw wrong(`lists commit ${entry.id} otherwise than the log does`);
  }
  const ids = new Set(listed.map(({ id }) => id));
  for (const { id } of ofLog) if (!ids.has(id)) throw wrong(`lacks commit ${id}`);
}

/** Holds what a run says of commits by what is left of them: a pack that notes them, or the sweep. */
function checkGone(log: LogCheck, listed: readonly CommitEntry[], wrong: (what: string) => MoltError): void {
  for (const { id, timeMs, kind, isExpired, seq } of listed) {
    const isGone = seq <= (log.base?.base.seq ?? 0);
    const noted = log.expired.get(id) ?? (isGone ? log.commits.get(id) : undefined);
    if (isExpired !== log.expired.has(id))
      throw wrong(`lists commit ${id} ${isExpired ? 'as expired' : 'as whole'}, which it is not`);
    if ((isGone || isExpired) && (noted?.timeMs !== timeMs || noted.kind !== kind))
      throw wrong(`lists commit ${id} otherwise than the log does`);
  }
}

function isSameCommit(log: LogCheck, commit: LoggedCommit, entry: CommitEntry): boolean {
  const { timeMs, kind, seq, parents, paths } = commit;
  if (timeMs !== entry.timeMs || kind !== entry.kind || seq !== entry.seq) return false;
  if ((paths !== undefined) !== entry.hasPaths) return false;
  if (entry.parentSeq === undefined) return true;
  if (parents === undefined || parents.length > 1) return false;
  const [parent] = parents;
  const known = parent === undefined ? 0 : log.commits.get(parent)?.seq;
  // Of a parent that is gone only its number was known once.
  if (known === undefined && parent !== undefined) return log.expired.has(parent);
  return entry.parentSeq === known;
}

/** Compares a run's path rows with the notes of the log's commits. */
function comparePaths(
  log: LogCheck,
  ofLog: readonly LoggedCommit[],
  rows: Buffer,
  wrong: (what: string) => MoltError,
): void {
  if (!isInOrder(rows, 'paths')) throw wrong('lists paths out of order');
  const notes = new Map<number, Buffer[]>();
  for (const { seq, paths = Buffer.alloc(0) } of ofLog) notes.set(seq, [...(notes.get(seq) ?? []), paths]);
  let count = 0;
  for (let at = 0; at < rows.length; at += PATH_ROW_BYTES) {
    const seq = rows.readUInt32BE(at + PATH_HASH_BYTES);
    if (log.holes.includes(seq)) continue;
    const hash = rows.subarray(at, at + PATH_HASH_BYTES);
    const isNoted = (note: Buffer): boolean => {
      const from = lowerBound(note, PATH_HASH_BYTES, hash) * PATH_HASH_BYTES;
      return note.subarray(from, from + PATH_HASH_BYTES).equals(hash);
    };
    if (notes.get(seq)?.some(isNoted) !== true)
      throw wrong(`lists a path of ${segmentName(seq)} that it does not note`);
    count += 1;
  }
  const expected = ofLog.reduce((sum, { paths }) => sum + (paths?.length ?? 0) / PATH_HASH_BYTES, 0);
  if (count !== expected) throw wrong(`lists ${count} changed paths instead of ${expected}`);
}
