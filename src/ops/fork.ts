// Copies a repository under an id and keys of its own: whoever can open the old one can't open the new one, and neither knows of the other.
// Commits, trees and tags stay what they are; of files the ids stay too, but their chunks are cut and named by the new keys.

import { ENCODING, OBJECT, type ObjectType } from '../format/layout.ts';
import type { BlobRecord } from '../format/blob.ts';
import type { CommitNote } from '../format/segment.ts';
import { isSqliteHeader, SQLITE_HEADER_BYTES } from '../agent/sqlite-header.ts';
import { MoltError } from '../model/error.ts';
import type { BlobId, CommitId, GitId } from '../model/ids.ts';
import { listEdges } from '../repo/edges.ts';
import { storeHistory } from '../repo/history-pack.ts';
import { chunkKey, gitKey, keyText, mapKey } from '../repo/keys.ts';
import { gitIdOf } from '../repo/objects.ts';
import type { Repository } from '../repo/repository.ts';
import type { Transaction } from '../repo/transaction.ts';
import type { OpsContext } from './context.ts';
import { HOLDS } from './hold.ts';

/**
 * Copies all that branches, tags and holds reach into an empty repository, where each branch begins its first incarnation.
 * @throws {MoltError} DAMAGED when something can't be read
 */
export async function forkInto(context: OpsContext, from: Repository, to: Repository): Promise<void> {
  await to.transact({ packs: true }, async (transaction) => {
    const expired = await from.listExpired();
    const fork = new Fork(context, from, transaction, expired);
    const refs = [...from.refs].filter(([name]) => !name.startsWith('refs/molt/') || name.startsWith(HOLDS));
    for (const [, id] of refs) {
      // oxlint-disable-next-line no-await-in-loop -- one object after the other
      await fork.copy(gitKey(id));
    }
    const moves = refs.map(([name, id]) => ({
      name,
      from: undefined,
      to: id,
      commit: from.tagged.get(name),
    }));
    const known = new Map((await from.index.listCommits()).map((commit) => [commit.id as string, commit]));
    const notes = fork.commits.map((id) => {
      const entry = known.get(id);
      return { id, timeMs: entry?.timeMs ?? 0, kind: entry?.kind ?? 'incremental' };
    });
    const history = await storeHistory(
      from,
      to,
      notes.filter(({ id }) => expired.has(id)),
    );
    const commits: CommitNote[] = notes.filter(({ id }) => !expired.has(id));
    await transaction.publish(moves, commits, (stored) => ({
      packs: [...stored.packs, ...history.map(({ note }) => note)],
      history: history.map(({ note }) => note.id),
    }));
  });
}

class Fork {
  readonly commits: CommitNote['id'][] = [];
  readonly #context: OpsContext;
  readonly #from: Repository;
  readonly #transaction: Transaction;
  readonly #done = new Set<string>();
  readonly #expired: ReadonlySet<CommitId>;
  #doneBytes = 0;

  /** @param expired commits that are copied as they are left: without their content */
  constructor(context: OpsContext, from: Repository, transaction: Transaction, expired: ReadonlySet<CommitId>) {
    this.#context = context;
    this.#from = from;
    this.#transaction = transaction;
    this.#expired = expired;
  }

  /** Copies an object and what it names, that first. History is long, so parents wait in a list instead of on the stack. */
  async copy(key: Buffer): Promise<void> {
    const waiting = [key];
    while (waiting.length > 0) {
      const next = waiting.at(-1);
      if (next === undefined) return;
      // oxlint-disable-next-line no-await-in-loop -- what is named comes first
      const lacking = await this.#lacking(next);
      if (lacking.length > 0) {
        waiting.push(...lacking);
        continue;
      }
      waiting.pop();
      // oxlint-disable-next-line no-await-in-loop -- the same
      await this.#copyOne(next);
    }
  }

  /** Returns what an object names and was not copied yet. */
  async #lacking(key: Buffer): Promise<Buffer[]> {
    if (this.#done.has(mapKey(key))) return [];
    const { type, bytes } = await this.#read(key);
    if (type === OBJECT.blob) return [];
    const isAlone = type === OBJECT.commit && this.#expired.has(keyText(key) as CommitId);
    return listEdges({ key, type }, bytes)
      .filter((edge) => !isAlone || edge.isParent === true)
      .map((edge) => edge.key)
      .filter((named) => !this.#done.has(mapKey(named)));
  }

  async #copyOne(key: Buffer): Promise<void> {
    this.#context.signal?.throwIfAborted();
    const id = mapKey(key);
    if (this.#done.has(id)) return;
    this.#done.add(id);
    const { type, bytes } = await this.#read(key);
    const git = keyText(key) as GitId;
    if (type === OBJECT.blob) return this.#copyBlob(git);
    const name = type === OBJECT.commit ? 'commit' : type === OBJECT.tree ? 'tree' : 'tag';
    if (gitIdOf(name, bytes) !== git) throw new MoltError('DAMAGED', `${name} ${git} is not what its id says`);
    if (!this.#expired.has(git)) await this.#transaction.writeGit(name, bytes);
    if (type === OBJECT.commit) this.commits.push(git);
  }

  async #copyBlob(id: BlobId): Promise<void> {
    const { objects } = this.#from;
    const record = await objects.readBlobRecord(id);
    const { sizeBytes } = record;
    const secret = await this.#isSecret(record);
    const source = objects.readBlob(id)[Symbol.asyncIterator]();
    let piece = await source.next();
    const begin = piece.done === true ? Buffer.alloc(0) : piece.value.subarray(0, SQLITE_HEADER_BYTES);
    const chunking = isSqliteHeader(begin) ? 'fixed' : 'content';
    const blob = this.#transaction.openBlob({
      chunking,
      sizesBytes: [sizeBytes],
      secret: secret && chunking !== 'fixed',
    });
    // oxlint-disable-next-line no-await-in-loop -- a stream
    for (; piece.done !== true; piece = await source.next()) {
      // oxlint-disable-next-line no-await-in-loop -- the same
      await blob.write(piece.value);
      this.#doneBytes += piece.value.length;
      this.#context.reporter.progress({ phase: 'fork', doneBytes: this.#doneBytes });
    }
    const written = await blob.finish();
    if (written.id !== id) throw new MoltError('DAMAGED', `blob ${id} is not what its id says`);
  }

  /** What lies uncompressed may be a secret, and stays so; others that do would not compress either. */
  async #isSecret(record: BlobRecord): Promise<boolean> {
    for await (const { id } of this.#from.objects.listChunks(record))
      return (await this.#from.index.find(chunkKey(id)))?.encoding === ENCODING.raw;
    return false;
  }

  async #read(key: Buffer): Promise<{ readonly type: ObjectType; readonly bytes: Buffer }> {
    const found = await this.#from.objects.find(key);
    if (found === undefined) throw new MoltError('DAMAGED', `${keyText(key)} is missing`, { hint: 'molt verify' });
    return found;
  }
}
