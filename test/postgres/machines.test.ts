// Machines that share a backup log in PostgreSQL, by the real entry: the same agent on two of them, and a server that is away for a while.

import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import anyTest, { type ExecutionContext, type TestFn } from 'ava';
import { makeAgentMachine, type AgentMachine } from '../cli/agent.ts';
import { makeCliEnvironment } from '../cli/environment.ts';
import { PASSWORD, startPostgres, type PostgresServer } from './server.ts';

// The server is shared, and one test kills it.
const test = anyTest.serial as TestFn;
let server: PostgresServer;

anyTest.before(async () => {
  server = await startPostgres();
});
anyTest.after.always(() => server?.remove());

interface Shown {
  readonly agent: string;
  readonly verb: string;
  readonly result: string;
  readonly error: { readonly code: string } | null;
}

const brief = ({ agent, verb, result }: Shown): string => `${agent} ${verb} ${result}`;

/** A machine that keeps its log in a database of its own. */
async function makeSharing(t: ExecutionContext): Promise<AgentMachine & { readonly env: Record<string, string> }> {
  const env = { MOLT_BACKUP_LOG: await server.makeDatabase(), PGPASSWORD: PASSWORD, MOLT_PASSPHRASE: 'first' };
  return { ...(await makeAgentMachine(t, { 'notes.md': 'remember\n' })), env };
}

test('one agent on two machines has one log, and each machine’s other agents are in it too', async (t) => {
  const { env, text, json, write, home } = await makeSharing(t);
  const remote = `file://${home}/remote`;
  await mkdir(path.join(home, 'remote'));
  await text(['remote', 'add', 'origin', remote], { env });
  await write('more.md', 'more');
  await text(['commit'], { env });
  await text(['push'], { env });
  const second = await makeCliEnvironment(t);
  t.is((await second.run(['clone', remote, 'copy', '--state', 'copy'], { env })).status, 0);
  t.is((await second.run(['restore', 'copy'], { env })).status, 0);
  await mkdir(path.join(second.home, 'alone'));
  t.is((await second.run(['init', 'alone', '--state', 'alone', '--recovery-key-file', 'k'], { env })).status, 0);
  const expected = ['copy restore ok', 'copy clone ok', 'bot push ok', 'bot backup ok'];
  t.deepEqual(((await json(['backup', 'log', 'bot'], { env })) as Shown[]).map(brief), expected);
  t.deepEqual(JSON.parse((await second.run(['backup', 'log', 'copy', '--json'], { env })).stdout).map(brief), expected);
  const all = ['alone backup ok', ...expected];
  t.deepEqual(JSON.parse((await second.run(['backup', 'log', '--json'], { env })).stdout).map(brief), all);
  // An agent that is not on this machine, by the name that it has on its own.
  t.deepEqual(((await json(['backup', 'log', 'alone'], { env })) as Shown[]).map(brief), ['alone backup ok']);
  t.deepEqual(await json(['backup', 'log', 'nobody'], { env }), []);
});

test('while the server is away backups go on, and their entries follow', async (t) => {
  const { env, run, write, json, home } = await makeSharing(t);
  await server.kill();
  for (const [number, warns] of [
    [1, true],
    [2, false],
  ] as const) {
    await write('more.md', `${number}`);
    const { status, stderr } = await run(['commit'], { env });
    t.is(status, 0);
    t.is(/warning: the backup log lacks entries/.test(stderr), warns, stderr);
  }
  const away = await run(['backup', 'log', '--json'], { env });
  t.is(away.status, 14);
  t.is((JSON.parse(away.stdout) as Shown[]).length, 2);
  await server.start();
  t.deepEqual(((await json(['backup', 'log'], { env })) as Shown[]).map(brief), ['bot backup ok', 'bot backup ok']);
  const [repository = ''] = (await readdir(path.join(home, '.molt/runs'))).filter((name) =>
    /^[0-9a-f]{32}$/.test(name),
  );
  t.deepEqual(await readdir(path.join(home, '.molt/runs', repository)), []);
});

test('a run that could not open its repository is told to the fleet', async (t) => {
  const { env, run, json, home } = await makeSharing(t);
  await rm(path.join(home, '.molt/device.key'));
  const wrong = { ...env, MOLT_PASSPHRASE: 'wrong' };
  t.is((await run(['commit'], { env: wrong })).status, 12);
  const [failed] = (await json(['backup', 'log'], { env })) as Shown[];
  t.is(failed?.error?.code, 'WRONG_PASSPHRASE');
});

test('the password comes from .pgpass as well, and is in nothing that molt writes', async (t) => {
  const { env, run, write, json, home } = await makeSharing(t);
  await writeFile(path.join(home, '.pgpass'), `127.0.0.1:${server.port}:*:molt:${PASSWORD}\n`, { mode: 0o600 });
  const { PGPASSWORD: _, ...rest } = env;
  await write('more.md', 'more');
  t.like(await run(['commit'], { env: rest }), { status: 0 });
  t.is(((await json(['backup', 'log'], { env: rest })) as Shown[]).length, 1);
  const url = new URL(rest.MOLT_BACKUP_LOG ?? '');
  url.password = 'hunter2';
  const given = await run(['backup', 'log', '--verbose', '--backup-log', url.href], { env: rest });
  t.is(given.status, 14);
  t.regex(given.stderr, /password authentication failed/);
  t.false(`${given.stdout}${given.stderr}`.includes('hunter2'));
});
