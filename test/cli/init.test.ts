// `molt init` as a newcomer and as a script run it.

import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { makeCliEnvironment } from './environment.ts';

const FIXTURE = path.join(import.meta.dirname, '../../fixtures/openclaw-2026.9.6.tar.gz');
const RECOVERY_KEY = /MOLT(?:-[0-9A-Z]{4}){14}/;
const env = { MOLT_PASSPHRASE: 'correct horse' };

async function makeState(home: string): Promise<void> {
  await mkdir(path.join(home, 'state'));
  await writeFile(path.join(home, 'state/notes.md'), 'remember\n');
}

test('init saves a real OpenClaw agent and prints the recovery key, which opens the repository', async (t) => {
  const { home, run } = await makeCliEnvironment(t);
  await promisify(execFile)('tar', ['xzf', FIXTURE, '-C', home]);
  const made = await run(['init', 'claw', '--state', 'state', '--quiet'], { env });
  t.like(made, { status: 0, stderr: '' });
  for (const text of [
    'claw is saved: ',
    'read as openclaw',
    'Fingerprint',
    'It is not shown again',
    'molt commit claw',
  ]) {
    t.true(made.stdout.includes(text), text);
  }
  const [key = ''] = RECOVERY_KEY.exec(made.stdout) ?? [];
  await rm(path.join(home, '.molt/device.key'));
  t.like(await run(['status', '--json']), { status: 2 });
  const status = await run(['status', '--json'], { env: { MOLT_RECOVERY_KEY: key } });
  t.is(status.status, 0, status.stderr);
  t.like(JSON.parse(status.stdout), { agent: 'claw', profile: 'openclaw', changed: [], attributesChanged: 0 });
});

test('init --json gives the promised fields', async (t) => {
  const { home, run } = await makeCliEnvironment(t);
  await makeState(home);
  const { status, stdout, stderr } = await run(['init', 'bot', '--state', 'state', '--json'], { env });
  t.like({ status, stderr }, { status: 0, stderr: '' });
  const made = JSON.parse(stdout);
  t.like(made, { agent: 'bot', stateDir: path.join(home, 'state'), profile: 'generic' });
  t.regex(made.repository, /^[0-9a-f]{32}$/);
  t.regex(made.commit, /^[0-9a-f]{40}$/);
  t.regex(made.recoveryKey, RECOVERY_KEY);
  t.is(made.roots[0].key, 'state');
  t.true(made.fingerprint.length > 0);
});

test('a recovery key file is new, for its owner only, and the one place where the key is', async (t) => {
  const { home, run } = await makeCliEnvironment(t);
  await makeState(home);
  const made = await run(['init', 'bot', '--state', 'state', '--recovery-key-file', 'key.txt'], { env });
  t.is(made.status, 0, made.stderr);
  t.notRegex(made.stdout, RECOVERY_KEY);
  const file = path.join(home, 'key.txt');
  t.regex(await readFile(file, 'utf8'), RECOVERY_KEY);
  t.is((await stat(file)).mode & 0o777, 0o600);
  const again = await run(['init', 'other', '--state', 'state', '--recovery-key-file', 'key.txt', '--json'], { env });
  t.like(again, { status: 1, stdout: '' });
  t.like(JSON.parse(again.stderr), { error: { code: 'EXISTS' } });
  t.deepEqual(await readdir(path.join(home, '.molt/agents')), ['bot.json']);
});

test('without a terminal and without a passphrase init writes nothing', async (t) => {
  const { home, run } = await makeCliEnvironment(t);
  await makeState(home);
  const refused = await run(['init', 'bot', '--state', 'state', '--recovery-key-file', 'key.txt']);
  t.like(refused, { status: 2, stdout: '' });
  t.true(refused.stderr.includes('MOLT_PASSPHRASE'));
  t.deepEqual(await readdir(home), ['state']);
});

test('an init that fails leaves no agent, no repository and no recovery key file', async (t) => {
  const { home, run } = await makeCliEnvironment(t);
  await makeState(home);
  // A file where molt wants a folder: the first backup is made, and then its label can't be written.
  await mkdir(path.join(home, '.molt'));
  await writeFile(path.join(home, '.molt/agents'), 'in the way');
  const failed = await run(['init', 'bot', '--state', 'state', '--recovery-key-file', 'key.txt'], { env });
  t.not(failed.status, 0);
  t.deepEqual((await readdir(home)).toSorted(), ['.molt', 'state']);
  const repositories = await readdir(path.join(home, '.molt/repositories')).catch(() => []);
  t.deepEqual(repositories, []);
});

test('what init is not given is asked for with the line that helps', async (t) => {
  const { home, run } = await makeCliEnvironment(t);
  t.like(await run(['init']), {
    status: 2,
    stderr: 'molt: init needs AGENT: what to call it\nhint: molt init --help\n',
  });
  t.true((await run(['init', 'bot'])).stderr.endsWith('hint: molt init bot --state DIR\n'));
  await mkdir(path.join(home, '.openclaw'));
  t.true((await run(['init', 'bot'])).stderr.endsWith('hint: molt init bot --state ~/.openclaw\n'));
  t.like(await run(['init', 'bot', '--state', 'nowhere'], { env }), { status: 1 });
  t.like(await run(['init', '../bot', '--state', '.openclaw'], { env }), { status: 2 });
});
