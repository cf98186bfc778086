// Trees of a history that is walked: neighbouring commits share most of them.

import type { TreeId } from '../model/ids.ts';
import { Lru } from '../model/lru.ts';
import type { Objects } from './objects.ts';
import { parseTree, type TreeEntry } from './trees.ts';

const CACHE_BYTES = 8 << 20;
/** About how much larger a tree is in memory than stored. */
const GROWTH = 4;

/** Reads trees, the last of them kept. */
export class TreeReader {
  readonly #objects: Objects;
  readonly #recent = new Lru<readonly TreeEntry[]>(CACHE_BYTES);

  constructor(objects: Objects) {
    this.#objects = objects;
  }

  /** Reads a tree. @throws {MoltError} DAMAGED and its kin */
  async read(id: TreeId): Promise<readonly TreeEntry[]> {
    const known = this.#recent.get(id);
    if (known !== undefined) return known;
    const content = await this.#objects.readGit(id, 'tree');
    const entries = parseTree(content, id);
    this.#recent.set(id, entries, content.length * GROWTH);
    return entries;
  }
}
