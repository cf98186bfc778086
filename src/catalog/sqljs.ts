// SQLite in memory: the database of the embedded log is sealed whole on disk and opened nowhere else. Loaded where it is used; its
// WebAssembly is inside the script, so that there is no file to look for.

import initSqlJs, { type Database } from 'sql.js/dist/sql-wasm-inline.js';

let loading: ReturnType<typeof initSqlJs> | undefined;

/** Opens a database in memory: that of these bytes, or an empty one. */
export async function openMemoryDatabase(bytes?: Uint8Array): Promise<Database> {
  loading ??= initSqlJs();
  const { Database: Constructor } = await loading;
  return new Constructor(bytes);
}
