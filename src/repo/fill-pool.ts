// The threads that fill files. Each reads a folder itself; of any other storage it is handed what a batch needs, read here.

import { Worker } from 'node:worker_threads';
import { containerName } from '../format/index-run.ts';
import { HEADER_BYTES } from '../format/layout.ts';
import { MoltError } from '../model/error.ts';
import { DirectoryStorage } from '../storage/directory.ts';
import { explainWrite, placesOf, toMessage, type Batch } from './fill-plan.ts';
import type { FillAnswer, FillBatch, FillFailure, FillSetup } from './fill-worker.ts';
import { type Piece, pieceKey } from './handed-storage.ts';
import type { Repository } from './repository.ts';

/** Batches that a worker has at a time: it should not have to wait for the next one. */
const BATCHES_PER_WORKER = 2;

/** Is told what becomes of the batches. */
export interface FillReport {
  /** All of a batch is written. */
  done(batch: Batch): void;
  failed(error: unknown): void;
  /** A worker has answered or is gone: there may be room for the next batch. */
  changed(): void;
}

interface Member {
  readonly worker: Worker;
  readonly batches: Batch[];
  /** Resolves when the last batch was sent: the answers come in the order of the batches. */
  sent: Promise<void>;
}

/** Threads for one restore. */
export class FillPool {
  readonly #repository: Repository;
  readonly #report: FillReport;
  readonly #isFolder: boolean;
  readonly #members: Member[] = [];
  /** Of containers that are not in a folder; each is sent with every batch that needs it. */
  readonly #headers = new Map<string, Promise<Buffer | undefined>>();
  #isCancelled = false;
  /** Wakes stop(). */
  #wake: () => void = () => undefined;

  /** Starts the threads. */
  constructor(repository: Repository, workers: number, report: FillReport) {
    this.#repository = repository;
    this.#report = report;
    this.#isFolder = repository.storage instanceof DirectoryStorage;
    for (let count = 0; count < workers && !this.#isCancelled; count += 1) this.#spawn();
  }

  /** Says whether any batch is not done yet. */
  get isBusy(): boolean {
    return this.#members.some(({ batches }) => batches.length > 0);
  }

  /** Gives a batch to the least busy worker; false if each of them has enough to do. */
  give(batch: Batch): boolean {
    const [least] = this.#members.toSorted((a, b) => a.batches.length - b.batches.length);
    if (least === undefined || least.batches.length >= BATCHES_PER_WORKER || this.#isCancelled) return false;
    least.batches.push(batch);
    if (this.#isFolder) {
      least.worker.postMessage({ chunks: toMessage(batch), pieces: [] } satisfies FillBatch, []);
      return true;
    }
    const reading = this.#readPieces(batch);
    reading.catch(() => undefined);
    least.sent = least.sent.then(() => this.#send(least, batch, reading));
    return true;
  }

  /** Sends nothing any more. */
  cancel(): void {
    this.#isCancelled = true;
  }

  /** Ends the threads. What a worker was given it may be writing: it comes to an end with that first. */
  async stop(): Promise<void> {
    this.cancel();
    while (this.isBusy) {
      // oxlint-disable-next-line no-await-in-loop -- the last answers
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    await Promise.all(this.#members.splice(0).map(({ worker }) => worker.terminate()));
  }

  async #send(member: Member, batch: Batch, reading: Promise<readonly Piece[]>): Promise<void> {
    try {
      const pieces = await reading;
      if (!this.#isCancelled) {
        member.worker.postMessage({ chunks: toMessage(batch), pieces } satisfies FillBatch, listMemory(pieces));
        return;
      }
    } catch (error) {
      this.#report.failed(error);
    }
    member.batches.splice(member.batches.indexOf(batch) >>> 0, 1);
    this.#changed();
  }

  /** Reads what a worker needs for a batch, all at once. */
  async #readPieces(batch: Batch): Promise<readonly Piece[]> {
    const { storage } = this.#repository;
    const wanted = new Map<string, { readonly name: string; readonly start: number; readonly end: number }>();
    const headers = new Set<string>();
    for (const { container, blockOffsetBytes: start, blockSealedBytes } of placesOf(batch)) {
      const name = containerName(container);
      headers.add(name);
      wanted.set(pieceKey(name, start), { name, start, end: start + blockSealedBytes });
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

  #spawn(): void {
    // Beside this file as source; beside the bundle once built.
    const name = import.meta.url.endsWith('.ts') ? './fill-worker.ts' : './fill-worker.js';
    let worker: Worker;
    try {
      worker = new Worker(new URL(name, import.meta.url), {
        execArgv: [],
        workerData: this.#setup(),
        resourceLimits: { maxYoungGenerationSizeMb: 4 },
      });
    } catch (cause) {
      this.#report.failed(new MoltError('IO', "a thread that fills files can't be started", { cause }));
      return;
    }
    const member: Member = { worker, batches: [], sent: Promise.resolve() };
    worker.on('message', (answer: FillAnswer) => this.#receive(member, answer));
    worker.on('error', (cause) =>
      this.#lose(member, new MoltError('IO', 'a thread that fills files failed', { cause })),
    );
    worker.on('exit', () => this.#lose(member, new MoltError('IO', 'a thread that fills files ended too early')));
    this.#members.push(member);
  }

  #setup(): FillSetup {
    const { id: repositoryId, storageId, storage, keys } = this.#repository;
    const epochKeys = new Map(
      [...keys.roots.roots.keys()].flatMap((epoch) => {
        const key = keys.epochKeys(epoch);
        return key === undefined ? [] : [[epoch, key] as const];
      }),
    );
    const { label } = storage;
    return { label, isFolder: this.#isFolder, repositoryId, storageId, epochKeys, idKey: keys.idKey };
  }

  #receive(member: Member, failure: FillAnswer): void {
    const batch = member.batches.shift() ?? [];
    if (failure === undefined) this.#report.done(batch);
    else this.#report.failed(errorOf(batch, failure));
    this.#changed();
  }

  /** A worker that is gone writes nothing any more. */
  #lose(member: Member, error: MoltError): void {
    member.batches.length = 0;
    this.#report.failed(error);
    this.#changed();
  }

  #changed(): void {
    this.#report.changed();
    this.#wake();
  }
}

function errorOf(batch: Batch, { message, molt, descriptor, system, stack }: FillFailure): unknown {
  if (molt !== undefined) return new MoltError(molt.code, message, molt.options);
  const error = Object.assign(new Error(message), { ...system, stack });
  return descriptor === undefined ? error : explainWrite(batch, descriptor, error);
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
