// A repository: one storage, opened with its keys. The facade over log, index and objects; what to do with them is ops' business.

import { createGear } from '../chunk/gear.ts';
import { createRootKeys } from '../crypto/roots.ts';
import type { ContainerSpec } from '../format/container.ts';
import { FORMAT_FILE, encodeFormatFile, parseFormatFile } from '../format/format-file.ts';
import { containerName, footerEntries, type IndexEntry } from '../format/index-run.ts';
import { MoltError, isMoltError } from '../model/error.ts';
import type { CommitId, GitId, PackId, RepositoryId, SegmentSeq, StorageId } from '../model/ids.ts';
import type { Clock, Random } from '../model/ports.ts';
import type { Storage } from '../storage/storage.ts';
import { findCheckpoint, writeCheckpoint } from './checkpoints.ts';
import { Containers } from './containers.ts';
import { Log, type LogProblem } from './log.ts';
import type { LostObjects } from './lost-objects.ts';
import { ObjectIndex } from './object-index.ts';
import { Objects } from './objects.ts';
import type { StoredPacks } from './pack-pool.ts';
import { isDamage, isStorageFailure } from './storage-failure.ts';
import { deriveRepositoryKeys, type RepositoryKeys } from './secrets.ts';
import type { RootKeys } from '../crypto/roots.ts';
import { Transaction } from './transaction.ts';

/** Segments, or objects, that may wait in the tail before a checkpoint is due, unless the opener says otherwise. */
const TAIL_SEGMENTS = 16;
const TAIL_OBJECTS = 20_000;

/** What a repository needs from outside. */
export interface RepositoryPorts {
  readonly clock: Clock;
  readonly random: Random;
  /** After how many segments a checkpoint is due; Infinity for never. */
  readonly checkpointEvery?: number;
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
  /** Segments in the index's tail. */
  #tailSegments = 0;
  readonly #checkpointEvery: number;
  #gear: Uint32Array | undefined;
  #packProblems: LogProblem[] = [];
  #refusal: MoltError | undefined;
  #lost: LostObjects | undefined;

  private constructor(
    storage: Storage,
    ids: { repositoryId: RepositoryId; storageId: StorageId },
    keys: OpenedKeys,
    ports: RepositoryPorts,
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
    this.containers = new Containers(storage, ids, this.keys.epochKeys);
    this.index = new ObjectIndex(this.containers, (useCheckpoints) => this.#reopenIndex(ids, keys, useCheckpoints));
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
    const repository = new Repository(storage, await readFormat(storage), keys, ports);
    repository.#lost = rebuild?.lost;
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
    return [...this.log.problems, ...this.#packProblems];
  }

  /** The chunker's gear table of this repository. */
  get gear(): Uint32Array {
    this.#gear ??= createGear(this.keys.cutKey);
    return this.#gear;
  }

  /** Reads what other writers appended since. */
  async refresh(): Promise<void> {
    await this.log.replay();
    await this.#index([], []);
  }

  /** From now on `begin` throws this error: the repository is read only. */
  refuseWrites(refusal: MoltError): void {
    this.#refusal = refusal;
  }

  /**
   * Starts a transaction; the caller closes it.
   * @throws {MoltError} what refuseWrites was given
   */
  begin(options: { readonly packs: boolean } = { packs: false }): Transaction {
    if (this.#refusal !== undefined) throw this.#refusal;
    return new Transaction(this, options);
  }

  /** Runs a transaction and closes it. */
  async transact<T>(options: { readonly packs: boolean }, work: (transaction: Transaction) => Promise<T>): Promise<T> {
    const transaction = this.begin(options);
    try {
      return await work(transaction);
    } finally {
      await transaction.close();
    }
  }

  /** Takes up what a transaction stored, and writes a checkpoint when one is due; returns the bytes of the latter. */
  async indexNew(stored: StoredPacks): Promise<number> {
    await this.#index(
      stored.packs.map(({ id }) => id),
      stored.entries,
    );
    if (this.#checkpointEvery === Infinity) return 0;
    const due =
      this.#tailSegments >= this.#checkpointEvery || this.index.tailSize >= TAIL_OBJECTS || stored.packs.length > 0;
    // A checkpoint would hide from later readers what is wrong now, and what may be put right: a pack that is still being copied.
    return due && this.problems.length === 0 ? this.#checkpoint(stored.packs.length > 0) : 0;
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

  async #index(ownPacks: readonly PackId[], ownEntries: readonly IndexEntry[]): Promise<void> {
    const own = new Set(ownPacks);
    this.index.add(ownEntries, []);
    for (const { record, footer } of this.log.takeApplied()) {
      this.#tailSegments += 1;
      for (const { id } of record.packs) {
        // oxlint-disable-next-line no-await-in-loop -- packs since the last checkpoint are few
        if (!own.has(id)) await this.#indexPack(id, record.seq);
      }
      const commits = record.commits.map((commit) => ({ ...commit, seq: record.seq }));
      this.index.add(this.#readable(footerEntries({ seq: record.seq }, footer)), commits);
    }
  }

  async #load(useCheckpoints: boolean): Promise<void> {
    const checkpoint = useCheckpoints ? await findCheckpoint(this.containers) : undefined;
    if (checkpoint !== undefined) {
      const { refs, tagged, holes } = checkpoint;
      this.log.restart({ tip: checkpoint, refs, tagged, holes });
      this.index.reset(checkpoint.runs);
    }
    await this.refresh();
  }

  async #reopenIndex(
    ids: { repositoryId: RepositoryId; storageId: StorageId },
    keys: OpenedKeys,
    useCheckpoints: boolean,
  ): Promise<ObjectIndex> {
    const other = new Repository(this.storage, ids, keys, { clock: this.clock, random: this.random });
    await other.#load(useCheckpoints);
    this.#tailSegments = other.#tailSegments;
    return other.index;
  }

  *#readable(entries: Iterable<IndexEntry>): Iterable<IndexEntry> {
    for (const entry of entries) {
      const { container, block } = entry.place;
      if (this.#lost?.has(containerName(container), block, entry.key) !== true) yield entry;
    }
  }

  /** A checkpoint that can't be written is no failure of what was published: the next transaction tries again. */
  async #checkpoint(atLeisure: boolean): Promise<number> {
    try {
      const storedBytes = await writeCheckpoint(this, { atLeisure });
      this.#tailSegments = 0;
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

  /** A damaged pack must not keep the rest of the repository from opening. */
  async #indexPack(id: PackId, seq: SegmentSeq): Promise<void> {
    try {
      this.index.add(this.#readable(footerEntries({ pack: id }, await this.containers.readFooter({ pack: id }))), []);
    } catch (error) {
      if (!isMoltError(error) || isStorageFailure(error)) throw error;
      this.#packProblems.push({ seq, problem: error.message });
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
