// Commits of an agent that other processes are writing all the while: each succeeds, and what it holds is something that was there
// at one moment. What can't be read keeps its last good version and is reported.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import test from 'ava';
import { commitAgent, type CommitResult } from '../../src/ops/commit.ts';
import { openAgent } from '../../src/ops/open.ts';
import {
  beginAgent,
  checkLedger,
  findTornContent,
  makeContext,
  makeLedger,
  makeLiveState,
  restoreCommit,
  startDatabaseWriter,
  startWriters,
  type Writer,
} from './writers.ts';

const COMMITS = 10;
/** The writers take what is left of the processor; with their full share the other tests would wait for them. */
const NICE = 10;
const writers = new Set<Writer>();
const folders: string[] = [];
test.after.always(async () => {
  await Promise.all([...writers].map((writer) => writer.stop()));
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'molt-writers-'));
  folders.push(folder);
  return folder;
}

function countRows(path: string): number {
  const database = new DatabaseSync(path, { readOnly: true });
  const rows = Number(database.prepare('SELECT count(*) AS rows FROM filler').get()?.['rows']);
  database.close();
  return rows;
}

test.serial('every commit under seven writing processes succeeds, and nothing in it is torn', async (t) => {
  const base = makeFolder();
  const stateDir = makeLiveState(base);
  const context = makeContext(join(base, 'home'));
  for (const writer of await startWriters(stateDir, NICE)) writers.add(writer);
  await beginAgent(context, stateDir);
  await using live = await openAgent(context, 'live');
  const commits: CommitResult[] = [];
  for (let made = 0; made < COMMITS; made += 1) {
    commits.push(await commitAgent(context, live.agent, live.repository, { kind: 'incremental', trigger: 'cli' }));
  }
  await Promise.all([...writers].map((writer) => writer.stop()));
  t.false(
    commits.some(({ unchanged }) => unchanged),
    'the writers wrote between any two commits',
  );
  for (const [index, { id, skipped }] of commits.entries()) {
    const dir = join(base, `restored-${index}`);
    await restoreCommit(live, id, dir);
    t.deepEqual(findTornContent(dir), [], `commit ${index + 1}`);
    // Only the file that is overwritten without pause may be impossible to read at one moment.
    const others = skipped.filter(({ path }) => path !== 'state/workspace/work/overwrite/image.bin');
    t.deepEqual(others, [], `commit ${index + 1}`);
    rmSync(dir, { recursive: true });
  }
});

test('the check of what was captured finds each kind of torn content', (t) => {
  const dir = makeLiveState(makeFolder());
  const write = (path: string, content: string | Buffer): void => {
    mkdirSync(join(dir, path, '..'), { recursive: true });
    writeFileSync(join(dir, path), content);
  };
  const pieces = (...numbers: number[]): Buffer => Buffer.concat(numbers.map((number) => Buffer.alloc(65536, number)));
  write('agents/main/sessions/session.jsonl', '{"seq":0}\n{"seq":1}\n');
  write('workspace/work/overwrite/image.bin', pieces(4, 4, 3, 3));
  write('workspace/work/replace/settings-1.json', '');
  t.deepEqual(findTornContent(dir), []);

  write('agents/main/sessions/session.jsonl', '{"seq":0}\n{"se');
  write('agents/main/sessions/session-1.jsonl', '{"seq":0}\n{"seq":2}\n');
  write('workspace/work/overwrite/image.bin', pieces(4, 3, 4, 3));
  write('workspace/work/replace/settings-1.json', `${'0'.repeat(64)}\nhalf`);
  const database = new DatabaseSync(join(dir, 'state/ledger.sqlite'));
  database.exec('UPDATE left_side SET amount = amount - 1 WHERE id = 1');
  database.close();
  rmSync(join(dir, 'agents/main/agent/ledger.sqlite'));
  t.deepEqual(findTornContent(dir).toSorted(), [
    'agents/main/agent/ledger.sqlite is missing',
    'agents/main/sessions/session-1.jsonl: lines are missing in the middle',
    'agents/main/sessions/session.jsonl: line 2 of 2 is not whole',
    'state/ledger.sqlite: a transaction was seen half, the sum is 99999',
    'workspace/work/overwrite/image.bin: 262144 bytes that were never its content',
    'workspace/work/replace/settings-1.json: 69 bytes that were never its content',
  ]);
});

test.serial('a database that another process keeps locked is reported and keeps its last good version', async (t) => {
  const base = makeFolder();
  const stateDir = makeLiveState(base);
  const path = join(stateDir, 'state/held.sqlite');
  makeLedger(path, 'delete');
  const context = makeContext(join(base, 'home'));
  await beginAgent(context, stateDir);
  const writer = await startDatabaseWriter(path, 'delete', 'write');
  await writer.stop();
  const holder = await startDatabaseWriter(path, 'delete', 'hold');
  writers.add(holder);
  writeFileSync(join(stateDir, 'workspace/MEMORY.md'), '# Long-term memory\n- One database is locked.\n');
  await using live = await openAgent(context, 'live');
  const commit = await commitAgent(context, live.agent, live.repository, { kind: 'incremental', trigger: 'cli' });
  t.deepEqual(
    commit.skipped.map((skipped) => [skipped.path, skipped.kept]),
    [['state/state/held.sqlite', true]],
  );
  t.false(commit.unchanged);
  const dir = join(base, 'restored');
  await restoreCommit(live, commit.id, dir);
  t.deepEqual(checkLedger(join(dir, 'state/held.sqlite'), 'held'), []);
  t.is(countRows(join(dir, 'state/held.sqlite')), 0, 'the version before it was written and locked');
  t.regex(readFileSync(join(dir, 'workspace/MEMORY.md'), 'utf8'), /One database is locked/);
  await holder.stop();
  const after = await commitAgent(context, live.agent, live.repository, { kind: 'incremental', trigger: 'cli' });
  t.deepEqual(after.skipped, [], 'once the lock is gone, the next commit has it');
  const later = join(base, 'later');
  await restoreCommit(live, after.id, later);
  t.true(countRows(join(later, 'state/held.sqlite')) > 0);
});
