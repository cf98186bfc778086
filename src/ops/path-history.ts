// Which commits changed a path: only the trees along the path are read, and where they are equal nothing below them.

import type { CommitId, GitId, SegmentSeq, TreeId } from '../model/ids.ts';
import { readCommit } from '../repo/git.ts';
import type { Repository } from '../repo/repository.ts';
import { parseTree, TREE_MODES, type TreeEntry } from '../repo/trees.ts';
import { hashPath, isNotedPath } from '../format/path-note.ts';
import type { CommitOutline, HistoryCommit } from './ancestry.ts';

/**
 * Returns what tells, without reading it, which commits may have changed one of some paths: those whose segment notes it, and those
 * of which nothing is noted.
 */
export async function findCandidates(
  repository: Repository,
  paths: readonly string[],
): Promise<(commit: CommitOutline) => boolean> {
  if (paths.length === 0) return () => true;
  if (!paths.every(isNotedPath)) return ({ isExpired }) => !isExpired;
  const segments = await Promise.all(paths.map((path) => repository.index.findSegmentsByPath(hashPath(path))));
  return ({ seq, hasPaths, isExpired }) =>
    !isExpired && (!hasPaths || seq === undefined || segments.some((found) => found.has(seq)));
}

/** Tells which commits of a walk changed some paths. */
export class PathHistory {
  readonly #repository: Repository;
  readonly #paths: readonly (readonly string[])[];
  /** Neighbouring commits share most of their trees. */
  readonly #folders = new Map<TreeId, ReadonlyMap<string, TreeEntry>>();

  /** The segment of the commit that is looked at: what it changed came with it. */
  #near: SegmentSeq | undefined;

  /** Each segment brings a commit, mostly: the one before has its parent, and what that changed. */
  get #before(): SegmentSeq | undefined {
    return this.#near === undefined ? undefined : ((this.#near - 1) as SegmentSeq);
  }

  /** @param paths commit paths; the empty one is the whole tree */
  constructor(repository: Repository, paths: readonly string[]) {
    this.#repository = repository;
    this.#paths = paths.map((path) => (path === '' ? [] : path.split('/')));
  }

  /** Says whether a commit differs in one of the paths from each of its parents; the first commit, whether it has one. */
  async isChangedBy({ commit, seq }: HistoryCommit): Promise<boolean> {
    this.#near = seq;
    if (commit.parents.length === 0) return this.#differs(undefined, commit.tree);
    for (const id of commit.parents) {
      // oxlint-disable-next-line no-await-in-loop -- one parent in nearly all cases
      if (!(await this.#differs(await this.#treeOf(id), commit.tree))) return false;
    }
    return true;
  }

  /** Returns the tree of a parent; of one that has expired nobody can tell how it was. */
  async #treeOf(id: CommitId): Promise<TreeId | undefined> {
    if (await this.#repository.isExpired(id)) return undefined;
    return (await readCommit(this.#repository, id, this.#before)).tree;
  }

  async #differs(before: TreeId | undefined, after: TreeId): Promise<boolean> {
    for (const names of this.#paths) {
      // oxlint-disable-next-line no-await-in-loop -- a few paths
      if (await this.#differsAt(names, before, after)) return true;
    }
    return false;
  }

  async #differsAt(names: readonly string[], before: TreeId | undefined, after: TreeId): Promise<boolean> {
    let [a, b]: [TreeId | undefined, TreeId | undefined] = [before, after];
    for (const [depth, name] of names.entries()) {
      if (a === b) return false;
      // oxlint-disable-next-line no-await-in-loop -- down the path
      const was: TreeEntry | undefined = await this.#child(a, name, this.#before);
      // oxlint-disable-next-line no-await-in-loop -- the same
      const is: TreeEntry | undefined = await this.#child(b, name, this.#near);
      if (depth === names.length - 1) return was?.id !== is?.id || was?.mode !== is?.mode;
      [a, b] = [folderOf(was), folderOf(is)];
    }
    return a !== b;
  }

  async #child(folder: TreeId | undefined, name: string, near: SegmentSeq | undefined): Promise<TreeEntry | undefined> {
    if (folder === undefined) return undefined;
    const known = this.#folders.get(folder) ?? (await this.#readFolder(folder, near));
    return known.get(name);
  }

  async #readFolder(id: TreeId, near: SegmentSeq | undefined): Promise<ReadonlyMap<string, TreeEntry>> {
    const content = await this.#repository.objects.readGit(id, 'tree', near);
    const entries = new Map(parseTree(content, id).map((entry) => [entry.name, entry]));
    if (this.#folders.size >= 64) this.#folders.clear();
    this.#folders.set(id, entries);
    return entries;
  }
}

function folderOf(entry: TreeEntry | undefined): GitId | undefined {
  return entry?.mode === TREE_MODES.tree ? entry.id : undefined;
}
