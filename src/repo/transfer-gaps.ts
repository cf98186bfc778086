// Finds what a commit needs and a storage that was swept lacks. A log is closed as long as nothing is taken from it; after a sweep what
// an earlier segment brought may be gone again, so what new commits share with old ones has to be looked for.

import { OBJECT } from '../format/layout.ts';
import { MoltError } from '../model/error.ts';
import type { CommitId, TreeId } from '../model/ids.ts';
import { listEdges } from './edges.ts';
import { readCommit } from './git.ts';
import { gitKey, keyText, mapKey } from './keys.ts';
import type { Repository } from './repository.ts';
import { unlessDamaged } from './storage-failure.ts';
import { parseTree, TREE_MODES, type TreeEntry } from './trees.ts';

/** Looks for gaps in one storage, and what fills them in another. */
export class GapFinder {
  readonly #source: Repository;
  readonly #target: Repository;
  readonly #isSent: (key: Buffer) => boolean;
  readonly #seen = new Set<string>();

  /** @param isSent says of an object that it is on its way to the target */
  constructor(source: Repository, target: Repository, isSent: (key: Buffer) => boolean) {
    this.#source = source;
    this.#target = target;
    this.#isSent = isSent;
  }

  /** Lists the keys of what a commit needs that the target lacks. What it has in common with a parent that is whole there is there. */
  async *listGaps(id: CommitId): AsyncIterable<Buffer> {
    if (await this.#source.isExpired(id)) return;
    const { tree, parents } = await readCommit(this.#source, id);
    yield* this.#visitTree(tree, await this.#wholeTree(parents[0]));
  }

  /** Returns the tree of a commit that the target keeps with its content. */
  async #wholeTree(id: CommitId | undefined): Promise<TreeId | undefined> {
    if (id === undefined || (await this.#target.index.find(gitKey(id))) === undefined) return undefined;
    if (await this.#target.isExpired(id)) return undefined;
    // It is the same wherever it is read, and the source is the one that is near, mostly.
    const isHere = (await this.#source.index.find(gitKey(id))) !== undefined && !(await this.#source.isExpired(id));
    const near = isHere ? await unlessDamaged(readCommit(this.#source, id)) : undefined;
    return (near ?? (await readCommit(this.#target, id))).tree;
  }

  async *#visitTree(id: TreeId, known: TreeId | undefined): AsyncIterable<Buffer> {
    if (id === known || !this.#isNew(gitKey(id))) return;
    yield* this.#lack(gitKey(id));
    const before = new Map<string, TreeEntry>();
    if (known !== undefined)
      for (const entry of (await unlessDamaged(this.#readTree(known))) ?? []) before.set(entry.name, entry);
    for (const entry of await this.#readTree(id)) {
      const same = before.get(entry.name);
      if (same?.id === entry.id) continue;
      if (entry.mode === TREE_MODES.tree)
        yield* this.#visitTree(entry.id, same?.mode === entry.mode ? same.id : undefined);
      else {
        // oxlint-disable-next-line no-await-in-loop -- before what it became is visited
        if (same !== undefined && same.mode !== TREE_MODES.tree) await unlessDamaged(this.#passOver(gitKey(same.id)));
        yield* this.#visitContent(gitKey(entry.id));
      }
    }
  }

  /**
   * Takes all of a blob for there: a parent that is whole there has it. A file that changed shares most of its chunks with it. What of it
   * can't be read is asked for like anything else: an old version that is damaged must not keep a new one from being sent.
   */
  async #passOver(first: Buffer): Promise<void> {
    const waiting = [first];
    for (let key = waiting.pop(); key !== undefined; key = waiting.pop()) {
      // oxlint-disable-next-line no-await-in-loop -- answered from memory, mostly
      const place = (await this.#source.index.find(key)) ?? (await this.#target.index.find(key));
      if (place === undefined || !this.#isNew(key) || place.type === OBJECT.chunk) continue;
      // oxlint-disable-next-line no-await-in-loop -- neighbouring objects share blocks
      for (const edge of listEdges({ key, type: place.type }, await this.#read(key))) waiting.push(edge.key);
    }
  }

  /** Visits a blob's record, its chunk list and its chunks. */
  async *#visitContent(first: Buffer): AsyncIterable<Buffer> {
    const waiting = [first];
    for (let key = waiting.pop(); key !== undefined; key = waiting.pop()) {
      if (!this.#isNew(key)) continue;
      yield* this.#lack(key);
      // oxlint-disable-next-line no-await-in-loop -- answered from memory, mostly
      const place = (await this.#source.index.find(key)) ?? (await this.#target.index.find(key));
      if (place === undefined) throw lost(key);
      if (place.type === OBJECT.chunk) continue;
      // oxlint-disable-next-line no-await-in-loop -- neighbouring objects share blocks
      for (const edge of listEdges({ key, type: place.type }, await this.#read(key))) waiting.push(edge.key);
    }
  }

  #isNew(key: Buffer): boolean {
    const id = mapKey(key);
    if (this.#seen.has(id)) return false;
    this.#seen.add(id);
    return true;
  }

  async *#lack(key: Buffer): AsyncIterable<Buffer> {
    if (!this.#isSent(key) && (await this.#target.index.find(key)) === undefined) yield key;
  }

  async #readTree(id: TreeId): Promise<TreeEntry[]> {
    return parseTree(await this.#read(gitKey(id)), id);
  }

  async #read(key: Buffer): Promise<Buffer> {
    const found = (await this.#source.objects.find(key)) ?? (await this.#target.objects.find(key));
    if (found === undefined) throw lost(key);
    return found.bytes;
  }
}

function lost(key: Buffer): MoltError {
  return new MoltError('DAMAGED', `${keyText(key)} is missing`, { hint: 'run molt verify' });
}
