// Computes the Git ids of the files that branches and tags reach, from their chunks. The ids of all files of history would take
// reading the bytes of every commit; their chunks are checked anyway.

import { createHash } from 'node:crypto';
import { parseBlobRecord, parseNode } from '../format/blob.ts';
import { OBJECT } from '../format/layout.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { BlobId, ChunkId, GitId, TreeId } from '../model/ids.ts';
import { listEdges } from './edges.ts';
import { isStorageFailure } from './storage-failure.ts';
import { chunkKey, gitKey } from './keys.ts';
import { MARK } from './object-table.ts';
import { parseTree, TREE_MODES } from './trees.ts';
import type { LogCheck } from './verify-log.ts';
import type { ObjectGraph } from './verify-objects.ts';
import type { VerifyReport } from './verify-report.ts';

/** How many files are checked. */
export interface BlobCheckOptions {
  /** The share of files, from 0 to 1. */
  readonly readShare: number;
  readonly random: () => number;
  readonly signal?: AbortSignal | undefined;
}

/** Checks the Git ids of files, each file once. */
export class BlobCheck {
  readonly #graph: ObjectGraph;
  readonly #log: LogCheck;
  readonly #report: VerifyReport;
  readonly #options: BlobCheckOptions;

  constructor(graph: ObjectGraph, log: LogCheck, report: VerifyReport, options: BlobCheckOptions) {
    this.#graph = graph;
    this.#log = log;
    this.#report = report;
    this.#options = options;
  }

  async run(): Promise<void> {
    for (const id of new Set(this.#log.refs.values())) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await this.#visitCommit(this.#log.tagTargets.get(id) ?? id);
    }
  }

  async #visitCommit(id: GitId): Promise<void> {
    const key = gitKey(id);
    if (!this.#isNew(key)) return;
    const [tree] = listEdges({ key, type: OBJECT.commit }, await this.#graph.read(key));
    if (tree !== undefined) await this.#visitTree(tree.key.toString('hex', 0, 20) as TreeId);
  }

  async #visitTree(id: TreeId): Promise<void> {
    if (!this.#isNew(gitKey(id))) return;
    for (const entry of parseTree(await this.#graph.read(gitKey(id)), id)) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      if (entry.mode === TREE_MODES.tree) await this.#visitTree(entry.id);
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      else await this.#visitBlob(entry.id);
    }
  }

  async #visitBlob(id: BlobId): Promise<void> {
    if (!this.#isNew(gitKey(id)) || (this.#options.readShare < 1 && this.#options.random() >= this.#options.readShare))
      return;
    this.#options.signal?.throwIfAborted();
    try {
      const record = parseBlobRecord(await this.#graph.read(gitKey(id)), id);
      const sha1 = createHash('sha1').update(`blob ${record.sizeBytes}\0`);
      if (record.root !== undefined) await this.#hashPart(record.root, record.depth, (bytes) => sha1.update(bytes));
      if (sha1.digest('hex') === id) return;
      this.#report.add(`blob ${id}`, new MoltError('DAMAGED', `the content of blob ${id} is not what its id says`));
    } catch (error) {
      if (!isMoltError(error) || isStorageFailure(error)) throw error;
      this.#report.add(`blob ${id}`, error);
    }
  }

  async #hashPart(id: ChunkId, depth: number, update: (bytes: Buffer) => void): Promise<void> {
    const bytes = await this.#graph.read(chunkKey(id));
    if (depth === 0) {
      update(bytes);
      return;
    }
    // oxlint-disable-next-line no-await-in-loop -- in order
    for (const child of parseNode(bytes, id)) await this.#hashPart(child.id, depth - 1, update);
  }

  /** Says whether an object is here for the first time, and whole as far as is known. */
  #isNew(key: Buffer): boolean {
    const { table } = this.#graph;
    const number = table.find(key);
    if (number < 0 || !table.isHeld(number) || (table.marks(number) & (MARK.seen | MARK.hurt)) !== 0) return false;
    table.mark(number, MARK.seen);
    return true;
  }
}
