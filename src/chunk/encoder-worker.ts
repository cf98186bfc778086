// The worker thread of BlockEncoder: compresses the blocks of a batch in place and sends the same memory back.

import { parentPort } from 'node:worker_threads';
import { type CompressionLevel, compressBlock, type Encoding } from './compress.ts';

/** Plain blocks one after the other from the start of the memory. */
export interface PlainBatch {
  readonly memory: ArrayBuffer;
  readonly lengths: readonly number[];
  readonly level: CompressionLevel;
}

/** The same blocks encoded, again one after the other. */
export interface EncodedBatch {
  readonly memory: ArrayBuffer;
  readonly blocks: readonly { readonly encoding: Encoding; readonly length: number }[];
}

parentPort?.on('message', (batch: PlainBatch) => {
  const encoded = encodeBatch(batch);
  parentPort?.postMessage(encoded, [encoded.memory]);
});

// No block gets longer, so what is written never reaches a plain block that is still to be read.
function encodeBatch({ memory, lengths, level }: PlainBatch): EncodedBatch {
  const bytes = Buffer.from(memory);
  let plainEnd = 0;
  let encodedEnd = 0;
  const blocks = lengths.map((length) => {
    const block = compressBlock(bytes.subarray(plainEnd, plainEnd + length), level);
    plainEnd += length;
    bytes.set(block.bytes, encodedEnd);
    encodedEnd += block.bytes.length;
    return { encoding: block.encoding, length: block.bytes.length };
  });
  return { memory, blocks };
}
