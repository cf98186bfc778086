// What containers list and can't give: a repair leaves it out of the index, so that what comes up again is stored again.

import { keyText } from './keys.ts';

/** Blocks that can't be read, and single objects of blocks that can. */
export class LostObjects {
  readonly #names = new Set<string>();

  /** @param key the object; undefined for all of the block */
  add(container: string, block: number, key: Buffer | undefined): void {
    this.#names.add(nameOf(container, block, key));
  }

  has(container: string, block: number, key: Buffer): boolean {
    return this.#names.has(nameOf(container, block, undefined)) || this.#names.has(nameOf(container, block, key));
  }
}

function nameOf(container: string, block: number, key: Buffer | undefined): string {
  return key === undefined ? `${container}#${block}` : `${container}#${block} ${keyText(key)}`;
}
