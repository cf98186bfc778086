// The whole story in a real terminal, on a real OpenClaw state: find the day on which the memory changed, read what it lost, bring the
// day before back as a pod, take that back, put the agent itself back, and undo it.

import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { freePort } from '../pod/agent.ts';
import { LABEL, makeSample } from './sample.ts';
import { Terminal } from './terminal.ts';

const MOLT = path.join(import.meta.dirname, '../../bin/molt.cjs');
const run = promisify(execFile);
const dir = realpathSync(mkdtempSync(path.join(tmpdir(), 'molt-tmux-')));
const home = path.join(dir, 'home');
const env = {
  HOME: dir,
  PATH: `${path.dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
  MOLT_HOME: home,
  TERM: 'xterm-256color',
  LANG: 'C.UTF-8',
};
const memory = (stateDir: string): string => readFileSync(path.join(stateDir, 'workspace/MEMORY.md'), 'utf8');
const live = path.join(dir, 'state');
const restored = path.join(home, 'pods', 'heron-restored', 'gen-1', 'state');

test.before('an agent with five days of history', async () => {
  await makeSample(dir, Date.now() - 600_000, await freePort());
});

test.after.always(async () => {
  await run(process.execPath, [MOLT, 'pod', 'stop', 'heron-restored'], { env }).catch(() => undefined);
  rmSync(dir, { recursive: true, force: true });
});

/** Opens the interface as a shell does. */
function open(
  t: ExecutionContext,
  { size = [100, 30], more = {} }: { size?: [number, number]; more?: Record<string, string> } = {},
): Terminal {
  const command = `echo before; ${process.execPath} ${MOLT} tui ${LABEL}; echo "status $?"; exec cat`;
  const terminal = new Terminal(command, { ...env, ...more }, size);
  t.teardown(() => terminal.end());
  return terminal;
}

test.serial('a broken commit and a remote that is gone say so where they matter, and all else goes on', async (t) => {
  const broken = path.join(dir, 'broken');
  cpSync(home, broken, { recursive: true });
  const repository = path.join(broken, 'repositories', readdirSync(path.join(broken, 'repositories'))[0] ?? '');
  const segment = readdirSync(path.join(repository, 'log')).toSorted().at(-3) ?? '';
  const file = path.join(repository, 'log', segment);
  const bytes = readFileSync(file);
  writeFileSync(file, bytes.fill(7, 600, 616));
  renameSync(path.join(dir, 'vault'), path.join(dir, 'vault.away'));
  t.teardown(() => renameSync(path.join(dir, 'vault.away'), path.join(dir, 'vault')));
  const terminal = open(t, { more: { MOLT_HOME: broken } });
  // What stands before the damage is there, and so is what stands behind it.
  await terminal.until('36 saves', '! log/', 'does not follow what stands before it');
  await terminal.press('Enter', 'Down', 'Down', 'Down');
  await terminal.until(/^! .*(sealed|missing)/m, 'hint: ');
  await terminal.press('Down', 'Down');
  await terminal.until('state/workspace/notes/journal.md', '+ - tick');
  await terminal.press('p');
  await terminal.until('push: failed', 'hint:');
  await terminal.press('Escape', 'v');
  t.regex(await terminal.until('verify: failed', 'hint:'), /1 of 36 commits/);
  await terminal.press('Escape', 'q');
  await terminal.until('status 0');
});

test.serial('find the day the memory changed, bring the day before back, and take it back', async (t) => {
  const terminal = open(t);
  await terminal.until('36 saves', /▸ .* MANUAL/, 'copies 1/1');
  t.is(await terminal.ask('alternate_on'), '1');

  await terminal.press('/');
  await terminal.until('filter');
  await terminal.type('MEMORY.md');
  await terminal.press('Enter');
  await terminal.until('filter "MEMORY.md" 6', '1 match');
  await terminal.press('Down', 'Down');
  await terminal.until('356B → 41B', '- - The user is Ada Example');
  await terminal.press('Enter', 'Down', 'Enter', 'Enter');
  await terminal.until('- - Sister: Grace', '+ - The user likes tea.', /^›─ state\/workspace\/MEMORY\.md/m);
  await terminal.press('Escape');
  await terminal.until(/^›~ state\/workspace\/MEMORY\.md/m);
  await terminal.press('Escape');
  await terminal.until(/^› {2}\d\d:\d\d/m);
  await terminal.press('Down');
  await terminal.until('+ - Sister: Grace, visits on 30 November.');
  await terminal.press('c');
  await terminal.until('› a new pod');
  await terminal.press('Enter');
  await terminal.until('name of the new pod: heron-restored');
  await terminal.press('Enter');
  await terminal.until('replaces  nothing: heron is left alone', 'writes', 'cron jobs are due');
  t.false(existsSync(restored), 'a plan writes nothing');
  await terminal.press('Enter');
  await terminal.until('restore: done', '✓ the pod is healthy', /endpoint: http:\/\/127\.0\.0\.1:\d+/);
  t.regex(memory(restored), /Sister: Grace/);
  t.notRegex(memory(live), /Grace/);

  await terminal.press('Enter', 'P');
  await terminal.until('pods of this machine', '✓ healthy');
  await terminal.press('Escape');
  await terminal.gone('pods of this machine');
  await terminal.press('z');
  await terminal.until('take the restore back');
  await terminal.press('Enter');
  await terminal.until('type heron-restored to go on');
  t.true(existsSync(restored), 'nothing is removed before the name is typed');
  await terminal.type('heron-restored');
  await terminal.press('Enter');
  await terminal.until('undo: done', 'is stopped and removed');
  t.false(existsSync(restored));
  await terminal.press('q', 'q');
  await terminal.until('before', 'status 0');
  t.is(await terminal.ask('alternate_on'), '0');
  t.is(await terminal.ask('cursor_flag'), '1');
});

test.serial('find when something was said, and who wrote a line of the memory', async (t) => {
  const terminal = open(t);
  await terminal.until('36 saves', 'copies 1/1');
  await terminal.press('f');
  await terminal.until('find in all history');
  await terminal.type('grace');
  await terminal.press('Enter');
  await terminal.until(
    'where "grace" was',
    '4 places, in the order',
    'user in agent:main:main',
    /gone \w{3} \d+ \w{3}/,
  );
  await terminal.press('Down', 'Down');
  await terminal.until(/› .* gone .*state\/workspace\/MEMORY\.md:7/);
  await terminal.press('Enter');
  await terminal.until(/^›~ state\/workspace\/MEMORY\.md/m, '+ - Sister: Grace, visits on 30 November.');
  await terminal.press('b');
  await terminal.until('who wrote state/workspace/MEMORY.md', /› .* 7 - Sister: Grace/, '2 turns since');
  await terminal.until('user in agent:main:main: My sister Grace visits on the 30th.');
  await terminal.press('g');
  t.regex(await terminal.until('history begins here: it may be older'), /first full backup/);
  await terminal.press('Enter');
  await terminal.until('first full backup', /^›\+ state\/workspace\/MEMORY\.md/m);
  await terminal.press('q');
  await terminal.until('status 0');
});

test.serial('secrets are masked until u shows those of one file', async (t) => {
  const terminal = open(t);
  await terminal.until('36 saves', 'copies 1/1');
  await terminal.press('/');
  await terminal.type('state/openclaw.json');
  await terminal.press('Enter');
  await terminal.until('1 match');
  await terminal.press('Down', 'Tab', 'Tab');
  t.notRegex(await terminal.until('gateway.auth.token: ********  (secret)'), /lab-token/);
  await terminal.press('u');
  await terminal.until('gateway.auth.token: "lab-token', 'secrets shown: u masks them', '--show-');
  await terminal.press('Escape', 'n', 'N', 'Enter');
  t.notRegex(await terminal.until('gateway.auth.token: ********  (secret)'), /lab-token/);
  await terminal.press('q');
  await terminal.until('status 0');
});

test.serial('the agent itself goes back to a moment, and z undoes it', async (t) => {
  const before = memory(live);
  const terminal = open(t);
  await terminal.until('36 saves', 'copies');
  await terminal.press('T');
  await terminal.until('go to a time');
  await terminal.type('3 days ago');
  await terminal.press('Enter');
  await terminal.until(/›.*\d\d:\d\d/);
  await terminal.press('c');
  await terminal.until('where to?');
  await terminal.press('Down', 'Down', 'Enter');
  await terminal.until('type heron to go on', 'what is there now is saved');
  await terminal.press('Enter');
  await terminal.until('! type heron to go on');
  t.is(memory(live), before);
  await terminal.type('heron');
  await terminal.press('Enter');
  await terminal.until('restore: done', 'z brings it back');
  t.not(memory(live), before);
  await terminal.press('z');
  await terminal.until('take the last restore in place back', 'type heron to go on');
  await terminal.type('heron');
  await terminal.press('Enter');
  await terminal.until('undo: done');
  t.is(memory(live), before);
  await terminal.press('C-c');
  await terminal.until('status 0');
});

test.serial(
  'what another process saves shows up, a resize draws anew, and a signal leaves the terminal whole',
  async (t) => {
    const terminal = open(t, { size: [120, 34], more: { NO_COLOR: '1' } });
    const first = await terminal.until(/(\d+) saves/, 'copies');
    const count = Number(/(\d+) saves/.exec(first)?.[1]);
    t.false((await terminal.screen(true)).includes('\u001b[3'), 'no colour');
    await run(process.execPath, [MOLT, 'commit', LABEL, '-m', 'by another process'], { env });
    await run(process.execPath, [MOLT, 'tag', 'seen', 'latest', '-a', LABEL], { env });
    await terminal.until(/(\d+) saves/, '#seen');
    t.true(Number(/(\d+) saves/.exec(await terminal.screen())?.[1]) >= count);
    await terminal.resize(80, 24);
    await terminal.until('? keys  q leave', '────────');
    await terminal.resize(60, 10);
    await terminal.until('molt needs 80x24; this is 60x10');
    await terminal.resize(100, 30);
    await terminal.until('saves', '? keys');
    const { stdout } = await run('pgrep', ['-P', await terminal.ask('pane_pid')]);
    process.kill(Number(stdout.trim().split('\n')[0]), 'SIGTERM');
    await terminal.until('before', /status (130|143)/);
    t.is(await terminal.ask('alternate_on'), '0');
    t.is(await terminal.ask('cursor_flag'), '1');
  },
);

test.serial('whoever leaves before anything is shown is let go', async (t) => {
  const terminal = open(t);
  await terminal.press('q');
  await terminal.until('before', 'status 0');
  t.is(await terminal.ask('alternate_on'), '0');
});

test.serial('a locked key asks for the passphrase, and never shows it', async (t) => {
  const key = path.join(home, 'device.key');
  const bytes = readFileSync(key);
  rmSync(key);
  t.teardown(async () => (await import('node:fs')).writeFileSync(key, bytes, { mode: 0o600 }));
  const terminal = open(t);
  await terminal.until('passphrase:');
  await terminal.type('wrong');
  await terminal.until('•••••');
  await terminal.press('Enter');
  await terminal.until('! ', 'passphrase: ▏');
  await terminal.type('sample');
  t.false((await terminal.until('••••••')).includes('sample▏'));
  await terminal.press('Enter');
  await terminal.until(/\d+ saves/);
  await terminal.press('q');
  await terminal.until('status 0');
});
