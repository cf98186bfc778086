// Which pages of a database differ, and the rows of one table that do. Rows that lie in pages that both sides have alike are not read.

import { SqliteTrouble, type SqliteFile } from './sqlite-file.ts';
import { compareBeginnings, isSameValue, parseRecord, type SqlValue } from './sqlite-record.ts';
import { nameValues, type NamedRow, type StoredTable, type TableShape } from './sqlite-schema.ts';
import { countCells, listOverflow, readCells, readPayload, type Cell } from './sqlite-tree.ts';

/** Bytes of a file, from and up to. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** The pages that differ between two versions of a database. */
export interface ChangedPages {
  /** Undefined where no page can be taken to be the same, because pages have another size. */
  readonly pages: ReadonlySet<number> | undefined;
  /** Those that may hold what overflows a page, on both sides. */
  readonly maybeOverflow: readonly number[];
}

/** Finds the pages that differ. @param differing where the files may; everywhere if undefined */
export async function findChangedPages(
  before: SqliteFile,
  after: SqliteFile,
  differing: readonly ByteRange[] | undefined,
): Promise<ChangedPages> {
  if (before.pageBytes !== after.pageBytes || before.usableBytes !== after.usableBytes)
    return { pages: undefined, maybeOverflow: [] };
  const { pageBytes } = before;
  const shared = Math.min(before.pageCount, after.pageCount) * pageBytes;
  const pages = new Set<number>();
  const maybeOverflow: number[] = [];
  for (const piece of pieces(differing ?? [{ start: 0, end: shared }], pageBytes, shared)) {
    const lengthBytes = piece.end - piece.start;
    // oxlint-disable-next-line no-await-in-loop -- in order, so that memory stays flat
    const [a, b] = [await before.read(piece.start, lengthBytes), await after.read(piece.start, lengthBytes)];
    for (let at = 0; at < lengthBytes; at += pageBytes) {
      if (a.compare(b, at, at + pageBytes, at, at + pageBytes) === 0) continue;
      const page = (piece.start + at) / pageBytes + 1;
      pages.add(page);
      before.keepPage(page, a.subarray(at, at + pageBytes));
      after.keepPage(page, b.subarray(at, at + pageBytes));
      // A page of a tree begins with its type; one that holds the rest of a row with the number of the next, which is not so large.
      if (a[at] === 0 && b[at] === 0) maybeOverflow.push(page);
    }
  }
  return { pages, maybeOverflow };
}

const PIECE_BYTES = 1 << 20;

/** Cuts ranges into pieces of whole pages. */
function* pieces(ranges: readonly ByteRange[], pageBytes: number, most: number): Iterable<ByteRange> {
  let done = 0;
  for (const range of ranges) {
    const first = Math.max(done, Math.floor(range.start / pageBytes) * pageBytes);
    const end = Math.min(most, Math.ceil(range.end / pageBytes) * pageBytes);
    for (let start = first; start < end; start += PIECE_BYTES) yield { start, end: Math.min(end, start + PIECE_BYTES) };
    done = Math.max(done, end);
  }
}

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

/** Rows of a table without row ids that are held to be matched. */
const MOST_KEYED_ROWS = 50_000;
/** Rows that came and went that are held to be matched by their primary key, and their bytes. */
const MOST_PAIRED_ROWS = 20_000;
const MOST_PAIRED_BYTES = 32 << 20;

/** A row's record, with its id. */
interface Loose {
  readonly rowid: bigint;
  readonly payload: Buffer;
}

/** Compares a table's rows. @throws {SqliteTrouble} */
export async function compareRows(
  before: TableSide | undefined,
  after: TableSide | undefined,
  limits: RowLimits,
): Promise<RawChanges> {
  if (before === undefined || after === undefined) return listAll(before, after, limits);
  const found = new RowCollector(before, after, limits);
  if (before.shape.kind === 'index' || after.shape.kind === 'index') await compareKeyed(before, after, found, limits);
  else await mergeRows(before, after, found, limits);
  return found.finish();
}

/** A table that came or went: its rows are counted by their pages, and the first ones read. */
async function listAll(
  before: TableSide | undefined,
  after: TableSide | undefined,
  limits: RowLimits,
): Promise<RawChanges> {
  const changes: RawChanges = { added: 0, removed: 0, changed: 0, rows: [] };
  const side = before ?? after;
  if (side === undefined) return changes;
  const { file, shape } = side;
  let count = 0;
  for (const page of side.pages) {
    if (changes.rows.length >= limits.maxRows) {
      // oxlint-disable-next-line no-await-in-loop -- in key order
      count += await countCells(file, page, shape.kind);
      continue;
    }
    // oxlint-disable-next-line no-await-in-loop -- the same
    for (const cell of await readCells(file, page, shape.kind)) {
      count += 1;
      if (changes.rows.length >= limits.maxRows) continue;
      // oxlint-disable-next-line no-await-in-loop -- the same
      const row = readRow(side, { rowid: cell.rowid, payload: await readPayload(file, cell, limits.sawOverflow) });
      changes.rows.push({ rowid: cell.rowid, [before === undefined ? 'after' : 'before']: row });
    }
  }
  changes[before === undefined ? 'added' : 'removed'] = count;
  return changes;
}

function readRow({ file, shape }: TableSide, { rowid, payload }: Loose): NamedRow {
  return nameValues(shape, parseRecord(payload, file.encoding), rowid);
}

/** Walks both sides in the order of row ids. */
async function mergeRows(before: TableSide, after: TableSide, found: RowCollector, limits: RowLimits): Promise<void> {
  const [olds, nows] = [new Cursor(before, limits), new Cursor(after, limits)];
  let [old, now] = [await olds.next(), await nows.next()];
  while (old !== undefined || now !== undefined) {
    /* oxlint-disable no-await-in-loop -- row by row */
    if (now === undefined || (old !== undefined && old.rowid < now.rowid)) {
      if (old !== undefined) found.remove(await olds.load(old));
      old = await olds.next();
    } else if (old === undefined || now.rowid < old.rowid) {
      found.add(await nows.load(now));
      now = await nows.next();
    } else {
      await compareVersions({ before, after, old, now }, found, limits);
      [old, now] = [await olds.next(), await nows.next()];
    }
    /* oxlint-enable no-await-in-loop */
  }
}

/** Gives the rows of a side one after the other. */
class Cursor {
  readonly #side: TableSide;
  readonly #limits: RowLimits;
  #cells: readonly Cell[] = [];
  #cell = 0;
  #page = 0;
  #last: bigint | undefined;

  constructor(side: TableSide, limits: RowLimits) {
    this.#side = side;
    this.#limits = limits;
  }

  async next(): Promise<Cell | undefined> {
    while (this.#cell >= this.#cells.length) {
      const page = this.#side.pages[this.#page];
      if (page === undefined) return undefined;
      // oxlint-disable-next-line no-await-in-loop -- until one has rows
      this.#cells = await readCells(this.#side.file, page, 'table');
      this.#cell = 0;
      this.#page += 1;
    }
    const cell = this.#cells[this.#cell];
    this.#cell += 1;
    if (cell !== undefined && this.#last !== undefined && cell.rowid <= this.#last)
      throw new SqliteTrouble(`the rows of its table "${this.#side.table.name}" are out of order`);
    this.#last = cell?.rowid;
    return cell;
  }

  async load(cell: Cell): Promise<Loose> {
    return { rowid: cell.rowid, payload: await readPayload(this.#side.file, cell, this.#limits.sawOverflow) };
  }
}

/** Two versions of a row. */
interface Versions {
  readonly before: TableSide;
  readonly after: TableSide;
  readonly old: Cell;
  readonly now: Cell;
}

/** Compares two versions of a row. What overflows into pages that both sides have alike is read once, and only where it is needed. */
async function compareVersions(versions: Versions, found: RowCollector, limits: RowLimits): Promise<void> {
  const { before, after, old, now } = versions;
  const hasSameRest = await isSameRest(after.file, old, now, limits);
  if (hasSameRest && old.local.equals(now.local)) return;
  if (hasSameRest && found.isFull && isChangedHere(versions)) {
    found.countChange();
    return;
  }
  const payload = await readPayload(after.file, now, limits.sawOverflow);
  const oldPayload = hasSameRest
    ? Buffer.concat([old.local, payload.subarray(now.local.length)])
    : await readPayload(before.file, old, limits.sawOverflow);
  found.change({ rowid: old.rowid, payload: oldPayload }, { rowid: now.rowid, payload });
}

/** Says whether it is certain, by what of them is in their pages, that two versions of a row with the same rest differ, and not in their key. */
function isChangedHere({ before, after, old, now }: Versions): boolean {
  if (before.table.sql !== after.table.sql || before.file.encoding !== after.file.encoding) return false;
  const same = compareBeginnings(old.local, now.local, now.sizeBytes, after.file.encoding);
  const { stored, key } = after.shape;
  const isKey = (index: number): boolean => stored[index] !== undefined && key.includes(stored[index].name);
  return same?.includes(false) === true && same.every((isSame, index) => isSame === true || !isKey(index));
}

/** Says whether a row lies on both sides as it is, in the same pages: then the rest of it, elsewhere in the file, need not be read. */
async function isSameCell(file: SqliteFile, old: Cell, now: Cell, limits: RowLimits): Promise<boolean> {
  return old.local.equals(now.local) && (await isSameRest(file, old, now, limits));
}

/** Says whether what of a row is not in its page lies in the same pages on both sides, as it is. */
async function isSameRest(file: SqliteFile, old: Cell, now: Cell, { isChanged }: RowLimits): Promise<boolean> {
  if (old.sizeBytes !== now.sizeBytes || old.overflow !== now.overflow) return false;
  if (old.overflow === 0) return true;
  if (isChanged(old.overflow)) return false;
  if (now.sizeBytes - now.local.length <= file.usableBytes - 4) return true;
  for await (const { page } of listOverflow(file, now)) if (isChanged(page)) return false;
  return true;
}

/** Compares rows that only their primary key identifies. */
async function compareKeyed(
  before: TableSide,
  after: TableSide,
  found: RowCollector,
  limits: RowLimits,
): Promise<void> {
  const [olds, nows] = [await listCells(before), await listCells(after)];
  for (const [name, now] of nows) {
    const old = olds.get(name);
    // oxlint-disable-next-line no-await-in-loop -- few overflow into more than a page
    if (old === undefined || !(await isSameCell(after.file, old, now, limits))) continue;
    olds.delete(name);
    nows.delete(name);
  }
  const oldRows = await loadKeyed(before, olds.values(), limits);
  for (const [key, now] of await loadKeyed(after, nows.values(), limits)) {
    const old = oldRows.get(key);
    oldRows.delete(key);
    if (old === undefined) found.add(now);
    else found.change(old, now);
  }
  for (const old of oldRows.values()) found.remove(old);
}

/** Lists the rows of some pages by what of them is in the page. */
async function listCells(side: TableSide): Promise<Map<string, Cell>> {
  const cells = new Map<string, Cell>();
  for (const page of side.pages) {
    // oxlint-disable-next-line no-await-in-loop -- in key order
    for (const cell of await readCells(side.file, page, side.shape.kind)) {
      cells.set(`${cell.overflow} ${cell.local.toString('latin1')}`, cell);
      if (cells.size > MOST_KEYED_ROWS)
        throw new SqliteTrouble(`too many rows of its table "${side.table.name}" differ to match them`);
    }
  }
  return cells;
}

async function loadKeyed(side: TableSide, cells: Iterable<Cell>, limits: RowLimits): Promise<Map<string, Loose>> {
  const rows = new Map<string, Loose>();
  for (const cell of cells) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    const payload = await readPayload(side.file, cell, limits.sawOverflow);
    const loose = { rowid: cell.rowid, payload: Buffer.from(payload) };
    rows.set(keyOf(side, loose) ?? payload.toString('latin1'), loose);
  }
  return rows;
}

/** Returns a text that only rows with the same primary key have; undefined where none is known. */
function keyOf(side: TableSide, loose: Loose): string | undefined {
  if (side.shape.key.length === 0) return undefined;
  const row = readRow(side, loose);
  return side.shape.key.map((column) => describeKey(row.get(column) ?? null)).join('\u0000');
}

function describeKey(value: SqlValue): string {
  if (Buffer.isBuffer(value)) return `x${value.toString('hex')}`;
  return `${typeof value === 'string' ? 't' : 'n'}${String(value)}`;
}

/** Takes rows as they are found, and pairs those that only got another row id. */
class RowCollector {
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
