// Fills the files of a restore from a repository, each block read once and in the order of the packs, on worker threads: opening,
// decompressing, checking and writing is all that a restore spends its time on. The calling thread only plans. It plans a few dozen
// megabytes at a time, so that memory stays flat however large the restore is.
//
// Large files wait their turn in a lane of their own, planned in the background: to make and finish thousands of small files keeps the
// calling thread busy, and the workers are to have something to do meanwhile.

import { availableParallelism } from 'node:os';
import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import type { BlobRecord } from '../format/blob.ts';
import type { BlobSource, FileToFill } from '../model/entry.ts';
import { MoltError } from '../model/error.ts';
import type { BlobId } from '../model/ids.ts';
import { fillChunks, FillError } from './fill.ts';
import { explainWrite, FillGroup, toMessage, type Batch, type Filling } from './fill-plan.ts';
import { FillPool } from './fill-pool.ts';
import { PresentChunks } from './present-chunks.ts';
import type { Repository } from './repository.ts';
import { keepYoungHeapSmall } from './heap.ts';

/** What a FileFiller can be told. */
export interface FileFillerOptions {
  /** How much will be filled, about: starting threads for a few megabytes takes longer than filling them. */
  readonly totalBytes: number;
  /** How many threads; by default one for every core, at most four, and none for a few megabytes. */
  readonly workers?: number;
  readonly signal?: AbortSignal | undefined;
}

const MAX_WORKERS = 4;
const INLINE_BYTES = 16 << 20;
/** What is planned together. */
const GROUP_BYTES = 32 << 20;
const GROUP_FILES = 128;
/** Batches that may wait in a lane before its planning does. */
const WAITING_BATCHES = 12;
/** Descriptors are scarce in containers, often 1,024 in all. */
const MOST_OPEN_FILES = 384;
/** Files from this size on are planned in the background, and so many of them may wait for it. */
const LARGE_BYTES = 4 << 20;
const WAITING_LARGE_FILES = 32;

interface LargeFile {
  readonly filling: Filling;
  readonly record: BlobRecord;
}

/** Fills files from one repository; used for one restore. */
export class FileFiller implements BlobSource {
  readonly #repository: Repository;
  readonly #signal: AbortSignal | undefined;
  /** Undefined fills on the calling thread. */
  readonly #pool: FillPool | undefined;
  readonly #group: FillGroup;
  #groupFiles = 0;
  /** Batches that wait for a worker: those of small files go first, since there is less than a worker could do. */
  readonly #small: Batch[] = [];
  readonly #large: Batch[] = [];
  readonly #largeFiles: LargeFile[] = [];
  /** The background planning, which never rejects. */
  #planning: Promise<void> | undefined;
  #openFiles = 0;
  #failure: { readonly error: unknown } | undefined;
  readonly #waiters: (() => void)[] = [];

  constructor(repository: Repository, options: FileFillerOptions) {
    keepYoungHeapSmall();
    this.#repository = repository;
    this.#signal = options.signal;
    this.#group = new FillGroup(repository);
    const cores = availableParallelism();
    const wanted = options.totalBytes < INLINE_BYTES || cores === 1 ? 0 : Math.min(MAX_WORKERS, cores);
    const workers = options.workers ?? wanted;
    const report = {
      done: (batch: Batch) => this.#done(batch),
      failed: (error: unknown) => this.#fail(error),
      changed: () => {
        this.#dispatch();
        this.#wake();
      },
    };
    this.#pool = workers === 0 ? undefined : new FillPool(repository, workers, report);
  }

  read(blob: BlobId): AsyncIterable<Buffer> {
    return this.#repository.objects.readBlob(blob);
  }

  async fillFile(file: FileToFill): Promise<void> {
    this.#check();
    const record = await this.#repository.objects.readBlobRecord(file.blob);
    if (record.sizeBytes !== file.sizeBytes)
      throw new MoltError('DAMAGED', `blob ${file.blob} has another length than its commit says`);
    const filling: Filling = { file, left: 1 };
    this.#openFiles += descriptorsOf(file);
    if (this.#pool !== undefined && record.sizeBytes >= LARGE_BYTES) {
      this.#largeFiles.push({ filling, record });
      this.#planning ??= this.#planLarge();
      await this.#until(() => this.#largeFiles.length <= WAITING_LARGE_FILES);
      return;
    }
    this.#groupFiles += 1;
    await this.#plan({ filling, record }, this.#group, () => this.#flush(WAITING_BATCHES));
    if (this.#groupFiles >= GROUP_FILES) await this.#flush(WAITING_BATCHES);
    this.#check();
  }

  async drain(): Promise<void> {
    await this.#flush(0);
    await this.#until(() => this.#planning === undefined && this.#large.length === 0 && this.#pool?.isBusy !== true);
  }

  async stop(): Promise<void> {
    this.#fail(new MoltError('INTERRUPTED', 'the restore was stopped'));
    for (const lane of [this.#small, this.#large, this.#largeFiles]) lane.length = 0;
    await this.#planning;
    await this.#pool?.stop();
  }

  /** Plans a file; whenever there is enough to be handed over, `flush` is called. */
  async #plan({ filling, record }: LargeFile, group: FillGroup, flush: () => Promise<void>): Promise<void> {
    const { objects } = this.#repository;
    const { file } = filling;
    const present = new PresentChunks(objects, file.present);
    let offsetBytes = 0;
    for await (const { id, sizeBytes } of objects.listChunks(record)) {
      this.#check();
      if (await present.has(id, offsetBytes)) file.wrote(sizeBytes);
      else await group.add(filling, id, sizeBytes, offsetBytes);
      offsetBytes += sizeBytes;
      if (group.sizeBytes >= GROUP_BYTES) await flush();
    }
    if (offsetBytes !== record.sizeBytes)
      throw new MoltError('DAMAGED', `blob ${file.blob} has ${offsetBytes} bytes instead of ${record.sizeBytes}`);
    this.#written(filling);
  }

  /** Plans large files, one after the other, as fast as their chunks are written. */
  async #planLarge(): Promise<void> {
    const group = new FillGroup(this.#repository);
    const handOver = (): void => {
      this.#large.push(...group.take());
      this.#dispatch();
    };
    const flush = async (): Promise<void> => {
      handOver();
      await this.#until(() => this.#large.length <= WAITING_BATCHES);
    };
    try {
      for (let file = this.#largeFiles.shift(); file !== undefined; file = this.#largeFiles.shift()) {
        this.#wake();
        // oxlint-disable-next-line no-await-in-loop -- one file after the other
        await this.#plan(file, group, flush);
      }
      handOver();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#planning = undefined;
      this.#wake();
    }
  }

  /** Hands over what is planned of small files, and resolves when at most so many batches of theirs wait. */
  async #flush(mostWaiting: number): Promise<void> {
    this.#small.push(...this.#group.take());
    this.#groupFiles = 0;
    this.#dispatch();
    const mostOpen = MOST_OPEN_FILES - GROUP_FILES;
    const isDone = (): boolean =>
      this.#small.length <= mostWaiting && (this.#openFiles <= mostOpen || this.#small.length === 0);
    // oxlint-disable-next-line no-await-in-loop -- back-pressure
    while (this.#pool === undefined && !isDone()) await this.#fillHere();
    await this.#until(isDone);
  }

  async #fillHere(): Promise<void> {
    this.#check();
    const batch = this.#small.shift() ?? [];
    const { containers, keys } = this.#repository;
    try {
      await fillChunks(containers, keys.idKey, toMessage(batch));
      this.#done(batch);
    } catch (error) {
      this.#fail(error instanceof FillError ? explainWrite(batch, error.descriptor, error.cause) : error);
    }
    // Local chunks are read, and files written, without ever waiting. Nothing else, not even Ctrl-C, would get a turn.
    await eventLoopTurn();
  }

  #dispatch(): void {
    for (const lane of [this.#small, this.#large])
      for (let batch = lane[0]; batch !== undefined && this.#pool?.give(batch) === true; batch = lane[0]) lane.shift();
  }

  #done(batch: Batch): void {
    if (this.#failure !== undefined) return;
    try {
      for (const { chunk, targets } of batch)
        for (const { filling } of targets) {
          filling.file.wrote(chunk.place.objectBytes);
          this.#written(filling);
        }
    } catch (error) {
      this.#fail(error);
    }
  }

  #written(filling: Filling): void {
    filling.left -= 1;
    if (filling.left > 0) return;
    this.#openFiles -= descriptorsOf(filling.file);
    try {
      filling.file.finish();
    } catch (error) {
      throw filling.file.explain(error);
    }
  }

  /** Waits until something holds that changes with what is planned and done. @throws the first failure */
  async #until(isSo: () => boolean): Promise<void> {
    this.#check();
    while (!isSo()) {
      // oxlint-disable-next-line no-await-in-loop -- one change after the other
      await new Promise<void>((resolve) => {
        this.#waiters.push(resolve);
      });
      this.#check();
    }
  }

  #wake(): void {
    for (const resolve of this.#waiters.splice(0)) resolve();
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#pool?.cancel();
    this.#wake();
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
    this.#signal?.throwIfAborted();
  }
}

function descriptorsOf({ likeness }: FileToFill): number {
  return likeness === undefined ? 1 : 2;
}
