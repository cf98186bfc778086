// The line of history that a commit ends: from parent to first parent, those commits that still have their content.

import type { CommitId } from '../model/ids.ts';
import { NO_PARENT, UNKNOWN_PARENT, type CommitTable } from '../repo/commit-table.ts';
import type { Repository } from '../repo/repository.ts';
import { readHistoryCommit, type CommitOutline } from './ancestry.ts';

/** A commit of the line. */
export interface LineCommit extends CommitOutline {
  readonly id: CommitId;
  /** Between it and the commit before it in the list, or before it if it is the first, are commits whose content was pruned. */
  readonly isAfterGap: boolean;
}

/** Lists the line's commits that have their content, oldest first. */
export async function listFirstParents(repository: Repository, tip: CommitId): Promise<LineCommit[]> {
  const table = await repository.index.readCommits();
  const line: LineCommit[] = [];
  const seen = new Set<CommitId>();
  let [id, row]: [CommitId | undefined, number] = [tip, table.find(tip)];
  let gap = false;
  const close = (): void => {
    const last = line.at(-1);
    if (gap && last !== undefined) line[line.length - 1] = { ...last, isAfterGap: true };
    gap = false;
  };
  while (id !== undefined) {
    // oxlint-disable-next-line no-await-in-loop -- answered from the table, mostly
    const { next, nextRow, ...outline }: Step = await readStep(repository, table, id, row);
    if (seen.size === 0 && outline.isExpired) gap = true;
    if (outline.isExpired) gap = true;
    else {
      close();
      line.push({ id, ...outline, isAfterGap: false });
    }
    // Only a hostile history comes back to where it was.
    if (row < 0 && seen.has(id)) break;
    if (row < 0) seen.add(id);
    [id, row] = [next, nextRow];
  }
  close();
  return line.toReversed();
}

interface Step extends CommitOutline {
  readonly next: CommitId | undefined;
  readonly nextRow: number;
}

async function readStep(repository: Repository, table: CommitTable, id: CommitId, row: number): Promise<Step> {
  if (row >= 0) {
    const outline = table.outline(row);
    const parent = table.parent(row);
    if (parent === NO_PARENT) return { ...outline, next: undefined, nextRow: -1 };
    if (parent !== UNKNOWN_PARENT) return { ...outline, next: table.entry(parent).id, nextRow: parent };
    const { commit } = await readHistoryCommit(repository, id, undefined, outline.isExpired);
    const [first] = commit.parents;
    return { ...outline, next: first, nextRow: first === undefined ? -1 : table.find(first) };
  }
  const { commit, text, isExpired } = await readHistoryCommit(repository, id);
  const [first] = commit.parents;
  return {
    timeMs: text.timeMs,
    kind: text.kind,
    seq: undefined,
    hasPaths: false,
    isExpired,
    next: first,
    nextRow: first === undefined ? -1 : table.find(first),
  };
}
