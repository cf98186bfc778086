// Packs blocks on worker threads, because compressing and sealing are what a backup spends its time on: each worker fills packs of
// its own, and the calling thread stores them. Where that thread would have to wait, it compresses a block itself.

import { availableParallelism } from 'node:os';
import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { CompressionLevel } from '../chunk/compress.ts';
import { footerEntries, type IndexEntry } from '../format/index-run.ts';
import { BLOCK_BYTES, ENCODING, PACK_BYTES } from '../format/layout.ts';
import type { PackNote } from '../format/log-base.ts';
import { packName } from '../format/segment.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { Storage } from '../storage/storage.ts';
import type { PlacedObject, PlainBlock } from './block-builder.ts';
import { encodeOrder, PackBuilder, packRows, type BlockOrder, type FilledPack, type PackSpec } from './pack-builder.ts';
import type { WorkerAnswer, WorkerOrder, WorkerSetup } from './pack-worker.ts';
import { keepYoungHeapSmall } from './heap.ts';

const MAX_WORKERS = 2;
/** Blocks are compressed for bulk. */
const LEVEL: CompressionLevel = 1;
/** Blocks that a worker has before it and those that wait here, beyond which the calling thread has to help. */
const BLOCKS_PER_WORKER = 6;
const WAITING_BLOCKS = 20;
const BLOCKS_PER_MESSAGE = 2;
/** Packs that a worker fills or that are stored for it. */
const PACKS_PER_WORKER = 2;

/** What was stored. */
export interface StoredPacks {
  readonly packs: readonly PackNote[];
  /** Of every object in those packs. */
  readonly entries: readonly IndexEntry[];
  readonly storedBytes: number;
}

/** A block's encoded bytes at the beginning of memory that the taker owns. */
export interface EncodedPlainBlock extends PlainBlock {
  readonly encoding: BlockOrder['encoding'];
  readonly usedBytes: number;
}

interface Member {
  readonly worker: Worker;
  /** The memory of the blocks that it has, in the order in which they come back. */
  readonly memory: SharedArrayBuffer[];
  isFinished: boolean;
}

/** Packs the blocks of one transaction. */
export class PackPool {
  readonly #storage: Storage;
  readonly #spec: () => PackSpec;
  readonly #maxWorkers: number;
  readonly #members: Member[] = [];
  readonly #waiting: BlockOrder[] = [];
  readonly #objects = new Map<number, readonly PlacedObject[]>();
  readonly #packs: PackNote[] = [];
  readonly #entries: IndexEntry[] = [];
  readonly #spareMemory: SharedArrayBuffer[] = [];
  readonly #storing = new Set<Promise<void>>();
  #number = 0;
  #failure: Error | undefined;
  /** Wakes whoever waits for an answer of a worker or the storage. */
  #wake: () => void = () => undefined;

  /** @param options.workers how many threads beside the calling one; by default one for every other core, at least one */
  constructor(storage: Storage, spec: () => PackSpec, options: { readonly workers?: number } = {}) {
    keepYoungHeapSmall();
    this.#storage = storage;
    this.#spec = spec;
    this.#maxWorkers = options.workers ?? Math.min(MAX_WORKERS, Math.max(1, availableParallelism() - 1));
  }

  /** Returns 512 KiB for a block. */
  takeMemory(): SharedArrayBuffer {
    return this.#spareMemory.pop() ?? new SharedArrayBuffer(BLOCK_BYTES);
  }

  /** Starts the workers before there is anything for them. */
  start(): void {
    while (this.#members.length < this.#maxWorkers && this.#spawn() !== undefined);
  }

  /** Takes a block. Await `ready()` before the next one. */
  add(block: EncodedPlainBlock): void {
    this.#waiting.push(this.#order(block));
    this.#dispatch();
  }

  /**
   * Resolves when another block may be added without piling up memory.
   * @throws {MoltError} what a worker or the storage failed with
   */
  async ready(): Promise<void> {
    // Nothing else on the way of a backup waits for anything: without this turn no worker's answer would come in.
    await eventLoopTurn();
    await this.#drain(WAITING_BLOCKS);
  }

  /**
   * Stores what is left and returns all that was stored since the beginning. More blocks may follow.
   * @throws {MoltError} what a worker or the storage failed with
   */
  async finish(): Promise<StoredPacks> {
    await this.#drain(0);
    for (const member of this.#members) {
      member.isFinished = false;
      this.#send(member, { type: 'finish' });
    }
    while (this.#storing.size > 0 || this.#members.some((member) => !member.isFinished)) {
      this.#check();
      // oxlint-disable-next-line no-await-in-loop -- the last packs
      await this.#answer();
    }
    this.#check();
    return this.#stored();
  }

  /** Packs blocks on this thread, for which no worker is worth starting, as `finish` does. */
  async packHere(blocks: readonly EncodedPlainBlock[]): Promise<StoredPacks> {
    const builder = new PackBuilder(this.#spec);
    for (const order of blocks.map((block) => this.#order(block))) {
      // oxlint-disable-next-line no-await-in-loop -- mostly one pack
      for (const pack of builder.add(encodeOrder(order, LEVEL), order.rows, order.number)) await this.#store(pack);
    }
    const last = builder.finish();
    if (last !== undefined) await this.#store(last);
    return this.#stored();
  }

  /** Stops the workers. What is not finished is lost. */
  async close(): Promise<void> {
    this.#fail(new MoltError('INTERRUPTED', 'packing was stopped'));
    await Promise.all(this.#members.splice(0).map(({ worker }) => worker.terminate()));
    await Promise.allSettled(this.#storing);
  }

  /** Deletes what was stored, for a transaction that is given up: on a full disk it would be in the way. Call `close()` first. */
  async drop(): Promise<void> {
    for (const { id } of this.#packs.splice(0)) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- one after the other, and seldom any
        await this.#storage.delete(packName(id));
      } catch (error) {
        // It is garbage that harms nobody.
        if (!isMoltError(error)) throw error;
      }
    }
  }

  /** Waits until at most `left` blocks wait for a worker, and compresses some of them meanwhile. */
  async #drain(left: number): Promise<void> {
    while (this.#waiting.length > left) {
      this.#check();
      // oxlint-disable-next-line no-await-in-loop -- back-pressure; the workers' answers come in meanwhile
      if (this.#encodeOne()) await eventLoopTurn();
      // oxlint-disable-next-line no-await-in-loop -- the same
      else await this.#answer();
    }
    this.#check();
  }

  #order({ objects, memory, plainBytes, usedBytes, encoding }: EncodedPlainBlock): BlockOrder {
    const number = this.#number;
    this.#number += 1;
    this.#objects.set(number, objects);
    const { random, timeMs } = this.#spec().entropy;
    const entropy = { random: new Uint8Array(random.bytes(32)), timeMs };
    return { number, memory, plainBytes, usedBytes, encoding, rows: packRows(objects), entropy };
  }

  #stored(): StoredPacks {
    const storedBytes = this.#packs.reduce((sum, pack) => sum + pack.sizeBytes, 0);
    return { packs: this.#packs, entries: this.#entries, storedBytes };
  }

  /** Compresses the last block that waits and is not encoded, in its own memory; says whether there was one. */
  #encodeOne(): boolean {
    const at = this.#waiting.findLastIndex(({ encoding }) => encoding === 'plain');
    const order = this.#waiting[at];
    if (order === undefined) return false;
    const { bytes, encoding } = encodeOrder(order, LEVEL);
    this.#waiting[at] = { ...order, usedBytes: bytes.length, encoding: encoding === ENCODING.zstd ? 'zstd' : 'raw' };
    return true;
  }

  #dispatch(): void {
    while (this.#waiting.length > 0 && this.#failure === undefined) {
      const member = this.#findMember();
      if (member === undefined) return;
      const blocks = this.#waiting.splice(0, BLOCKS_PER_MESSAGE);
      member.memory.push(...blocks.map(({ memory }) => memory));
      this.#send(member, { type: 'blocks', blocks });
    }
  }

  /** Returns an idle worker, else a new one, else the least busy one if it has room. */
  #findMember(): Member | undefined {
    const [least] = this.#members.toSorted((a, b) => a.memory.length - b.memory.length);
    if (least?.memory.length === 0) return least;
    if (this.#members.length < this.#maxWorkers) return this.#spawn();
    return least !== undefined && least.memory.length < BLOCKS_PER_WORKER ? least : undefined;
  }

  #spawn(): Member | undefined {
    // Beside this file as source; beside the bundle once built.
    const name = import.meta.url.endsWith('.ts') ? './pack-worker.ts' : './pack-worker.js';
    const { repositoryId, sealing, entropy } = this.#spec();
    const memory = Array.from({ length: PACKS_PER_WORKER }, () => new SharedArrayBuffer(PACK_BYTES));
    const setup: WorkerSetup = { level: LEVEL, memory, repositoryId, sealing, writer: new Uint8Array(entropy.writer) };
    let worker: Worker;
    try {
      worker = new Worker(new URL(name, import.meta.url), {
        execArgv: [],
        workerData: setup,
        resourceLimits: { maxYoungGenerationSizeMb: 2 },
      });
    } catch (cause) {
      this.#fail(new MoltError('IO', "a packing thread can't be started", { cause }));
      return undefined;
    }
    const member: Member = { worker, memory: [], isFinished: true };
    worker.on('message', (answer: WorkerAnswer) => this.#receive(member, answer));
    worker.on('error', (cause) => this.#fail(new MoltError('IO', 'a packing thread failed', { cause })));
    worker.on('exit', () => this.#fail(new MoltError('IO', 'a packing thread ended too early')));
    this.#members.push(member);
    return member;
  }

  #send({ worker }: Member, order: WorkerOrder): void {
    worker.postMessage(order, []);
  }

  #receive(member: Member, answer: WorkerAnswer): void {
    if (answer.type === 'pack') {
      const memory = Buffer.from(answer.memory);
      this.#store({ ...answer.pack, memory })
        .then(() => this.#send(member, { type: 'stored', memory: answer.memory }))
        .catch((error: Error) => this.#fail(error))
        .finally(() => this.#wake());
    } else if (answer.type === 'packed') {
      const free = member.memory.splice(0, answer.blocks).filter(({ byteLength }) => byteLength === BLOCK_BYTES);
      this.#spareMemory.push(...free);
    } else {
      member.isFinished = true;
    }
    this.#dispatch();
    this.#wake();
  }

  async #store(pack: FilledPack): Promise<void> {
    const storing = this.#write(pack);
    this.#storing.add(storing);
    try {
      await storing;
    } finally {
      this.#storing.delete(storing);
    }
  }

  async #write({ id, memory, sizeBytes, blocks, numbers }: FilledPack): Promise<void> {
    await this.#storage.createOnce(packName(id), [memory.subarray(0, sizeBytes)]);
    this.#packs.push({ id, sizeBytes });
    const objects = numbers.flatMap((number, block) => {
      const placed = this.#objects.get(number) ?? [];
      this.#objects.delete(number);
      return placed.map((object) => ({ ...object, block }));
    });
    const footer = { record: undefined, blocks, objects };
    for (const entry of footerEntries({ pack: id }, footer)) this.#entries.push(entry);
  }

  #answer(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#wake();
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}
