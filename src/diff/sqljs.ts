// SQLite in memory: nothing that it is given or makes reaches a file. The embedded backup log lives in it, and a table's definition is
// read by it. Loaded where it is used; its WebAssembly is inside the script, so that there is no file to look for.

import initSqlJs, { type Database } from 'sql.js/dist/sql-wasm-inline.js';

let loading: ReturnType<typeof initSqlJs> | undefined;

/** Opens a database in memory: that of these bytes, or an empty one. */
export async function openMemoryDatabase(bytes?: Uint8Array): Promise<Database> {
  loading ??= initSqlJs();
  const { Database: Constructor } = await loading;
  return new Constructor(bytes);
}
