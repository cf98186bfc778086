// Restoring a real OpenClaw agent in place, whose workspace lies outside of its state folder: whole, in part, and broken off.

import { execFileSync, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import test, { type ExecutionContext } from 'ava';
import { getProfile } from '../../src/agent/profile.ts';
import type { Component } from '../../src/model/component.ts';
import { isMoltError } from '../../src/model/error.ts';
import { commitAgent } from '../../src/ops/commit.ts';
import { findUndo, planInPlace, restoreInPlace } from '../../src/ops/in-place.ts';
import { openAgent } from '../../src/ops/open.ts';
import { applyRestore, planRestore } from '../../src/ops/restore.ts';
import { readRestoreNote } from '../../src/ops/restore-journal.ts';
import { unpackFixture } from '../agent/support.ts';
import { beginAgent, makeContext } from './writers.ts';

const MEMORY = 'state/agents/main/agent/openclaw-agent.sqlite';

function compare(a: string, b: string): void {
  try {
    execFileSync('diff', ['-r', '--no-dereference', a, b], { stdio: 'pipe', encoding: 'utf8' });
  } catch (error) {
    throw new Error(String((error as { stdout?: unknown }).stdout), { cause: error });
  }
}

function copy(from: string, to: string): void {
  cpSync(from, to, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
}

/** Makes the agent in `live`, with its state and workspace; its first moment in `first`, and a later one, which it has now, in `second`. */
async function makeOpenClaw(t: ExecutionContext) {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'molt-claw-')));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const live = join(dir, 'live');
  mkdirSync(live);
  const stateDir = unpackFixture('2026.9.6', live);
  rmSync(join(live, 'expected.json'), { force: true });
  renameSync(join(stateDir, 'workspace'), join(live, 'workspace'));
  const config = join(stateDir, 'openclaw.json');
  const text = readFileSync(config, 'utf8')
    .replaceAll('/home/agent/.openclaw/workspace"', `${live}/workspace"`)
    .replaceAll('/home/agent/.openclaw', stateDir);
  writeFileSync(config, text);
  // At rest nothing lies beside the databases, and so they can be compared byte by byte.
  for (const name of readdirSync(stateDir, { recursive: true, encoding: 'utf8' }))
    if (name.endsWith('.sqlite')) execute(join(stateDir, name), 'PRAGMA wal_checkpoint(TRUNCATE)');
  // What a start would trip over (leases, what was under way) is dropped by each restore.
  const here = new Map([['state', stateDir]]);
  await getProfile('openclaw').rebind({ from: here, to: here, ports: {} });
  const context = makeContext(join(dir, 'home'));
  await beginAgent(context, stateDir);
  const open = await openAgent(context, 'live');
  t.teardown(() => open[Symbol.asyncDispose]());
  const commit = async () =>
    (await commitAgent(context, open.agent, open.repository, { kind: 'incremental', trigger: 'test' })).id;
  execute(join(live, MEMORY), 'CREATE TABLE IF NOT EXISTS t(a); INSERT INTO t SELECT randomblob(500000)');
  const first = await commit();
  copy(live, join(dir, 'first'));
  execute(join(live, MEMORY), 'INSERT INTO t SELECT randomblob(500)');
  appendFileSync(join(live, 'workspace/MEMORY.md'), 'a later memory\n');
  appendFileSync(join(live, 'workspace/SOUL.md'), 'a later soul\n');
  appendFileSync(join(live, 'workspace/notes/tea.md'), 'a later note\n');
  rmSync(join(live, 'workspace/skills/tea-timer'), { recursive: true });
  mkdirSync(join(live, 'workspace/skills/coffee'));
  writeFileSync(join(live, 'workspace/skills/coffee/SKILL.md'), 'grind\n');
  appendFileSync(join(stateDir, 'skills/shared-greeter/SKILL.md'), 'and wave\n');
  appendFileSync(join(stateDir, '.env'), 'LATER=1\n');
  copy(live, join(dir, 'second'));
  return { dir, live, stateDir, context, open, first, commit };
}

function execute(path: string, sql: string): void {
  const database = new DatabaseSync(path);
  database.exec(sql);
  database.close();
}

function countRows(live: string): unknown {
  const database = new DatabaseSync(join(live, MEMORY), { readOnly: true });
  const checked = database.prepare('PRAGMA integrity_check').get()?.['integrity_check'];
  const rows = database.prepare('SELECT count(*) AS n FROM t').get()?.['n'];
  database.close();
  return [checked, rows];
}

test('all folders of the agent go back together, and forth', async (t) => {
  const { context, open, first, dir, live } = await makeOpenClaw(t);
  const { files } = await restoreInPlace(context, open, first);
  t.deepEqual(files.removed, 1);
  t.notThrows(() => compare(join(dir, 'first'), live));
  t.deepEqual(countRows(live), ['ok', 1]);
  await restoreInPlace(context, open, await findUndo(context, open));
  t.notThrows(() => compare(join(dir, 'second'), live));
  t.deepEqual(countRows(live), ['ok', 2]);
});

/** What of the later moment differs, by the component that it belongs to. */
const CHANGED: Readonly<Record<Component, readonly string[]>> = {
  configuration: ['state/.env'],
  state: [MEMORY, 'workspace/MEMORY.md'],
  skills: ['workspace/skills', 'state/skills'],
  runtime: ['workspace/SOUL.md'],
  custom: ['workspace/notes'],
};

for (const components of [['skills'], ['state'], ['configuration', 'custom'], ['runtime']] as const) {
  test(`${components.join(' and ')} alone goes back; everything else stays, and undo brings all of it`, async (t) => {
    const { context, open, first, dir, live } = await makeOpenClaw(t);
    // What the agent must be: the later moment, with these paths of the first.
    const mixed = join(dir, 'mixed');
    copy(join(dir, 'second'), mixed);
    for (const path of components.flatMap((component) => CHANGED[component])) {
      rmSync(join(mixed, path), { recursive: true, force: true });
      copy(join(dir, 'first', path), join(mixed, path));
    }
    const timeOf = (path: string): number => Math.round(statSync(join(live, path)).mtimeMs);
    const times = ['workspace', 'state', 'state/openclaw.json'].map(timeOf);
    const planned = await planInPlace(context, open, first, { components });
    const done = await restoreInPlace(context, open, first, { components });
    const { phases, rebound, safety } = done;
    t.deepEqual(done, { ...planned, phases, rebound, safety });
    t.notThrows(() => compare(mixed, live));
    t.deepEqual(['workspace', 'state', 'state/openclaw.json'].map(timeOf), times);
    t.deepEqual((await readRestoreNote(context.home, open.agent))?.components, [...components]);
    await restoreInPlace(context, open, await findUndo(context, open));
    t.notThrows(() => compare(join(dir, 'second'), live));
  });
}

test('a part of a moment comes into a new folder alone', async (t) => {
  const { context, open, first, dir } = await makeOpenClaw(t);
  const options = { revision: first, timestamp: undefined, dir: join(dir, 'part'), components: ['skills'] } as const;
  await applyRestore(context, open, await planRestore(context, open, options));
  t.notThrows(() => compare(join(dir, 'first/state/skills'), join(dir, 'part/state/skills')));
  t.false(existsSync(join(dir, 'part/state/openclaw.json')));
  const roots = readdirSync(join(dir, 'part/roots'));
  t.deepEqual(
    roots.flatMap((root) => readdirSync(join(dir, 'part/roots', root))),
    ['skills'],
  );
});

test('a component is not put where something of another stands', async (t) => {
  const { context, open, first, dir, live } = await makeOpenClaw(t);
  const memory = 'workspace/MEMORY.md';
  rmSync(join(live, memory));
  mkdirSync(join(live, memory));
  writeFileSync(join(live, memory, 'mine.md'), 'a file of the user’s');
  rmSync(join(dir, 'second', memory));
  copy(join(live, memory), join(dir, 'second', memory));
  const error = await t.throwsAsync(restoreInPlace(context, open, first, { components: ['state'] }));
  t.true(isMoltError(error, 'CONFLICT') && error.message.includes('/MEMORY.md" is in the way'), String(error));
  t.notThrows(() => compare(join(dir, 'second'), live));
  await restoreInPlace(context, open, first);
  t.notThrows(() => compare(join(dir, 'first'), live));
});

test('a name that stays keeps its content when another name of the file goes back', async (t) => {
  const { context, open, live, commit } = await makeOpenClaw(t);
  const skill = join(live, 'workspace/skills/coffee/SKILL.md');
  linkSync(skill, join(live, 'workspace/coffee.md'));
  const linked = await commit();
  writeFileSync(skill, 'grind finer\n');
  await restoreInPlace(context, open, linked, { components: ['skills'] });
  t.is(readFileSync(skill, 'utf8'), 'grind\n');
  t.is(readFileSync(join(live, 'workspace/coffee.md'), 'utf8'), 'grind finer\n');
  await restoreInPlace(context, open, await findUndo(context, open));
  t.is(readFileSync(skill, 'utf8'), 'grind finer\n');
  t.is(statSync(skill).ino, statSync(join(live, 'workspace/coffee.md')).ino);
});

test('what rules leave out now is not overwritten by a moment that has it', async (t) => {
  const { context, open, first, dir, live, stateDir } = await makeOpenClaw(t);
  writeFileSync(join(stateDir, '.moltignore'), '.env\n');
  copy(join(stateDir, '.moltignore'), join(dir, 'second/state/.moltignore'));
  const error = await t.throwsAsync(restoreInPlace(context, open, first));
  t.true(isMoltError(error, 'CONFLICT') && error.message.includes('.env'), String(error));
  t.notThrows(() => compare(join(dir, 'second'), live));
});

function breakOff(home: string, first: string, how: string, at: number) {
  const script = join(import.meta.dirname, 'in-place-process.ts');
  return spawnSync(process.execPath, [script, home, first, how, String(at), 'live'], { encoding: 'utf8' });
}

for (const at of [0, 4]) {
  test(`a disk that is full at write ${at} of the staging changes nothing`, async (t) => {
    const { context, open, first, dir, live } = await makeOpenClaw(t);
    const { status, stderr } = breakOff(context.home.dir, first, 'full', at);
    t.is(status, 1, stderr);
    t.regex(stderr, /the disk is full.*no file was changed/);
    t.notThrows(() => compare(join(dir, 'second'), live));
    t.is(await readRestoreNote(context.home, open.agent), undefined);
    await open.repository.refresh();
    await restoreInPlace(context, open, first);
    t.notThrows(() => compare(join(dir, 'first'), live));
  });
}

for (const [how, at] of [
  ['full-switch', 3],
  ['kill', 1],
  ['kill', 4],
] as const) {
  test(`a restore that ends by ${how} at rename ${at} is finished by undo, and again by itself`, async (t) => {
    const { context, open, first, dir, live } = await makeOpenClaw(t);
    const { status } = breakOff(context.home.dir, first, how, at);
    t.not(status, 0);
    t.is((await readRestoreNote(context.home, open.agent))?.phase, 'under-way');
    await open.repository.refresh();
    // A part would be taken for the whole.
    const part = await t.throwsAsync(restoreInPlace(context, open, first, { components: ['skills'] }));
    t.true(isMoltError(part, 'CONFLICT'), String(part));
    await restoreInPlace(context, open, await findUndo(context, open));
    t.notThrows(() => compare(join(dir, 'second'), live));
    t.deepEqual(countRows(live), ['ok', 2]);
    await restoreInPlace(context, open, first);
    t.notThrows(() => compare(join(dir, 'first'), live));
    t.deepEqual(countRows(live), ['ok', 1]);
  });
}
