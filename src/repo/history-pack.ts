// Packs of commits whose content is gone: all that is left of them, so that lists stay whole, histories connected, and ids what they were.

import { compressFrame } from '../chunk/zstd.ts';
import { ContainerWriter, type ContainerSpec } from '../format/container.ts';
import type { ObjectEntry } from '../format/footer.ts';
import { encodeHistoryNote, type HistoryEntry } from '../format/history-note.ts';
import { footerEntries, type IndexEntry } from '../format/index-run.ts';
import { BLOCK, BLOCK_BYTES, ENCODING, KIND, OBJECT } from '../format/layout.ts';
import type { PackNote } from '../format/log-base.ts';
import { packName } from '../format/segment.ts';
import type { PackId } from '../model/ids.ts';
import { gitKey } from './keys.ts';
import { unlessDamaged } from './storage-failure.ts';
import type { Repository } from './repository.ts';

/** Written once and read seldom: as dense as zstd gets without taking minutes. */
const LEVEL = 19;
/** Commits of one pack at most. */
export const HISTORY_PACK_COMMITS = 20_000;

/** A commit and its bytes as Git has it. */
interface HistoryCommit extends HistoryEntry {
  readonly content: Buffer;
}

/** A history pack, to be stored. */
export interface HistoryPack {
  readonly note: PackNote;
  readonly parts: readonly Buffer[];
  readonly entries: readonly IndexEntry[];
}

/**
 * Stores commits of one repository, of which nothing else is left, as history packs of another one or of the same.
 * @param entries oldest first: neighbours are alike
 * @param near has most of the same commits, and is quicker to read
 */
export async function storeHistory(
  from: Repository,
  to: Repository,
  entries: readonly HistoryEntry[],
  near?: Repository,
): Promise<HistoryPack[]> {
  const packs: HistoryPack[] = [];
  for (let at = 0; at < entries.length; at += HISTORY_PACK_COMMITS) {
    const commits: HistoryCommit[] = [];
    for (const entry of entries.slice(at, at + HISTORY_PACK_COMMITS)) {
      // oxlint-disable-next-line no-await-in-loop -- neighbours share blocks
      const found = near && (await unlessDamaged(near.objects.findGit(entry.id)));
      const isFound = found?.type === 'commit';
      // oxlint-disable-next-line no-await-in-loop -- the same
      commits.push({ ...entry, content: isFound ? found.content : await from.objects.readGit(entry.id, 'commit') });
    }
    const pack = buildHistoryPack(to.containerSpec(), commits);
    // oxlint-disable-next-line no-await-in-loop -- one, mostly
    await to.storage.createOnce(packName(pack.note.id), pack.parts);
    packs.push(pack);
  }
  return packs;
}

function buildHistoryPack(
  spec: Omit<ContainerSpec, 'kind' | 'seq' | 'storageId'>,
  commits: readonly HistoryCommit[],
): HistoryPack {
  const writer = new ContainerWriter({ ...spec, kind: KIND.pack, seq: 0, storageId: undefined });
  const objects: ObjectEntry[] = [];
  let block: Buffer[] = [];
  let offsetBytes = 0;
  const flush = (): void => {
    if (block.length === 0) return;
    const plain = Buffer.concat(block);
    const bytes = compressFrame(plain, LEVEL);
    writer.add({ type: BLOCK.data, encoding: ENCODING.zstd, bytes, plainBytes: plain.length });
    block = [];
    offsetBytes = 0;
  };
  for (const { id, content } of commits) {
    if (offsetBytes + content.length > BLOCK_BYTES) flush();
    const sizes = { offsetBytes, lengthBytes: content.length, objectBytes: content.length };
    objects.push({ key: gitKey(id), type: OBJECT.commit, block: writer.blockCount, ...sizes, base: undefined });
    block.push(content);
    offsetBytes += content.length;
  }
  flush();
  const { sha256, parts, sizeBytes, blocks } = writer.finish(encodeHistoryNote(commits), objects, 'padme');
  const id = sha256 as PackId;
  const entries = [...footerEntries({ pack: id }, { record: undefined, blocks, objects })];
  return { note: { id, sizeBytes }, parts, entries };
}
