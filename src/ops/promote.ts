// Makes a full backup self-contained: what its tree needs that so far lies only in segments is written whole into packs.

import type { BlobId, TreeId } from '../model/ids.ts';
import { gitKey } from '../repo/keys.ts';
import type { Repository } from '../repo/repository.ts';
import type { Transaction } from '../repo/transaction.ts';
import { parseTree, TREE_MODES } from '../repo/trees.ts';

/**
 * Promotes a tree and everything below it. What the transaction itself wrote is in packs already.
 * @throws {MoltError} DAMAGED when something that the backup needs is missing: a full backup is whole or not made
 */
export async function promoteTree(repository: Repository, transaction: Transaction, root: TreeId): Promise<void> {
  const seen = new Set<string>();
  const visitTree = async (id: TreeId): Promise<void> => {
    if (seen.has(id)) return;
    seen.add(id);
    await transaction.promote(gitKey(id));
    const content = transaction.findNewGit(id)?.content ?? (await repository.objects.readGit(id, 'tree'));
    for (const entry of parseTree(content, id)) {
      // oxlint-disable-next-line no-await-in-loop -- one object after the other
      if (entry.mode === TREE_MODES.tree) await visitTree(entry.id);
      // oxlint-disable-next-line no-await-in-loop -- the same
      else await visitBlob(entry.id);
    }
  };
  const visitBlob = async (id: BlobId): Promise<void> => {
    if (seen.has(id)) return;
    seen.add(id);
    // A blob that was captured just now had each of its chunks looked up, and put into a pack if none had it.
    if (transaction.isNew(gitKey(id))) return;
    const record = await repository.objects.readBlobRecord(id);
    await transaction.promote(gitKey(id));
    for await (const { key } of repository.objects.listKeys(record)) await transaction.promote(key);
  };
  await visitTree(root);
}
