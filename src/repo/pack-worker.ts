// The worker thread of PackPool: compresses blocks, seals them into packs, and hands over each pack when it is full.

import { parentPort, workerData } from 'node:worker_threads';
import type { CompressionLevel } from '../chunk/compress.ts';
import { PACK_BYTES } from '../format/layout.ts';
import {
  encodeOrder,
  PackBuilder,
  type BlockOrder,
  type FilledPack,
  type PackEntropy,
  type PackSpec,
} from './pack-builder.ts';

/** What a worker is started with. */
export interface WorkerSetup {
  readonly level: CompressionLevel;
  /** Memory for packs, 16 MiB each: one is filled while others are stored. */
  readonly memory: readonly SharedArrayBuffer[];
  readonly repositoryId: PackSpec['repositoryId'];
  readonly sealing: PackSpec['sealing'];
  readonly writer: Uint8Array<ArrayBuffer>;
}

/** What a worker is told. */
export type WorkerOrder =
  | { readonly type: 'blocks'; readonly blocks: readonly BlockOrder[] }
  /** Hand over the last pack: no more blocks for now. */
  | { readonly type: 'finish' }
  /** A pack was stored: its memory may be filled again. */
  | { readonly type: 'stored'; readonly memory: SharedArrayBuffer };

/** What a worker says. */
export type WorkerAnswer =
  /** Blocks are in a pack, and their memory is free again. */
  | { readonly type: 'packed'; readonly blocks: number }
  | { readonly type: 'pack'; readonly pack: Omit<FilledPack, 'memory'>; readonly memory: SharedArrayBuffer }
  | { readonly type: 'finished' };

if (parentPort !== null) serve(parentPort, workerData as WorkerSetup);

function serve(
  port: NonNullable<typeof parentPort>,
  { level, memory, repositoryId, sealing, writer }: WorkerSetup,
): void {
  const free = [...memory];
  const orders: WorkerOrder[] = [];
  let entropy: PackEntropy | undefined;
  const builder = new PackBuilder(
    () => {
      if (entropy === undefined) throw new Error('a pack was begun without a block');
      const { random, timeMs } = entropy;
      const source = {
        random: { bytes: () => Buffer.from(random) },
        writer: Buffer.from(writer),
        pid: process.pid,
        timeMs,
      };
      return { repositoryId, sealing, entropy: source };
    },
    () => Buffer.from(free.pop() ?? new SharedArrayBuffer(PACK_BYTES)),
  );
  const say = (answer: WorkerAnswer): void => port.postMessage(answer);
  const handOver = ({ memory: bytes, ...pack }: FilledPack): void => {
    say({ type: 'pack', pack, memory: bytes.buffer as SharedArrayBuffer });
  };
  const carryOut = (order: WorkerOrder): void => {
    if (order.type === 'finish') {
      const last = builder.finish();
      if (last !== undefined) handOver(last);
      say({ type: 'finished' });
    } else if (order.type === 'blocks') {
      for (const block of order.blocks) {
        entropy = block.entropy;
        builder.add(encodeOrder(block, level), block.rows, block.number).forEach(handOver);
      }
      say({ type: 'packed', blocks: order.blocks.length });
    }
  };
  port.on('message', (order: WorkerOrder) => {
    if (order.type !== 'stored') orders.push(order);
    else if (order.memory.byteLength === PACK_BYTES) free.push(order.memory);
    // What comes while all memory is being stored waits, so that no more is ever needed.
    while (free.length > 0 || builder.isOpen) {
      const next = orders.shift();
      if (next === undefined) return;
      carryOut(next);
    }
    if (orders[0]?.type === 'finish') carryOut(orders.shift() ?? order);
  });
}
