// What to capture, beyond the profile: `.moltignore` at the top of each root, and the user's --include and --exclude patterns, all
// in gitignore syntax, matched against the path relative to the root. The first of these that says something decides:
//   1. --exclude: out   2. --include: in   3. .moltignore: out, or in again with `!`   4. the profile
// An excluded folder is not entered, unless an --include names something inside it from the root down (`cache/notes/*.md`);
// a pattern without such a path (`*.md`, `**/x`) only applies in folders that are entered anyway.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ignore, { type Ignore } from 'ignore';
import { isSystemError } from '../model/error.ts';
import { systemFailure } from '../model/system-error.ts';
import type { Root } from './profile.ts';

/** What to do with a path: capture it, leave it out, or (a folder) leave it out but look inside for what is included. */
export type Verdict = 'in' | 'out' | 'through';

/** Decides which paths of the roots are captured. */
export interface Rules {
  /**
   * Returns the verdict on a path, whose parent folder has been entered.
   * @param path relative to the root, unescaped, `/` between names
   * @param excluded the profile leaves it out, or it lies in a folder that was only looked through
   */
  decide(root: Root, path: string, isFolder: boolean, excluded: boolean): Verdict;
}

/** The user's own patterns, as given at init. */
export interface UserPatterns {
  readonly include: readonly string[];
  readonly exclude: readonly string[];
}

/**
 * Reads the `.moltignore` of each root and returns the rules.
 * @throws {MoltError} IO when a `.moltignore` is there but can't be read: without it more might be captured than was wished
 */
export function loadRules(roots: readonly Root[], patterns: UserPatterns): Rules {
  const include = compilePatterns(patterns.include);
  const exclude = compilePatterns(patterns.exclude);
  const reaches = compileReach(patterns.include);
  const files = new Map(roots.map((root) => [root.key, compilePatterns(readIgnoreFile(root))]));
  return {
    decide(root, path, isFolder, excluded) {
      const file = files.get(root.key);
      if (include === undefined && exclude === undefined && file === undefined) return excluded ? 'out' : 'in';
      const tested = isFolder ? `${path}/` : path;
      if (exclude?.ignores(tested) === true) return 'out';
      if (include?.ignores(tested) === true) return 'in';
      const said = file?.test(tested);
      const out = said?.ignored === true || (excluded && said?.unignored !== true);
      if (!out) return 'in';
      return isFolder && reaches(path) ? 'through' : 'out';
    },
  };
}

function compilePatterns(patterns: readonly string[]): Ignore | undefined {
  if (patterns.every((pattern) => pattern.trim() === '' || pattern.startsWith('#'))) return undefined;
  return ignore({ ignorecase: false, allowRelativePaths: true }).add(patterns);
}

/** Returns a test for the folders on the way to what the anchored patterns name: `a` and `a/b` for `a/b/c`. */
function compileReach(patterns: readonly string[]): (path: string) => boolean {
  const byDepth = new Map<number, string[]>();
  for (const pattern of patterns) {
    const names = pattern.replace(/^\//, '').replace(/\/$/, '').split('/');
    if (pattern.startsWith('!') || names[0] === '**') continue;
    for (const [index, name] of names.slice(0, -1).entries()) {
      // Below a `**` any depth can match: the whole subtree is looked through.
      const depth = name === '**' ? 0 : index + 1;
      byDepth.set(depth, [...(byDepth.get(depth) ?? []), `/${names.slice(0, index + 1).join('/')}/`]);
      if (depth === 0) break;
    }
  }
  const compiled = new Map([...byDepth].map(([depth, list]) => [depth, compilePatterns(list)]));
  return (path) => {
    const folder = `${path}/`;
    if (compiled.get(0)?.ignores(folder) === true) return true;
    return compiled.size > 0 && compiled.get(path.split('/').length)?.ignores(folder) === true;
  };
}

function readIgnoreFile(root: Root): string[] {
  if (root.only !== undefined) return [];
  const path = join(root.dir, '.moltignore');
  try {
    return readFileSync(path, 'utf8').split(/\r?\n/);
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR', 'EISDIR')) return [];
    throw systemFailure(error, `cannot read "${path}"`, path);
  }
}
