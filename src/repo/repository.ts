// A repository: one storage, opened with its keys. The facade over log, index and objects; what to do with them is ops' business.

import { createGear } from '../chunk/gear.ts';
import { createRootKeys } from '../crypto/roots.ts';
import type { ContainerSpec } from '../format/container.ts';
import { FORMAT_FILE, encodeFormatFile, parseFormatFile } from '../format/format-file.ts';
import { MoltError, isMoltError } from '../model/error.ts';
import type { CommitId, GitId, RepositoryId, SegmentSeq, StorageId } from '../model/ids.ts';
import type { Clock, Random } from '../model/ports.ts';
import type { Storage } from '../storage/storage.ts';
import { findCheckpoint, writeCheckpoint } from './checkpoints.ts';
import { CACHES, Containers, SMALL_CACHES } from './containers.ts';
import { findBase, findSweep, type FoundBase } from './find-base.ts';
import type { KeptEnds } from './kept-ends.ts';
import { gitKey } from './keys.ts';
import { IndexTail } from './index-tail.ts';
import { Log, type LogProblem } from './log.ts';
import type { LostObjects } from './lost-objects.ts';
import { ObjectIndex } from './object-index.ts';
import { Objects } from './objects.ts';
import type { StoredPacks } from './pack-pool.ts';
import { isDamage } from './storage-failure.ts';
import { deriveRepositoryKeys, type RepositoryKeys } from './secrets.ts';
import type { RootKeys } from '../crypto/roots.ts';
import { Transaction, type TransactionOptions } from './transaction.ts';

/** Segments, or objects, that may wait in the tail before a checkpoint is due, unless the opener says otherwise. */
const TAIL_SEGMENTS = 16;
const TAIL_OBJECTS = 20_000;

/** How often work is done again because a sweep came first. */
const MOST_SWEEPS = 5;

/** What a repository needs from outside. */
export interface RepositoryPorts {
  readonly clock: Clock;
  readonly random: Random;
  /** After how many segments a checkpoint is due; Infinity for never. */
  readonly checkpointEvery?: number;
  /** Ends of segments that are kept nearer than the storage. */
  readonly ends?: KeptEnds;
  /** It stays open while people look at it, and keeps less in memory for that. */
  readonly isLongLived?: boolean;
}

/** What opening needs beside the storage. */
export interface OpenedKeys {
  readonly roots: RootKeys;
  readonly generation: number;
}

/** Reads format.json of a storage. @throws {MoltError} NO_REPOSITORY, NEWER_FORMAT or DAMAGED */
export async function readFormat(storage: Storage): Promise<{ repositoryId: RepositoryId; storageId: StorageId }> {
  const bytes = await storage.read(FORMAT_FILE);
  if (bytes === undefined) {
    throw new MoltError('NO_REPOSITORY', `there is no molt repository in ${storage.label}`, {
      hint: 'molt init makes one',
    });
  }
  return parseFormatFile(bytes, storage.label);
}

/** An opened repository. */
export class Repository {
  readonly storage: Storage;
  readonly id: RepositoryId;
  readonly storageId: StorageId;
  readonly keys: RepositoryKeys;
  readonly keyGeneration: number;
  readonly clock: Clock;
  readonly random: Random;
  /** Random id of this process's view, in its segments; 32 hex digits. */
  readonly writerId: string;
  readonly containers: Containers;
  readonly index: ObjectIndex;
  readonly objects: Objects;
  readonly log: Log;
  readonly #tail: IndexTail;
  readonly #checkpointEvery: number;
  #gear: Uint32Array | undefined;
  #refusal: MoltError | undefined;

  private constructor(
    storage: Storage,
    ids: { repositoryId: RepositoryId; storageId: StorageId },
    keys: OpenedKeys,
    ports: RepositoryPorts,
    lost?: LostObjects,
  ) {
    this.storage = storage;
    this.id = ids.repositoryId;
    this.storageId = ids.storageId;
    this.keys = deriveRepositoryKeys(keys.roots);
    this.keyGeneration = keys.generation;
    this.clock = ports.clock;
    this.random = ports.random;
    this.#checkpointEvery = ports.checkpointEvery ?? TAIL_SEGMENTS;
    this.writerId = ports.random.bytes(16).toString('hex');
    this.containers = new Containers(
      storage,
      ids,
      this.keys.epochKeys,
      ports.isLongLived === true ? SMALL_CACHES : CACHES,
    );
    this.containers.ends = ports.ends;
    this.index = new ObjectIndex(this.containers, (useCheckpoints) => this.#reopenIndex(ids, keys, useCheckpoints));
    this.#tail = new IndexTail(this.containers, this.index, lost);
    this.objects = new Objects(this.containers, this.index, this.keys);
    this.log = new Log(this.containers, { generation: this.keyGeneration, epoch: keys.roots.epoch });
  }

  /**
   * Opens a repository: the newest checkpoint, then the log after it.
   * @param rebuild opens from the log alone, without these objects, which can't be read
   * @throws {MoltError} NO_REPOSITORY, NEWER_FORMAT, or what reading throws
   */
  static async open(
    storage: Storage,
    keys: OpenedKeys,
    ports: RepositoryPorts,
    rebuild?: { readonly lost: LostObjects },
  ): Promise<Repository> {
    const repository = new Repository(storage, await readFormat(storage), keys, ports, rebuild?.lost);
    await repository.#load(rebuild === undefined);
    const [first] = repository.log.problems;
    if (first !== undefined && repository.log.tip.seq === 0 && rebuild === undefined) {
      // Rather a wrong format.json than a log without a single good segment: to write behind it would hide all that is there.
      throw new MoltError('DAMAGED', `no segment of the log of ${storage.label} can be read: ${first.problem}`, {
        hint: 'compare its format.json with that of a copy or a remote',
      });
    }
    return repository;
  }

  get refs(): ReadonlyMap<string, GitId> {
    return this.log.refs;
  }

  /** The commits that annotated tags name, by ref, as far as the log says. */
  get tagged(): ReadonlyMap<string, CommitId> {
    return this.log.tagged;
  }

  /** What the log's replay found wrong. */
  get problems(): readonly LogProblem[] {
    return [...this.log.problems, ...this.#tail.problems];
  }

  /** The chunker's gear table of this repository. */
  get gear(): Uint32Array {
    this.#gear ??= createGear(this.keys.cutKey);
    return this.#gear;
  }

  /** It was swept, or copied from what was: it may have commits without their content, and things that nobody needs any more. */
  get isThinned(): boolean {
    return this.log.begin.sweepSeq > 0 || this.#tail.history.length > 0;
  }

  /** Says whether the content of a commit is gone by a sweep. */
  async isExpired(id: CommitId): Promise<boolean> {
    if (!this.isThinned) return false;
    const place = await this.index.find(gitKey(id));
    if (place === undefined || !('pack' in place.container)) return false;
    if (this.#tail.history.includes(place.container.pack)) return true;
    const table = await this.index.readCommits();
    const row = table.find(id);
    return row >= 0 && table.outline(row).isExpired;
  }

  /** Lists the commits whose content is gone by a sweep. */
  async listExpired(): Promise<ReadonlySet<CommitId>> {
    if (this.#tail.history.length === 0) return new Set();
    const commits = await this.index.listCommits();
    return new Set(commits.filter(({ isExpired }) => isExpired).map(({ id }) => id));
  }

  /** Reads what other writers appended since. */
  async refresh(): Promise<void> {
    await this.log.replay();
    await this.#tail.take(this.log);
  }

  /** Starts over from what is there: the log was pruned beyond the last segment that was read. */
  async startOver(): Promise<void> {
    await this.index.rebuild(true);
    await this.refresh();
  }

  /** From now on `begin` throws this error: the repository is read only. */
  refuseWrites(refusal: MoltError): void {
    this.#refusal = refusal;
  }

  /**
   * Starts a transaction; the caller closes it.
   * @throws {MoltError} what refuseWrites was given
   */
  begin(options: TransactionOptions = { packs: false }): Transaction {
    if (this.#refusal !== undefined) throw this.#refusal;
    return new Transaction(this, options);
  }

  /**
   * Runs a transaction and closes it. Where a sweep came first, what the transaction took for stored may be gone: then the work is done
   * again, and must not hold on to anything from the first time.
   */
  async transact<T>(options: { readonly packs: boolean }, work: (transaction: Transaction) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      const transaction = this.begin(options);
      try {
        // oxlint-disable-next-line no-await-in-loop -- again only after a sweep
        return await work(transaction);
      } catch (error) {
        if (!isMoltError(error, 'SWEPT') || attempt === MOST_SWEEPS) throw error;
      } finally {
        // oxlint-disable-next-line no-await-in-loop -- the same
        await transaction.close();
      }
    }
  }

  /** Takes up what a transaction stored, and writes a checkpoint when one is due; returns the bytes of the latter. */
  async indexNew(stored: StoredPacks): Promise<number> {
    await this.#tail.take(this.log, stored);
    if (this.#checkpointEvery === Infinity) return 0;
    const isLarge = stored.packs.length > 0 || this.index.swept !== undefined;
    const due = this.#tail.segments >= this.#checkpointEvery || this.index.tailSize >= TAIL_OBJECTS || isLarge;
    // A checkpoint would hide from later readers what is wrong now, and what may be put right: a pack that is still being copied.
    return due && this.problems.length === 0 ? this.#checkpoint(isLarge) : 0;
  }

  /** Returns what all new containers of this repository have in common. */
  containerSpec(): Omit<ContainerSpec, 'kind' | 'seq' | 'storageId'> {
    return {
      repositoryId: this.id,
      sealing: this.keys.sealing,
      entropy: {
        random: this.random,
        writer: Buffer.from(this.writerId, 'hex'),
        pid: process.pid,
        timeMs: this.clock.now(),
      },
    };
  }

  async close(): Promise<void> {
    await this.storage.close();
  }

  async #load(useCheckpoints: boolean): Promise<void> {
    const checkpoint = useCheckpoints ? await findCheckpoint(this.containers) : undefined;
    if (checkpoint === undefined) return this.#loadLog();
    const { refs, tagged, holes, begin } = checkpoint;
    this.log.restart({ tip: checkpoint, refs, tagged, holes, begin });
    this.#tail.startAt(begin.history);
    this.index.reset(checkpoint.runs);
    await this.refresh();
  }

  /** Reads the log from its beginning, or from its newest sweep if its beginning is gone. */
  async #loadLog(): Promise<void> {
    const found = await findBase(this.containers);
    if (found !== undefined) await this.#startFrom(found);
    await this.refresh();
    const { begin, problems } = this.log;
    if (found !== undefined || !problems.some(({ seq }) => seq <= begin.seq + 1)) return;
    // Anybody may put something where the log's beginning was, so that no number is missing: what the sweep says stands.
    const sweep = begin.seq === 0 ? undefined : await findSweep(this.containers, [begin.sweepSeq as SegmentSeq]);
    if (sweep === undefined) return;
    this.index.reset([]);
    this.#tail.clear();
    await this.#startFrom(sweep);
    await this.refresh();
  }

  async #startFrom(found: FoundBase): Promise<void> {
    const { refs, tagged, history, swept, ...base } = found.base;
    const tip = { seq: base.seq as SegmentSeq, hash: base.hash };
    this.log.restart({ tip, refs, tagged, holes: [], begin: { ...tip, sweepSeq: found.seq, history, swept } });
    await this.#tail.takeBase(found);
  }

  async #reopenIndex(
    ids: { repositoryId: RepositoryId; storageId: StorageId },
    keys: OpenedKeys,
    useCheckpoints: boolean,
  ): Promise<ObjectIndex> {
    const other = new Repository(this.storage, ids, keys, { clock: this.clock, random: this.random });
    await other.#load(useCheckpoints);
    this.#tail.adopt(other.#tail);
    if (other.log.begin.seq >= this.log.tip.seq && other.log.tip.seq > this.log.tip.seq) {
      const { tip, refs, tagged, holes, begin } = other.log;
      this.log.restart({ tip, refs, tagged, holes: holes.filter((hole) => hole < tip.seq), begin });
      this.#tail.startAt(other.#tail.history);
    }
    return other.index;
  }

  /** A checkpoint that can't be written is no failure of what was published: the next transaction tries again. */
  async #checkpoint(atLeisure: boolean): Promise<number> {
    try {
      const storedBytes = await writeCheckpoint(this, { atLeisure });
      this.#tail.clear();
      return storedBytes;
    } catch (error) {
      if (!isMoltError(error)) throw error;
      if (isDamage(error)) await this.#rebuildIndex();
      return 0;
    }
  }

  /** Replaces runs that can't be merged because one of them is damaged; the next checkpoint names none of them. */
  async #rebuildIndex(): Promise<void> {
    try {
      await this.index.rebuild(false);
      await this.refresh();
    } catch (error) {
      if (!isMoltError(error)) throw error;
    }
  }
}

/** Returns the roots and ids of a repository that is about to be made. */
export function newRepository(random: Random): { roots: RootKeys; repositoryId: RepositoryId; storageId: StorageId } {
  return {
    roots: createRootKeys(random),
    repositoryId: random.bytes(16).toString('hex') as RepositoryId,
    storageId: random.bytes(16).toString('hex') as StorageId,
  };
}

/**
 * Claims a storage for a new repository by writing format.json.
 * @throws {MoltError} EXISTS when one is there
 */
export async function claimStorage(
  storage: Storage,
  ids: { repositoryId: RepositoryId; storageId: StorageId },
): Promise<void> {
  if (!(await storage.createOnce(FORMAT_FILE, [encodeFormatFile(ids)]))) {
    throw new MoltError('EXISTS', `${storage.label} holds a molt repository already`);
  }
}
