// Rows whose page is the same on both sides and which differ nevertheless: only what overflows the page was written anew, in its place.
// SQLite does that where a long text or blob is replaced by one of the same length.

import { readCells, listOverflow, type Cell } from './sqlite-tree.ts';
import type { SqliteFile } from './sqlite-file.ts';
import type { TableSide } from './sqlite-collector.ts';

/** A row that differs behind a page that does not. */
export interface HiddenChange {
  readonly table: string;
  readonly page: number;
  /** Its place in the page. */
  readonly cell: number;
}

/** What to look through. */
export interface Search {
  readonly before: SqliteFile;
  readonly after: SqliteFile;
  /** Changed pages that are no pages of a tree, and that no row which was compared overflows into. */
  readonly pages: readonly number[];
  /** The tables that both sides have, as the newer one has them. */
  readonly tables: ReadonlyMap<string, TableSide>;
  readonly isChanged: (page: number) => boolean;
}

const MOST_STEPS = 100_000;

/** Finds the rows. Where the database notes who owns a page that is followed; else every row that overflows its page is. */
export async function findHiddenChanges(search: Search): Promise<HiddenChange[]> {
  const { before, after } = search;
  if (search.pages.length === 0) return [];
  const free = [await before.readFreePages(), await after.readFreePages()];
  const wanted = new Set(
    search.pages.filter(
      (page) =>
        free.every((pages) => !pages.has(page)) && !(after.hasPointerMap && after.pointerMapPage(page) === page),
    ),
  );
  if (wanted.size === 0) return [];
  const owners = after.hasPointerMap ? await findOwners(search, wanted) : undefined;
  const found: HiddenChange[] = [];
  for (const [table, side] of search.tables) {
    for (const page of side.pages) {
      if (wanted.size === 0) return found;
      if (search.isChanged(page) || owners?.has(page) === false) continue;
      // oxlint-disable-next-line no-await-in-loop -- table by table, page by page
      for (const [cell, one] of (await readCells(after, page, side.shape.kind)).entries()) {
        // oxlint-disable-next-line no-await-in-loop -- the same
        if (await overflowsInto(after, one, wanted)) found.push({ table, page, cell });
      }
    }
  }
  return found;
}

async function overflowsInto(file: SqliteFile, cell: Cell, wanted: Set<number>): Promise<boolean> {
  let isFound = false;
  if (cell.overflow === 0) return false;
  for await (const { page } of listOverflow(file, cell)) if (wanted.delete(page)) isFound = true;
  return isFound;
}

/** Follows the pointer map from each page to the page of the tree that it belongs to. */
async function findOwners(search: Search, wanted: ReadonlySet<number>): Promise<Set<number>> {
  const owners = new Set<number>();
  const seen = new Set<number>();
  for (const start of wanted) {
    for (let page = start; !seen.has(page) && seen.size < MOST_STEPS;) {
      seen.add(page);
      // oxlint-disable-next-line no-await-in-loop -- a chain
      const { kind, parent } = await search.after.readOwner(page);
      if (kind === 3) owners.add(parent);
      if (kind !== 4) break;
      page = parent;
    }
  }
  return owners;
}
