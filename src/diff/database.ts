// How two versions of an SQLite database differ: tables, rows, and conversations where it holds some. Only pages that differ are read,
// and the inner pages that lead to them; of a table that came or went all are, to count its rows.

import type { DiffHints } from '../model/diff-hints.ts';
import type { DatabaseDiff, TableDiff } from '../model/semantic-diff.ts';
import { describeSessions, SESSION_ROWS } from './database-turns.ts';
import { describeRow } from './rows.ts';
import { compareRows } from './sqlite-changes.ts';
import type { RawChanges, TableSide } from './sqlite-collector.ts';
import { findChangedPages, type ByteRange } from './sqlite-pages.ts';
import { Budget, SqliteFile, SqliteTrouble, type ByteSource } from './sqlite-file.ts';
import { findHiddenChanges } from './sqlite-overflow.ts';
import { readSchema, readShapes, treeKindOf, type Schema, type StoredTable } from './sqlite-schema.ts';
import { listTreePages, readCells, readPayload, type InnerPages } from './sqlite-tree.ts';

/** The two versions of a database. */
export interface DatabaseSides {
  readonly before: ByteSource | undefined;
  readonly after: ByteSource | undefined;
  /** Where they may differ; anywhere if undefined. */
  readonly differing?: readonly ByteRange[] | undefined;
}

/** How to compare databases. */
export interface DatabaseOptions {
  readonly showSecrets: boolean;
  readonly hints: DiffHints;
  readonly signal?: AbortSignal | undefined;
  /** What may be read on both sides together; 1 GiB unless given. */
  readonly maxReadBytes?: number;
  /** Rows of each table that are listed; 100 unless given. */
  readonly maxRows?: number;
}

const MOST_READ_BYTES = 2 ** 30;
const MOST_ROWS = 100;
const MOST_LISTED_TABLES = 200;

/**
 * Compares two versions of a database.
 * @returns undefined where nothing can be said of it, because a side is no database or its schema can't be read
 * @throws the signal's reason, and what reading throws
 */
export async function diffDatabase(sides: DatabaseSides, options: DatabaseOptions): Promise<DatabaseDiff | undefined> {
  const budget = new Budget(options.maxReadBytes ?? MOST_READ_BYTES, options.signal);
  try {
    return await new Comparison(options).run(sides, budget);
  } catch (error) {
    if (error instanceof SqliteTrouble) return undefined;
    throw error;
  }
}

/** A table and what is known of it on each side. */
interface TablePair {
  readonly name: string;
  readonly before: StoredTable | undefined;
  readonly after: StoredTable | undefined;
}

interface TableResult {
  readonly pair: TablePair;
  readonly before: TableSide | undefined;
  readonly after: TableSide | undefined;
  readonly changes: RawChanges;
}

class Comparison {
  readonly #options: DatabaseOptions;
  readonly #overflow = new Set<number>();
  readonly #known: InnerPages = new Map();
  #changed: ReadonlySet<number> | undefined;
  #shared = 0;
  #incomplete: string | undefined;

  constructor(options: DatabaseOptions) {
    this.#options = options;
  }

  async run(sides: DatabaseSides, budget: Budget): Promise<DatabaseDiff> {
    const before = sides.before && (await SqliteFile.open(sides.before, budget));
    const after = sides.after && (await SqliteFile.open(sides.after, budget));
    const schemas = { before: before && (await readSchema(before)), after: after && (await readSchema(after)) };
    let maybeOverflow: readonly number[] = [];
    if (before !== undefined && after !== undefined) {
      const found = await findChangedPages(before, after, sides.differing);
      this.#changed = found.pages;
      this.#shared = Math.min(before.pageCount, after.pageCount);
      maybeOverflow = found.maybeOverflow;
    }
    const results = await this.#compareTables(pairTables(schemas.before, schemas.after), before, after);
    if (before !== undefined && after !== undefined)
      await this.#attempt(() => this.#findHidden(before, after, maybeOverflow, results));
    return this.#describe(results, schemas);
  }

  /** A trouble in one table leaves the others. */
  async #attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof SqliteTrouble)) throw error;
      this.#incomplete ??= error.message;
      return undefined;
    }
  }

  async #compareTables(
    pairs: readonly TablePair[],
    before: SqliteFile | undefined,
    after: SqliteFile | undefined,
  ): Promise<TableResult[]> {
    // Definitions are read for those alone that are compared.
    const all = new Map<TablePair, { before: number[] | undefined; after: number[] | undefined }>();
    for (const pair of pairs) {
      // oxlint-disable-next-line no-await-in-loop -- one table after the other, as they lie in the file
      const pages = await this.#attempt(async () => ({
        before: await this.#listPages(before, pair.before),
        after: await this.#listPages(after, pair.after),
      }));
      if (pages !== undefined) all.set(pair, pages);
    }
    const shapes = {
      before: await readShapes([...all.keys()].flatMap(({ before: table }) => table ?? [])),
      after: await readShapes([...all.keys()].flatMap(({ after: table }) => table ?? [])),
    };
    const results: TableResult[] = [];
    for (const [pair, pages] of all) {
      const side = (of: 'before' | 'after', file: SqliteFile | undefined): TableSide | undefined => {
        const [table, shape, list] = [pair[of], shapes[of].get(pair.name), pages[of]];
        return table && shape && list && file && { file, table, shape, pages: list };
      };
      const one = { pair, before: side('before', before), after: side('after', after) };
      // oxlint-disable-next-line no-await-in-loop -- the same
      const changes = await this.#attempt(() => this.#compareTable(one));
      results.push({ ...one, changes: changes ?? { added: 0, removed: 0, changed: 0, rows: [] } });
    }
    return results;
  }

  async #listPages(file: SqliteFile | undefined, table: StoredTable | undefined): Promise<number[] | undefined> {
    if (file === undefined || table === undefined) return undefined;
    const isShared = (page: number): boolean => !this.#isChanged(page);
    const { rows } = await listTreePages(file, table.root, treeKindOf(table), this.#known, isShared);
    return [...rows];
  }

  #isChanged(page: number): boolean {
    return this.#changed === undefined || page > this.#shared || this.#changed.has(page);
  }

  async #compareTable({ pair, before, after }: Omit<TableResult, 'changes'>): Promise<RawChanges> {
    const maxRows = pair.name === this.#options.hints.conversations?.table ? SESSION_ROWS : this.#maxRows;
    const limits = {
      maxRows,
      sawOverflow: (page: number): void => void this.#overflow.add(page),
      isChanged: (page: number): boolean => this.#isChanged(page),
    };
    if (before === undefined || after === undefined) return compareRows(before, after, limits);
    const [olds, nows] = [new Set(before.pages), new Set(after.pages)];
    // A page that both have alike, in the same table, has the same rows.
    return compareRows(
      { ...before, pages: before.pages.filter((page) => this.#isChanged(page) || !nows.has(page)) },
      { ...after, pages: after.pages.filter((page) => this.#isChanged(page) || !olds.has(page)) },
      limits,
    );
  }

  get #maxRows(): number {
    return this.#options.maxRows ?? MOST_ROWS;
  }

  async #findHidden(
    before: SqliteFile,
    after: SqliteFile,
    maybeOverflow: readonly number[],
    results: readonly TableResult[],
  ): Promise<void> {
    const pages = maybeOverflow.filter((page) => !this.#overflow.has(page));
    const both = results.filter((result) => result.before !== undefined && result.after !== undefined);
    const tables = new Map(both.map(({ pair, after: side }) => [pair.name, side as TableSide]));
    const isChanged = (page: number): boolean => this.#isChanged(page);
    const byName = new Map(both.map((result) => [result.pair.name, result]));
    for (const hidden of await findHiddenChanges({ before, after, pages, tables, isChanged })) {
      const result = byName.get(hidden.table);
      // oxlint-disable-next-line no-await-in-loop -- they are few
      if (result !== undefined) await this.#addHidden(result, hidden.page, hidden.cell);
    }
  }

  async #addHidden(result: TableResult, page: number, index: number): Promise<void> {
    const { before, after, changes } = result;
    if (before === undefined || after === undefined) return;
    const only = async (side: TableSide): Promise<RawChanges> => {
      const cell = (await readCells(side.file, page, side.shape.kind))[index];
      if (cell === undefined) throw new SqliteTrouble(`page ${page} is damaged`);
      await readPayload(side.file, cell, (one) => void this.#overflow.add(one));
      return compareRows(
        { ...before, pages: [page] },
        { ...after, pages: [page] },
        { maxRows: this.#maxRows, sawOverflow: () => {}, isChanged: (one) => this.#isChanged(one) },
      );
    };
    const found = await only(after);
    changes.changed += found.changed;
    changes.rows.push(...found.rows.slice(0, Math.max(0, this.#maxRows - changes.rows.length)));
  }

  async #describe(
    results: readonly TableResult[],
    schemas: { readonly before: Schema | undefined; readonly after: Schema | undefined },
  ): Promise<DatabaseDiff> {
    const { hints } = this.#options;
    const virtual = [...(schemas.before?.virtual ?? []), ...(schemas.after?.virtual ?? [])];
    const sessions = results.find(({ pair }) => pair.name === hints.conversations?.table);
    const names = results.find(({ pair }) => pair.name === hints.conversations?.names?.table);
    const turns =
      sessions &&
      (await this.#attempt(() => describeSessions(sessions.changes, names?.after ?? names?.before, this.#options)));
    const tables = results.flatMap((result): TableDiff[] => {
      const { name } = result.pair;
      const isDerived = hints.derivedTables?.test(name) === true || virtual.some((one) => name.startsWith(`${one}_`));
      const isTurns = result === sessions && (turns?.conversations.length ?? 0) > 0;
      const table = this.#describeTable(result, isDerived ? 'derived' : isTurns ? 'conversation' : undefined);
      return table === undefined ? [] : [table];
    });
    const rank = ({ unlisted }: TableDiff): number => (unlisted === 'derived' ? 1 : 0);
    tables.sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1));
    const listed = tables.slice(0, MOST_LISTED_TABLES);
    return {
      kind: 'database',
      tables: listed,
      moreTables: tables.length - listed.length,
      conversations: turns?.conversations ?? [],
      moreConversations: turns?.more ?? 0,
      ...(this.#incomplete !== undefined && { incomplete: this.#incomplete }),
    };
  }

  #describeTable(
    { pair, before, after, changes }: TableResult,
    unlisted: TableDiff['unlisted'],
  ): TableDiff | undefined {
    const { added, removed, changed, rows } = changes;
    const isRedefined = pair.before?.sql !== pair.after?.sql;
    if (added + removed + changed === 0 && !isRedefined) return undefined;
    const shape = (after ?? before)?.shape ?? { kind: 'table', stored: [], key: [] };
    const { showSecrets, hints } = this.#options;
    return {
      name: pair.name,
      change: pair.before === undefined ? 'added' : pair.after === undefined ? 'removed' : 'changed',
      added,
      removed,
      changed,
      rows:
        unlisted === undefined
          ? rows.slice(0, this.#maxRows).map((row) => describeRow(pair.name, shape, row, { showSecrets, hints }))
          : [],
      ...(unlisted !== undefined && { unlisted }),
      ...(isRedefined && {
        definition: {
          ...(pair.before !== undefined && { before: pair.before.sql }),
          ...(pair.after !== undefined && { after: pair.after.sql }),
        },
      }),
    };
  }
}

function pairTables(before: Schema | undefined, after: Schema | undefined): TablePair[] {
  const names = new Set([...(before?.tables.keys() ?? []), ...(after?.tables.keys() ?? [])]);
  return [...names].map((name) => ({ name, before: before?.tables.get(name), after: after?.tables.get(name) }));
}
