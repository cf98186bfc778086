// A process that writes a database without pause: each transaction moves an amount from one table to another, so that the sum over
// both is always the same. Its parent is told once it has begun, and after `commit` when it has made one more; `stop` ends it. Arguments: path, journal mode, what
// to do (`write`, `hold` an exclusive lock, or `open` and then stay quiet), and a number that differs between writers.

import { DatabaseSync } from 'node:sqlite';

const [path = '', mode = 'wal', job = 'write', number = '1'] = process.argv.slice(2);
const database = new DatabaseSync(path, { timeout: 600_000 });
database.exec(`PRAGMA journal_mode = ${mode}; PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 50;`);
let stopped = false;
let asked = false;
process.on('message', (message) => {
  if (message === 'commit') asked = true;
  else stopped = true;
});
process.on('disconnect', () => process.exit());

if (job === 'hold') database.exec('BEGIN EXCLUSIVE; UPDATE left_side SET amount = amount + 1');
if (job !== 'write') process.send?.('ready');
let round = 0;
step();

function step(): void {
  if (stopped) {
    if (job === 'hold') database.exec('ROLLBACK');
    database.close();
    process.exit();
  }
  if (job === 'write') {
    round += 1;
    const amount = (round * 7 + Number(number)) % 100;
    database.exec(`BEGIN IMMEDIATE;
      UPDATE left_side SET amount = amount - ${amount} WHERE id = ${(round % 50) + 1};
      INSERT INTO filler VALUES ('${String(round).padEnd(900, 'f')}');
      UPDATE right_side SET amount = amount + ${amount} WHERE id = ${(round % 50) + 1};
      DELETE FROM filler WHERE rowid < ${round - 2000};
      COMMIT`);
    if (round % 200 === 0 && mode === 'wal') database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    if (round === 20 || asked) process.send?.('written');
    asked = false;
  }
  setImmediate(step);
}
