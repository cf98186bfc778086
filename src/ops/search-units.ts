// What the index knows of a phrase, sorted by what can have it: files, and turns in databases.

import type { StretchList } from './search-build.ts';
import { EVENT } from './search-rows.ts';

/** A commit that may have brought the phrase. */
interface Hit {
  /** Its place in the line. */
  readonly at: number;
  /** The index has the words themselves. */
  readonly isCertain: boolean;
}

/** A file, or a turn in a database, with the commits that may have brought the phrase into it. */
export interface SearchUnit {
  /** Escaped commit path. */
  readonly path: string;
  readonly turn: { readonly session: string; readonly seq: number } | undefined;
  /** Places in the line of the commits that changed the path, ascending. */
  readonly versions: readonly number[];
  /** Those among them that may have brought the phrase, ascending. */
  readonly hits: readonly Hit[];
}

/** Turns of a conversation, some of which a commit may have brought with the phrase in them. */
export interface TurnGroup {
  readonly path: string;
  readonly session: string;
  /** Of the numbers of its turns, both included. */
  readonly first: number;
  readonly last: number;
  readonly at: number;
}

/** What to look for. */
interface Wanted {
  /** Folded. */
  readonly phrase: string;
  readonly paths: readonly string[];
  /** Case counts, of which the index knows nothing: no hit is certain. */
  readonly isExact: boolean;
}

/** All that may have a phrase. */
export class SearchUnits {
  /** Files and single turns, in no order. */
  readonly units: readonly SearchUnit[];
  readonly groups: readonly TurnGroup[];
  readonly #versions: ReadonlyMap<string, readonly number[]>;
  readonly #byConversation = new Map<string, TurnGroup[]>();
  readonly #single: ReadonlySet<string>;

  constructor(stretches: StretchList, wanted: Wanted) {
    const { hits, groups } = collectHits(stretches, wanted);
    const paths = new Set([
      ...[...hits.keys()].map((key) => key.split('\n')[0] ?? ''),
      ...groups.map(({ path }) => path),
    ]);
    this.#versions = listVersions(stretches, paths);
    this.groups = groups;
    for (const group of groups) {
      const key = `${group.path}\n${group.session}`;
      this.#byConversation.set(key, [...(this.#byConversation.get(key) ?? []), group]);
    }
    this.#single = new Set(hits.keys());
    this.units = [...hits].map(([key, found]) => {
      const [path = '', turn] = key.split('\n');
      const space = turn?.lastIndexOf(' ') ?? 0;
      const place =
        turn === undefined ? undefined : { session: turn.slice(0, space), seq: Number(turn.slice(space + 1)) };
      return this.#unit(path, place, found);
    });
  }

  /** Lists the turns of a group that are not among the single ones. */
  *expand({ path, session, first, last }: TurnGroup): Iterable<SearchUnit> {
    for (let seq = first; seq <= last; seq += 1)
      if (!this.#single.has(`${path}\n${session} ${seq}`)) yield this.#unit(path, { session, seq }, new Map());
  }

  #unit(path: string, turn: SearchUnit['turn'], found: ReadonlyMap<number, boolean>): SearchUnit {
    const all = new Map(found);
    if (turn !== undefined)
      for (const group of this.#byConversation.get(`${path}\n${turn.session}`) ?? [])
        if (turn.seq >= group.first && turn.seq <= group.last && !all.has(group.at)) all.set(group.at, false);
    const hits = [...all].map(([at, isCertain]): Hit => ({ at, isCertain })).toSorted((a, b) => a.at - b.at);
    return { path, turn, versions: this.#versions.get(path) ?? [], hits };
  }
}

/** Sorts what the index finds by files and turns: whether each hit is certain, by unit and place. */
function collectHits(
  stretches: StretchList,
  { phrase, paths, isExact }: Wanted,
): { hits: Map<string, Map<number, boolean>>; groups: TurnGroup[] } {
  const hits = new Map<string, Map<number, boolean>>();
  const groups: TurnGroup[] = [];
  // The same commit may be in two stretches, of two processes.
  for (const { view, places } of stretches) {
    for (const number of view.find(phrase)) {
      const { commit, path: pathNumber, kind, content } = view.row(number);
      const [path = '', at = -1] = [view.paths[pathNumber], places[commit]];
      if (at < 0 || !isWanted(path, paths)) continue;
      const head =
        kind === EVENT.turn || kind === EVENT.turns ? content.toString('utf8', 0, content.indexOf(0x0a)) : '';
      if (kind === EVENT.turns) {
        const [, session = '', first, last] = /^(.*) (\d+) (\d+)$/s.exec(head) ?? [];
        groups.push({ path, session, first: Number(first), last: Number(last), at });
        continue;
      }
      const unit = kind === EVENT.turn ? `${path}\n${head}` : path;
      const known = hits.get(unit) ?? new Map<number, boolean>();
      hits.set(unit, known.set(at, known.get(at) === true || (kind === EVENT.text && !isExact)));
    }
  }
  return { hits, groups };
}

function listVersions(stretches: StretchList, wanted: ReadonlySet<string>): Map<string, number[]> {
  const versions = new Map<string, Set<number>>();
  for (const { view, places } of stretches) {
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
