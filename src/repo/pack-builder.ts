// Fills packs of exactly 16 MiB with encoded blocks, each pack in one piece of memory that is ready to be stored and can be used
// again. Runs on the worker threads of pack-pool.ts, and on the calling thread where there is little to pack.

import { encodeInPlace, type CompressionLevel, type Encoding } from '../chunk/compress.ts';
import { ContainerWriter, type ContainerSpec, type EncodedBlock } from '../format/container.ts';
import type { BlockEntry, ObjectEntry } from '../format/footer.ts';
import { BLOCK, ENCODING, KEY_BYTES, KIND, PACK_BYTES, type ObjectType } from '../format/layout.ts';
import type { PackId } from '../model/ids.ts';
import type { PlacedObject } from './block-builder.ts';

/** What packs of a transaction have in common. */
export type PackSpec = Omit<ContainerSpec, 'kind' | 'seq' | 'storageId'>;

/** A pack that is sealed and not stored yet. */
export interface FilledPack {
  readonly id: PackId;
  /** Its bytes are the first `sizeBytes` of this. */
  readonly memory: Buffer;
  readonly sizeBytes: number;
  /** The block table. */
  readonly blocks: readonly BlockEntry[];
  /** The caller's numbers of the blocks, in the order of the table. */
  readonly numbers: readonly number[];
}

/** The objects of a block, packed flat so that they travel between threads cheaply. */
export interface ObjectRows {
  /** Keys of 32 bytes, one after the other. */
  readonly keys: Uint8Array<ArrayBuffer>;
  /** For each object its type, offset and length. */
  readonly places: Uint32Array<ArrayBuffer>;
}

/** A block to pack, in memory that is the packer's until it is done with it. */
export interface BlockOrder {
  readonly number: number;
  readonly memory: SharedArrayBuffer;
  /** How much of the memory is used. */
  readonly usedBytes: number;
  readonly plainBytes: number;
  /** `plain` is to be compressed here. */
  readonly encoding: Encoding | 'plain';
  readonly rows: ObjectRows;
  /** For the salt of a pack that begins with this block. */
  readonly entropy: PackEntropy;
}

/** Randomness and time, which are the caller's ports. */
export interface PackEntropy {
  readonly random: Uint8Array<ArrayBuffer>;
  readonly timeMs: number;
}

const PLACE_WORDS = 3;
/** A block over this, one large object, has a pack of its own. */
/** Objects of one pack at most, unless one block has more: a footer is read and held whole. */
const MOST_OBJECTS = 20_000;
const LARGE_BLOCK_BYTES = PACK_BYTES / 2;

/** Packs the whole objects of a block. */
export function packRows(objects: readonly PlacedObject[]): ObjectRows {
  const keys = new Uint8Array(objects.length * KEY_BYTES);
  const places = new Uint32Array(objects.length * PLACE_WORDS);
  objects.forEach(({ key, type, offsetBytes, lengthBytes }, index) => {
    keys.set(key, index * KEY_BYTES);
    places.set([type, offsetBytes, lengthBytes], index * PLACE_WORDS);
  });
  return { keys, places };
}

/** Returns a block as it goes into a pack, encoded in its own memory. */
export function encodeOrder(order: BlockOrder, level: CompressionLevel): EncodedBlock {
  const used = Buffer.from(order.memory, 0, order.usedBytes);
  const { encoding, bytes } =
    order.encoding === 'plain' ? encodeInPlace(used, level) : { encoding: order.encoding, bytes: used };
  return { type: BLOCK.data, encoding: ENCODING[encoding], bytes, plainBytes: order.plainBytes };
}

/** Fills one pack after the other. */
export class PackBuilder {
  readonly #spec: () => PackSpec;
  readonly #takeMemory: () => Buffer;
  #writer: ContainerWriter | undefined;
  #memory: Buffer | undefined;
  #objects: ObjectEntry[] = [];
  #numbers: number[] = [];

  /**
   * @param spec asked once for each pack, whose salt must be new
   * @param takeMemory returns 16 MiB for a pack
   */
  constructor(spec: () => PackSpec, takeMemory: () => Buffer = () => Buffer.allocUnsafeSlow(PACK_BYTES)) {
    this.#spec = spec;
    this.#takeMemory = takeMemory;
  }

  /** Says whether a pack is begun. */
  get isOpen(): boolean {
    return this.#writer !== undefined;
  }

  /**
   * Adds a block; its bytes are copied.
   * @param number what `FilledPack.numbers` calls it
   * @returns the packs that are full now: mostly none, and one where the block did not fit
   */
  add(block: EncodedBlock, rows: ObjectRows, number: number): FilledPack[] {
    const count = rows.keys.length / KEY_BYTES;
    const isLarge = block.bytes.length > LARGE_BLOCK_BYTES;
    const isCrowded = this.#objects.length > 0 && this.#objects.length + count > MOST_OBJECTS;
    const isFull = this.#writer?.fitsPack(block.bytes.length, this.#objects.length + count) === false;
    const before = isLarge || isCrowded || isFull ? this.#finish(isFull ? PACK_BYTES : 'padme') : undefined;
    this.#memory ??= isLarge ? largeMemory(block) : this.#takeMemory();
    this.#writer ??= new ContainerWriter(
      { ...this.#spec(), kind: KIND.pack, seq: 0, storageId: undefined },
      this.#memory,
    );
    const at = this.#writer.add(block);
    this.#numbers.push(number);
    for (let index = 0; index < count; index += 1) this.#objects.push(objectAt(rows, index, at));
    return [before, isLarge ? this.finish() : undefined].filter((pack) => pack !== undefined);
  }

  /** Ends the last pack, padded; undefined if it has no block. */
  finish(): FilledPack | undefined {
    return this.#finish('padme');
  }

  #finish(size: 'padme' | number): FilledPack | undefined {
    const [writer, memory, numbers] = [this.#writer, this.#memory, this.#numbers];
    if (writer === undefined || memory === undefined) return undefined;
    const { sizeBytes, sha256, blocks } = writer.finish({}, this.#objects, size);
    this.#writer = undefined;
    this.#memory = undefined;
    this.#objects = [];
    this.#numbers = [];
    return { id: sha256 as PackId, memory, sizeBytes, blocks, numbers };
  }
}

/** Returns room for a pack of one large block: its own tables and the padding are far less than what is added. */
function largeMemory({ bytes }: EncodedBlock): Buffer {
  return Buffer.from(new SharedArrayBuffer(bytes.length + PACK_BYTES / 4));
}

function objectAt({ keys, places }: ObjectRows, index: number, block: number): ObjectEntry {
  const [type = 0, offsetBytes = 0, lengthBytes = 0] = places.subarray(index * PLACE_WORDS, (index + 1) * PLACE_WORDS);
  return {
    key: Buffer.from(keys.buffer, keys.byteOffset + index * KEY_BYTES, KEY_BYTES),
    type: type as ObjectType,
    block,
    offsetBytes,
    lengthBytes,
    objectBytes: lengthBytes,
    base: undefined,
  };
}
