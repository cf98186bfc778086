// What a restore reads from where, for which places of which files, cut into batches that one thread does in one go.

import { containerName, type Place } from '../format/index-run.ts';
import { ENCODING, OBJECT } from '../format/layout.ts';
import type { FileToFill } from '../model/entry.ts';
import { MoltError } from '../model/error.ts';
import type { ChunkId } from '../model/ids.ts';
import type { ChunkTarget, PlannedChunk } from './fill.ts';
import { chunkKey, mapKey } from './keys.ts';
import type { Repository } from './repository.ts';

/** A file that is being filled. */
export interface Filling {
  readonly file: FileToFill;
  /** Pieces that are not written yet, and one until all are planned. */
  left: number;
}

/** A chunk, and the files that get it. */
export interface Planning {
  readonly chunk: Omit<PlannedChunk, 'targets'>;
  readonly targets: (ChunkTarget & { readonly filling: Filling })[];
}

/** Chunks in the order in which they are stored. */
export type Batch = readonly Planning[];

/** What a worker does in one go: a few blocks. */
const BATCH_BYTES = 1 << 20;

/** Chunks that are planned together: each of them is read once, however often it is needed. */
export class FillGroup {
  readonly #repository: Repository;
  #plannings = new Map<string, Planning>();
  #sizeBytes = 0;

  constructor(repository: Repository) {
    this.#repository = repository;
  }

  /** How much is written when all of it is done. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Plans a chunk of a file. @throws {MoltError} DAMAGED when it is not there, or not what its list says */
  async add(filling: Filling, id: ChunkId, sizeBytes: number, offsetBytes: number): Promise<void> {
    const key = chunkKey(id);
    const text = mapKey(key);
    const planning = this.#plannings.get(text) ?? (await this.#find(key, text, id));
    this.#plannings.set(text, planning);
    const { place } = planning.chunk;
    if (place.objectBytes !== sizeBytes || place.type !== OBJECT.chunk)
      throw new MoltError('DAMAGED', `chunk ${id} of blob ${filling.file.blob} is not what its list says`);
    const { descriptor, likeness, present } = filling.file;
    planning.targets.push({ descriptor, likeness, offsetBytes, isNew: present === undefined, filling });
    filling.left += 1;
    this.#sizeBytes += sizeBytes;
  }

  /** Returns all that is planned, and begins anew. */
  take(): Batch[] {
    const chunks = [...this.#plannings.values()].toSorted((a, b) => comparePlaces(costlyPlace(a), costlyPlace(b)));
    this.#plannings = new Map();
    this.#sizeBytes = 0;
    return batchesOf(chunks);
  }

  async #find(key: Buffer, text: string, id: ChunkId): Promise<Planning> {
    const { index, objects } = this.#repository;
    const place = await index.find(key);
    if (place === undefined) throw new MoltError('DAMAGED', `chunk ${id} is missing`, { hint: 'run molt verify' });
    const base = place.encoding === ENCODING.deltas ? await objects.findWholeBase(key, place) : undefined;
    return { chunk: { key: text, place, base: base && { key: mapKey(base.key), place: base.place } }, targets: [] };
  }
}

/** Returns a batch as it travels to another thread. */
export function toMessage(batch: Batch): PlannedChunk[] {
  return batch.map(({ chunk, targets }) => ({ ...chunk, targets: targets.map(({ filling: _, ...target }) => target) }));
}

/** Returns where the blocks are that a batch needs, each chunk's and its base's. */
export function placesOf(batch: Batch): Place[] {
  return batch.flatMap(({ chunk }) => (chunk.base === undefined ? [chunk.place] : [chunk.place, chunk.base.place]));
}

/** Returns what the refusal of a write to one of a batch's files means. */
export function explainWrite(batch: Batch, descriptor: number, error: unknown): unknown {
  const target = batch.flatMap(({ targets }) => targets).find((one) => one.descriptor === descriptor);
  return target === undefined ? error : target.filling.file.explain(error);
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
