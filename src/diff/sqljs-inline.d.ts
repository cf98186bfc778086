// The build of sql.js that has its WebAssembly inside the script comes without types of its own; they are those of the package.

declare module 'sql.js/dist/sql-wasm-inline.js' {
  export { default } from 'sql.js';
  export type { Database } from 'sql.js';
}
