// Finds one row of a database by its key: down an index, then down its table, some eight pages in all.

import { parseRecord, readRowid, type SqlValue } from './sqlite-record.ts';
import { SqliteTrouble, type SqliteFile } from './sqlite-file.ts';
import { listTreePages, readCells, readPayload, type Cell } from './sqlite-tree.ts';

const TYPE = { innerIndex: 2, innerTable: 5, leafIndex: 10, leafTable: 13 };
const MOST_LEVELS = 24;

/** A table or an index, as the database's schema has it. */
export interface SchemaEntry {
  readonly type: string;
  readonly name: string;
  readonly table: string;
  /** The first page of its tree; 0 if it has none. */
  readonly root: number;
  readonly sql: string;
}

/** Lists what a database's schema has. @throws {SqliteTrouble} */
export async function listSchema(file: SqliteFile): Promise<SchemaEntry[]> {
  const entries: SchemaEntry[] = [];
  for (const page of (await listTreePages(file, 1, 'table', new Map(), () => false)).rows) {
    // oxlint-disable-next-line no-await-in-loop -- a few pages
    for (const cell of await readCells(file, page, 'table')) {
      // oxlint-disable-next-line no-await-in-loop -- the same
      const [type, name, table, root, sql] = await readRow(file, cell);
      if (typeof name !== 'string' || typeof table !== 'string' || typeof root !== 'number') continue;
      entries.push({ type: String(type), name, table, root, sql: typeof sql === 'string' ? sql : '' });
    }
  }
  return entries;
}

/** Lists a table's columns in the order of a row's values, as its definition names them. */
export function listColumns(sql: string): string[] {
  const inside = sql.slice(sql.indexOf('(') + 1);
  const parts: string[] = [''];
  let depth = 0;
  for (const [token] of inside.matchAll(/'(?:[^']|'')*'|"(?:[^"]|"")*"|[\s\S]/g)) {
    if (token === '(') depth += 1;
    if (token === ')') depth -= 1;
    if (depth < 0) break;
    if (token === ',' && depth === 0) parts.push('');
    else parts[parts.length - 1] += token;
  }
  const names = parts.map((part) => /^\s*(?:"((?:[^"]|"")*)"|(\w+))/.exec(part));
  return names.map((match) => match?.[1] ?? match?.[2] ?? '');
}

/** Finds a row by what an index begins with: texts and whole numbers, ascending, compared as SQLite does by default. @throws {SqliteTrouble} */
export async function findRow(
  file: SqliteFile,
  roots: { readonly index: number; readonly table: number },
  key: readonly (string | number)[],
): Promise<SqlValue[] | undefined> {
  const rowid = await findInIndex(file, roots.index, key);
  return rowid === undefined ? undefined : findInTable(file, roots.table, rowid);
}

async function findInIndex(
  file: SqliteFile,
  root: number,
  key: readonly (string | number)[],
): Promise<bigint | undefined> {
  let page = root;
  for (let level = 0; level < MOST_LEVELS; level += 1) {
    // oxlint-disable-next-line no-await-in-loop -- down the tree
    const cells = await readCells(file, page, 'index');
    let [low, high] = [0, cells.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      // oxlint-disable-next-line no-await-in-loop -- halves the rest each time
      const values = await readRow(file, cells[middle]);
      const order = compareKeys(values, key);
      const rowid = values[key.length];
      if (order === 0) return typeof rowid === 'number' ? BigInt(rowid) : typeof rowid === 'bigint' ? rowid : undefined;
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    // oxlint-disable-next-line no-await-in-loop -- the same
    const bytes = await file.readPage(page);
    if (bytes[0] === TYPE.leafIndex) return undefined;
    page = childAt(bytes, low, cells.length);
  }
  throw new SqliteTrouble('a tree in it is too deep');
}

async function findInTable(file: SqliteFile, root: number, rowid: bigint): Promise<SqlValue[] | undefined> {
  let page = root;
  for (let level = 0; level < MOST_LEVELS; level += 1) {
    // oxlint-disable-next-line no-await-in-loop -- down the tree
    const bytes = await file.readPage(page);
    const header = page === 1 ? 100 : 0;
    if (bytes[header] === TYPE.leafTable) {
      // oxlint-disable-next-line no-await-in-loop -- once
      const cell = (await readCells(file, page, 'table')).find((one) => one.rowid === rowid);
      return cell === undefined ? undefined : readRow(file, cell);
    }
    if (bytes[header] !== TYPE.innerTable) throw new SqliteTrouble(`page ${page} is not of the tree that leads to it`);
    const count = bytes.readUInt16BE(header + 3);
    let at = 0;
    while (at < count && readRowid(bytes, offsetOf(bytes, header, at) + 4).value < rowid) at += 1;
    page = childAt(bytes, at, count, header);
  }
  throw new SqliteTrouble('a tree in it is too deep');
}

/** Reads the values of a row. */
export async function readRow(file: SqliteFile, cell: Cell | undefined): Promise<SqlValue[]> {
  if (cell === undefined) throw new SqliteTrouble('a page of it is damaged');
  return parseRecord(await readPayload(file, cell, () => {}), file.encoding);
}

function childAt(bytes: Buffer, at: number, count: number, header = 0): number {
  return bytes.readUInt32BE(at === count ? header + 8 : offsetOf(bytes, header, at));
}

function offsetOf(bytes: Buffer, header: number, at: number): number {
  const place = header + 12 + at * 2;
  const offset = place + 2 > bytes.length ? bytes.length : bytes.readUInt16BE(place);
  if (offset + 4 > bytes.length) throw new SqliteTrouble('a page of it is damaged');
  return offset;
}

function compareKeys(values: readonly SqlValue[], key: readonly (string | number)[]): number {
  for (const [at, wanted] of key.entries()) {
    const value = values[at] ?? null;
    const order =
      typeof wanted === 'number'
        ? typeof value === 'number' || typeof value === 'bigint'
          ? Number(value) - wanted
          : rank(value) - 1
        : typeof value === 'string'
          ? Buffer.compare(Buffer.from(value), Buffer.from(wanted))
          : rank(value) - 2;
    if (order !== 0) return order;
  }
  return 0;
}

/** NULL sorts before numbers, these before texts, and these before blobs. */
function rank(value: SqlValue): number {
  if (value === null) return 0;
  if (typeof value === 'number' || typeof value === 'bigint') return 1;
  return typeof value === 'string' ? 2 : 3;
}
