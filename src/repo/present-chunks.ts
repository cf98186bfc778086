// What a file has already, as the chunks of the blob that it was captured as, for a restore that only writes what differs.

import type { NodeEntry } from '../format/blob.ts';
import type { BlobId, ChunkId } from '../model/ids.ts';
import type { Objects } from './objects.ts';
import { isDamage } from './storage-failure.ts';

/** Walks the chunks of a blob, alongside those of another. */
export class PresentChunks {
  readonly #chunks: AsyncIterator<NodeEntry>;
  #current: NodeEntry | undefined;
  #offsetBytes = 0;
  #isBegun = false;

  /** @param blob undefined has no chunks */
  constructor(objects: Objects, blob: BlobId | undefined) {
    this.#chunks = listChunks(objects, blob);
  }

  /** Says whether the blob has a chunk at an offset, which is not less than the one that was asked for before. */
  async has(id: ChunkId, offsetBytes: number): Promise<boolean> {
    if (!this.#isBegun) await this.#step();
    this.#isBegun = true;
    // oxlint-disable-next-line no-await-in-loop -- in order
    while (this.#current !== undefined && this.#offsetBytes < offsetBytes) await this.#step();
    return this.#offsetBytes === offsetBytes && this.#current?.id === id;
  }

  async #step(): Promise<void> {
    this.#offsetBytes += this.#current?.sizeBytes ?? 0;
    const { done, value } = await this.#chunks.next();
    this.#current = done === true ? undefined : value;
  }
}

/** Lists chunks as far as the list can be read: what is not known to be there is written. */
async function* listChunks(objects: Objects, blob: BlobId | undefined): AsyncGenerator<NodeEntry> {
  if (blob === undefined) return;
  try {
    yield* objects.listChunks(await objects.readBlobRecord(blob));
  } catch (error) {
    if (!isDamage(error)) throw error;
  }
}
