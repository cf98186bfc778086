// What tables a database has, and what the values of their rows are called. Definitions are SQL text, which SQLite itself reads: an
// empty database in memory is given them one by one.

import { parseRecord, type SqlValue } from './sqlite-record.ts';
import { SqliteTrouble, type SqliteFile } from './sqlite-file.ts';
import { listTreePages, readCells, readPayload, type TreeKind } from './sqlite-tree.ts';

/** A table with pages of its own. */
export interface StoredTable {
  readonly name: string;
  /** The first page of its tree. */
  readonly root: number;
  readonly sql: string;
}

/** What a database's schema says. */
export interface Schema {
  readonly tables: ReadonlyMap<string, StoredTable>;
  /** Virtual tables, whose content lies in tables that are called after them. */
  readonly virtual: readonly string[];
}

/** How a table's rows are to be read. */
export interface TableShape {
  readonly kind: TreeKind;
  /** The names of a record's values in their order; undefined for the value that stands for the row's id. */
  readonly stored: readonly { readonly name: string; readonly isRowid: boolean; readonly fallback: SqlValue }[];
  /** The columns of the primary key; empty where only the row's id identifies it. */
  readonly key: readonly string[];
}

const MOST_TABLES = 5000;
const MOST_SQL_CHARACTERS = 256 << 10;
const NAME = String.raw`(?:"(?:[^"]|"")*"|'(?:[^']|'')*'|\x60[^\x60]*\x60|\[[^\]]*\]|[^\s"'\x60(\[]+)`;
// Nothing but a list of columns is run: `CREATE TABLE x AS SELECT …` could do anything.
const CREATE_TABLE = new RegExp(String.raw`^CREATE TABLE ${NAME}\s*\(`, 'i');
// SQLite's own bookkeeping.
const INTERNAL = /^sqlite_/i;

/** Reads which tables there are. @throws {SqliteTrouble} */
export async function readSchema(file: SqliteFile): Promise<Schema> {
  const tables = new Map<string, StoredTable>();
  const virtual: string[] = [];
  const pages = await listTreePages(file, 1, 'table', new Map(), () => false);
  for (const page of pages.rows) {
    // oxlint-disable-next-line no-await-in-loop -- in order
    for (const cell of await readCells(file, page, 'table')) {
      // oxlint-disable-next-line no-await-in-loop -- the same
      const payload = await readPayload(file, cell, () => {});
      const [type, name, , root, sql] = parseRecord(payload, file.encoding);
      if (type !== 'table' || typeof name !== 'string' || typeof root !== 'number' || typeof sql !== 'string') continue;
      if (tables.size + virtual.length >= MOST_TABLES) throw new SqliteTrouble('it has too many tables');
      if (root === 0) virtual.push(name);
      else if (!INTERNAL.test(name)) tables.set(name, { name, root, sql });
    }
  }
  return { tables, virtual };
}

/** Says what kind of tree a table's definition asks for, without reading all of it. */
export function treeKindOf({ sql }: StoredTable): TreeKind {
  const options = sql.slice(sql.lastIndexOf(')') + 1);
  return /\bWITHOUT\s+ROWID\b/i.test(options) ? 'index' : 'table';
}

/** Reads the definitions of tables; one that SQLite does not take has unnamed columns and no key. */
export async function readShapes(tables: Iterable<StoredTable>): Promise<Map<string, TableShape>> {
  const shapes = new Map<string, TableShape>();
  const list = [...tables];
  if (list.length === 0) return shapes;
  const { openMemoryDatabase } = await import('./sqljs.ts');
  const database = await openMemoryDatabase();
  try {
    for (const table of list) shapes.set(table.name, readShape(database, table) ?? unknownShape(table));
  } finally {
    database.close();
  }
  return shapes;
}

type MemoryDatabase = Awaited<ReturnType<(typeof import('./sqljs.ts'))['openMemoryDatabase']>>;

function readShape(database: MemoryDatabase, { name, sql }: StoredTable): TableShape | undefined {
  if (sql.length > MOST_SQL_CHARACTERS || !CREATE_TABLE.test(sql)) return undefined;
  try {
    // Of several statements in one text only the first is taken.
    const statement = database.prepare(sql);
    try {
      statement.step();
    } finally {
      statement.free();
    }
    return describeTable(database, name);
  } catch {
    return undefined;
  }
}

function describeTable(database: MemoryDatabase, name: string): TableShape | undefined {
  const columns = select(database, 'SELECT * FROM pragma_table_xinfo(?)', name);
  if (columns.length === 0) return undefined;
  const key = columns
    .filter(({ pk }) => Number(pk) > 0)
    .toSorted((a, b) => Number(a['pk']) - Number(b['pk']))
    .map((column) => String(column['name']));
  const index = select(database, "SELECT name FROM pragma_index_list(?) WHERE origin = 'pk'", name)[0]?.['name'];
  const [list] = select(database, 'SELECT wr FROM pragma_table_list WHERE name = ?', name);
  const isWithoutRowid = Number(list?.['wr']) === 1;
  const byNumber = new Map(columns.map((column) => [Number(column['cid']), column]));
  const order = isWithoutRowid
    ? select(database, 'SELECT cid FROM pragma_index_xinfo(?) ORDER BY seqno', String(index)).map(({ cid }) =>
        Number(cid),
      )
    : columns.map(({ cid }) => Number(cid));
  const stored = order.flatMap((number) => {
    const column = byNumber.get(number);
    // 2 is a generated column that is worked out when it is read.
    if (column === undefined || Number(column['hidden']) === 2) return [];
    const text = String(column['name']);
    const isRowid = !isWithoutRowid && index === undefined && key.length === 1 && key[0] === text;
    return [{ name: text, isRowid, fallback: parseLiteral(column['dflt_value']) }];
  });
  return { kind: isWithoutRowid ? 'index' : 'table', stored, key };
}

function select(database: MemoryDatabase, sql: string, value: string): Record<string, unknown>[] {
  const statement = database.prepare(sql, [value]);
  const rows: Record<string, unknown>[] = [];
  try {
    while (statement.step()) rows.push(statement.getAsObject());
  } finally {
    statement.free();
  }
  return rows;
}

function unknownShape(table: StoredTable): TableShape {
  return { kind: treeKindOf(table), stored: [], key: [] };
}

/** Rows that are older than a column lack its value: the default stands in, which ALTER TABLE allows to be a constant only. */
function parseLiteral(value: unknown): SqlValue {
  if (typeof value !== 'string') return null;
  if (/^[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?$/i.test(value)) return Number(value);
  if (/^'(?:[^']|'')*'$/.test(value)) return value.slice(1, -1).replaceAll("''", "'");
  if (/^true$/i.test(value)) return 1;
  if (/^false$/i.test(value)) return 0;
  return null;
}

/** A row's values by the names of their columns, in the order in which they are stored. */
export type NamedRow = ReadonlyMap<string, SqlValue>;

/** Names the values of a record. */
export function nameValues(shape: TableShape, values: readonly SqlValue[], rowid: bigint): NamedRow {
  const row = new Map<string, SqlValue>();
  const id = rowid >= Number.MIN_SAFE_INTEGER && rowid <= Number.MAX_SAFE_INTEGER ? Number(rowid) : rowid;
  shape.stored.forEach(({ name, isRowid, fallback }, index) => {
    row.set(name, isRowid ? id : index < values.length ? (values[index] ?? null) : fallback);
  });
  for (let index = shape.stored.length; index < values.length; index += 1)
    row.set(`column ${index + 1}`, values[index] ?? null);
  return row;
}
