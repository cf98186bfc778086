// A process that writes a database as hard as it can, in every way that moves pages: it moves amounts between two tables so that
// their sum stays, grows and shrinks the file, spills transactions and rolls them back, and checkpoints in every mode. Its parent is
// told when it has begun, and answers a number with itself after one more round; `stop` ends it. A file always holds its last committed
// round. Arguments: path, a number that differs between writers, and that file.

import { openSync, writeSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

const [path = '', number = '1', record = ''] = process.argv.slice(2);
const committed = openSync(record, 'w');
const database = new DatabaseSync(path, { timeout: 600_000 });
database.exec('PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = 20');
const modes = ['PASSIVE', 'FULL', 'RESTART', 'TRUNCATE'];
let asked: unknown;
process.on('message', (message) => {
  asked = message;
  if (message !== 'stop') return;
  database.close();
  process.exit();
});
process.on('disconnect', () => process.exit());
step(1);

function step(round: number): void {
  const amount = (round * 7 + Number(number)) % 100;
  const row = (round % 50) + 1;
  const start = (round * 613 + Number(number) * 211) % 3900;
  database.exec(`BEGIN IMMEDIATE;
    UPDATE left_side SET amount = amount - ${amount} WHERE id = ${row};
    INSERT INTO filler VALUES ('${String(round).padEnd(900, 'f')}');
    UPDATE filler SET text = '${String(round).padEnd(700, 'u')}' WHERE rowid BETWEEN ${start} AND ${start + 30};
    UPDATE right_side SET amount = amount + ${amount} WHERE id = ${row};
    DELETE FROM filler WHERE rowid IN (SELECT rowid FROM filler LIMIT ${round % 3});
    UPDATE progress SET round = ${round} WHERE writer = ${number};
    COMMIT`);
  if (round % 23 === 0) database.exec(`BEGIN IMMEDIATE; UPDATE left_side SET amount = 0; DELETE FROM filler; ROLLBACK`);
  if (round % 11 === 0) database.exec('PRAGMA incremental_vacuum(30)');
  if (round % 5 === 0) database.prepare(`PRAGMA wal_checkpoint(${modes[(round / 5) % modes.length]})`).get();
  writeSync(committed, String(round).padStart(12), 0);
  if (round === 1) process.send?.('writing');
  if (asked !== undefined) process.send?.(asked);
  asked = undefined;
  setImmediate(step, round + 1);
}
