// The paths that users give. Molt shows paths as they stand in the commit: `state/workspace/MEMORY.md`, `roots/1/notes.md`. It takes
// them in that form, relative to the state folder (`workspace/MEMORY.md`), relative to the current folder where that is one of the
// agent's, and absolute. Which one is meant is decided by what is there, since an agent's state may hold a folder `state` itself.

import { realpath } from 'node:fs/promises';
import { posix } from 'node:path';
import { MoltError } from '../model/error.ts';
import { shortId } from '../model/ids.ts';
import { displayPath, escapeName } from '../model/name.ts';
import { findNearest } from '../model/nearest.ts';
import type { Repository } from '../repo/repository.ts';
import { parseTree, TREE_MODES, type TreeEntry } from '../repo/trees.ts';
import { readCommitView, readRoots, TreeFinder, type CommitView } from './commit-files.ts';
import type { OpsContext } from './context.ts';
import { getHead, type Where } from './revision.ts';

/** A captured folder: where it stands in the commit, and where it lies. */
export interface RootPlace {
  readonly key: string;
  readonly dir: string;
}

/** What paths are read against. */
export interface PathContext {
  readonly roots: readonly RootPlace[];
  readonly cwd: string;
  /** Which form goes first: the current folder's for a path alone, as a shell completes it; the commit's after `REV:`. */
  readonly first: 'cwd' | 'commit';
}

/**
 * Returns the commit paths that a text may stand for, the likeliest first; the empty path is the whole tree.
 * @throws {MoltError} USAGE when it lies outside of the agent's folders
 */
export async function listPathForms(text: string, context: PathContext): Promise<string[]> {
  const { roots, first } = context;
  if (text.includes('\0')) throw new MoltError('USAGE', 'a path holds a NUL');
  if (text.startsWith('/')) {
    const inside = toRoot(posix.normalize(text), roots) ?? toRoot(await realFolder(text), roots);
    if (inside !== undefined) return forms(inside);
    const dirs = roots.map(({ dir }) => `"${dir}"`).join(', ');
    throw new MoltError('USAGE', `"${text}" lies outside of the agent's folders: ${dirs}`);
  }
  const here = toRoot(posix.join(await realFolder(context.cwd), text), roots);
  const isInsideCwd = toRoot(await realFolder(context.cwd), roots) !== undefined;
  const plain = posix.normalize(text).replace(/^\.$/, '').replace(/\/$/, '');
  const fromTop = plain.startsWith('..') ? [] : [...forms(plain), ...forms(plain === '' ? 'state' : `state/${plain}`)];
  const fromCwd = here !== undefined && isInsideCwd ? forms(here) : [];
  const found = first === 'cwd' ? [...fromCwd, ...fromTop] : [...fromTop, ...fromCwd];
  if (found.length > 0) return [...new Set(found)];
  throw new MoltError('USAGE', `"${text}" lies outside of the agent's folders`, {
    hint: 'paths count from the state folder, as in workspace/MEMORY.md',
  });
}

/** What stands at a path of a commit. */
export interface FoundPath {
  /** Escaped; empty for the whole tree. */
  readonly path: string;
  readonly entry: Pick<TreeEntry, 'id' | 'mode'>;
}

/**
 * Finds what a path of a commit names.
 * @throws {MoltError} NOT_FOUND
 */
export async function findPath(
  context: OpsContext,
  { agent, repository }: Where,
  view: CommitView,
  text: string,
): Promise<FoundPath> {
  if (text === '') return { path: '', entry: { id: view.commit.tree, mode: TREE_MODES.tree } };
  const finder = new TreeFinder(repository, view);
  const roots = await placesOf({ agent, repository }, view);
  for (const path of await listPathForms(text, { roots, cwd: context.cwd, first: 'commit' })) {
    // oxlint-disable-next-line no-await-in-loop -- the first that is there
    const entry = path === '' ? undefined : await finder.findEntry(path);
    if (entry !== undefined) return { path, entry };
  }
  const short = shortId(view.commit.id);
  throw new MoltError('NOT_FOUND', `there is no "${text}" in commit ${short}`, {
    hint: await nearestPath(repository, finder, text, short),
  });
}

/** Returns the hint for a path that is not there: the nearest name in its folder, or what lists the deepest folder that is there. */
async function nearestPath(repository: Repository, finder: TreeFinder, text: string, short: string): Promise<string> {
  const names = text.split('/').filter((name) => name !== '');
  for (let depth = names.length - 1; depth >= 0; depth -= 1) {
    const folder = names.slice(0, depth).map((name) => escapeName(name));
    for (const path of new Set([['state', ...folder].join('/'), folder.join('/')].filter((one) => one !== ''))) {
      // oxlint-disable-next-line no-await-in-loop -- up the path
      const entry = await finder.findEntry(path);
      if (entry?.mode !== TREE_MODES.tree) continue;
      // oxlint-disable-next-line no-await-in-loop -- once
      const entries = parseTree(await repository.objects.readGit(entry.id, 'tree'), entry.id);
      const nearest = findNearest(
        names[depth] ?? '',
        entries.map(({ name }) => displayPath(name)),
      );
      return nearest === undefined
        ? `molt show ${short}:${path} lists what is there`
        : `did you mean ${[...names.slice(0, depth), nearest].join('/')}`;
    }
  }
  return `molt show ${short}: lists what is there`;
}

/**
 * Returns the commit paths that the user's paths stand for; of a path that the branch's head lacks, all that it may stand for.
 * @throws {MoltError} USAGE when one lies outside of the agent's folders
 */
export async function resolvePaths(context: OpsContext, where: Where, texts: readonly string[]): Promise<string[]> {
  if (texts.length === 0) return [];
  const view = await readCommitView(where.repository, getHead(where));
  const finder = new TreeFinder(where.repository, view);
  const roots = await placesOf(where, view);
  const paths: string[] = [];
  for (const text of texts) {
    // oxlint-disable-next-line no-await-in-loop -- a few paths
    const forms = await listPathForms(text, { roots, cwd: context.cwd, first: 'cwd' });
    // oxlint-disable-next-line no-await-in-loop -- the same
    const found = await Promise.all(forms.map(async (path) => (path === '' ? undefined : finder.findEntry(path))));
    const there = forms.find((path, index) => path === '' || found[index] !== undefined);
    paths.push(...(there === undefined ? forms : [there]));
  }
  return paths;
}

/** The state folder may have moved since the commit. */
async function placesOf({ agent, repository }: Where, view: CommitView): Promise<RootPlace[]> {
  const roots = await readRoots(repository, view);
  return [{ key: 'state', dir: agent.stateDir }, ...roots.filter(({ key }) => key !== 'state')];
}

/** Returns a path with its names as Git trees have them, and as given, in case that it is escaped already. */
function forms(path: string): string[] {
  const plain = path.replace(/\/$/, '');
  const escaped = plain
    .split('/')
    .map((name) => escapeName(name))
    .join('/');
  return escaped === plain ? [plain] : [escaped, plain];
}

function toRoot(path: string, roots: readonly RootPlace[]): string | undefined {
  const clean = path.length > 1 ? path.replace(/\/$/, '') : path;
  for (const { key, dir } of roots) {
    if (clean === dir) return key;
    if (clean.startsWith(`${dir}/`)) return `${key}${clean.slice(dir.length)}`;
  }
  return undefined;
}

/** Returns a path with the symlinks of its folders followed, as far as it is there. */
async function realFolder(path: string): Promise<string> {
  const folder = await realpath(posix.dirname(path)).catch(() => undefined);
  if (folder === undefined) return path;
  const whole = posix.join(folder, posix.basename(path));
  return (await realpath(whole).catch(() => undefined)) ?? whole;
}
