// Compares a restored state with a frozen copy of what the state was, without molt: every file by SHA-256, every database by all
// rows of all its tables, every folder, link and permission. Nothing here imports from src/.

import { createHash } from 'node:crypto';
import { closeSync, lstatSync, openSync, readFileSync, readdirSync, readlinkSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type SQLOutputValue } from 'node:sqlite';
import { pathToFileURL } from 'node:url';

/** What was compared, and what differs. */
export interface Comparison {
  readonly files: number;
  readonly databases: number;
  readonly tables: number;
  readonly rows: number;
  /** Bytes of the files that were hashed, databases not counted. */
  readonly hashedBytes: number;
  /** Paths of the frozen copy that a backup leaves out, the topmost only. */
  readonly leftOut: readonly string[];
  /** Tables that can't be read without an extension, as `database: table NAME`. The tables beneath them are compared. */
  readonly unreadable: readonly string[];
  /** A line for each difference; empty when the two are the same. */
  readonly differences: readonly string[];
}

/** The rows of one table, as a number and a digest; no digest if the table can't be read. */
interface TableDump {
  readonly rows: number;
  readonly digest: string | undefined;
}

const SQLITE_MAGIC = Buffer.from('SQLite format 3\0', 'latin1');
const FILE_TYPE_BITS = 0o170000;

/**
 * Compares two folders.
 * @param isLeftOut says which paths of the frozen copy, relative to it, must not be in the restored state
 */
export function compareStates(frozen: string, restored: string, isLeftOut: (path: string) => boolean): Comparison {
  const all = listPaths(frozen, () => false);
  const leftOut = all.filter((path) => isLeftOut(path) && !isLeftOut(path.slice(0, path.lastIndexOf('/'))));
  const expected = new Set(listPaths(frozen, isLeftOut));
  const found = new Set(listPaths(restored, () => false));
  const result = { files: 0, databases: 0, tables: 0, rows: 0, hashedBytes: 0 };
  const unreadable: string[] = [];
  const differences = [...found].filter((path) => !expected.has(path)).map((path) => `${path}: should not be there`);
  for (const path of expected) {
    if (!found.has(path)) {
      differences.push(`${path}: missing`);
      continue;
    }
    const [before, after] = [join(frozen, path), join(restored, path)];
    differences.push(...compareKinds(before, after).map((difference) => `${path}: ${difference}`));
    if (isDatabase(before)) {
      const dumps = compareDatabases(before, after);
      result.databases += 1;
      result.tables += dumps.tables;
      result.rows += dumps.rows;
      unreadable.push(...dumps.unreadable.map((table) => `${path}: ${table}`));
      differences.push(...dumps.differences.map((difference) => `${path}: ${difference}`));
    } else if (lstatSync(before).isFile()) {
      result.files += 1;
      result.hashedBytes += lstatSync(before).size;
      if (sha256Of(before) !== sha256Of(after)) differences.push(`${path}: its SHA-256 differs`);
    }
  }
  return { ...result, leftOut, unreadable, differences };
}

/** Says whether a path is a file that begins as SQLite databases do. */
export function isDatabase(path: string): boolean {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isFile()) return false;
  const fd = openSync(path, 'r');
  try {
    const start = Buffer.alloc(SQLITE_MAGIC.length);
    return readSync(fd, start) === start.length && start.equals(SQLITE_MAGIC);
  } finally {
    closeSync(fd);
  }
}

/** Lists everything below a folder, sorted, with `/` between names; what `isSkipped` names is left out with all below it. */
export function listPaths(dir: string, isSkipped: (path: string) => boolean, prefix = ''): string[] {
  return readdirSync(join(dir, prefix), { withFileTypes: true })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
      if (isSkipped(path)) return [];
      return entry.isDirectory() ? [path, ...listPaths(dir, isSkipped, path)] : [path];
    });
}

function compareKinds(before: string, after: string): string[] {
  const [a, b] = [lstatSync(before), lstatSync(after)];
  if ((a.mode & FILE_TYPE_BITS) !== (b.mode & FILE_TYPE_BITS)) return ['is another kind of entry'];
  if (a.isSymbolicLink()) return readlinkSync(before) === readlinkSync(after) ? [] : ['leads elsewhere'];
  const [modeBefore, modeAfter] = [a.mode, b.mode].map((mode) => (mode & 0o7777).toString(8));
  return modeBefore === modeAfter ? [] : [`its permissions are ${modeAfter} instead of ${modeBefore}`];
}

function sha256Of(path: string): string {
  if (!lstatSync(path).isFile()) return '';
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

function compareDatabases(
  before: string,
  after: string,
): Pick<Comparison, 'tables' | 'rows' | 'unreadable' | 'differences'> {
  const differences: string[] = [];
  const unreadable: string[] = [];
  if (!isDatabase(after)) return { tables: 0, rows: 0, unreadable, differences: ['is no longer a database'] };
  const [expected, found] = [dumpDatabase(before), dumpDatabase(after)];
  let rows = 0;
  let tables = 0;
  for (const [table, dump] of expected) {
    const other = found.get(table);
    if (dump.digest !== undefined && table.startsWith('table ')) {
      rows += dump.rows;
      tables += 1;
    }
    if (dump.digest === undefined) unreadable.push(table);
    if (other === undefined) differences.push(`${table} is missing`);
    else if (other.digest !== dump.digest) {
      differences.push(`${table} differs: ${formatRows(dump.rows)} there, ${other.rows} restored`);
    }
  }
  for (const table of found.keys()) if (!expected.has(table)) differences.push(`${table} should not be there`);
  return { tables, rows, unreadable, differences };
}

function formatRows(rows: number): string {
  return rows === 1 ? '1 row was' : `${rows} rows were`;
}

/** Reads all rows of all tables, the schema and the header's settings, by name. Makes no file beside the database. */
function dumpDatabase(path: string): Map<string, TableDump> {
  const url = pathToFileURL(path);
  url.searchParams.set('immutable', '1');
  const database = new DatabaseSync(url, { readOnly: true });
  try {
    const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
    const names = tables.map(({ name }) => String(name));
    const dumps = new Map(
      names.map((name) => [`table ${name}`, dumpTable(database, `"${name.replaceAll('"', '""')}"`)]),
    );
    dumps.set('the schema', dumpTable(database, '(SELECT type, name, tbl_name, sql FROM sqlite_schema)'));
    for (const setting of ['user_version', 'application_id', 'page_size', 'encoding', 'auto_vacuum']) {
      dumps.set(setting, dumpTable(database, `pragma_${setting}`));
    }
    return dumps;
  } finally {
    database.close();
  }
}

function dumpTable(database: DatabaseSync, table: string): TableDump {
  const hash = createHash('sha256');
  let rows = 0;
  try {
    const statement = database.prepare(`SELECT * FROM ${table}`);
    statement.setReadBigInts(true);
    for (const row of statement.iterate()) {
      rows += 1;
      for (const [column, value] of Object.entries(row)) hash.update(encodeValue(column, value));
    }
  } catch (error) {
    if (error instanceof Error && error.message.startsWith('no such module')) return { rows: 0, digest: undefined };
    throw error;
  }
  return { rows, digest: hash.digest('hex') };
}

/** Returns a column's name and value as text that no other name and value give. */
function encodeValue(column: string, value: SQLOutputValue): string {
  const text = value instanceof Uint8Array ? Buffer.from(value).toString('hex') : String(value);
  const type = value instanceof Uint8Array ? 'blob' : value === null ? 'null' : typeof value;
  return `${column.length}:${column} ${type} ${text.length}:${text}\n`;
}
