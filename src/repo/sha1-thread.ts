// Hashes large files for their Git ids on a thread of its own, while the calling thread cuts and hashes the same bytes into chunks:
// SHA-1 can't be split, and in a tick that finds little changed in a large database it is half of the work.

import { MessageChannel, Worker, type MessagePort } from 'node:worker_threads';
import { MoltError } from '../model/error.ts';
import { SHA1_BYTES, SHA1_CONTROL, type Sha1Order, type Sha1Setup } from './sha1-orders.ts';

/** A thread that never answers within this has died; it is waited for without any turn of the event loop. */
const PATIENCE_MS = 30_000;

/** One hash at a time. */
export class Sha1Thread {
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #control = new Int32Array(new SharedArrayBuffer(SHA1_CONTROL.bytes));
  readonly #patienceMs: number;
  #orders = 0;

  /** @param patienceMs how long `settle()` waits without any progress */
  constructor(patienceMs = PATIENCE_MS) {
    this.#patienceMs = patienceMs;
    // Beside this file as source; beside the bundle once built.
    const name = import.meta.url.endsWith('.ts') ? './sha1-worker.ts' : './sha1-worker.js';
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const setup: Sha1Setup = { port: port2, control: this.#control };
    this.#worker = new Worker(new URL(name, import.meta.url), {
      execArgv: [],
      workerData: setup,
      transferList: [port2],
    });
    this.#worker.unref();
    this.#port.unref();
    // Whoever waits for the thread is told; nobody else needs it.
    this.#worker.on('error', () => undefined);
  }

  /** Begins a hash. */
  start(header: Buffer): void {
    this.#send({ type: 'start', header: new Uint8Array(header) });
  }

  /** Hashes bytes in shared memory, which must be left alone until `settle()` has returned for them. */
  update(bytes: Buffer<SharedArrayBuffer>): void {
    this.#send({ type: 'bytes', memory: bytes.buffer, offset: bytes.byteOffset, length: bytes.length });
  }

  /**
   * Waits until everything that was given is hashed, but for so many orders.
   * @throws {MoltError} IO when the thread does not answer any more
   */
  settle(left = 0): void {
    for (let done = this.#done(); this.#orders - done > left; done = this.#done()) {
      if (
        Atomics.wait(this.#control, SHA1_CONTROL.done, done, this.#patienceMs) === 'timed-out' &&
        this.#done() === done
      ) {
        throw new MoltError('IO', 'a hashing thread does not answer', { hint: 'run the command again' });
      }
    }
  }

  /** Ends the hash and returns it in hex. */
  digest(): string {
    this.#send({ type: 'digest' });
    this.settle();
    return Buffer.from(this.#control.buffer, SHA1_CONTROL.digestOffset, SHA1_BYTES).toString('hex');
  }

  async close(): Promise<void> {
    this.#port.close();
    await this.#worker.terminate();
  }

  #done(): number {
    return Atomics.load(this.#control, SHA1_CONTROL.done);
  }

  #send(order: Sha1Order): void {
    this.#port.postMessage(order, []);
    this.#orders += 1;
    Atomics.store(this.#control, SHA1_CONTROL.sent, this.#orders);
    Atomics.notify(this.#control, SHA1_CONTROL.sent);
  }
}
