// The demo's comparison must not let a wrong restore pass: each case damages a faithful copy in one way and must be named.

import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import test from 'ava';
import { Activity, TICKS } from '../../scripts/demo/activity.ts';
import { compareStates, type Comparison } from '../../scripts/demo/compare.ts';
import { freezeState, isTransient } from '../../scripts/demo/freeze.ts';

const MEMORY = 'workspace/MEMORY.md';
const AGENT_DATABASE = 'agents/main/agent/openclaw-agent.sqlite';
const base = mkdtempSync(join(tmpdir(), 'molt-compare-'));
const stateDir = join(base, 'state');
let made = 0;
test.after.always(() => rmSync(base, { recursive: true, force: true }));

test.before(async () => {
  const archive = new URL('../../fixtures/openclaw-2026.9.6.tar.gz', import.meta.url).pathname;
  execFileSync('tar', ['-xzf', archive, '-C', base]);
  symlinkSync('MEMORY.md', join(stateDir, 'workspace/link'));
  const activity = new Activity(stateDir);
  activity.run(1);
  await freezeState(stateDir, join(base, 'frozen'));
  for (let tick = 2; tick <= TICKS; tick += 1) activity.run(tick);
  activity.close();
});

/** Makes a copy of the frozen state as a faithful restore would leave it. */
function makeCopy(): string {
  made += 1;
  const dir = join(base, `copy-${made}`);
  execFileSync('cp', ['-a', join(base, 'frozen'), dir]);
  for (const path of compare(dir).leftOut) rmSync(join(dir, path), { recursive: true });
  return dir;
}

function compare(dir: string): Comparison {
  return compareStates(join(base, 'frozen'), dir, isTransient);
}

function changeRows(dir: string, sql: string): void {
  const database = new DatabaseSync(join(dir, AGENT_DATABASE));
  database.exec(`PRAGMA journal_mode = DELETE; ${sql}; PRAGMA journal_mode = WAL`);
  database.close();
}

test('a faithful copy has no differences, and all of it was looked at', (t) => {
  const comparison = compare(makeCopy());
  t.deepEqual(comparison.differences, []);
  t.true(comparison.files > 100 && comparison.databases === 4 && comparison.rows > 900 && comparison.tables > 200);
  t.deepEqual(
    comparison.unreadable,
    ['main', 'research'].map((agent) => `agents/${agent}/agent/openclaw-agent.sqlite: table memory_index_chunks_vec`),
  );
});

test('the rows that still lay in the write-ahead log are in the frozen copy', (t) => {
  const database = new DatabaseSync(join(makeCopy(), AGENT_DATABASE), { readOnly: true });
  const found = database
    .prepare("SELECT count(*) AS rows FROM transcript_events WHERE event_json LIKE '%oolong%'")
    .get();
  database.close();
  t.is(found?.['rows'], 2);
});

test('the state as it became later is not the frozen one', (t) => {
  t.true(compare(stateDir).differences.length > 10);
});

const damaged = test.macro({
  exec(t, _damage: string, act: (dir: string) => void, expected: RegExp) {
    const dir = makeCopy();
    act(dir);
    const { differences } = compare(dir);
    t.is(differences.length, 1, differences.join('\n'));
    t.regex(differences[0] ?? '', expected);
  },
  title: (_, damage: string) => `a restore with ${damage} differs`,
});

test(damaged, 'one flipped byte', (dir) => flipByte(join(dir, MEMORY)), /MEMORY\.md: its SHA-256 differs/);
test(damaged, 'a byte too many', (dir) => appendFileSync(join(dir, MEMORY), '\n'), /MEMORY\.md: its SHA-256/);
test(damaged, 'a file missing', (dir) => rmSync(join(dir, MEMORY)), /MEMORY\.md: missing/);
test(damaged, 'a file too many', (dir) => writeFileSync(join(dir, 'more.md'), ''), /more\.md: should not be there/);
test(
  damaged,
  'an empty folder missing',
  (dir) => rmSync(join(dir, 'media/outbound'), { recursive: true }),
  /outbound: missing/,
);
test(damaged, 'a lock file brought along', (dir) => mkdirSync(join(dir, 'tmp')), /tmp: should not be there/);
test(
  damaged,
  'other permissions',
  (dir) => chmodSync(join(dir, '.env'), 0o644),
  /\.env: its permissions are 644 instead of 600/,
);
test(damaged, 'a link that leads elsewhere', (dir) => relink(join(dir, 'workspace/link')), /link: leads elsewhere/);
test(
  damaged,
  'a database that is none',
  (dir) => writeFileSync(join(dir, AGENT_DATABASE), ''),
  /is no longer a database/,
);
test(
  damaged,
  'a row missing',
  (dir) => changeRows(dir, DELETE_ONE),
  /table transcript_event_identities differs: 50 rows were there, 49/,
);
test(
  damaged,
  'one value of a row changed',
  (dir) => changeRows(dir, CHANGE_ONE),
  /table schema_meta differs: 1 row was there, 1 restored/,
);
test(damaged, 'a number that became text', (dir) => changeRows(dir, RETYPE_ONE), /table sqlite_sequence differs/);
test(damaged, 'a setting changed', (dir) => changeRows(dir, 'PRAGMA user_version = 1'), /sqlite: user_version differs/);

const DELETE_ONE =
  'DELETE FROM transcript_event_identities WHERE rowid = (SELECT max(rowid) FROM transcript_event_identities)';
const CHANGE_ONE = "UPDATE schema_meta SET app_version = app_version || '!'";
const RETYPE_ONE = 'UPDATE sqlite_sequence SET seq = CAST(seq AS TEXT)';

function flipByte(path: string): void {
  const bytes = readFileSync(path);
  bytes[10] = (bytes[10] ?? 0) ^ 1;
  writeFileSync(path, bytes);
}

function relink(path: string): void {
  rmSync(path);
  symlinkSync('SOUL.md', path);
}
