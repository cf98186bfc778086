// Checks checkpoints and index runs against the log that they are derived from, after the log itself was checked.

import { KIND } from '../format/layout.ts';
import { parseCheckpointName, type Checkpoint, type RunNote } from '../format/checkpoint.ts';
import { indexName } from '../format/index-run.ts';
import { segmentName } from '../format/segment.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { GitId, SegmentSeq } from '../model/ids.ts';
import { openCheckpoint } from './checkpoints.ts';
import { namedIndex, type Containers } from './containers.ts';
import { isStorageFailure } from './storage-failure.ts';
import { keyText } from './keys.ts';
import { IndexRun } from './object-index.ts';
import { MARK } from './object-table.ts';
import type { LogCheck } from './verify-log.ts';
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
  compare(
    log: LogCheck,
    segment: { readonly seq: SegmentSeq; readonly hash: string; readonly refs: ReadonlyMap<string, GitId> },
  ): void {
    for (const found of this.#checkpoints.get(segment.seq) ?? []) {
      const { name, checkpoint } = found;
      const disagrees = (what: string): void =>
        this.#options.report.add(name, new MoltError('DAMAGED', `${name} disagrees with the log: ${what}`));
      if (checkpoint.hash !== segment.hash) disagrees(`${segmentName(segment.seq)} has another hash`);
      else if (!sameRefs(checkpoint.refs, segment.refs)) disagrees('the refs differ');
      else if (checkpoint.holes.join() !== log.holes.join()) disagrees('the holes differ');
      else if (!coversAll(checkpoint)) disagrees('its index runs leave segments out');
      else this.#newest = found;
    }
    this.#checkpoints.delete(segment.seq);
  }

  /** Checks the index runs, and what is left over, when the whole log was told. */
  async finish(log: LogCheck): Promise<void> {
    const { report } = this.#options;
    for (const { name } of [...this.#checkpoints.values()].flat()) {
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
    const { graph, containers } = this.#options;
    const wrong = (what: string): MoltError => new MoltError('DAMAGED', `${name} ${what}`);
    const run = new IndexRun(note, containers);
    let last: Buffer | undefined;
    let objects = 0;
    for await (const { key, place } of run.entries()) {
      if (last !== undefined && last.compare(key) >= 0) throw wrong('is not in order');
      if (!graph.hasPlace(key, place)) throw wrong(`has a place of ${keyText(key)} that is not what the log says`);
      const number = graph.table.find(key);
      if (number >= 0) graph.table.mark(number, MARK.indexed);
      last = Buffer.from(key);
      objects += 1;
    }
    if (objects !== note.objects) throw wrong(`has ${objects} entries instead of ${note.objects}`);
    const table = await run.table();
    if (table.fromSeq !== note.fromSeq || table.toSeq !== note.toSeq)
      throw wrong('covers other segments than its checkpoint says');
    await this.#compareCommits(log, run, wrong);
  }

  async #compareCommits(log: LogCheck, run: IndexRun, wrong: (what: string) => MoltError): Promise<void> {
    const { fromSeq, toSeq } = run.note;
    const listed = await run.readCommits();
    for (const { id, timeMs, seq, kind } of listed) {
      const commit = log.commits.get(id);
      // A commit of a segment that can't be read is no fault of the index.
      if (commit === undefined && log.holes.includes(seq)) continue;
      if (commit?.timeMs !== timeMs || commit.kind !== kind || commit.seq !== seq)
        throw wrong(`lists commit ${id} otherwise than the log does`);
    }
    const ids = new Set(listed.map(({ id }) => id));
    for (const { id, seq } of log.commits.values()) {
      if (seq >= fromSeq && seq <= toSeq && !ids.has(id)) throw wrong(`lacks commit ${id}`);
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
