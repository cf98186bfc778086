// Gathers new objects into blocks of up to 512 KiB and has them encoded. Objects that are read together stay together: content,
// metadata, secrets and deltas each have blocks of their own.

import { BLOCK, BLOCK_BYTES, ENCODING, type ObjectType } from '../format/layout.ts';
import type { EncodedBlock } from '../format/container.ts';

/** Metadata is mostly little: its blocks begin small and grow. */
const SMALL_BYTES = 64 << 10;
const SPARE_BUFFERS = 16;

/** An object on its way into a block. */
export interface NewObject {
  readonly key: Buffer;
  readonly type: ObjectType;
  /** The object's bytes, or its delta frame. */
  readonly bytes: Buffer;
  /** Length of the object itself. */
  readonly objectBytes: number;
  /** Key of the delta's base. */
  readonly base: Buffer | undefined;
}

/** Which block an object goes to. Secrets are stored uncompressed, so that lengths tell nothing of their likeness to other text. */
export type BlockGroup = 'content' | 'metadata' | 'secret' | 'delta';

/** An object's place inside a block that has no number yet. */
export interface PlacedObject {
  readonly key: Buffer;
  readonly type: ObjectType;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly objectBytes: number;
  readonly base: Buffer | undefined;
}

/** A block that is encoded and waits for a container. */
export interface ReadyBlock {
  readonly group: BlockGroup;
  readonly block: EncodedBlock;
  readonly objects: readonly PlacedObject[];
}

/** Compresses blocks, possibly elsewhere. */
export interface BlockCompressor {
  encode(plain: Buffer): Promise<{ readonly encoding: 'raw' | 'zstd'; readonly bytes: Buffer }>;
}

/** Builds blocks; each full one is handed to `emit` as a promise, in order. */
export class BlockBuilder {
  readonly #compressor: BlockCompressor;
  readonly #emit: (block: Promise<ReadyBlock>) => void;
  readonly #open = new Map<BlockGroup, OpenBlock>();
  /** Buffers of full size that were encoded and can take another block: fresh ones cost page faults and garbage collections. */
  readonly #spare: Buffer[] = [];

  constructor(compressor: BlockCompressor, emit: (block: Promise<ReadyBlock>) => void) {
    this.#compressor = compressor;
    this.#emit = emit;
  }

  /** Adds an object; its bytes are copied. */
  add(group: BlockGroup, object: NewObject): void {
    const open = this.#open.get(group);
    if (open !== undefined && !open.fits(object.bytes.length)) this.#flush(group, open);
    const block = this.#open.get(group) ?? new OpenBlock(this.#buffer(group));
    this.#open.set(group, block);
    block.add(object);
  }

  /** Ends all open blocks. */
  flush(): void {
    for (const [group, open] of this.#open) this.#flush(group, open);
  }

  #buffer(group: BlockGroup): Buffer {
    if (group !== 'content') return Buffer.allocUnsafeSlow(SMALL_BYTES);
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(BLOCK_BYTES);
  }

  #flush(group: BlockGroup, open: OpenBlock): void {
    this.#open.delete(group);
    this.#emit(this.#encode(group, open));
  }

  async #encode(group: BlockGroup, open: OpenBlock): Promise<ReadyBlock> {
    const plain = open.bytes();
    const plainBytes = plain.length;
    if (group === 'secret' || group === 'delta') {
      const encoding = group === 'delta' ? ENCODING.deltas : ENCODING.raw;
      return { group, block: { type: BLOCK.data, encoding, bytes: plain, plainBytes }, objects: open.objects };
    }
    const { encoding, bytes } = await this.#compressor.encode(plain);
    if (encoding === 'zstd' && this.#spare.length < SPARE_BUFFERS) open.giveBack(this.#spare);
    const block = { type: BLOCK.data, encoding: encoding === 'zstd' ? ENCODING.zstd : ENCODING.raw, bytes, plainBytes };
    return { group, block, objects: open.objects };
  }
}

class OpenBlock {
  readonly objects: PlacedObject[] = [];
  #buffer: Buffer;
  #size = 0;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  /** Gives the buffer to the next block, if it has full size. */
  giveBack(spare: Buffer[]): void {
    if (this.#buffer.length === BLOCK_BYTES) spare.push(this.#buffer);
  }

  fits(lengthBytes: number): boolean {
    return this.#size + lengthBytes <= BLOCK_BYTES;
  }

  add({ key, type, bytes, objectBytes, base }: NewObject): void {
    this.#reserve(bytes.length);
    bytes.copy(this.#buffer, this.#size);
    this.objects.push({ key, type, offsetBytes: this.#size, lengthBytes: bytes.length, objectBytes, base });
    this.#size += bytes.length;
  }

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#size);
  }

  #reserve(lengthBytes: number): void {
    const needed = this.#size + lengthBytes;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, Math.min(this.#buffer.length * 2, BLOCK_BYTES)));
    this.#buffer.copy(larger, 0, 0, this.#size);
    this.#buffer = larger;
  }
}
