// What the index knows of a phrase, sorted by what can have it: files, and turns in databases.

import type { LineCommit } from './first-parents.ts';
import type { StretchList } from './search-build.ts';
import { EVENT } from './search-rows.ts';

/** A file, or a turn in a database, with the commits that may have brought the phrase into it. */
export interface SearchUnit {
  /** Escaped commit path. */
  readonly path: string;
  readonly turn: { readonly session: string; readonly seq: number } | undefined;
  /** Places in the line of the commits that changed the path, ascending. */
  readonly versions: readonly number[];
  /** Those among them that may have brought the phrase; certain where the index has the words themselves. */
  readonly hits: readonly { readonly at: number; readonly isCertain: boolean }[];
}

interface Hit {
  readonly at: number;
  readonly isCertain: boolean;
}

/**
 * Collects the units that may have a folded phrase, the earliest first.
 * @param wanted.isExact case counts, of which the index knows nothing: no hit is certain
 */
export function collectUnits(
  line: readonly LineCommit[],
  stretches: StretchList,
  { phrase, paths, isExact }: { readonly phrase: string; readonly paths: readonly string[]; readonly isExact: boolean },
): SearchUnit[] {
  const placeOf = new Map(line.map(({ id }, at) => [id, at]));
  const hits = new Map<string, Map<number, boolean>>();
  const wantedPaths = new Set<string>();
  // The same commit may be in two stretches, of two processes.
  for (const { view } of stretches) {
    const places = view.commits.map((id) => placeOf.get(id) ?? -1);
    for (const number of view.find(phrase)) {
      const { commit, path: pathNumber, kind, content } = view.row(number);
      const [path = '', at = -1] = [view.paths[pathNumber], places[commit]];
      if (at < 0 || !isWanted(path, paths)) continue;
      wantedPaths.add(path);
      const unit = kind === EVENT.turn ? `${path}\n${content.toString('utf8', 0, content.indexOf(0x0a))}` : path;
      const known = hits.get(unit) ?? new Map<number, boolean>();
      hits.set(unit, known.set(at, known.get(at) === true || (kind === EVENT.text && !isExact)));
    }
  }
  const versions = listVersions(stretches, placeOf, wantedPaths);
  return [...hits]
    .map(([key, found]): SearchUnit => {
      const [path = '', turn] = key.split('\n');
      const space = turn?.lastIndexOf(' ') ?? 0;
      const sorted = [...found].map(([at, isCertain]): Hit => ({ at, isCertain })).toSorted((a, b) => a.at - b.at);
      return {
        path,
        turn: turn === undefined ? undefined : { session: turn.slice(0, space), seq: Number(turn.slice(space + 1)) },
        versions: versions.get(path) ?? [],
        hits: sorted,
      };
    })
    .toSorted((a, b) => (a.hits[0]?.at ?? 0) - (b.hits[0]?.at ?? 0));
}

function listVersions(
  stretches: StretchList,
  placeOf: ReadonlyMap<string, number>,
  wanted: ReadonlySet<string>,
): Map<string, number[]> {
  const versions = new Map<string, Set<number>>();
  for (const { view } of stretches) {
    const places = view.commits.map((id) => placeOf.get(id) ?? -1);
    const names = view.paths.map((path) => (wanted.has(path) ? path : undefined));
    for (let row = 0; row < view.rowCount; row += 1) {
      const path = names[view.pathOf(row)];
      const at = places[view.commitOf(row)] ?? -1;
      if (path === undefined || at < 0) continue;
      const known = versions.get(path) ?? new Set();
      versions.set(path, known.add(at));
    }
  }
  return new Map([...versions].map(([path, places]) => [path, [...places].toSorted((a, b) => a - b)]));
}

function isWanted(path: string, paths: readonly string[]): boolean {
  return paths.length === 0 || paths.some((one) => one === '' || path === one || path.startsWith(`${one}/`));
}
