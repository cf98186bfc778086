// How the interface is begun: on a terminal alone, and by molt alone there.

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import test from 'ava';
import { runProgram, type Host } from '../../src/cli/program.ts';
import type { Browser } from '../../src/ops/browser.ts';
import { makeCliEnvironment } from './environment.ts';
import { fakeHost, recordingStream } from './fakes.ts';

/** Runs molt on a terminal; returns what the interface was begun with. */
async function onTerminal(argv: readonly string[], changes: Partial<Host> = {}) {
  const begun: Browser[] = [];
  const stdin = Object.assign(new PassThrough(), { isTTY: true });
  const [stdout, stderr] = [recordingStream(true), recordingStream(true)];
  const browse = async (browser: Browser): Promise<void> => void begun.push(browser);
  const status = await runProgram(fakeHost(argv, { stdin, stdout, stderr, browse, ...changes }));
  return { status, begun, stdout: stdout.text(), stderr: stderr.text() };
}

test('without a terminal it says so, and ends with status 2', async (t) => {
  const { run } = await makeCliEnvironment(t);
  const hint = 'hint: molt log shows the history as text, and molt diff what changed\n';
  t.deepEqual(await run(['tui']), {
    status: 2,
    signal: null,
    stdout: '',
    stderr: `molt: this is not a terminal: tui needs one for its screen and its keys\n${hint}`,
  });
  t.is((await onTerminal(['tui'], { stdin: new PassThrough() })).status, 2, 'keys come from a pipe');
  t.is((await onTerminal(['tui'], { stdout: recordingStream() })).status, 2, 'the screen is a file');
  t.is((await onTerminal(['tui', '--json'])).status, 2);
});

test('molt alone on a terminal is the interface, and help is help', async (t) => {
  t.is((await onTerminal([])).begun.length, 1);
  t.like((await onTerminal(['-a', 'heron', '--tz', 'Asia/Jakarta'])).begun[0], {
    label: 'heron',
    zone: 'Asia/Jakarta',
  });
  t.like((await onTerminal(['tui', 'heron'])).begun[0], { label: 'heron', colour: true });
  t.is((await onTerminal(['tui', '--no-color'])).begun[0]?.colour, false);
  const help = await onTerminal(['--help']);
  t.is(help.begun.length, 0);
  t.regex(help.stdout, /^ {2}tui /m);
});

test('a passphrase that is given is not asked for', async (t) => {
  const env = { HOME: '/home/user', MOLT_PASSPHRASE: 'given' };
  const [browser] = (await onTerminal(['tui'], { env })).begun;
  const unlock = browser?.unlockWith(async () => 'asked');
  t.deepEqual(await unlock?.('it'), { type: 'passphrase', passphrase: 'given' });
  const [other] = (await onTerminal(['tui'])).begun;
  t.deepEqual(await other?.unlockWith(async () => 'asked')('it'), { type: 'passphrase', passphrase: 'asked' });
});

test('other commands load nothing of it', async (t) => {
  const { home, run } = await makeCliEnvironment(t);
  const listing = path.join(home, 'modules');
  const hook = path.join(import.meta.dirname, 'list-modules.mjs');
  const env = { NODE_OPTIONS: `--import ${hook}`, MOLT_TEST_MODULES: listing };
  for (const argv of [['--version'], ['help'], ['commit'], ['log']]) await run(argv, { env, isFromSource: true });
  const modules = (await readFile(listing, 'utf8')).split('\n');
  t.true(
    modules.some((url) => url.endsWith('/src/cli/commands/commit.ts')),
    'what is loaded was listed',
  );
  t.deepEqual(
    modules.filter((url) => /\/node_modules\/(ink|react|yoga-layout)\/|\/tui\/(app|session|start)\.ts$/.test(url)),
    [],
  );
});
