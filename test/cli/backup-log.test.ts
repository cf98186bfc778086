// `molt backup log`, and what the log costs every other command, by the real entry.

import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { makeAgentMachine, type AgentMachine } from './agent.ts';

const LISTING_HOOK = path.join(import.meta.dirname, 'list-modules.mjs');

interface Shown {
  readonly verb: string;
  readonly result: string;
  readonly trigger: string;
  readonly count: number;
  readonly rebuilt: boolean;
  readonly error: { readonly code: string; readonly message: string } | null;
}

const makeBot = (t: ExecutionContext): Promise<AgentMachine> => makeAgentMachine(t, { 'notes.md': 'remember\n' });

const brief = ({ verb, result, count }: Shown): string => `${verb} ${result}${count === 1 ? '' : ` ${count}`}`;

async function runsFolder({ home }: AgentMachine): Promise<string> {
  const runs = path.join(home, '.molt/runs');
  const [repository = ''] = await readdir(runs);
  return path.join(runs, repository);
}

test('the log has what was run, newest first, and what failed with its reason', async (t) => {
  const machine = await makeBot(t);
  const { write, text, json, run, home } = machine;
  await write('more.md', 'more');
  await text(['commit']);
  await text(['commit']);
  await text(['commit', 'bot']);
  await mkdir(path.join(home, 'remote'));
  await text(['remote', 'add', 'origin', `file://${home}/remote`]);
  await text(['push']);
  await rm(path.join(home, 'remote'), { recursive: true });
  t.is((await run(['push'])).status, 14);
  t.is((await run(['restore', 'bot', '--to', 'notes'])).status, 0);
  const entries = (await json(['backup', 'log'])) as Shown[];
  // Init was not run by this molt: what the history tells of it is filled in.
  t.deepEqual(entries.map(brief), ['restore ok', 'push failed', 'push ok', 'backup ok', 'backup ok']);
  t.deepEqual(
    entries.map(({ rebuilt }) => rebuilt),
    [false, false, false, false, true],
  );
  t.is(entries[1]?.error?.code, 'REMOTE_UNREACHABLE');
  t.deepEqual(((await json(['backup', 'log', 'bot', '--all'])) as Shown[]).map(brief), [
    'restore ok',
    'push failed',
    'push ok',
    'backup unchanged 2',
    'backup ok',
    'backup ok',
  ]);
  t.deepEqual(((await json(['backup', 'log', '--failed'])) as Shown[]).map(brief), ['push failed']);
  t.deepEqual(((await json(['backup', 'log', '--verb', 'push', '-n', '1'])) as Shown[]).map(brief), ['push failed']);
  t.deepEqual(await json(['backup', 'log', '--until', '2020-01-01']), []);
  const lines = (await text(['backup', 'log', '--all'])).trimEnd().split('\n');
  t.is(lines.length, 6);
  t.regex(lines[1] ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ {2}push +manual +failed .* origin {2}REMOTE_UNREACHABLE: /);
  t.regex(lines[3] ?? '', /unchanged ×2 .* until \d{4}/);
  t.regex(lines[5] ?? '', /full .*\(from the history\)$/);
});

test('without an agent the log is that of all agents, and in the folder of one it is that one’s', async (t) => {
  const machine = await makeBot(t);
  const { write, text, json, home, stateDir } = machine;
  await mkdir(path.join(home, 'second'));
  await writeFile(path.join(home, 'second/a.md'), 'a');
  await text(['init', 'second', '--state', 'second', '--recovery-key-file', 'key.txt'], {
    env: { MOLT_PASSPHRASE: 'x' },
  });
  await write('more.md', 'more');
  await text(['commit', 'bot']);
  const agents = async (argv: readonly string[], cwd?: string): Promise<string[]> =>
    ((await json(['backup', 'log', ...argv], cwd === undefined ? {} : { cwd })) as { agent: string }[]).map(
      ({ agent }) => agent,
    );
  t.deepEqual(await agents([]), ['bot', 'second', 'bot']);
  t.deepEqual(await agents(['second']), ['second']);
  t.deepEqual(await agents([], stateDir), ['bot', 'bot']);
  const unknown = await machine.run(['backup', 'log', 'third']);
  t.is(unknown.status, 1);
  t.regex(unknown.stderr, /there is no agent "third"; there are bot, second/);
});

test('a log that was damaged or lost is made anew from the history, and says so', async (t) => {
  const machine = await makeBot(t);
  const { write, text, run, json } = machine;
  await write('more.md', 'more');
  await text(['commit']);
  t.is(((await json(['backup', 'log'])) as Shown[]).length, 2);
  const dir = await runsFolder(machine);
  await writeFile(path.join(dir, 'log'), 'x'.repeat(1000));
  const damaged = await run(['backup', 'log']);
  t.is(damaged.status, 0);
  t.is(damaged.stdout.trimEnd().split('\n').length, 2);
  t.regex(damaged.stderr, /^warning: the log of bot was damaged, and is made anew from its history/);
  t.is((await run(['backup', 'log'])).stderr, '');
  await rm(path.join(dir, '..'), { recursive: true });
  t.deepEqual(
    ((await json(['backup', 'log'])) as Shown[]).map(({ rebuilt }) => rebuilt),
    [true, true],
  );
});

test('a run that could not open its repository is told of even before it can be opened again', async (t) => {
  const machine = await makeBot(t);
  const { run, home, json } = machine;
  await rm(path.join(home, '.molt/device.key'));
  const failed = await run(['commit', 'bot']);
  t.is(failed.status, 2);
  const closed = await run(['backup', 'log', 'bot']);
  t.is(closed.status, 2);
  t.regex(closed.stdout, /backup +manual +failed .*USAGE: a passphrase is needed for agent "bot"/);
  const opened = (await json(['backup', 'log', 'bot'], { env: { MOLT_PASSPHRASE: 'first' } })) as Shown[];
  t.deepEqual(opened.map(brief), ['backup failed', 'backup ok']);
});

test('what an agent or a server wrote does not reach the terminal as a command', async (t) => {
  const machine = await makeBot(t);
  const { run, text, home } = machine;
  const name = `re\u001b[2Jmote`;
  await mkdir(path.join(home, name));
  await text(['remote', 'add', 'origin', `file://${home}/${encodeURIComponent(name)}`]);
  await rm(path.join(home, name), { recursive: true });
  await run(['push']);
  const { stdout } = await run(['backup', 'log', '--failed']);
  t.regex(stdout, /REMOTE_UNREACHABLE/);
  t.false(stdout.includes('\u001b'));
});

test('a commit loads neither SQLite’s WebAssembly nor PostgreSQL’s client, and --version nothing of the log', async (t) => {
  const machine = await makeBot(t);
  const { write, home } = machine;
  const listing = path.join(home, 'modules.txt');
  const loaded = async (argv: readonly string[], more: Readonly<Record<string, string>> = {}): Promise<string> => {
    await rm(listing, { force: true });
    const env = { NODE_OPTIONS: `--import ${LISTING_HOOK}`, MOLT_TEST_MODULES: listing, ...more };
    await machine.run(argv, { env, isFromSource: true });
    return readFile(listing, 'utf8');
  };
  await write('more.md', 'more');
  for (const argv of [['commit'], ['commit'], ['status'], ['push']]) {
    const modules = await loaded(argv);
    t.regex(modules, /src\/catalog\/spool\.ts/, argv.join());
    t.notRegex(modules, /sql\.js|sqljs|node_modules\/pg|postgres/, argv.join());
  }
  t.notRegex(await loaded(['--version']), /catalog/);
  t.regex(await loaded(['backup', 'log']), /sql\.js/);
  const unreachable = { MOLT_BACKUP_LOG: 'postgres://molt@127.0.0.1:1/none' };
  await write('more.md', 'even more');
  t.regex(await loaded(['commit'], unreachable), /node_modules\/pg\//);
});

test('a log in PostgreSQL that is not there changes no command’s status, and is left alone for a while', async (t) => {
  const machine = await makeBot(t);
  const { write, run, text } = machine;
  const env = { MOLT_BACKUP_LOG: 'postgres://molt:hunter2@127.0.0.1:1/none' };
  await write('more.md', 'more');
  const first = await run(['commit'], { env });
  t.is(first.status, 0);
  t.regex(
    first.stderr,
    /warning: the backup log lacks entries, which wait on this machine: .*127\.0\.0\.1:1\/none can't be reached/,
  );
  await write('more.md', 'even more');
  const second = await run(['commit', '--json'], { env });
  t.like(second, { status: 0, stderr: '' });
  await write('more.md', 'most');
  const third = await run(['commit'], { env });
  // Whatever takes long says how far it is.
  t.is(third.status, 0);
  t.notRegex(third.stderr, /warning/);
  const log = await run(['backup', 'log'], { env });
  t.is(log.status, 14);
  t.is(log.stdout.trimEnd().split('\n').length, 3);
  t.regex(log.stderr, /hint: entries wait on this machine/);
  t.false([first, second, log].some(({ stdout, stderr }) => `${stdout}${stderr}`.includes('hunter2')));
  t.is((await text(['backup', 'log', '--backup-log', 'embedded'], { env })).trimEnd().split('\n').length, 4);
});

test('which log is meant is said by the line, the environment or the configuration; what is no URL is refused unshown', async (t) => {
  const machine = await makeBot(t);
  const { run, home, write } = machine;
  const config = path.join(home, '.molt/config.json');
  const refused = async (argv: readonly string[], message: RegExp, env = {}): Promise<void> => {
    const { status, stderr } = await run(['backup', 'log', ...argv], { env });
    t.is(status, stderr.includes("can't be reached") ? 14 : 2, stderr);
    t.regex(stderr, message);
    t.false(stderr.includes('hunter2'), stderr);
  };
  await refused(['--backup-log', 'mysql://u:hunter2@h/d'], /the backup log is no PostgreSQL URL/);
  await refused([], /the backup log is no PostgreSQL URL/, { MOLT_BACKUP_LOG: 'u:hunter2@' });
  await writeFile(config, '{"backupLog": "postgres://u:hunter2@127.0.0.1:1/configured"}');
  await refused([], /127\.0\.0\.1:1\/configured can't be reached/);
  await refused([], /127\.0\.0\.1:1\/given can't be reached/, { MOLT_BACKUP_LOG: 'postgres://127.0.0.1:1/given' });
  await refused(
    ['--backup-log', 'postgres://u:hunter2@127.0.0.1:1/line'],
    /every user of this machine can read the password/,
  );
  for (const bad of ['[]', '{"backupLog": 7}', 'no JSON']) {
    await writeFile(config, bad);
    await refused([], /config\.json" is not a JSON object|is not a text/);
    // A backup is made all the same.
    await write('more.md', bad);
    const { status, stderr } = await run(['commit']);
    t.is(status, 0);
    t.regex(stderr, /warning: the backup log lacks entries/);
  }
});

test('an agent’s log goes with its repository', async (t) => {
  const machine = await makeBot(t);
  const { text, home, write } = machine;
  await write('more.md', 'more');
  await text(['commit']);
  await text(['backup', 'log']);
  await text(['agent', 'remove', 'bot', '--repository', '--yes']);
  t.deepEqual(await readdir(path.join(home, '.molt/runs')), []);
});
