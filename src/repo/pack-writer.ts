// Fills packs of exactly 32 MiB with blocks, and stores each as soon as it is full.

import { ContainerWriter, type ContainerSpec } from '../format/container.ts';
import type { ObjectEntry } from '../format/footer.ts';
import { footerEntries, type IndexEntry } from '../format/index-run.ts';
import { KIND, PACK_BYTES } from '../format/layout.ts';
import { packName, type PackNote } from '../format/segment.ts';
import type { PackId } from '../model/ids.ts';
import type { Storage } from '../storage/storage.ts';
import type { ReadyBlock } from './block-builder.ts';

/** What was stored. */
export interface StoredPacks {
  readonly packs: readonly PackNote[];
  /** Of every object in those packs. */
  readonly entries: readonly IndexEntry[];
  readonly storedBytes: number;
}

/** Writes packs of one transaction. */
export class PackWriter {
  readonly #storage: Storage;
  readonly #spec: () => ContainerSpec;
  readonly #packs: PackNote[] = [];
  readonly #entries: IndexEntry[] = [];
  #writer: ContainerWriter | undefined;
  #objects: ObjectEntry[] = [];
  #storing: Promise<void> = Promise.resolve();

  constructor(storage: Storage, spec: () => Omit<ContainerSpec, 'kind' | 'seq' | 'storageId'>) {
    this.#storage = storage;
    this.#spec = () => ({ ...spec(), kind: KIND.pack, seq: 0, storageId: undefined });
  }

  /** Adds a block; waits while an earlier pack is still being stored and this one is full. */
  async add(ready: ReadyBlock): Promise<void> {
    const objects = this.#objects.length + ready.objects.length;
    if (this.#writer?.fitsPack(ready.block.bytes.length, objects) === false) await this.#store(PACK_BYTES);
    this.#writer ??= new ContainerWriter(this.#spec());
    const block = this.#writer.add(ready.block);
    for (const object of ready.objects) this.#objects.push({ ...object, block });
  }

  /** Stores the last pack, padded, and returns what all of them hold. */
  async finish(): Promise<StoredPacks> {
    if (this.#writer !== undefined) await this.#store('padme');
    await this.#storing;
    const storedBytes = this.#packs.reduce((sum, pack) => sum + pack.sizeBytes, 0);
    return { packs: this.#packs, entries: this.#entries, storedBytes };
  }

  async #store(size: 'padme' | number): Promise<void> {
    const writer = this.#writer;
    const objects = this.#objects;
    if (writer === undefined) return;
    this.#writer = undefined;
    this.#objects = [];
    const container = writer.finish({}, objects, size);
    const id = container.sha256 as PackId;
    this.#packs.push({ id, sizeBytes: container.sizeBytes });
    const footer = { record: undefined, blocks: container.blocks, objects };
    for (const entry of footerEntries({ pack: id }, footer)) this.#entries.push(entry);
    await this.#storing;
    this.#storing = this.#storage.createOnce(packName(id), container.parts).then(() => undefined);
    // A failure is reported by the next await; without this it would count as unhandled until then.
    this.#storing.catch(() => undefined);
  }
}
