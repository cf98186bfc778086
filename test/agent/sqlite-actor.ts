// A process that has a database open and does what its parent says, one message at a time: runs SQL and answers with the rows of
// the last statement, or goes on with them until it ends. Argument: path. SQLite's locks belong to processes, so tests of locks need another one.

import { DatabaseSync } from 'node:sqlite';

const database = new DatabaseSync(process.argv[2] ?? '', { timeout: 600_000 });
process.on('disconnect', () => process.exit());
process.on('message', ({ statements, last }: { statements: string; last: string }) => {
  database.exec(statements);
  if (last === 'repeat') setImmediate(repeat, statements);
  if (last === 'close') database.close();
  process.send?.(['close', 'repeat', ''].includes(last) ? [] : database.prepare(last).all());
});
process.send?.('ready');

function repeat(statements: string): void {
  database.exec(statements);
  setImmediate(repeat, statements);
}
