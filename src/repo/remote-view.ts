// What this machine knows of a remote: its log's tail, keyrings and caches, kept in a local storage, so that a push need ask the
// remote for nothing before it writes. The log, the keyrings and the checkpoints are read from here alone; `refresh` brings them up to
// date, and is due when a write meets another writer, or when the last look at the remote is a day old (docs/remotes.md).

import { createHash } from 'node:crypto';
import pMap from 'p-map';
import { parseCheckpointName } from '../format/checkpoint.ts';
import { FORMAT_FILE, parseFormatFile } from '../format/format-file.ts';
import { NO_PREVIOUS, parseSegmentName, segmentName } from '../format/segment.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { RepositoryId } from '../model/ids.ts';
import type { Clock } from '../model/ports.ts';
import type { RemoteStorage } from '../storage/remote.ts';
import type { ObjectStat, Storage } from '../storage/storage.ts';
import { OldestStorage } from './oldest.ts';

/** How old the last look at a remote's tip may be when something is written: names are only used again after three days. */
const FRESH_MS = 24 * 3_600_000;
const READS_AT_ONCE = 8;
/** The segment at the tip is held against the remote's when it is looked at. */
type Tip = { readonly seq: number; readonly hash: string };

/** What is remembered of a remote between commands. */
export interface ViewState {
  /** The last segment that was seen; number 0 before the first look. */
  readonly tip: Tip;
  /** The store's time at the last look, and this machine's; milliseconds since the Unix epoch. */
  readonly lookedMs: { readonly store: number; readonly local: number } | undefined;
}

/** The state before the first look. */
export const UNSEEN: ViewState = { tip: { seq: 0, hash: NO_PREVIOUS }, lookedMs: undefined };

/** A remote, seen through what is known of it here. */
export class RemoteView implements Storage {
  readonly label: string;
  readonly remote: RemoteStorage;
  readonly #oldest: OldestStorage;
  readonly #cache: Storage;
  readonly #clock: Clock;
  #state: ViewState;
  /** The last segment that was seen, if it is there no more, and what is. */
  #gone: { readonly seq: number; readonly what: string } | undefined;
  /** Names that may be there, because the answer to writing them was lost. */
  readonly #uncertain = new Set<string>();

  constructor(remote: RemoteStorage, options: { cache: Storage; clock: Clock; state: ViewState }) {
    this.remote = remote;
    this.label = remote.label;
    this.#oldest = new OldestStorage(remote);
    this.#cache = options.cache;
    this.#clock = options.clock;
    this.#state = options.state;
  }

  /** What to remember. */
  get state(): ViewState {
    return this.#state;
  }

  /** Says whether the last look is recent enough to write by. */
  get isFresh(): boolean {
    const { lookedMs } = this.#state;
    if (lookedMs === undefined) return false;
    const passedMs = this.#clock.now() - lookedMs.local;
    return passedMs >= 0 && passedMs < FRESH_MS;
  }

  /** Notes the log's tip as the repository over this view has replayed it. */
  sawTip(tip: Tip): void {
    this.#state = { ...this.#state, tip };
  }

  /**
   * Looks at the remote: its format, new keyrings, the newest checkpoint, and the log's tail.
   * @param expected the repository that it must hold
   * @throws {MoltError} NO_REPOSITORY when it is empty, WRONG_REPOSITORY or WRONG_STORAGE when it holds another one, DAMAGED when it lacks
   *   what was seen of it
   */
  async refresh(expected?: RepositoryId): Promise<void> {
    await this.#checkFormat(expected);
    await this.#fetchKeyrings();
    const { tip } = this.#state;
    const start = tip.seq > 0 ? tip.seq : await this.#findStart();
    const stats: ObjectStat[] = [];
    for await (const stat of this.remote.list('log/', segmentName(Math.max(start - 1, 0)))) stats.push(stat);
    const lost = tip.seq > 0 ? await this.#findLoss(stats[0]) : undefined;
    if (lost !== undefined) return this.#startOver(lost, expected);
    const lacking: string[] = [];
    for (const { name } of stats) if ((await this.#cache.stat(name)) === undefined) lacking.push(name);
    await pMap(lacking, (name) => this.#fetch(name), { concurrency: READS_AT_ONCE });
    const local = this.#clock.now();
    this.#state = { ...this.#state, lookedMs: { store: this.remote.nowMs() ?? local, local } };
  }

  /**
   * The segment that was seen last is not there any more, but others are: it was pruned, and anybody may have put something in its
   * place, unless checkBegin finds otherwise.
   */
  async #startOver(what: string, expected: RepositoryId | undefined): Promise<void> {
    const { seq } = this.#state.tip;
    if (seq > (this.#gone?.seq ?? 0)) this.#gone = { seq, what };
    this.#state = { ...this.#state, tip: UNSEEN.tip };
    for (const prefix of ['checkpoint/', 'index/', 'log/'])
      for await (const { name } of this.#cache.list(prefix)) await this.#cache.delete(name);
    await this.refresh(expected);
  }

  /** @throws {MoltError} DAMAGED when the log, opened, does not say that what this machine saw last was pruned */
  checkBegin(beginSeq: number): void {
    if (this.#gone !== undefined && this.#gone.seq > beginSeq) throw wasSetBack(this.label, this.#gone.what);
  }

  /** Drops what is kept of the log before the newest checkpoint, which stands for it. */
  async trim(): Promise<void> {
    let seq = 0;
    for await (const { name } of this.#cache.list('checkpoint/')) seq = parseCheckpointName(name)?.seq ?? seq;
    for await (const { name } of this.#cache.list('log/')) {
      if ((parseSegmentName(name) ?? seq) >= seq) return;
      await this.#cache.delete(name);
    }
  }

  async createOnce(name: string, parts: readonly Uint8Array[]): Promise<boolean> {
    let created: boolean;
    try {
      created = await this.remote.createOnce(name, parts);
    } catch (error) {
      this.#uncertain.add(name);
      throw error;
    }
    this.#uncertain.delete(name);
    if (created && isKept(name)) await this.#cache.createOnce(name, parts);
    if (created && name.startsWith('log/') && this.#isLate()) await this.refresh();
    // Somebody else is at work: what they wrote must be known before the next try.
    if (!created && /^(log|keys)\//.test(name)) await this.refresh();
    return created;
  }

  async read(name: string, range?: { readonly start: number; readonly end: number }): Promise<Buffer | undefined> {
    if (!isKept(name)) return this.#oldest.read(name, range);
    const kept = await this.#cache.read(name, range);
    if (kept !== undefined || this.#isAbsent(name)) return kept;
    const bytes = await this.#fetch(name);
    return range === undefined ? bytes : bytes?.subarray(range.start, range.end);
  }

  async stat(name: string): Promise<ObjectStat | undefined> {
    if (!isKept(name)) return this.#oldest.stat(name);
    const kept = await this.#cache.stat(name);
    return kept ?? (this.#isAbsent(name) ? undefined : this.remote.stat(name));
  }

  async *list(prefix: string, startAfter?: string): AsyncIterable<ObjectStat> {
    yield* isKept(prefix) ? this.#cache.list(prefix, startAfter) : this.remote.list(prefix, startAfter);
  }

  /** Forgets an object here. Nothing that is written on the way of a push deletes anything on a remote. */
  async delete(name: string): Promise<void> {
    if (isKept(name)) await this.#cache.delete(name);
  }

  async close(): Promise<void> {
    await Promise.all([this.#cache.close(), this.remote.close()]);
  }

  /** Says whether the store's own clock shows that the last look was too old to write by: this machine slept, or its clock is wrong. */
  #isLate(): boolean {
    const [nowMs, looked] = [this.remote.nowMs(), this.#state.lookedMs];
    return nowMs !== undefined && looked !== undefined && nowMs - looked.store >= FRESH_MS;
  }

  /** Says of a name that is not kept whether that means that it isn't there. Older segments and index runs are kept no longer. */
  #isAbsent(name: string): boolean {
    if (this.#uncertain.has(name) || !isKept(name) || name.startsWith('index/')) return false;
    return (parseSegmentName(name) ?? Infinity) > this.#state.tip.seq;
  }

  async #fetch(name: string): Promise<Buffer | undefined> {
    // A run of the index is known by its hash.
    const bytes = name.startsWith('index/') ? await this.#oldest.read(name) : await readOldest(this.remote, name);
    if (bytes !== undefined) await this.#cache.createOnce(name, [bytes]);
    return bytes;
  }

  async #checkFormat(expected: RepositoryId | undefined): Promise<void> {
    const kept = await this.#cache.read(FORMAT_FILE);
    const bytes = await readOldest(this.remote, FORMAT_FILE);
    if (bytes === undefined) throw kept === undefined ? isEmpty(this.label) : isGone(this.label);
    const { repositoryId } = parseFormatFile(bytes, this.label);
    if (expected !== undefined && repositoryId !== expected)
      throw new MoltError('WRONG_REPOSITORY', `${this.label} holds another repository, ${repositoryId}`, {
        hint: 'nothing was sent; give this repository a place of its own',
      });
    if (kept !== undefined && !kept.equals(bytes)) {
      throw new MoltError('WRONG_STORAGE', `${this.label} is not the remote that it was: it was made anew since`, {
        hint: 'find out what became of it; then molt remote remove and molt remote add take it as it is',
      });
    }
    if (kept === undefined) await this.#cache.createOnce(FORMAT_FILE, [bytes]);
  }

  async #fetchKeyrings(): Promise<void> {
    const there = new Set<string>();
    for await (const { name } of this.remote.list('keys/')) there.add(name);
    for await (const { name } of this.#cache.list('keys/')) {
      if (!there.has(name)) throw wasSetBack(this.label, `${name}, which this machine saw, is gone`);
      there.delete(name);
    }
    await pMap(there, (name) => this.#fetch(name), { concurrency: READS_AT_ONCE });
  }

  /** Returns where to begin the first look: at the newest checkpoint whose segment is the one that its name says, else at the beginning. */
  async #findStart(): Promise<number> {
    const names: string[] = [];
    for await (const { name } of this.remote.list('checkpoint/')) names.push(name);
    for (const name of names.toReversed()) {
      const named = parseCheckpointName(name);
      if (named === undefined) continue;
      // oxlint-disable-next-line no-await-in-loop -- the newest is nearly always good
      const segment = await readOldest(this.remote, segmentName(named.seq));
      if (segment === undefined || createHash('sha256').update(segment).digest('hex') !== named.hash) continue;
      // oxlint-disable-next-line no-await-in-loop -- the same
      await this.#fetch(name);
      this.#state = { ...this.#state, tip: { seq: named.seq, hash: named.hash } };
      return named.seq;
    }
    return 1;
  }

  /**
   * Says what became of the last segment that was seen, unless it is there as it was.
   * @throws {MoltError} DAMAGED when nothing is there any more
   */
  async #findLoss(first: ObjectStat | undefined): Promise<string | undefined> {
    const { seq, hash } = this.#state.tip;
    const saw = `${segmentName(seq)}, which this machine saw,`;
    if (first === undefined) throw wasSetBack(this.label, `${saw} is gone`);
    if (first.name !== segmentName(seq)) return `${saw} is gone`;
    const bytes = await readOldest(this.remote, first.name);
    const isSame = bytes !== undefined && createHash('sha256').update(bytes).digest('hex') === hash;
    return isSame ? undefined : `${saw} is another one now`;
  }
}

/** Reads what was written first under a name: where versions are kept, somebody may have put another one on top. */
export async function readOldest(remote: RemoteStorage, name: string): Promise<Buffer | undefined> {
  const { versions } = remote;
  if (versions === undefined) return remote.read(name);
  const { versions: all } = await versions.list(name);
  const [oldest] = all;
  return oldest === undefined || all.length === 1 ? remote.read(name) : versions.read(name, oldest.versionId);
}

function isKept(name: string): boolean {
  return !name.startsWith('packs/');
}

function isEmpty(label: string): MoltError {
  return new MoltError('NO_REPOSITORY', `${label} is empty: nothing was ever pushed to it`, { hint: 'molt push' });
}

function isGone(label: string): MoltError {
  return wasSetBack(label, 'it is empty now');
}

function wasSetBack(label: string, what: string): MoltError {
  return new MoltError('DAMAGED', `${label} lost what it had: ${what}`, {
    hint: 'what is here is safe. If the remote can be brought back, do; else molt remote remove and molt remote add begin it anew',
    details: { rollback: true },
  });
}

/** Says whether a remote answered that it holds nothing yet. */
export function isEmptyRemote(error: unknown): boolean {
  return isMoltError(error, 'NO_REPOSITORY');
}
