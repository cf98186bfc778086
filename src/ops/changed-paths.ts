// Which paths differ between two commit trees, files and folders: what a commit's segment notes for the history of a path.

import { encodePathNote, PATH_NOTE_MOST } from '../format/path-note.ts';
import type { TreeId } from '../model/ids.ts';
import type { Repository } from '../repo/repository.ts';
import { unlessDamaged } from '../repo/storage-failure.ts';
import { parseTree, TREE_MODES, type TreeEntry } from '../repo/trees.ts';
import type { TreeSource } from './tree-diff.ts';

/**
 * Notes which paths differ between a stored commit tree and one that is being written; undefined if that can't be told, or if they
 * are too many.
 */
export async function notePaths(
  repository: Repository,
  before: TreeId | undefined,
  after: { readonly root: TreeId; readonly trees: readonly { readonly id: TreeId; readonly content: Buffer }[] },
): Promise<Buffer | undefined> {
  const contents = new Map(after.trees.map(({ id, content }) => [id, content]));
  const readTree = async (id: TreeId): Promise<TreeEntry[]> =>
    parseTree(contents.get(id) ?? (await repository.objects.readGit(id, 'tree')), id);
  const old = before === undefined ? undefined : { root: before, readTree };
  const paths = await unlessDamaged(listChangedPaths(old, { root: after.root, readTree }, PATH_NOTE_MOST));
  return paths === undefined ? undefined : encodePathNote(paths);
}

/**
 * Lists the paths that are on one side only or differ in content or mode, and the folders above them; undefined if there are more
 * than `most`. Equal folders are not entered.
 */
async function listChangedPaths(
  before: TreeSource | undefined,
  after: TreeSource,
  most: number,
): Promise<string[] | undefined> {
  const paths: string[] = [];
  const walk = async (prefix: string, old: TreeId | undefined, now: TreeId | undefined): Promise<void> => {
    const [olds, nows] = [await readFolder(before, old), await readFolder(after, now)];
    for (const name of new Set([...olds.keys(), ...nows.keys()])) {
      const [was, is] = [olds.get(name), nows.get(name)];
      if ((was?.id === is?.id && was?.mode === is?.mode) || paths.length > most) continue;
      paths.push(prefix + name);
      if (!isFolder(was) && !isFolder(is)) continue;
      // oxlint-disable-next-line no-await-in-loop -- depth first, so that memory stays flat
      await walk(`${prefix}${name}/`, isFolder(was) ? was?.id : undefined, isFolder(is) ? is?.id : undefined);
    }
  };
  await walk('', before?.root, after.root);
  return paths.length > most ? undefined : paths;
}

function isFolder(entry: TreeEntry | undefined): boolean {
  return entry?.mode === TREE_MODES.tree;
}

async function readFolder(
  source: TreeSource | undefined,
  id: TreeId | undefined,
): Promise<ReadonlyMap<string, TreeEntry>> {
  if (source === undefined || id === undefined) return new Map();
  return new Map((await source.readTree(id)).map((entry) => [entry.name, entry]));
}
