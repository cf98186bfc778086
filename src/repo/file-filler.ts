// Fills the files of a restore from a repository, each block read once and in the order of the packs, on worker threads: opening,
// decompressing, checking and writing is all that a restore spends its time on. The calling thread only plans, and fetches where the
// storage is no folder. It plans a few dozen megabytes at a time, so that memory stays flat however large the restore is.

import { availableParallelism } from 'node:os';
import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { containerName, type Place } from '../format/index-run.ts';
import { ENCODING, HEADER_BYTES, OBJECT } from '../format/layout.ts';
import type { BlobSource, FileToFill } from '../model/entry.ts';
import { MoltError } from '../model/error.ts';
import type { BlobId, ChunkId } from '../model/ids.ts';
import { DirectoryStorage } from '../storage/directory.ts';
import { fillChunks, FillError, type ChunkTarget, type PlannedChunk } from './fill.ts';
import type { FillAnswer, FillBatch, FillFailure, FillSetup } from './fill-worker.ts';
import { type Piece, pieceKey } from './handed-storage.ts';
import { chunkKey, mapKey } from './keys.ts';
import { PresentChunks } from './present-chunks.ts';
import type { Repository } from './repository.ts';
import { keepYoungHeapSmall } from './young-heap.ts';

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
/** What a worker does in one go: a few blocks. */
const BATCH_BYTES = 1 << 20;
const BATCHES_PER_WORKER = 2;
/** Batches that may wait before the planning does. */
const WAITING_BATCHES = 12;
/** Descriptors are scarce in containers, often 1,024 in all. */
const MOST_OPEN_FILES = 384;

interface Filling {
  readonly file: FileToFill;
  /** Pieces that are not written yet, and one until all are planned. */
  left: number;
}

interface Planning {
  readonly chunk: Omit<PlannedChunk, 'targets'>;
  readonly targets: (ChunkTarget & { readonly filling: Filling })[];
}

type Batch = readonly Planning[];

interface Member {
  readonly worker: Worker;
  readonly batches: Batch[];
  /** Resolves when the last batch was sent: the answers come in the order of the batches. */
  sent: Promise<void>;
}

/** Fills files from one repository; used for one restore. */
export class FileFiller implements BlobSource {
  readonly #repository: Repository;
  readonly #signal: AbortSignal | undefined;
  readonly #maxWorkers: number;
  readonly #isFolder: boolean;
  readonly #members: Member[] = [];
  /** Of containers that are not in a folder; each is sent with every batch that needs it. */
  readonly #headers = new Map<string, Promise<Buffer | undefined>>();
  #group = new Map<string, Planning>();
  #groupBytes = 0;
  #groupFiles = 0;
  readonly #waiting: Batch[] = [];
  #openFiles = 0;
  #failure: { readonly error: unknown } | undefined;
  /** Wakes whoever waits for a worker's answer. */
  #wake: () => void = () => undefined;

  constructor(repository: Repository, options: FileFillerOptions) {
    keepYoungHeapSmall();
    this.#repository = repository;
    this.#signal = options.signal;
    this.#isFolder = repository.storage instanceof DirectoryStorage;
    const cores = availableParallelism();
    const wanted = options.totalBytes < INLINE_BYTES || cores === 1 ? 0 : Math.min(MAX_WORKERS, cores);
    this.#maxWorkers = options.workers ?? wanted;
  }

  read(blob: BlobId): AsyncIterable<Buffer> {
    return this.#repository.objects.readBlob(blob);
  }

  async fillFile(file: FileToFill): Promise<void> {
    this.#check();
    const { objects } = this.#repository;
    const record = await objects.readBlobRecord(file.blob);
    if (record.sizeBytes !== file.sizeBytes)
      throw new MoltError('DAMAGED', `blob ${file.blob} has another length than its commit says`);
    const filling: Filling = { file, left: 1 };
    this.#openFiles += descriptorsOf(file);
    this.#groupFiles += 1;
    let offsetBytes = 0;
    const present = new PresentChunks(objects, file.present);
    for await (const { id, sizeBytes } of objects.listChunks(record)) {
      if (await present.has(id, offsetBytes)) file.wrote(sizeBytes);
      else await this.#plan(filling, id, sizeBytes, offsetBytes);
      offsetBytes += sizeBytes;
      if (this.#groupBytes >= GROUP_BYTES) await this.#flush(WAITING_BATCHES);
    }
    if (offsetBytes !== record.sizeBytes)
      throw new MoltError('DAMAGED', `blob ${file.blob} has ${offsetBytes} bytes instead of ${record.sizeBytes}`);
    this.#written(filling);
    if (this.#groupFiles >= GROUP_FILES) await this.#flush(WAITING_BATCHES);
    this.#check();
  }

  async drain(): Promise<void> {
    await this.#flush(0);
    while (this.#members.some(({ batches }) => batches.length > 0)) {
      this.#check();
      // oxlint-disable-next-line no-await-in-loop -- the last answers
      await this.#answer();
    }
    this.#check();
  }

  async stop(): Promise<void> {
    this.#failure ??= { error: new MoltError('INTERRUPTED', 'the restore was stopped') };
    this.#waiting.length = 0;
    // What a worker was given it may be writing: it comes to an end with that first.
    // oxlint-disable-next-line no-await-in-loop -- the last answers
    while (this.#members.some(({ batches }) => batches.length > 0)) await this.#answer();
    await Promise.all(this.#members.splice(0).map(({ worker }) => worker.terminate()));
  }

  async #plan(filling: Filling, id: ChunkId, sizeBytes: number, offsetBytes: number): Promise<void> {
    const key = chunkKey(id);
    const text = mapKey(key);
    let planning = this.#group.get(text);
    if (planning === undefined) {
      const place = await this.#repository.index.find(key);
      if (place === undefined) throw new MoltError('DAMAGED', `chunk ${id} is missing`, { hint: 'run molt verify' });
      const isDelta = place.encoding === ENCODING.deltas;
      const base = isDelta ? await this.#repository.objects.findWholeBase(key, place) : undefined;
      planning = {
        chunk: { key: text, place, base: base && { key: mapKey(base.key), place: base.place } },
        targets: [],
      };
      this.#group.set(text, planning);
    }
    const { place } = planning.chunk;
    if (place.objectBytes !== sizeBytes || place.type !== OBJECT.chunk)
      throw new MoltError('DAMAGED', `chunk ${id} of blob ${filling.file.blob} is not what its list says`);
    const { descriptor, likeness, present } = filling.file;
    planning.targets.push({ descriptor, likeness, offsetBytes, isNew: present === undefined, filling });
    filling.left += 1;
    this.#groupBytes += sizeBytes;
  }

  /** Hands over what is planned, and resolves when at most so many batches wait. */
  async #flush(mostWaiting: number): Promise<void> {
    const chunks = [...this.#group.values()].toSorted((a, b) => comparePlaces(costlyPlace(a), costlyPlace(b)));
    this.#group = new Map();
    this.#groupBytes = 0;
    this.#groupFiles = 0;
    this.#waiting.push(...batchesOf(chunks));
    this.#dispatch();
    const mostOpen = MOST_OPEN_FILES - GROUP_FILES;
    while (this.#waiting.length > mostWaiting || (this.#openFiles > mostOpen && this.#waiting.length > 0)) {
      this.#check();
      // oxlint-disable-next-line no-await-in-loop -- back-pressure
      if (this.#maxWorkers === 0) await this.#fillHere();
      // oxlint-disable-next-line no-await-in-loop -- the same
      else await this.#answer();
      this.#dispatch();
    }
  }

  async #fillHere(): Promise<void> {
    const batch = this.#waiting.shift() ?? [];
    const { containers, keys } = this.#repository;
    try {
      await fillChunks(containers, keys.idKey, batch.map(toMessage));
      for (const planning of batch) this.#done(planning);
    } catch (error) {
      this.#fail(error instanceof FillError ? this.#explain(batch, error.descriptor, error.cause) : error);
    }
    // Local chunks are read, and files written, without ever waiting. Nothing else, not even Ctrl-C, would get a turn.
    await eventLoopTurn();
  }

  #dispatch(): void {
    while (this.#waiting.length > 0 && this.#maxWorkers > 0 && this.#failure === undefined) {
      const member = this.#findMember();
      const batch = member && this.#waiting.shift();
      if (batch === undefined) return;
      if (member !== undefined) this.#give(member, batch);
    }
  }

  #give(member: Member, batch: Batch): void {
    member.batches.push(batch);
    if (this.#isFolder) {
      member.worker.postMessage({ chunks: batch.map(toMessage), pieces: [] } satisfies FillBatch, []);
      return;
    }
    const reading = this.#readPieces(batch);
    reading.catch(() => undefined);
    member.sent = member.sent.then(() => this.#send(member, batch, reading));
  }

  async #send(member: Member, batch: Batch, reading: Promise<readonly Piece[]>): Promise<void> {
    try {
      const pieces = await reading;
      if (this.#failure === undefined) {
        const message: FillBatch = { chunks: batch.map(toMessage), pieces };
        member.worker.postMessage(message, listMemory(pieces));
        return;
      }
    } catch (error) {
      this.#fail(error);
    }
    member.batches.splice(member.batches.indexOf(batch) >>> 0, 1);
    this.#wake();
  }

  /** Reads what a worker needs for a batch, all at once. */
  async #readPieces(batch: Batch): Promise<readonly Piece[]> {
    const { storage } = this.#repository;
    const wanted = new Map<string, { readonly name: string; readonly start: number; readonly end: number }>();
    const headers = new Set<string>();
    for (const { chunk } of batch) {
      for (const place of chunk.base === undefined ? [chunk.place] : [chunk.place, chunk.base.place]) {
        const name = containerName(place.container);
        const { blockOffsetBytes: start, blockSealedBytes } = place;
        headers.add(name);
        wanted.set(pieceKey(name, start), { name, start, end: start + blockSealedBytes });
      }
    }
    const pieces = await Promise.all([
      ...[...headers].map(async (name) => toPiece(name, 0, await this.#readHeader(name))),
      ...[...wanted.values()].map(async ({ name, start, end }) =>
        toPiece(name, start, await storage.read(name, { start, end })),
      ),
    ]);
    // What is missing the worker misses.
    return pieces.filter((piece) => piece !== undefined);
  }

  #readHeader(name: string): Promise<Buffer | undefined> {
    const header = this.#headers.get(name) ?? this.#repository.storage.read(name, { start: 0, end: HEADER_BYTES });
    this.#headers.set(name, header);
    return header;
  }

  /** Returns an idle worker, else a new one, else the least busy one if it has room. */
  #findMember(): Member | undefined {
    const [least] = this.#members.toSorted((a, b) => a.batches.length - b.batches.length);
    if (least?.batches.length === 0) return least;
    if (this.#members.length < this.#maxWorkers) return this.#spawn();
    return least !== undefined && least.batches.length < BATCHES_PER_WORKER ? least : undefined;
  }

  #spawn(): Member | undefined {
    // Beside this file as source; beside the bundle once built.
    const name = import.meta.url.endsWith('.ts') ? './fill-worker.ts' : './fill-worker.js';
    const { id: repositoryId, storageId, storage, keys } = this.#repository;
    const epochKeys = new Map(
      [...keys.roots.roots.keys()].flatMap((epoch) => {
        const key = keys.epochKeys(epoch);
        return key === undefined ? [] : [[epoch, key] as const];
      }),
    );
    const { label } = storage;
    const setup: FillSetup = { label, isFolder: this.#isFolder, repositoryId, storageId, epochKeys, idKey: keys.idKey };
    let worker: Worker;
    try {
      worker = new Worker(new URL(name, import.meta.url), {
        execArgv: [],
        workerData: setup,
        resourceLimits: { maxYoungGenerationSizeMb: 4 },
      });
    } catch (cause) {
      this.#fail(new MoltError('IO', "a thread that fills files can't be started", { cause }));
      return undefined;
    }
    const member: Member = { worker, batches: [], sent: Promise.resolve() };
    worker.on('message', (answer: FillAnswer) => this.#receive(member, answer));
    worker.on('error', (cause) =>
      this.#lose(member, new MoltError('IO', 'a thread that fills files failed', { cause })),
    );
    worker.on('exit', () => this.#lose(member, new MoltError('IO', 'a thread that fills files ended too early')));
    this.#members.push(member);
    return member;
  }

  #receive(member: Member, failure: FillAnswer): void {
    const batch = member.batches.shift() ?? [];
    if (failure !== undefined) this.#fail(this.#errorOf(batch, failure));
    else if (this.#failure === undefined) {
      try {
        for (const planning of batch) this.#done(planning);
      } catch (error) {
        this.#fail(error);
      }
    }
    this.#dispatch();
    this.#wake();
  }

  /** A worker that is gone writes nothing any more. */
  #lose(member: Member, error: MoltError): void {
    member.batches.length = 0;
    this.#fail(error);
    this.#wake();
  }

  #done({ chunk, targets }: Planning): void {
    for (const { filling } of targets) {
      filling.file.wrote(chunk.place.objectBytes);
      this.#written(filling);
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

  #errorOf(batch: Batch, failure: FillFailure): unknown {
    const { message, molt, descriptor, system, stack } = failure;
    if (molt !== undefined) return new MoltError(molt.code, message, molt.options);
    const error = Object.assign(new Error(message), { ...system, stack });
    return descriptor === undefined ? error : this.#explain(batch, descriptor, error);
  }

  #explain(batch: Batch, descriptor: number, error: unknown): unknown {
    const target = batch.flatMap(({ targets }) => targets).find((one) => one.descriptor === descriptor);
    return target === undefined ? error : target.filling.file.explain(error);
  }

  #answer(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
    this.#signal?.throwIfAborted();
  }
}

function descriptorsOf({ likeness }: FileToFill): number {
  return likeness === undefined ? 1 : 2;
}

/** Returns the place whose block takes longest to decode: of a delta that of its base, since deltas lie uncompressed. */
function costlyPlace({ chunk }: Planning): Place {
  return chunk.base?.place ?? chunk.place;
}

/** Orders chunks as they are stored, so that each block is decoded once. */
function comparePlaces(a: Place, b: Place): number {
  const nameA = containerName(a.container);
  const nameB = containerName(b.container);
  if (nameA !== nameB) return nameA < nameB ? -1 : 1;
  return a.block - b.block || a.offsetBytes - b.offsetBytes;
}

/** Cuts chunks in stored order into batches, between blocks where that is possible. */
function batchesOf(chunks: readonly Planning[]): Planning[][] {
  const batches: Planning[][] = [];
  let batch: Planning[] = [];
  let bytes = 0;
  let last: Place | undefined;
  for (const planning of chunks) {
    const place = costlyPlace(planning);
    const isNewBlock = last?.block !== place.block || containerName(last.container) !== containerName(place.container);
    if (batch.length > 0 && bytes >= BATCH_BYTES && isNewBlock) {
      batches.push(batch);
      batch = [];
      bytes = 0;
    }
    batch.push(planning);
    bytes += planning.chunk.place.objectBytes;
    last = place;
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}

/** Makes a piece in memory of its own, which is given to another thread; a header is kept here, so of that it is a copy. */
function toPiece(name: string, start: number, bytes: Buffer | undefined): Piece | undefined {
  if (bytes === undefined) return undefined;
  const { buffer, byteLength } = bytes;
  const isOwn = start > 0 && buffer instanceof ArrayBuffer && buffer.byteLength === byteLength;
  return { name, start, bytes: isOwn ? new Uint8Array(buffer) : new Uint8Array(bytes) };
}

function listMemory(pieces: readonly Piece[]): ArrayBuffer[] {
  return pieces.map(({ bytes }) => bytes.buffer);
}

function toMessage({ chunk, targets }: Planning): PlannedChunk {
  return {
    ...chunk,
    targets: targets.map(({ filling: _, ...target }) => target),
  };
}
