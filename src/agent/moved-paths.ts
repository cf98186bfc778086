// Which path inside restored files means which now: the folders of a commit, under every name that its files know them by.

import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { isInside } from './native-path.ts';
import type { Relocation } from './revival.ts';

interface Move {
  readonly from: string;
  readonly to: string;
  /** A folder of which only some files were captured: what else it holds stays where it is. */
  readonly isPartial: boolean;
}

const FILE_URL = 'file://';

/** Turns paths of the captured machine into paths of the restored copy. */
export class MovedPaths {
  readonly relocation: Relocation;
  /** Whether any root is elsewhere than it was. */
  readonly isMoved: boolean;
  readonly #moves: readonly Move[];

  /**
   * @param aliases further names of folders, by the name that the commit has for them: `/home/me/.openclaw` for `/data/openclaw`
   * @param partial keys of roots of which only some files were captured
   */
  constructor(
    relocation: Relocation,
    aliases: ReadonlyMap<string, string> = new Map(),
    partial: ReadonlySet<string> = new Set(),
  ) {
    this.relocation = relocation;
    const moves: Move[] = [];
    for (const [key, from] of relocation.from) {
      const to = relocation.to.get(key);
      if (to === undefined) continue;
      const isPartial = partial.has(key);
      moves.push({ from, to, isPartial });
      // Where nothing moved, a name that leads through a link leads to the same place as ever.
      if (from === to) continue;
      for (const [alias, dir] of aliases) if (dir === from) moves.push({ from: alias, to, isPartial });
    }
    // The innermost folder decides.
    this.#moves = moves.sort((a, b) => b.from.length - a.from.length);
    this.isMoved = moves.some(({ from, to }) => from !== to);
  }

  /** The names of folders that a value can begin with. */
  get prefixes(): readonly string[] {
    return this.#moves.map(({ from }) => from);
  }

  /** Returns where a path of the captured machine is now; undefined if it lies in no root that was restored. */
  find(path: string): string | undefined {
    for (const { from, to, isPartial } of this.#moves) {
      if (!isInside(path, from)) continue;
      const moved = to + path.slice(from.length);
      return isPartial && path !== from && !existsSync(moved) ? undefined : moved;
    }
    return undefined;
  }

  /**
   * Returns where a path of the captured machine is now, also one that begins with `~`: that is taken for the home folder that makes the
   * rest a path of the agent's.
   */
  locate(path: string): string | undefined {
    return path.startsWith('~/') ? this.#findBelowHome(path.slice(2)) : this.find(path);
  }

  /** Returns what a text that is a path, or begins with one, has to be now; undefined if it stays as it is. */
  rewrite(text: string): string | undefined {
    if (!this.isMoved) return undefined;
    const isUrl = text.startsWith(FILE_URL);
    const path = isUrl ? text.slice(FILE_URL.length) : text;
    const moved = this.locate(path);
    if (moved === undefined || moved === path) return undefined;
    return isUrl ? FILE_URL + moved : moved;
  }

  #findBelowHome(rest: string): string | undefined {
    for (const { from } of this.#moves) {
      for (let home = dirname(from); ; home = dirname(home)) {
        const path = home === '/' ? `/${rest}` : `${home}/${rest}`;
        if (isInside(path, from)) return this.find(path);
        if (home === dirname(home)) break;
      }
    }
    return undefined;
  }
}
