// `npm run demo`: saves a copy of a real OpenClaw state five times while its agent works, goes back to a moment in the middle, and
// proves without molt that what came back is what was there. Needs no account, no server and no network.
//
//     npm run demo                  leaves its folder in place, to look further
//     npm run demo -- --clean       removes it

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';
import { formatCount, formatDuration, formatSize, formatTable } from '../src/cli/text.ts';
import { Activity, MEMORY, TICKS } from './demo/activity.ts';
import { compareStates, type Comparison, listPaths } from './demo/compare.ts';
import { freezeState, isTransient } from './demo/freeze.ts';
import { DemoFailure, quote, sizeOf, Terminal } from './demo/terminal.ts';

const ROOT = join(import.meta.dirname, '..');
const PROGRAM = join(ROOT, 'bin/molt.cjs');
const FIXTURE = join(ROOT, 'fixtures/openclaw-2026.9.6.tar.gz');
/** Where the state was recorded; its configuration names its workspaces by it. */
const RECORDED_AT = '/home/agent/.openclaw';
const AGENT = 'heron';
const MIDDLE = 3;
const SHOWN_DIFFERENCES = 20;

const startedMs = performance.now();
// Under the real path, as molt will name it: on some systems the temporary folder is a link.
const base = realpathSync(mkdtempSync(join(tmpdir(), 'molt-demo-')));
const stateDir = join(base, 'state');
const home = join(base, 'home');
const terminal = new Terminal(PROGRAM, home, 'demo');

try {
  await runDemo();
  if (process.argv.includes('--clean')) rmSync(base, { recursive: true });
  else showWhereToLook();
} catch (error) {
  if (!(error instanceof DemoFailure)) throw error;
  console.error(`\nTHE DEMO FAILED: ${error.message}\nEverything is still in ${base}`);
  process.exitCode = 1;
}

async function runDemo(): Promise<void> {
  // An edit since the last build must show; it takes half a second.
  await import('./build.ts');
  prepareState();
  terminal.heading('1. Begin: a repository with keys, and the first full backup');
  const recoveryKey = join(base, 'recovery-key.txt');
  await terminal.molt(
    'init, first full backup',
    'init',
    AGENT,
    '--state',
    stateDir,
    '--recovery-key-file',
    recoveryKey,
  );
  const times = await workAndCommit();
  const middleTime = times[MIDDLE - 1] ?? '';
  await lookBack(middleTime);
  await goBack(middleTime);
  await terminal.time('comparison of all turns', () => prove(times));
  terminal.heading('6. Check every stored byte');
  await terminal.molt('verify', 'verify', AGENT, '--read-data');
  showSummary();
}

function prepareState(): void {
  execFileSync('tar', ['-xzf', FIXTURE, '-C', base]);
  const config = join(stateDir, 'openclaw.json');
  writeFileSync(config, readFileSync(config, 'utf8').replaceAll(RECORDED_AT, stateDir));
  terminal.heading("molt: an agent's work, saved as it happens, and any moment of it back");
  terminal.say(
    `The agent: a copy of a real OpenClaw state (${listPaths(stateDir, isTransient).length} files and folders, ${formatSize(sizeOf(stateDir))}, four SQLite databases)`,
    `in ${stateDir}`,
    `molt's home, where it keeps everything of its own: ${home}`,
  );
}

/** Lets the agent work with a commit after each turn; returns for each turn a time after its commit and before the next turn. */
async function workAndCommit(): Promise<string[]> {
  terminal.heading(`2. The agent works: ${TICKS} turns, with a commit after each`);
  terminal.say(
    'Its databases stay open, as those of a running agent. Each turn is also frozen without molt, for the proof.',
  );
  const activity = new Activity(stateDir);
  const times: string[] = [];
  for (let turn = 1; turn <= TICKS; turn += 1) {
    terminal.say('', `${turn}. ${activity.run(turn).join('\n      ')}`);
    await freezeState(stateDir, frozenDir(turn));
    await terminal.molt(`commit ${turn}`, 'commit', AGENT, '-m', `turn ${turn}`);
    times.push(new Date().toISOString());
    // Times are told to the millisecond: the next turn must begin in another one.
    await setTimeout(2);
    if (turn === MIDDLE) terminal.say(`It is now ${times.at(-1)}. Remember this moment.`);
  }
  activity.close();
  return times;
}

async function lookBack(middleTime: string): Promise<void> {
  terminal.heading('3. Look back');
  await terminal.molt('backup list', 'backup', 'list', AGENT, '--all');
  terminal.say('', 'At turn 4 the agent "tidied" its memory. What did it lose?');
  await terminal.molt('diff of the memory', 'diff', `${AGENT}@{${middleTime}}`, 'latest', '--', MEMORY);
}

async function goBack(middleTime: string): Promise<void> {
  terminal.heading(`4. Go back to ${middleTime}, into a new folder`);
  await terminal.molt('restore', 'restore', AGENT, '--timestamp', middleTime, '--to', restoredDir(MIDDLE));
}

async function prove(times: readonly string[]): Promise<void> {
  terminal.heading('5. Is that really how it was? Compared without molt, with what was frozen');
  const result = compareWithFrozen(MIDDLE, restoredState(MIDDLE));
  terminal.say(
    `Turn ${MIDDLE}: ${result.files} files (${formatSize(result.hashedBytes)}) have the same SHA-256, and all permissions and links are the same.`,
    `        ${result.databases} databases have the same rows: ${result.rows} rows in ${result.tables} tables.`,
    `        Not read: ${result.unreadable.length} virtual tables that need the extension vec0. The tables that hold their data were compared.`,
    `        Left out of backups on purpose, and not restored: ${result.leftOut.length} caches, locks and links of the running program.`,
  );
  for (const [index, time] of times.entries()) {
    const turn = index + 1;
    if (turn === MIDDLE) continue;
    await terminal.moltQuietly('restore', AGENT, '--timestamp', time, '--to', restoredDir(turn));
    const { files, rows } = compareWithFrozen(turn, restoredState(turn));
    terminal.say(`Turn ${turn}: restored by its time as well. ${files} files and ${rows} rows are the same.`);
  }
  const { differences } = compareStates(frozenDir(TICKS), restoredState(MIDDLE), isTransient);
  if (differences.length === 0) throw new DemoFailure('the comparison can tell no two turns apart');
  terminal.say(
    `Turn ${MIDDLE} against turn ${TICKS}: the same comparison finds ${differences.length} differences, as it should.`,
  );
  await freezeState(stateDir, join(base, 'frozen-now'));
  compareWithFrozen(TICKS, join(base, 'frozen-now'), () => false);
  terminal.say('The agent itself: molt has changed nothing in its folder.');
}

function compareWithFrozen(turn: number, dir: string, isLeftOut = isTransient): Comparison {
  const result = compareStates(frozenDir(turn), dir, isLeftOut);
  for (const difference of result.differences.slice(0, SHOWN_DIFFERENCES)) terminal.say(`DIFFERS: ${difference}`);
  if (result.differences.length === 0) return result;
  throw new DemoFailure(
    `${dir} differs from the frozen turn ${turn} in ${formatCount(result.differences.length, 'place')}`,
  );
}

function frozenDir(turn: number): string {
  return join(base, `frozen-${turn}`);
}

function restoredDir(turn: number): string {
  return join(base, `restored-${turn}`);
}

/** A commit keeps the state folder under the name `state`; folders elsewhere would stand beside it. */
function restoredState(turn: number): string {
  return join(restoredDir(turn), 'state');
}

function showSummary(): void {
  terminal.heading('In short');
  const rows = terminal.steps.map(({ name, durationMs, storedBytes }) => [
    name,
    formatDuration(durationMs),
    storedBytes > 0 ? `${formatSize(storedBytes)} stored` : '',
  ]);
  terminal.say(...formatTable(rows, [1, 2]));
  const total = terminal.steps.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
  terminal.say(
    '',
    `${formatDuration(performance.now() - startedMs)} in all. ${TICKS + 1} moments of an agent of ${formatSize(sizeOf(frozenDir(TICKS)))} take ${formatSize(total)} on disk, encrypted.`,
    'THE PROOF HOLDS: each moment came back as it was.',
  );
}

function showWhereToLook(): void {
  terminal.heading('Look further. Everything is still there:');
  terminal.say(
    `alias molt=${quote(PROGRAM)}`,
    `export MOLT_HOME=${quote(home)}`,
    '',
    ...formatTable([
      [`molt log ${AGENT}`, 'what was saved, newest first'],
      [`molt show ${AGENT}`, 'the newest commit'],
      [`molt diff ${AGENT} HEAD~2`, 'all that changed since two commits ago'],
      [`molt cat HEAD~2:${MEMORY}`, 'a file as it was then'],
      [`molt status ${AGENT}`, `change something in ${stateDir} first`],
      [`molt key check ${AGENT}`, 'who can open it; the passphrase is: demo'],
      ['molt help', 'all commands'],
    ]),
    '',
    `Done looking? rm -r ${quote(base)}`,
  );
}
