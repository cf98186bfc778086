// Gathers new objects into blocks of up to 512 KiB. Objects that are read together stay together: content, metadata, secrets and
// deltas each have blocks of their own.

import { BLOCK_BYTES, type ObjectType } from '../format/layout.ts';

/** Metadata is mostly little: its blocks begin small and grow. */
const SMALL_BYTES = 64 << 10;

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

/**
 * Which block an object goes to. Secrets are stored uncompressed, so that lengths tell nothing of their likeness to other text.
 * History is commits and tags: a list reads hundreds of them, so they have small blocks, uncompressed, always in the segment.
 */
export type BlockGroup = 'content' | 'metadata' | 'secret' | 'delta' | 'history';

/** An object's place inside a block that has no number yet. */
export interface PlacedObject {
  readonly key: Buffer;
  readonly type: ObjectType;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly objectBytes: number;
  readonly base: Buffer | undefined;
}

/** A block that is full, or the last of its group. */
export interface PlainBlock {
  readonly group: BlockGroup;
  /** Holds the block's bytes at its beginning; whoever takes the block owns it. Shared, so that another thread can read it as it is. */
  readonly memory: SharedArrayBuffer;
  readonly plainBytes: number;
  readonly objects: readonly PlacedObject[];
}

/** Builds blocks; each full one is handed to `emit`. */
export class BlockBuilder {
  readonly #emit: (block: PlainBlock) => void;
  readonly #takeMemory: () => SharedArrayBuffer;
  readonly #open = new Map<BlockGroup, OpenBlock>();

  /** @param takeMemory returns 512 KiB for a block */
  constructor(emit: (block: PlainBlock) => void, takeMemory: () => SharedArrayBuffer) {
    this.#emit = emit;
    this.#takeMemory = takeMemory;
  }

  /** Adds an object; its bytes are copied. */
  add(group: BlockGroup, object: NewObject): void {
    const open = this.#open.get(group);
    if (open !== undefined && !open.fits(object.bytes.length)) this.#flush(group, open);
    const block = this.#open.get(group) ?? new OpenBlock(this.#memory(group));
    this.#open.set(group, block);
    block.add(object);
  }

  /** Ends all open blocks. */
  flush(): void {
    for (const [group, open] of this.#open) this.#flush(group, open);
  }

  #memory(group: BlockGroup): SharedArrayBuffer {
    return group === 'content' ? this.#takeMemory() : new SharedArrayBuffer(SMALL_BYTES);
  }

  #flush(group: BlockGroup, open: OpenBlock): void {
    this.#open.delete(group);
    this.#emit(open.end(group));
  }
}

class OpenBlock {
  readonly #objects: PlacedObject[] = [];
  #buffer: Buffer<SharedArrayBuffer>;
  #size = 0;

  constructor(memory: SharedArrayBuffer) {
    this.#buffer = Buffer.from(memory);
  }

  fits(lengthBytes: number): boolean {
    return this.#size + lengthBytes <= BLOCK_BYTES;
  }

  add({ key, type, bytes, objectBytes, base }: NewObject): void {
    this.#reserve(bytes.length);
    bytes.copy(this.#buffer, this.#size);
    this.#objects.push({ key, type, offsetBytes: this.#size, lengthBytes: bytes.length, objectBytes, base });
    this.#size += bytes.length;
  }

  end(group: BlockGroup): PlainBlock {
    return { group, memory: this.#buffer.buffer, plainBytes: this.#size, objects: this.#objects };
  }

  #reserve(lengthBytes: number): void {
    const needed = this.#size + lengthBytes;
    if (needed <= this.#buffer.length) return;
    const capacity = Math.max(needed, Math.min(this.#buffer.length * 2, BLOCK_BYTES));
    const larger = Buffer.from(new SharedArrayBuffer(capacity));
    this.#buffer.copy(larger, 0, 0, this.#size);
    this.#buffer = larger;
  }
}
