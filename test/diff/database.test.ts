// Databases compared by their pages, held against what SQLite itself says of both versions; and hostile ones.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import test from 'ava';
import fc from 'fast-check';
import { diffDatabase, type DatabaseOptions } from '../../src/diff/database.ts';
import type { DatabaseDiff, TableDiff } from '../../src/model/semantic-diff.ts';

const OPTIONS: DatabaseOptions = { showSecrets: true, hints: {}, maxRows: Infinity };

const sourceOf = (bytes: Buffer) => ({
  sizeBytes: bytes.length,
  read: async (offset: number, length: number) => {
    if (offset + length > bytes.length) throw new RangeError('outside of the file');
    return bytes.subarray(offset, offset + length);
  },
});

/** Lists where two files differ, as the chunks of a repository tell. */
function listDiffering(a: Buffer, b: Buffer): { start: number; end: number }[] {
  const size = 64 * 1024;
  const ranges: { start: number; end: number }[] = [];
  for (let start = 0; start < Math.max(a.length, b.length); start += size)
    if (!a.subarray(start, start + size).equals(b.subarray(start, start + size)))
      ranges.push({ start, end: start + size });
  return ranges;
}

function makeFolder(): string {
  return mkdtempSync(path.join(tmpdir(), 'molt-diff-'));
}

/** Makes two versions of a database by SQL, and compares them. */
async function compare(before: string, after: string, options = OPTIONS): Promise<DatabaseDiff> {
  const folder = makeFolder();
  try {
    const file = path.join(folder, 'x.sqlite');
    const database = new DatabaseSync(file);
    database.exec(before);
    database.close();
    const old = readFileSync(file);
    const again = new DatabaseSync(file);
    // One test writes definitions as an attacker would.
    again.enableDefensive(false);
    again.exec(after);
    again.close();
    const now = readFileSync(file);
    const differing = listDiffering(old, now);
    const diff = await diffDatabase({ before: sourceOf(old), after: sourceOf(now), differing }, options);
    if (diff === undefined) throw new Error('not compared');
    return diff;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('rows that came, went and changed are told by their key', async (t) => {
  const { tables } = await compare(
    "CREATE TABLE jobs (id INTEGER PRIMARY KEY, name TEXT, enabled INT); INSERT INTO jobs VALUES (1,'tea',1),(2,'walk',1),(3,'o''clock',0)",
    "UPDATE jobs SET enabled=0 WHERE id=1; DELETE FROM jobs WHERE id=2; INSERT INTO jobs VALUES (9,'read',NULL)",
  );
  t.deepEqual(tables, [
    {
      name: 'jobs',
      change: 'changed',
      added: 1,
      removed: 1,
      changed: 1,
      rows: [
        {
          change: 'changed',
          key: [{ column: 'id', value: '1' }],
          cells: [{ column: 'enabled', before: '1', after: '0' }],
          more: 0,
        },
        {
          change: 'removed',
          key: [{ column: 'id', value: '2' }],
          cells: [
            { column: 'name', before: "'walk'" },
            { column: 'enabled', before: '1' },
          ],
          more: 0,
        },
        { change: 'added', key: [{ column: 'id', value: '9' }], cells: [{ column: 'name', after: "'read'" }], more: 0 },
      ],
    },
  ] satisfies TableDiff[]);
});

test('a cell that holds JSON is compared by its key paths', async (t) => {
  const { tables } = await compare(
    `CREATE TABLE s (k TEXT PRIMARY KEY, v TEXT); INSERT INTO s VALUES ('a', '{"x":{"on":true,"list":[1,2]}}')`,
    `UPDATE s SET v = '{"x":{"on":false,"list":[1,2,3]}}'`,
  );
  t.deepEqual(tables[0]?.rows[0]?.cells, [
    { column: 'v', path: 'x.on', before: 'true', after: 'false' },
    { column: 'v', path: 'x.list[2]', after: '3' },
  ]);
});

test('a row that was only written anew, under another row id, has not changed', async (t) => {
  const setup = "CREATE TABLE s (k TEXT PRIMARY KEY, v TEXT); INSERT INTO s VALUES ('a','1'),('b','2'),('c','3')";
  const { tables } = await compare(setup, "REPLACE INTO s VALUES ('a','1'); REPLACE INTO s VALUES ('b','x')");
  t.like(tables[0], { added: 0, removed: 0, changed: 1 });
  t.deepEqual(tables[0]?.rows[0]?.key, [{ column: 'k', value: "'b'" }]);
});

test('tables that come, go or are defined anew are told, and a new column alone changes no row', async (t) => {
  const { tables } = await compare(
    'CREATE TABLE gone (x); INSERT INTO gone VALUES (1),(2); CREATE TABLE kept (a); INSERT INTO kept VALUES (1),(2)',
    "DROP TABLE gone; CREATE TABLE come (y); INSERT INTO come VALUES ('z'); ALTER TABLE kept ADD COLUMN b TEXT DEFAULT 'none'; UPDATE kept SET b = 'some' WHERE a = 2",
  );
  t.deepEqual(
    tables.map(({ name, change, added, removed, changed }) => [name, change, added, removed, changed]),
    [
      ['come', 'added', 1, 0, 0],
      ['gone', 'removed', 0, 2, 0],
      ['kept', 'changed', 0, 0, 1],
    ],
  );
  t.deepEqual(tables[2]?.definition, {
    before: 'CREATE TABLE kept (a)',
    after: "CREATE TABLE kept (a, b TEXT DEFAULT 'none')",
  });
});

test('a VACUUM, a new index and the order of rows are no change of rows', async (t) => {
  const setup = `CREATE TABLE w (k TEXT PRIMARY KEY, v) WITHOUT ROWID; CREATE TABLE r (a, b);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<2000)
    INSERT INTO w SELECT 'key ' || i, hex(randomblob(20)) FROM n;
    INSERT INTO r SELECT k, v FROM w; DELETE FROM r WHERE rowid % 3 = 0`;
  const { tables, incomplete } = await compare(setup, 'CREATE INDEX i ON r (b); VACUUM');
  t.deepEqual(tables, []);
  t.is(incomplete, undefined);
});

test('full-text indexes and what else is derived is counted, and listed last', async (t) => {
  const { tables } = await compare(
    'CREATE VIRTUAL TABLE a_fts USING fts5(text); CREATE TABLE notes (text)',
    "INSERT INTO a_fts VALUES ('some words'); INSERT INTO notes VALUES ('some words')",
  );
  t.is(tables[0]?.name, 'notes');
  t.true(tables.slice(1).length > 1);
  for (const table of tables.slice(1)) t.like(table, { unlisted: 'derived', rows: [] });
});

for (const [name, pragma] of [
  ['without a pointer map', 'PRAGMA auto_vacuum = 0'],
  ['with a pointer map', 'PRAGMA auto_vacuum = 2'],
]) {
  test(`a long text that was replaced in its place, behind a page that stays the same, is found ${name}`, async (t) => {
    const setup = `${pragma}; CREATE TABLE long (id INTEGER PRIMARY KEY, text TEXT);
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<300)
      INSERT INTO long SELECT i, printf('%.*c', 30000, 'a') || i FROM n`;
    const { tables } = await compare(
      setup,
      "UPDATE long SET text = substr(text, 1, 20000) || 'B' || substr(text, 20002) WHERE id IN (7, 250)",
    );
    t.like(tables[0], { added: 0, removed: 0, changed: 2 });
    t.deepEqual(
      tables[0]?.rows.map(({ key }) => key[0]?.value),
      ['7', '250'],
    );
    t.true(tables[0]?.rows[0]?.cells[0]?.after?.includes('aB'), 'what differs is in sight');
  });
}

test('what overflows the pages of changed rows, and is the same, is read once for those that are shown', async (t) => {
  const folder = makeFolder();
  try {
    const file = path.join(folder, 'x.sqlite');
    const database = new DatabaseSync(file);
    database.exec(`CREATE TABLE long (id INTEGER PRIMARY KEY, text TEXT, used INT);
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<300)
      INSERT INTO long SELECT i, printf('%.*c', 8000, 'a') || i, 0 FROM n`);
    const old = readFileSync(file);
    database.exec('UPDATE long SET used = 1');
    database.close();
    const now = readFileSync(file);
    // The pages that differ are read in one piece; single pages beside them are what rows overflow into.
    const differing = listChangedPages(old, now);
    const single = { before: new Set<number>(), after: new Set<number>() };
    const watched = (bytes: Buffer, reads: Set<number>) => ({
      ...sourceOf(bytes),
      read: async (offset: number, length: number) => {
        if (!differing.some(({ start }) => start === offset)) reads.add(offset);
        return bytes.subarray(offset, offset + length);
      },
    });
    const sides = { before: watched(old, single.before), after: watched(now, single.after), differing };
    const diff = await diffDatabase(sides, { ...OPTIONS, maxRows: 10 });
    t.like(diff?.tables[0], { added: 0, removed: 0, changed: 300 });
    t.deepEqual(diff?.tables[0]?.rows.length, 10);
    t.deepEqual(diff?.tables[0]?.rows[9]?.cells, [{ column: 'used', before: '0', after: '1' }]);
    // Beside them the schema and the inner pages of the table.
    t.true(single.after.size - single.before.size <= 10);
    t.true(single.after.size <= 15, `${single.after.size} pages`);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** Lists the pages of 4096 bytes that differ. */
function listChangedPages(a: Buffer, b: Buffer): { start: number; end: number }[] {
  const ranges: { start: number; end: number }[] = [];
  for (let start = 0; start < a.length; start += 4096)
    if (!a.subarray(start, start + 4096).equals(b.subarray(start, start + 4096)))
      ranges.push({ start, end: start + 4096 });
  return ranges;
}

/** What a row is, for those who compare. */
type Row = Readonly<Record<string, unknown>>;

const SCHEMAS = [
  'CREATE TABLE t (id INTEGER PRIMARY KEY, a, b)',
  'CREATE TABLE t (id TEXT PRIMARY KEY, a, b)',
  'CREATE TABLE t (a, id TEXT, b, PRIMARY KEY (id)) WITHOUT ROWID',
  "CREATE TABLE t (a, g AS (a || 'x'), id INT UNIQUE NOT NULL PRIMARY KEY DESC, b)",
  'CREATE TABLE t (b, id TEXT PRIMARY KEY, a)',
  'CREATE TABLE t (id INTEGER PRIMARY KEY, b, a)',
];
const value = fc.oneof(
  fc.integer({ min: -3, max: 3 }),
  fc.constantFrom(null, 1.5, 'text', 'ümläut 日本', 9_007_199_254_740_991),
  fc.integer({ min: 0, max: 40_000 }).map((length) => 'x'.repeat(length)),
  fc.uint8Array({ maxLength: 3000 }),
);
const operation = fc.record({
  kind: fc.constantFrom('put', 'delete', 'update'),
  id: fc.integer({ min: 1, max: 40 }),
  a: value,
  b: value,
});

function run(
  database: DatabaseSync,
  operations: readonly { kind: string; id: number; a: unknown; b: unknown }[],
): void {
  const put = database.prepare('REPLACE INTO t (id, a, b) VALUES (?, ?, ?)');
  const update = database.prepare('UPDATE t SET a = ? WHERE id = ?');
  const remove = database.prepare('DELETE FROM t WHERE id = ?');
  database.exec('BEGIN');
  for (const { kind, id, a, b } of operations) {
    if (kind === 'put') put.run(id, a as null, b as null);
    else if (kind === 'update') update.run(a as null, id);
    else remove.run(id);
  }
  database.exec('COMMIT');
}

const readRows = (file: string): Map<string, Row> => {
  const database = new DatabaseSync(file, { readOnly: true });
  const rows = database.prepare('SELECT id, a, b FROM t').all();
  database.close();
  return new Map(rows.map((row) => [String(row['id']), row]));
};

test('what is said of two versions is what SQLite says', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...SCHEMAS),
      fc.constantFrom(512, 4096, 65_536),
      fc.constantFrom('auto_vacuum = 0', 'auto_vacuum = 1', "encoding = 'UTF-16le'", "encoding = 'UTF-16be'"),
      fc.array(operation, { maxLength: 60 }),
      fc.array(operation, { maxLength: 12 }),
      fc.boolean(),
      async (schema, pageBytes, pragma, first, second, knowsChunks) => {
        const folder = makeFolder();
        try {
          const file = path.join(folder, 'x.sqlite');
          const database = new DatabaseSync(file);
          database.exec(`PRAGMA page_size = ${pageBytes}; PRAGMA ${pragma}; ${schema}`);
          run(database, first);
          const [old, oldRows] = [readFileSync(file), readRows(file)];
          run(database, second);
          const [now, nowRows] = [readFileSync(file), readRows(file)];
          database.close();
          const differing = knowsChunks ? listDiffering(old, now) : undefined;
          const diff = await diffDatabase({ before: sourceOf(old), after: sourceOf(now), differing }, OPTIONS);
          const said = new Map<string, string>();
          for (const { change, key } of diff?.tables[0]?.rows ?? [])
            said.set((key[0]?.value ?? '').replaceAll("'", ''), change);
          const expected = new Map<string, string>();
          for (const [id, row] of oldRows) {
            const next = nowRows.get(id);
            if (next === undefined) expected.set(id, 'removed');
            else if (!isSame(row, next)) expected.set(id, 'changed');
          }
          for (const id of nowRows.keys()) if (!oldRows.has(id)) expected.set(id, 'added');
          t.deepEqual(Object.fromEntries(said), Object.fromEntries(expected));
          t.is(diff?.incomplete, undefined);
          const { added = 0, removed = 0, changed = 0 } = diff?.tables[0] ?? {};
          t.is(added + removed + changed, expected.size);
          // What is not shown is counted by less of it, and the same.
          const counted = await diffDatabase(
            { before: sourceOf(old), after: sourceOf(now), differing },
            { ...OPTIONS, maxRows: 0 },
          );
          t.like(counted?.tables[0] ?? { added: 0, removed: 0, changed: 0 }, { added, removed, changed });
        } finally {
          rmSync(folder, { recursive: true });
        }
      },
    ),
    { numRuns: 150 },
  );
});

function isSame(a: Row, b: Row): boolean {
  return Object.keys(a).every((column) => {
    const [x, y] = [a[column], b[column]];
    return x instanceof Uint8Array && y instanceof Uint8Array ? Buffer.from(x).equals(y) : Object.is(x, y);
  });
}

test('a damaged or hostile database ends in less said, never in a failure', async (t) => {
  const folder = makeFolder();
  const file = path.join(folder, 'x.sqlite');
  const database = new DatabaseSync(file);
  database.exec('PRAGMA page_size = 512; PRAGMA auto_vacuum = 1');
  database.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, a, b); CREATE TABLE w (k PRIMARY KEY, v) WITHOUT ROWID');
  run(
    database,
    Array.from({ length: 80 }, (_, id) => ({ kind: 'put', id, a: 'x'.repeat(id * 40), b: id })),
  );
  database.exec('INSERT INTO w SELECT a, b FROM t');
  const old = readFileSync(file);
  database.exec("UPDATE t SET a = 'y' WHERE id % 2; DELETE FROM w WHERE v % 3 = 0");
  const now = readFileSync(file);
  database.close();
  rmSync(folder, { recursive: true });
  const byte = fc.tuple(fc.nat({ max: now.length - 1 }), fc.nat({ max: 255 }));
  await fc.assert(
    fc.asyncProperty(
      fc.array(byte, { minLength: 1, maxLength: 40 }),
      fc.nat({ max: now.length }),
      async (bytes, end) => {
        const hostile = Buffer.from(now.subarray(0, Math.max(end, now.length - 5000)));
        for (const [at, to] of bytes) if (at < hostile.length) hostile[at] = to;
        await diffDatabase({ before: sourceOf(old), after: sourceOf(hostile) }, { ...OPTIONS, maxReadBytes: 64 << 20 });
        await diffDatabase({ before: undefined, after: sourceOf(hostile) }, { ...OPTIONS, maxReadBytes: 64 << 20 });
        t.pass();
      },
    ),
    { numRuns: 200 },
  );
  t.is(await diffDatabase({ before: sourceOf(Buffer.from('none')), after: undefined }, OPTIONS), undefined);
});

test('what is more than may be read is said to be incomplete', async (t) => {
  const fill = `CREATE TABLE large (id INTEGER PRIMARY KEY, a);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<3000) INSERT INTO large SELECT i, hex(randomblob(100)) FROM n`;
  const options = { ...OPTIONS, maxRows: 10, maxReadBytes: 300_000 };
  const { incomplete, tables } = await compare('CREATE TABLE t (x)', `INSERT INTO t VALUES (1); ${fill}`, options);
  t.regex(incomplete ?? '', /more to compare/);
  t.like(
    tables.find(({ name }) => name === 't'),
    { added: 1 },
  );
});

test('a row id that another row got makes it another row', async (t) => {
  const { tables } = await compare(
    "CREATE TABLE s (k TEXT PRIMARY KEY, v); INSERT INTO s VALUES ('a', 1), ('b', 1)",
    "DELETE FROM s WHERE k = 'b'; INSERT INTO s VALUES ('c', 1)",
  );
  t.like(tables[0], { added: 1, removed: 1, changed: 0 });
});

test('a comparison that is given up stops', async (t) => {
  const controller = new AbortController();
  controller.abort(new Error('the cursor moved on'));
  await t.throwsAsync(
    compare('CREATE TABLE t (x)', 'INSERT INTO t VALUES (1)', { ...OPTIONS, signal: controller.signal }),
    {
      message: 'the cursor moved on',
    },
  );
});

test('a definition that does more than define is not run', async (t) => {
  const { tables } = await compare(
    'CREATE TABLE t (x); INSERT INTO t VALUES (1)',
    `INSERT INTO t VALUES (2); PRAGMA writable_schema = ON;
     UPDATE sqlite_schema SET sql = 'CREATE TABLE t AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT * FROM n'`,
  );
  t.like(tables[0], { added: 1 });
  t.deepEqual(tables[0]?.rows[0]?.cells, [{ column: 'column 1', after: '2' }]);
});
