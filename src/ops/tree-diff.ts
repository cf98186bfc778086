// How two commit trees differ, file by file. Equal trees have equal ids and are not entered, so it costs what changed.

import type { BlobId, GitId, TreeId } from '../model/ids.ts';
import { TREE_MODES, type TreeEntry, type TreeMode } from '../repo/trees.ts';
import { AGENT_FILE, ATTRIBUTES_FILE } from './commit-files.ts';

/** A tree, stored or not. */
export interface TreeSource {
  readonly root: TreeId;
  readTree(id: TreeId): Promise<readonly TreeEntry[]>;
}

/** A file on one side. */
export interface FileSide {
  readonly mode: TreeMode;
  readonly blob: BlobId;
}

/** How a file changed. */
export type ChangeKind = 'added' | 'modified' | 'removed' | 'renamed';

/** One file that differs. */
export interface FileChange {
  /** Escaped path in the commit tree; where a renamed file is now. */
  readonly path: string;
  readonly change: ChangeKind;
  /** Where a renamed file was. */
  readonly from?: string;
  readonly before: FileSide | undefined;
  readonly after: FileSide | undefined;
}

// Git's id of the empty blob. Empty files are alike without being the same file.
const EMPTY_BLOB = 'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391' as GitId;

/**
 * Lists the files that differ, in the order of their paths; a file that only moved is one change.
 * @param paths only these files and what is below these folders, by commit path; empty means all
 */
export async function listChanges(
  before: TreeSource | undefined,
  after: TreeSource | undefined,
  paths: readonly string[] = [],
): Promise<FileChange[]> {
  const changes = await listFileChanges(before, after, paths);
  return joinRenames(changes).toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

/** Lists the files that differ path by path, as the trees have them: what moved is one that went and one that came. */
export async function listFileChanges(
  before: TreeSource | undefined,
  after: TreeSource | undefined,
  paths: readonly string[] = [],
): Promise<FileChange[]> {
  const changes: FileChange[] = [];
  const walk = async (path: string, old: TreeId | undefined, now: TreeId | undefined): Promise<void> => {
    if (old === now) return;
    const [olds, nows] = [await readSide(before, old), await readSide(after, now)];
    for (const name of new Set([...olds.keys(), ...nows.keys()])) {
      const child = path === '' ? name : `${path}/${name}`;
      if (!isWanted(child, paths)) continue;
      const [a, b] = [olds.get(name), nows.get(name)];
      // oxlint-disable-next-line no-await-in-loop -- depth first, so that memory stays flat
      await walk(child, folderId(a), folderId(b));
      const [was, is] = [fileOf(a), fileOf(b)];
      if (was?.blob === is?.blob && was?.mode === is?.mode) continue;
      const change = was === undefined ? 'added' : is === undefined ? 'removed' : 'modified';
      changes.push({ path: child, change, before: was, after: is });
    }
  };
  await walk('', before?.root, after?.root);
  return changes;
}

/** Says whether a path is one of some, inside one of them, or on the way to one of them. */
function isWanted(path: string, paths: readonly string[]): boolean {
  if (path === AGENT_FILE || path === ATTRIBUTES_FILE) return false;
  return (
    paths.length === 0 ||
    paths.some((one) => one === '' || path === one || path.startsWith(`${one}/`) || one.startsWith(`${path}/`))
  );
}

async function readSide(
  source: TreeSource | undefined,
  id: TreeId | undefined,
): Promise<ReadonlyMap<string, TreeEntry>> {
  if (source === undefined || id === undefined) return new Map();
  return new Map((await source.readTree(id)).map((entry) => [entry.name, entry]));
}

function folderId(entry: TreeEntry | undefined): TreeId | undefined {
  return entry?.mode === TREE_MODES.tree ? entry.id : undefined;
}

function fileOf(entry: TreeEntry | undefined): FileSide | undefined {
  return entry === undefined || entry.mode === TREE_MODES.tree ? undefined : { mode: entry.mode, blob: entry.id };
}

/** Makes one change of a removed file and an added one with the same content. */
function joinRenames(changes: readonly FileChange[]): FileChange[] {
  const removed = new Map<string, FileChange[]>();
  for (const change of changes) {
    if (change.before === undefined || change.change !== 'removed' || change.before.blob === EMPTY_BLOB) continue;
    removed.set(change.before.blob, [...(removed.get(change.before.blob) ?? []), change]);
  }
  const gone = new Set<FileChange>();
  const joined = changes.map((change): FileChange => {
    const source = change.change === 'added' ? removed.get(change.after?.blob ?? '')?.shift() : undefined;
    if (source === undefined) return change;
    gone.add(source);
    return { ...change, change: 'renamed', from: source.path, before: source.before };
  });
  return joined.filter((change) => !gone.has(change));
}
