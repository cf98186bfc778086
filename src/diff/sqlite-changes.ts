// The rows of one table that differ. Rows that lie in pages that both sides have alike are not read.

import {
  keyOf,
  readRow,
  RowCollector,
  type Loose,
  type RawChanges,
  type RowLimits,
  type TableSide,
} from './sqlite-collector.ts';
import { SqliteTrouble, type SqliteFile } from './sqlite-file.ts';
import { compareBeginnings } from './sqlite-record.ts';
import { countCells, listOverflow, readCells, readPayload, type Cell } from './sqlite-tree.ts';

/** Rows of a table without row ids that are held to be matched. */
const MOST_KEYED_ROWS = 50_000;

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
