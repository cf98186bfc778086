// Compresses blocks on worker threads, because zstd is what a backup spends its time on. A small job never sees a worker: starting
// them takes 50 ms. Blocks travel in batches of about a megabyte, whose memory goes to a worker and comes back; where the calling
// thread would have to wait, it compresses a batch itself.

import { availableParallelism } from 'node:os';
import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { MoltError } from '../model/error.ts';
import { compressBlock, type CompressionLevel, type EncodedBlock, isIncompressible } from './compress.ts';
import type { EncodedBatch, PlainBatch } from './encoder-worker.ts';

const BATCH_BYTES = 1024 * 1024;
const INLINE_BYTES = 4 * 1024 * 1024;
const MAX_WORKERS = 2;
// One batch is compressed while the next one waits at the worker, so that it needn't wait for this thread.
const BATCHES_PER_WORKER = 2;
// Batches that may wait here, beyond those at the workers, before the calling thread has to help.
const WAITING_BATCHES = 2;

/** What a BlockEncoder can be told. */
export interface BlockEncoderOptions {
  /** How many threads beside the calling one. By default one for every other core, at most two. */
  readonly workers?: number;
  /** By default 1. */
  readonly level?: CompressionLevel;
  /** How many bytes are compressed on the calling thread before the workers start. By default 4 MiB. */
  readonly inlineBytes?: number;
}

interface Task {
  readonly plainLength: number;
  resolve(block: EncodedBlock): void;
  reject(error: unknown): void;
}

interface Batch {
  readonly memory: ArrayBuffer;
  readonly tasks: Task[];
  usedBytes: number;
}

interface Member {
  readonly worker: Worker;
  readonly batches: Batch[];
}

/**
 * Encodes blocks as `encodeBlock` does, several at a time.
 *
 * Await `ready()` before each `encode()`: it bounds the memory in flight, to about 7 MiB with two workers. Results may come in any
 * order; await the promises in the order that matters. Idle workers don't keep the process alive.
 */
export class BlockEncoder {
  readonly #maxWorkers: number;
  readonly #level: CompressionLevel;
  #inlineBytes: number;
  readonly #members: Member[] = [];
  // Batches that no worker has yet; the last one may still be filled.
  readonly #waiting: Batch[] = [];
  #spareMemory: ArrayBuffer[] = [];
  #flushScheduled = false;
  #failure: MoltError | undefined;

  constructor(options: BlockEncoderOptions = {}) {
    this.#maxWorkers = options.workers ?? Math.min(MAX_WORKERS, availableParallelism() - 1);
    this.#level = options.level ?? 1;
    this.#inlineBytes = this.#maxWorkers === 0 ? Infinity : (options.inlineBytes ?? INLINE_BYTES);
  }

  /** Resolves when another block may be given to `encode()` without piling up memory. Never rejects: `encode()` does. */
  async ready(): Promise<void> {
    // On two cores, one worker and a calling thread that helps out measured faster than two workers and one that sleeps.
    while (this.#waiting.length > WAITING_BATCHES) {
      const batch = this.#waiting.shift();
      if (batch !== undefined) this.#encodeHere(batch);
      // The workers' results have come in meanwhile: take them, so that the workers get their next batches.
      // oxlint-disable-next-line no-await-in-loop -- back-pressure
      await eventLoopTurn();
    }
  }

  /**
   * Encodes a block. Its bytes must be left alone until the result was used: an incompressible block is its own result.
   * @throws {MoltError} IO when a worker died, INTERRUPTED when the encoder was closed meanwhile
   */
  encode(plain: Buffer): Promise<EncodedBlock> {
    if (this.#failure !== undefined) return handled(Promise.reject(this.#failure));
    if (isIncompressible(plain)) return Promise.resolve({ encoding: 'raw', bytes: plain });
    if (this.#inlineBytes > 0) {
      this.#inlineBytes -= plain.length;
      return Promise.resolve(compressBlock(plain, this.#level));
    }
    return handled(this.#enqueue(plain));
  }

  /** Stops the workers. Blocks that aren't done yet, and all later ones, are rejected with INTERRUPTED. */
  async close(): Promise<void> {
    const workers = this.#members.map((member) => member.worker);
    this.#fail(new MoltError('INTERRUPTED', 'compression was stopped'));
    await Promise.all(workers.map((worker) => worker.terminate()));
  }

  #enqueue(plain: Buffer): Promise<EncodedBlock> {
    let batch = this.#waiting.at(-1);
    if (batch === undefined || batch.usedBytes + plain.length > batch.memory.byteLength) {
      batch = { memory: this.#takeMemory(plain.length), tasks: [], usedBytes: 0 };
      this.#waiting.push(batch);
    }
    new Uint8Array(batch.memory).set(plain, batch.usedBytes);
    batch.usedBytes += plain.length;
    const { tasks } = batch;
    const promise = new Promise<EncodedBlock>((resolve, reject) => {
      tasks.push({ plainLength: plain.length, resolve, reject });
    });
    this.#dispatch(false);
    return promise;
  }

  /** Hands batches to workers: full ones as soon as a worker has room, others once the caller lets the event loop run. */
  #dispatch(flush: boolean): void {
    for (let batch = this.#waiting[0]; batch !== undefined; batch = this.#waiting[0]) {
      const full = this.#waiting.length > 1 || batch.usedBytes >= batch.memory.byteLength;
      if (!full && !flush) {
        this.#scheduleFlush();
        return;
      }
      const member = this.#findMember(full ? BATCHES_PER_WORKER : 1);
      if (member === undefined) return;
      this.#waiting.shift();
      this.#send(member, batch);
    }
  }

  #scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    setImmediate(() => {
      this.#flushScheduled = false;
      this.#dispatch(true);
    });
  }

  /** Returns an idle worker, else a new one, else the least busy one if it has fewer than `limit` batches. */
  #findMember(limit: number): Member | undefined {
    const [least] = this.#members.toSorted((a, b) => a.batches.length - b.batches.length);
    if (least?.batches.length === 0) return least;
    if (this.#members.length < this.#maxWorkers) return this.#spawn();
    return least !== undefined && least.batches.length < limit ? least : undefined;
  }

  #spawn(): Member | undefined {
    // Beside this file as source; beside the bundle once built.
    const name = import.meta.url.endsWith('.ts') ? './encoder-worker.ts' : './encoder-worker.js';
    let worker: Worker;
    try {
      worker = new Worker(new URL(name, import.meta.url), { execArgv: [] });
    } catch (cause) {
      this.#fail(new MoltError('IO', "a compression thread can't be started", { cause }));
      return undefined;
    }
    const member: Member = { worker, batches: [] };
    worker.unref();
    worker.on('message', (encoded: EncodedBatch) => this.#receive(member, encoded));
    worker.on('error', (cause) => this.#fail(new MoltError('IO', 'a compression thread failed', { cause })));
    worker.on('exit', () => this.#fail(new MoltError('IO', 'a compression thread ended too early')));
    this.#members.push(member);
    return member;
  }

  #send(member: Member, batch: Batch): void {
    member.batches.push(batch);
    member.worker.ref();
    const lengths = batch.tasks.map((task) => task.plainLength);
    const message: PlainBatch = { memory: batch.memory, lengths, level: this.#level };
    member.worker.postMessage(message, [batch.memory]);
  }

  #receive(member: Member, { memory, blocks }: EncodedBatch): void {
    const batch = member.batches.shift();
    if (batch === undefined) return;
    if (member.batches.length === 0) member.worker.unref();
    const bytes = Buffer.from(memory);
    let end = 0;
    for (const [index, { encoding, length }] of blocks.entries()) {
      const start = end;
      end += length;
      batch.tasks[index]?.resolve({ encoding, bytes: copyOf(bytes.subarray(start, end)) });
    }
    this.#giveMemoryBack(memory);
    this.#dispatch(true);
  }

  #encodeHere(batch: Batch): void {
    let end = 0;
    for (const task of batch.tasks) {
      const plain = Buffer.from(batch.memory, end, task.plainLength);
      end += task.plainLength;
      try {
        const { encoding, bytes } = compressBlock(plain, this.#level);
        task.resolve({ encoding, bytes: encoding === 'raw' ? copyOf(bytes) : bytes });
      } catch (error) {
        task.reject(error);
      }
    }
    this.#giveMemoryBack(batch.memory);
  }

  #takeMemory(neededBytes: number): ArrayBuffer {
    if (neededBytes > BATCH_BYTES) return new ArrayBuffer(neededBytes);
    return this.#spareMemory.pop() ?? new ArrayBuffer(BATCH_BYTES);
  }

  #giveMemoryBack(memory: ArrayBuffer): void {
    if (memory.byteLength === BATCH_BYTES) this.#spareMemory.push(memory);
  }

  /** Rejects all that is under way: what went to a worker is lost with it, and a caller can't use the rest alone. */
  #fail(error: MoltError): void {
    this.#failure ??= error;
    const members = this.#members.splice(0);
    const batches = [...members.flatMap((member) => member.batches), ...this.#waiting.splice(0)];
    this.#spareMemory = [];
    for (const task of batches.flatMap((batch) => batch.tasks)) task.reject(this.#failure);
    for (const { worker } of members) void worker.terminate();
  }
}

// A result is copied out of its batch: a block that is kept for long mustn't keep a megabyte, and the memory is used again.
function copyOf(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return copy;
}

// A caller awaits its blocks in order: when the first rejects, nobody looks at the others, and that must not end the process.
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
