// Takes the rows of one table that differ as they are found, and pairs those that only got another row id.

import type { SqliteFile } from './sqlite-file.ts';
import { isSameValue, parseRecord, type SqlValue } from './sqlite-record.ts';
import { nameValues, type NamedRow, type StoredTable, type TableShape } from './sqlite-schema.ts';

/** One side of a table. */
export interface TableSide {
  readonly file: SqliteFile;
  readonly table: StoredTable;
  readonly shape: TableShape;
  /** The pages whose rows are compared, in key order. */
  readonly pages: readonly number[];
}

/** A row that differs, by the names of its columns. */
export interface RawRow {
  readonly rowid: bigint;
  readonly before?: NamedRow;
  readonly after?: NamedRow;
}

/** How a table's rows differ. */
export interface RawChanges {
  added: number;
  removed: number;
  changed: number;
  /** The first of them, in key order. */
  readonly rows: RawRow[];
}

/** Bounds of comparing one table. */
export interface RowLimits {
  /** Rows that are kept to be shown. */
  readonly maxRows: number;
  /** Called with each page that a row overflows into. */
  readonly sawOverflow: (page: number) => void;
  /** Says whether a page may differ between the two sides. */
  readonly isChanged: (page: number) => boolean;
}

/** Rows that came and went that are held to be matched by their primary key, and their bytes. */
const MOST_PAIRED_ROWS = 20_000;
const MOST_PAIRED_BYTES = 32 << 20;

/** A row's record, with its id. */
export interface Loose {
  readonly rowid: bigint;
  readonly payload: Buffer;
}

/** Returns a row's values by the names of its columns. */
export function readRow({ file, shape }: TableSide, { rowid, payload }: Loose): NamedRow {
  return nameValues(shape, parseRecord(payload, file.encoding), rowid);
}

/** Returns a text that only rows with the same primary key have; undefined where none is known. */
export function keyOf(side: TableSide, loose: Loose): string | undefined {
  if (side.shape.key.length === 0) return undefined;
  const row = readRow(side, loose);
  return side.shape.key.map((column) => describeKey(row.get(column) ?? null)).join('\u0000');
}

function describeKey(value: SqlValue): string {
  if (Buffer.isBuffer(value)) return `x${value.toString('hex')}`;
  return `${typeof value === 'string' ? 't' : 'n'}${String(value)}`;
}

/** Takes rows as they are found, and pairs those that only got another row id. */
export class RowCollector {
  readonly #before: TableSide;
  readonly #after: TableSide;
  readonly #limits: RowLimits;
  readonly #changes: RawChanges = { added: 0, removed: 0, changed: 0, rows: [] };
  #removed: Loose[] = [];
  #added: Loose[] = [];
  #heldBytes = 0;
  #paired = true;

  constructor(before: TableSide, after: TableSide, limits: RowLimits) {
    this.#before = before;
    this.#after = after;
    this.#limits = limits;
  }

  remove(row: Loose): void {
    this.#changes.removed += 1;
    this.#hold(this.#removed, row);
  }

  add(row: Loose): void {
    this.#changes.added += 1;
    this.#hold(this.#added, row);
  }

  /** Says whether as many changed rows are kept as are shown: further ones are counted. */
  get isFull(): boolean {
    return this.#changes.rows.length >= this.#limits.maxRows;
  }

  /** Notes that one row more is changed, which is not shown. */
  countChange(): void {
    this.#changes.changed += 1;
  }

  /** Notes two versions of a row, if they differ in a column that the newer side has. */
  change(old: Loose, now: Loose): void {
    if (old.payload.equals(now.payload)) return;
    const before = new Map(readRow(this.#before, old));
    const after = readRow(this.#after, now);
    // A column that is new has its default in all rows that were there.
    for (const { name, fallback } of this.#after.shape.stored) if (!before.has(name)) before.set(name, fallback);
    const isSameKey = this.#after.shape.key.every((column) => isSameValue(before.get(column), after.get(column)));
    if (!isSameKey) {
      // The id of a row that is gone was given to another one.
      this.remove(old);
      this.add(now);
      return;
    }
    let isChanged = false;
    for (const [column, value] of after) isChanged ||= !isSameValue(before.get(column), value);
    if (!isChanged) return;
    if (!this.isFull) this.#changes.rows.push({ rowid: now.rowid, before, after });
    this.countChange();
  }

  finish(): RawChanges {
    this.#pair();
    for (const row of this.#removed.slice(0, this.#limits.maxRows))
      this.#changes.rows.push({ rowid: row.rowid, before: readRow(this.#before, row) });
    for (const row of this.#added.slice(0, this.#limits.maxRows))
      this.#changes.rows.push({ rowid: row.rowid, after: readRow(this.#after, row) });
    this.#changes.rows.sort((a, b) => (a.rowid < b.rowid ? -1 : a.rowid > b.rowid ? 1 : 0));
    return this.#changes;
  }

  /** A row that is written anew (INSERT OR REPLACE, VACUUM) has another row id, and is the same row by its primary key. */
  #pair(): void {
    const { key } = this.#after.shape;
    if (!this.#paired || key.length === 0 || this.#removed.length === 0 || this.#added.length === 0) return;
    const olds = new Map(this.#removed.map((row) => [keyOf(this.#before, row), row]));
    const added: Loose[] = [];
    for (const now of this.#added) {
      const name = keyOf(this.#after, now);
      const old = olds.get(name);
      if (old === undefined) added.push(now);
      else {
        olds.delete(name);
        this.#changes.added -= 1;
        this.#changes.removed -= 1;
        this.change(old, now);
      }
    }
    this.#added = added;
    this.#removed = [...olds.values()];
  }

  #hold(list: Loose[], row: Loose): void {
    this.#heldBytes += row.payload.length;
    const isFull = this.#removed.length + this.#added.length >= MOST_PAIRED_ROWS || this.#heldBytes > MOST_PAIRED_BYTES;
    if (isFull) this.#paired = false;
    // Pages are parts of larger buffers that would be kept with them.
    if (!isFull || list.length < this.#limits.maxRows)
      list.push({ rowid: row.rowid, payload: Buffer.from(row.payload) });
  }
}
