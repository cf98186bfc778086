// What a restored OpenClaw configuration, with all that it includes, says about folders: as it was captured, before it is re-bound.

import { dirname, isAbsolute, resolve } from 'node:path';
import { commitPathOf, findInside, readInside } from './inside.ts';
import { eachString } from './json-strings.ts';
import type { MovedPaths } from './moved-paths.ts';
import { CONFIG_PATH } from './openclaw-files.ts';
import { isInside } from './native-path.ts';
import { parseJson } from './parse-json.ts';

const INCLUDE = '$include';

/** What a configuration names. */
export interface CapturedConfig {
  /** Its files, as paths of the commit. */
  readonly files: readonly string[];
  /** Where workspaces were, as the configuration has it; may begin with `~`. */
  readonly workspaces: readonly string[];
  /** Whether one of them is that of agents that name none; else it is `workspace` in the state folder. */
  readonly hasDefaultWorkspace: boolean;
  readonly agentDirs: readonly string[];
  /** `cron.store`, which older versions had. */
  readonly cronStore: string | undefined;
}

/** Says whether a text, by the way to it, names an included file. */
export function isIncludeAt(way: readonly string[]): boolean {
  return way.at(-1) === INCLUDE || way.at(-2) === INCLUDE;
}

/** Returns where an included file was on the captured machine; undefined if the including one is in no root. */
export function includedPath(name: string, path: string, paths: MovedPaths): string | undefined {
  if (isAbsolute(name) || name.startsWith('~')) return name;
  for (const [key, root] of paths.relocation.from)
    if (path.startsWith(`${key}/`)) return resolve(dirname(root + path.slice(key.length)), name);
  return undefined;
}

/** Reads the configuration of a copy; a file that isn't there or can't be parsed says nothing. */
export async function readCapturedConfig(paths: MovedPaths): Promise<CapturedConfig> {
  const { to } = paths.relocation;
  const files = [CONFIG_PATH];
  const workspaces: string[] = [];
  const agentDirs: string[] = [];
  let cronStore: string | undefined;
  let hasDefaultWorkspace = false;
  for (const path of files) {
    const real = findInside(to, path);
    // oxlint-disable-next-line no-await-in-loop -- what a file includes is known once it was read
    const content = real === undefined ? undefined : await parseJson(readInside(real, path)).catch(() => undefined);
    eachString(content, (text, way) => {
      if (way.at(-1) === 'workspace') {
        workspaces.push(text.trim());
        hasDefaultWorkspace ||= way.at(-2) === 'defaults';
      } else if (way.at(-1) === 'agentDir') agentDirs.push(text.trim());
      else if (way.at(-1) === 'store' && way.at(-2) === 'cron') cronStore = text;
      if (!isIncludeAt(way)) return;
      const meant = includedPath(text, path, paths);
      const now = meant === undefined ? undefined : paths.locate(meant);
      const included = now === undefined ? undefined : commitPathOf(to, now);
      if (included !== undefined && !files.includes(included)) files.push(included);
    });
  }
  return { files, workspaces, hasDefaultWorkspace, agentDirs, cronStore };
}

/** Returns the keys of roots of which only configuration files were captured. */
export function findPartialRoots({ files, workspaces, agentDirs }: CapturedConfig, paths: MovedPaths): Set<string> {
  const { to } = paths.relocation;
  const partial = new Set<string>();
  const folders = [...workspaces, ...agentDirs].map((one) => paths.locate(one));
  for (const [key, dir] of to) {
    const isWhole = key === 'state' || folders.some((one) => one !== undefined && isInside(one, dir));
    if (!isWhole && files.some((path) => path.startsWith(`${key}/`))) partial.add(key);
  }
  return partial;
}
