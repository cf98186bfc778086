// The real entry: what a user or a script sees of the frame, before any command does its work.

import { spawn } from 'node:child_process';
import { readdir, readFile, symlink } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { COMMANDS } from '../../src/cli/commands.ts';
import { makeCliEnvironment } from './environment.ts';

const ROOT = path.join(import.meta.dirname, '../..');

test('--version tells the version of package.json', async (t) => {
  const { run } = await makeCliEnvironment(t);
  const { version } = JSON.parse(await readFile(path.join(ROOT, 'package.json'), 'utf8')) as { version: string };
  t.like(await run(['--version']), { status: 0, stdout: `molt ${version}\n`, stderr: '' });
  t.like(await run(['version']), { status: 0, stdout: `molt ${version}\n`, stderr: '' });
  t.like(JSON.parse((await run(['--json', '--version'])).stdout), { version });
});

test('--help and help show every command with its summary', async (t) => {
  const { run } = await makeCliEnvironment(t);
  const help = await run(['--help']);
  t.like(help, { status: 0, stderr: '' });
  for (const { name, summary } of COMMANDS) t.regex(help.stdout, new RegExp(`^  ${name} +${summary}$`, 'm'));
  t.is((await run(['help'])).stdout, help.stdout);
});

test('every command has a help with usage and an example, asked for in either way', async (t) => {
  const { run } = await makeCliEnvironment(t);
  for (const { name } of COMMANDS) {
    const help = await run([...name.split(' '), '--help']);
    t.like(help, { status: 0, stderr: '' }, name);
    t.true(help.stdout.startsWith(`Usage: molt ${name}`), name);
    t.regex(help.stdout, /^Examples:\n {2}molt /m, name);
    t.is((await run(['help', ...name.split(' ')])).stdout, help.stdout, name);
  }
});

test('the table of commands says what the commands say', async (t) => {
  for (const entry of COMMANDS) {
    const command = await entry.load();
    t.is(command.name, entry.name);
    t.is(command.summary, entry.summary);
    t.true(command.examples.length > 0, entry.name);
    t.true(
      command.examples.every(([line]) => line.startsWith(entry.name.split(' ', 1)[0] ?? '')),
      entry.name,
    );
  }
});

test('a wrong command line ends with status 2 and says what helps', async (t) => {
  const { run } = await makeCliEnvironment(t);
  t.like(await run([]), { status: 2, stdout: '', stderr: 'molt: no command is given\nhint: molt help\n' });
  t.like(await run(['verison']), {
    status: 2,
    stdout: '',
    stderr: "molt: 'verison' is not a command\nhint: did you mean molt version\n",
  });
  t.like(await run(['version', '--jsno']), {
    status: 2,
    stdout: '',
    stderr: 'molt: unknown option --jsno\nhint: did you mean --json\n',
  });
  t.like(await run(['version', 'x']), {
    status: 2,
    stdout: '',
    stderr: "molt: version takes no 'x'\nhint: molt version --help\n",
  });
});

test('with --json an error is a document on stderr and stdout stays empty', async (t) => {
  const { run } = await makeCliEnvironment(t);
  const result = await run(['verison', '--json']);
  t.like(result, { status: 2, stdout: '' });
  t.deepEqual(JSON.parse(result.stderr), {
    error: { code: 'USAGE', message: "'verison' is not a command", hint: 'did you mean molt version' },
  });
});

test('with --json a result is one document on stdout and stderr stays empty', async (t) => {
  const { run } = await makeCliEnvironment(t);
  for (const argv of [
    ['help', '--json'],
    ['--json', 'help', 'version'],
    ['version', '--json', '--verbose'],
  ]) {
    const { status, stdout, stderr } = await run(argv);
    t.like({ status, stderr }, { status: 0, stderr: '' });
    t.is(stdout, `${JSON.stringify(JSON.parse(stdout))}\n`);
  }
});

test('an escape sequence in the command line does not come back raw', async (t) => {
  const { run } = await makeCliEnvironment(t);
  const { stderr } = await run(['\u001b[31mred']);
  t.true(stderr.includes("'^[[31mred'") && !stderr.includes('\u001b'));
});

test('the program goes by the name that it was called by', async (t) => {
  const { home } = await makeCliEnvironment(t);
  const link = path.join(home, 'moltghost.ts');
  await symlink(path.join(ROOT, 'src/main.ts'), link);
  const { promise, resolve } = Promise.withResolvers<void>();
  const child = spawn(process.execPath, [link, 'nothing'], { env: { HOME: home } });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.once('close', () => resolve());
  await promise;
  t.is(stderr, "moltghost: 'nothing' is not a command\nhint: moltghost help\n");
});

test('help and version leave the home as it was', async (t) => {
  const { home, run } = await makeCliEnvironment(t);
  await run(['--help']);
  await run(['version']);
  t.deepEqual(await readdir(home), []);
});

test('a reader that goes away early is no error', async (t) => {
  const { home } = await makeCliEnvironment(t);
  const main = path.join(ROOT, 'src/main.ts');
  const { promise, resolve } = Promise.withResolvers<number | null>();
  const child = spawn(process.execPath, [main, 'help'], { env: { HOME: home } });
  child.stdout.destroy();
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.once('close', resolve);
  t.is(await promise, 0);
  t.is(stderr, '');
});
