// The log of a storage: numbered, hash-chained segments, each written once. Refs are what replaying it gives.

import { hash } from 'node:crypto';
import { FIRST_BEGIN, type LogBegin } from '../format/checkpoint.ts';
import type { FinishedContainer } from '../format/container.ts';
import type { Footer } from '../format/footer.ts';
import { parseKeyring } from '../format/keyring.ts';
import { KIND } from '../format/layout.ts';
import type { LogBase } from '../format/log-base.ts';
import { NO_PREVIOUS, parseSegmentRecord, segmentName, type Hole, type SegmentRecord } from '../format/segment.ts';
import { MoltError, isMoltError } from '../model/error.ts';
import type { CommitId, GitId, RepositoryId, SegmentSeq } from '../model/ids.ts';
import type { Storage } from '../storage/storage.ts';
import type { Containers } from './containers.ts';
import { findLastSweep } from './find-base.ts';
import { findNewestKeyring, keyringName } from './keyrings.ts';
import { isDamage, isStorageFailure } from './storage-failure.ts';

/** A segment as replayed. */
export interface ReplayedSegment {
  readonly record: SegmentRecord;
  readonly footer: Footer;
  /** SHA-256 of its bytes, hex. */
  readonly hash: string;
  readonly sizeBytes: number;
}

/** Something in the log that is not as it should be, and what follows from it. */
export interface LogProblem {
  readonly seq: SegmentSeq;
  readonly problem: string;
}

/** What a writer must put into its segment to come next. */
export interface NextSegment {
  readonly seq: SegmentSeq;
  readonly previous: string;
  readonly holes: readonly Hole[];
}

/** How many numbers behind a missing one are looked at. */
const LOOK_BEHIND = 4;

/** The log of one storage as far as it was replayed. */
export class Log {
  readonly #containers: Containers;
  readonly #keyGeneration: number;
  readonly #epoch: number;
  #refs = new Map<string, GitId>();
  #tagged = new Map<string, CommitId>();
  #tip = { seq: 0 as SegmentSeq, hash: NO_PREVIOUS };
  #begin = FIRST_BEGIN;
  #holes: number[] = [];
  #openHoles: Hole[] = [];
  #problems: LogProblem[] = [];

  #applied: ReplayedSegment[] = [];
  #replaying: Promise<void> = Promise.resolve();

  /** @param keyring generation and epoch of the keyring that the containers are opened with */
  constructor(containers: Containers, keyring: { readonly generation: number; readonly epoch: number }) {
    this.#containers = containers;
    this.#keyGeneration = keyring.generation;
    this.#epoch = keyring.epoch;
  }

  /** Returns the segments applied since the last call, in order. */
  takeApplied(): ReplayedSegment[] {
    const applied = this.#applied;
    this.#applied = [];
    return applied;
  }

  get refs(): ReadonlyMap<string, GitId> {
    return this.#refs;
  }

  /** The commits that annotated tags name, by ref, as far as their segments say. */
  get tagged(): ReadonlyMap<string, CommitId> {
    return this.#tagged;
  }

  /** Number and hash of the last segment; number 0 before the first. */
  get tip(): { readonly seq: SegmentSeq; readonly hash: string } {
    return this.#tip;
  }

  /** Where the log begins: what its last sweep left. */
  get begin(): LogBegin {
    return this.#begin;
  }

  /** Numbers up to the tip that hold no segment of this log. */
  get holes(): readonly number[] {
    return this.#holes;
  }

  get problems(): readonly LogProblem[] {
    return this.#problems;
  }

  /** Starts from a checkpoint or a sweep instead of the beginning. */
  restart(from: {
    tip: { seq: SegmentSeq; hash: string };
    refs: ReadonlyMap<string, GitId>;
    tagged: ReadonlyMap<string, CommitId>;
    holes: readonly number[];
    begin: LogBegin;
  }): void {
    this.#begin = from.begin;
    this.#tip = from.tip;
    this.#refs = new Map(from.refs);
    this.#tagged = new Map(from.tagged);
    this.#holes = [...from.holes];
    this.#openHoles = [];
    this.#problems = [];
    this.#applied = [];
  }

  /** Reads and applies every segment after the tip. Calls take turns. */
  replay(): Promise<void> {
    const done = this.#replaying.then(() => this.#replayTail());
    this.#replaying = done.catch(() => undefined);
    return done;
  }

  async #replayTail(): Promise<void> {
    for (let seq = this.next().seq; ; seq = (seq + 1) as SegmentSeq) {
      // oxlint-disable-next-line no-await-in-loop -- a chain is read in order
      const bytes = await this.#readNumber(seq);
      if (bytes === 'no file') continue;
      // oxlint-disable-next-line no-await-in-loop -- one look behind the end
      const found = bytes ?? (await this.#lookBehind(seq));
      if (found === 'end') return;
      if (found === 'gap') {
        this.#problems.push({ seq, problem: `${segmentName(seq)} is missing, but a segment after it is there` });
        continue;
      }
      // oxlint-disable-next-line no-await-in-loop -- a chain is read in order
      await this.#take(seq, found);
    }
  }

  /** Returns what the next segment must say of its place. */
  next(): NextSegment {
    const lastHole = this.#openHoles.at(-1)?.seq ?? 0;
    return {
      seq: (Math.max(this.#tip.seq, lastHole) + 1) as SegmentSeq,
      previous: this.#tip.hash,
      holes: this.#openHoles,
    };
  }

  /**
   * Appends a segment. When another writer took the number, what it wrote is replayed, `build` is asked again for the next number,
   * and may throw to give up.
   * @param build seals the segment for its place; called again for every try, since a changed byte needs a new seal
   */
  async append(
    build: (next: NextSegment) => { container: FinishedContainer; record: SegmentRecord; footer: Footer },
  ): Promise<ReplayedSegment> {
    for (;;) {
      const { container, record, footer } = build(this.next());
      const name = segmentName(record.seq);
      // oxlint-disable-next-line no-await-in-loop -- one try after the other
      await this.#refuseOldEpoch();
      const { seq: tipSeq } = this.#tip;
      // oxlint-disable-next-line no-await-in-loop -- one try after the other
      if (await this.#create(name, container)) {
        // oxlint-disable-next-line no-await-in-loop -- the same
        await this.#refusePruned(tipSeq, record.seq);
        const segment = { record, footer, hash: container.sha256, sizeBytes: container.sizeBytes };
        this.#apply(segment);
        return segment;
      }
      const before = this.#tip.seq;
      // oxlint-disable-next-line no-await-in-loop -- one try after the other
      await this.replay();
      if (this.#tip.seq === before && this.next().seq <= record.seq) {
        throw new MoltError('IO', `${name} is taken, but can't be read`, { hint: 'run molt verify' });
      }
    }
  }

  /**
   * A number is free also where the log was pruned beyond it while this process slept. Names are deleted in their order: as long as the
   * segment that the new one follows is there, its own number was not.
   */
  async #refusePruned(tipSeq: number, seq: SegmentSeq): Promise<void> {
    if (!(await this.#isPruned(tipSeq, seq))) return;
    await this.#containers.storage.delete(segmentName(seq));
    throw new MoltError('SWEPT', 'the log was pruned while this process slept, and nothing was saved', {
      hint: 'run the command again',
      details: { pruned: true },
    });
  }

  /** Says whether a sweep took a number away; no if that can't be found out: the segment stands. */
  async #isPruned(tipSeq: number, seq: SegmentSeq): Promise<boolean> {
    try {
      if (tipSeq > 0 && (await this.#containers.storage.stat(segmentName(tipSeq))) !== undefined) return false;
      return ((await findLastSweep(this.#containers))?.base.seq ?? 0) >= seq;
    } catch (error) {
      if (isMoltError(error)) return false;
      throw error;
    }
  }

  /**
   * Writes a segment; false if something else has its name. Where the answer was lost, or says that the name is taken, the winner may
   * have been this very call, or a repetition of it inside the storage: what stands there tells.
   */
  async #create(name: string, container: FinishedContainer): Promise<boolean> {
    const { storage } = this.#containers;
    try {
      if (await storage.createOnce(name, container.parts)) return true;
    } catch (error) {
      if (!isMoltError(error)) throw error;
      // Something else than an object has the name: the replay makes it a hole.
      if (error.code === 'HOSTILE') return false;
      if (!(await isStored(storage, name, container).catch(() => false))) throw error;
      // It is there, but is it durable? A storage that says that the name is taken has made sure of it.
      await storage.createOnce(name, container.parts);
      return true;
    }
    return isStored(storage, name, container);
  }

  /** Reads what stands at a number; a folder or link planted there can't be read at all, and is a hole. */
  async #readNumber(seq: SegmentSeq): Promise<Buffer | undefined | 'no file'> {
    try {
      return await this.#containers.storage.read(segmentName(seq));
    } catch (error) {
      if (!isMoltError(error, 'HOSTILE')) throw error;
      this.#hole(seq, NO_PREVIOUS, error.message);
      return 'no file';
    }
  }

  #hole(seq: SegmentSeq, sha256: string, problem: string): void {
    this.#openHoles.push({ seq, sha256 });
    this.#holes.push(seq);
    this.#problems.push({ seq, problem });
  }

  /**
   * Looks behind a missing number: it is the log's end, unless an authentic segment follows it soon. A longer gap is found by
   * `molt verify`, which lists the log.
   * @returns the segment, if another process wrote it and the next ones after the number was first asked for
   */
  async #lookBehind(seq: SegmentSeq): Promise<'end' | 'gap' | Buffer> {
    const later = Array.from({ length: LOOK_BEHIND }, (_, index) => (seq + 1 + index) as SegmentSeq);
    const followed = await Promise.all(later.map((number) => this.#isAuthentic(number)));
    if (!followed.includes(true)) return 'end';
    // Who wrote a later number had read this one: if it is still missing now, it is lost.
    return (await this.#containers.storage.read(segmentName(seq))) ?? 'gap';
  }

  async #isAuthentic(seq: SegmentSeq): Promise<boolean> {
    try {
      const bytes = await this.#containers.storage.read(segmentName(seq));
      if (bytes === undefined) return false;
      await this.#parse(seq, bytes);
      return true;
    } catch (error) {
      if (isDamage(error)) return isMoltError(error, 'NEWER_FORMAT');
      throw error;
    }
  }

  async #take(seq: SegmentSeq, bytes: Buffer): Promise<void> {
    const sha256 = hash('sha256', bytes, 'hex');
    let parsed: { record: SegmentRecord; footer: Footer };
    try {
      parsed = await this.#parse(seq, bytes);
    } catch (error) {
      if (!isMoltError(error) || isStorageFailure(error) || error.code === 'NEWER_FORMAT') throw error;
      if (error.details['epoch'] !== undefined) await this.#checkKeysAreNewest(seq);
      this.#hole(seq, sha256, error.message);
      return;
    }
    const { record, footer } = parsed;
    // A transaction of this process wrote it, and applied it meanwhile.
    if (seq <= this.#tip.seq) return;
    if (record.previous !== this.#tip.hash) {
      this.#problems.push({ seq, problem: `${segmentName(seq)} does not follow what stands before it` });
    }
    this.#apply({ record, footer, hash: sha256, sizeBytes: bytes.length });
  }

  /** A segment of an unknown epoch is no hole if the keys were rotated since: to chain past it would undo what it says. */
  async #checkKeysAreNewest(seq: SegmentSeq): Promise<void> {
    const newest = await findNewestKeyring(this.#containers.storage);
    if (newest === undefined || newest <= this.#keyGeneration) return;
    throw new MoltError(
      'WRONG_KEY',
      `${segmentName(seq)} is sealed under newer keys than the ones at hand (keyring ${newest})`,
      {
        hint: 'run the command again; if it says so again, give a passphrase or recovery key that opens that keyring',
      },
    );
  }

  /** Nothing is written under an old root once the keys were rotated: who was locked out then could read it. */
  async #refuseOldEpoch(): Promise<void> {
    const { storage, repositoryId } = this.#containers;
    const newest = await findNewestKeyring(storage);
    if (newest === undefined || newest <= this.#keyGeneration) return;
    const bytes = await storage.read(keyringName(newest));
    // Deleted since it was listed: a newer one is there, which the next look finds.
    if (bytes === undefined) return this.#refuseOldEpoch();
    const epoch = findEpoch(bytes, repositoryId);
    if (epoch === undefined || epoch <= this.#epoch) return;
    throw new MoltError('CONFLICT', 'the keys were rotated while this ran, and nothing was saved under the old ones', {
      hint: 'run the command again',
    });
  }

  async #parse(seq: SegmentSeq, bytes: Buffer): Promise<{ record: SegmentRecord; footer: Footer }> {
    const name = segmentName(seq);
    const reader = this.#containers.openWhole(bytes, { name, kind: KIND.segment, seq });
    const { footer } = await reader.readFooter(async (start, end) => bytes.subarray(start, end), bytes.length);
    const record = parseSegmentRecord(footer.record, name);
    if (record.seq !== seq) throw new MoltError('RENAMED', `${name} is number ${record.seq} under another name`);
    return { record, footer };
  }

  #apply(segment: ReplayedSegment): void {
    const { record, hash: sha256 } = segment;
    // Two transactions of one process: the other's replay came across it first.
    if (record.seq <= this.#tip.seq) return;
    const declared = new Set(record.holes.map((hole) => `${hole.seq} ${hole.sha256}`));
    this.#problems = this.#problems.filter(({ seq: at }) => {
      const hole = this.#openHoles.find((open) => open.seq === at);
      return hole === undefined || !declared.has(`${hole.seq} ${hole.sha256}`);
    });
    this.#tip = { seq: record.seq, hash: sha256 };
    this.#openHoles = [];
    for (const { name, to, commit } of record.refs) {
      if (to === undefined) this.#refs.delete(name);
      else this.#refs.set(name, to);
      if (to === undefined || commit === undefined) this.#tagged.delete(name);
      else this.#tagged.set(name, commit);
    }
    if (record.base !== undefined) this.#applyBase(record.seq, record.base);
    else if (record.history !== undefined && record.seq > this.#begin.sweepSeq)
      this.#begin = { ...this.#begin, history: [...this.#begin.history, ...record.history] };
    this.#applied.push(segment);
  }

  /** What a sweep says of the refs holds: it was sealed for its place. */
  #applyBase(sweepSeq: SegmentSeq, { seq, hash: sha256, refs, tagged, history, swept }: LogBase): void {
    this.#begin = { seq, hash: sha256, sweepSeq, history, swept };
    this.#refs = new Map(refs);
    this.#tagged = new Map(tagged);
    this.#holes = this.#holes.filter((hole) => hole > seq);
  }
}

/** Returns the epoch that a keyring says it is of; undefined if it is none. To be authentic is not asked: who writes there can stop a writer anyway. */
function findEpoch(bytes: Buffer, repository: RepositoryId): number | undefined {
  try {
    return parseKeyring(bytes, repository).epoch;
  } catch (error) {
    if (isMoltError(error, 'DAMAGED', 'WRONG_REPOSITORY')) return undefined;
    throw error;
  }
}

/** Says whether an object is exactly this container: its nonce and salt are of this attempt alone. */
async function isStored(storage: Storage, name: string, container: FinishedContainer): Promise<boolean> {
  try {
    const bytes = await storage.read(name);
    return bytes?.length === container.sizeBytes && hash('sha256', bytes, 'hex') === container.sha256;
  } catch (error) {
    if (isMoltError(error, 'HOSTILE')) return false;
    throw error;
  }
}
