// The backup log in a real PostgreSQL: the contract, and what a server and its users do to it.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import anyTest, { type ExecutionContext, type TestFn } from 'ava';
import pg from 'pg';
import type { BackupLog } from '../../src/catalog/backup-log.ts';
import { LocalRuns, runsDir, waitingRuns, type LocalRunsOptions } from '../../src/catalog/local-runs.ts';
import { PostgresLog } from '../../src/catalog/postgres-log.ts';
import { MIGRATIONS } from '../../src/catalog/postgres-schema.ts';
import { readPostgres } from '../../src/catalog/read-runs.ts';
import { settlePostgres } from '../../src/catalog/settle.ts';
import { isMoltError, type ErrorCode } from '../../src/model/error.ts';
import type { RepositoryId } from '../../src/model/ids.ts';
import { newFolder } from '../storage/place.ts';
import { backupLogContract } from '../catalog/contract.ts';
import { BEGAN_MS, entry, newKey, random, REPOSITORY, unchanged } from '../catalog/entries.ts';
import { PASSWORD, startPostgres, type PostgresServer } from './server.ts';

// The server is shared, and one test kills it.
const test = anyTest.serial as TestFn;
const everything = { limit: 100_000 };
let server: PostgresServer;

anyTest.before(async () => {
  process.env['PGPASSWORD'] = PASSWORD;
  server = await startPostgres();
});
anyTest.after.always(() => server?.remove());

backupLogContract(test, 'PostgreSQL', async () => {
  const url = await server.makeDatabase();
  return async () => PostgresLog.open(url);
});

/** However busy the machine is that runs the tests. */
const PATIENT = { patienceMs: 60_000 };

/** A machine whose clock the test moves. */
function makeMachine(t: ExecutionContext, url: string, patience: { readonly patienceMs?: number } = PATIENT) {
  const homeDir = newFolder(t);
  const warnings: string[] = [];
  let nowMs = BEGAN_MS;
  const outside: LocalRunsOptions = {
    homeDir,
    random,
    clock: { now: () => nowMs },
    findUrl: async () => url,
    ...patience,
    warn: (text) => warnings.push(text),
  };
  const key = newKey();
  return {
    outside,
    key,
    warnings,
    log: new LocalRuns(outside),
    waiting: waitingRuns(homeDir, REPOSITORY, [key]),
    later(minutes: number) {
      nowMs += minutes * 60_000;
    },
    files: () => (existsSync(runsDir(homeDir, REPOSITORY)) ? readdirSync(runsDir(homeDir, REPOSITORY)) : []),
  };
}

async function numbersIn(url: string): Promise<number[]> {
  const { entries, problem } = await readPostgres(url, [], everything);
  if (problem !== undefined) throw problem;
  return entries.map(({ id }) => Number(`0x${id}`)).toSorted((a, b) => a - b);
}

async function connectTo(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, password: PASSWORD });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** Locks the table of runs until the client ends. */
async function lockTable(url: string): Promise<pg.Client> {
  const holder = await connectTo(url);
  await holder.query('BEGIN');
  await holder.query('LOCK TABLE molt_runs IN ACCESS EXCLUSIVE MODE');
  return holder;
}

/** Waits until somebody waits for the lock. */
async function untilWaiting(url: string): Promise<void> {
  const client = await connectTo(url);
  for (let count = 0; count === 0;) {
    const { rows } = await client.query<{ count: number }>(
      'SELECT count(*)::int AS count FROM pg_locks WHERE NOT granted',
    );
    count = rows[0]?.count ?? 0;
  }
  await client.end();
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

async function refused(t: ExecutionContext, work: Promise<unknown>, code: ErrorCode, message: RegExp): Promise<void> {
  const error = await t.throwsAsync(work);
  t.true(isMoltError(error, code), String(error));
  t.regex(error?.message ?? '', message);
  t.notRegex(`${error?.message} ${isMoltError(error) ? error.hint : ''}`, /hunter2|correct horse/);
}

test('a command’s entry is in the log when it ends; that nothing changed follows with the next news', async (t) => {
  const url = await server.makeDatabase();
  const { log, key, files } = makeMachine(t, url);
  await log.append(entry(1), key);
  await log.settle();
  t.deepEqual(await numbersIn(url), [1]);
  t.deepEqual(files(), []);
  for (const number of [2, 3, 4]) await log.append(unchanged(number), key);
  await log.settle();
  t.deepEqual(files(), ['waiting-repository']);
  await log.append(entry(5), key);
  await log.settle();
  t.deepEqual(await numbersIn(url), [1, 2, 5]);
  for (let number = 10; number < 50; number += 1) await log.append(unchanged(number), key);
  await log.settle();
  t.deepEqual(await numbersIn(url), [1, 2, 5, 10]);
  t.deepEqual(files(), []);
});

test('a server that is killed loses no entry: they wait, and follow when it is back', async (t) => {
  const url = await server.makeDatabase();
  const { log, key, warnings, later, files, outside } = makeMachine(t, url);
  await log.append(entry(1), key);
  await log.settle();
  await server.kill();
  await log.append(entry(2), key);
  await log.settle();
  t.is(warnings.length, 1);
  t.regex(warnings[0] ?? '', /can't be reached: .*ECONNREFUSED/);
  t.deepEqual(files(), ['waiting-repository']);
  await server.start();
  // It was not there a moment ago: commands leave it alone for five minutes, whatever process they are.
  later(4);
  await log.append(entry(3), key);
  await log.settle();
  await new LocalRuns(outside).append(entry(4), key);
  t.deepEqual(await numbersIn(url), [1]);
  later(2);
  await log.append(entry(5), key);
  await log.settle();
  t.deepEqual(await numbersIn(url), [1, 2, 3, 4, 5]);
  t.deepEqual(files(), []);
});

test('a server that is killed in the middle of taking entries has them all in the end, and none twice', async (t) => {
  const url = await server.makeDatabase();
  const { log, key, waiting, outside, later } = makeMachine(t, url);
  const send = (): Promise<boolean> => settlePostgres(outside, url, [waiting]).catch(() => false);
  await log.append(entry(0), key);
  t.true(await send());
  const expected = [0];
  for (const moment of ['connecting', 'inserting', 'any', 'any']) {
    for (let number = 0; number < 300; number += 1) {
      await log.append(unchanged(expected.length, { detail: `${expected.length}` }), key);
      expected.push(expected.length);
    }
    later(6);
    // With the table locked the server is sure to be at the insert.
    const holder = moment === 'inserting' ? await lockTable(url) : undefined;
    const sending = send();
    if (holder !== undefined) await untilWaiting(url);
    if (moment === 'any') for (let turn = 0; turn < 40; turn += 1) await nextTurn();
    await server.kill();
    const isSent = await sending;
    if (moment === 'inserting') t.false(isSent);
    holder?.connection.stream.destroy();
    await server.start();
  }
  later(6);
  t.true(await send());
  t.deepEqual(await numbersIn(url), expected);
  t.deepEqual(waiting.spool.peek([key]), []);
});

test('where the answer to a commit is lost, the entries are there, and once', async (t) => {
  const url = await server.makeDatabase();
  let cuts = 1;
  const proxy = createServer((client) => {
    const upstream = connect(server.port, '127.0.0.1');
    let isCommitted = false;
    for (const socket of [client, upstream]) socket.on('error', () => undefined);
    client.on('data', (bytes: Buffer) => {
      isCommitted ||= bytes.includes('COMMIT') && entriesSent;
      entriesSent ||= bytes.includes('INSERT INTO molt_runs');
      upstream.write(bytes);
    });
    let entriesSent = false;
    upstream.on('data', (bytes: Buffer) => {
      if (isCommitted && cuts > 0) {
        cuts -= 1;
        client.destroy();
        upstream.destroy();
      } else client.write(bytes);
    });
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const through = url.replace(`:${server.port}/`, `:${(proxy.address() as AddressInfo).port}/`);
  const { log, key, waiting, warnings, later } = makeMachine(t, through);
  for (const one of [entry(1), unchanged(2), unchanged(3)]) await log.append(one, key);
  await log.settle();
  t.is(cuts, 0);
  t.is(warnings.length, 1);
  t.deepEqual(await numbersIn(url), [1, 2]);
  t.is(waiting.spool.peek([key]).length, 2);
  later(6);
  await log.append(entry(4), key);
  await log.settle();
  t.deepEqual(await numbersIn(url), [1, 2, 4]);
  proxy.close();
});

test('a process that is killed between sending and forgetting leaves entries that come once', async (t) => {
  const url = await server.makeDatabase();
  const { log, key, waiting } = makeMachine(t, url);
  for (const one of [unchanged(1), unchanged(2), entry(3)]) await log.append(one, key);
  {
    await using sent = await PostgresLog.open(url);
    for (const { entries } of waiting.spool.take(waiting.keys)) await sent.append(entries);
  }
  await log.append(entry(4), key);
  await log.settle();
  const { entries } = await readPostgres(url, [], everything);
  t.deepEqual(
    entries.map(({ id, count }) => [Number(`0x${id}`), count]),
    [
      [4, 1],
      [3, 1],
      [1, 2],
    ],
  );
});

test('machines share one log', async (t) => {
  const url = await server.makeDatabase();
  const machines = Array.from({ length: 4 }, () => makeMachine(t, url));
  await Promise.all(
    machines.map(async ({ log, key }, at) => {
      for (let number = 0; number < 25; number += 1) {
        await log.append(entry(at * 100 + number, { host: `machine-${at}` }), key);
        if (number % 5 === 4) await log.settle();
      }
    }),
  );
  const { entries } = await readPostgres(url, [], everything);
  t.is(entries.length, 100);
  t.deepEqual([...new Set(entries.map(({ host }) => host))].toSorted(), [
    'machine-0',
    'machine-1',
    'machine-2',
    'machine-3',
  ]);
  const own = await readPostgres(url, [], { ...everything, repository: REPOSITORY, sinceMs: BEGAN_MS + 300 * 60_000 });
  t.is(own.entries.length, 25);
});

test('a daemon of a thousand agents brings their entries in one go, also those that come meanwhile', async (t) => {
  const url = await server.makeDatabase();
  const { outside, warnings } = makeMachine(t, url);
  const log = new LocalRuns(outside);
  const agents = Array.from({ length: 1_000 }, (_, at) => ({
    key: newKey(),
    repository: at.toString(16).padStart(32, '0') as RepositoryId,
  }));
  const note = async (round: number): Promise<void> => {
    for (const [at, { key, repository }] of agents.entries())
      await log.append((at === 0 ? entry : unchanged)(round * 1_000 + at, { repository, detail: `${round}` }), key);
  };
  await note(0);
  const settling = [log.settle(), log.settle()];
  await note(1);
  await Promise.all(settling);
  await log.settle();
  t.deepEqual(warnings, []);
  t.is((await numbersIn(url)).length, 2_000);
});

test('processes that come first at once make the tables once', async (t) => {
  const url = await server.makeDatabase();
  const script = fileURLToPath(new URL('./first-process.ts', import.meta.url));
  const statuses = await Promise.all(
    Array.from({ length: 6 }, async (_, number) => {
      const child = spawn(process.execPath, [script, url, String(number)], {
        env: { PGPASSWORD: PASSWORD },
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      const [status] = (await once(child, 'close')) as [number];
      return status;
    }),
  );
  t.deepEqual(statuses, [0, 0, 0, 0, 0, 0]);
  t.deepEqual(await numbersIn(url), [0, 1, 2, 3, 4, 5]);
  const steps = await server.query(url, 'SELECT version FROM molt_migrations ORDER BY version');
  t.is(steps.length, MIGRATIONS.length);
});

test('a client that dies while it makes the tables leaves none half made', async (t) => {
  const url = await server.makeDatabase();
  const holder = await connectTo(url);
  await holder.query('BEGIN');
  await holder.query(MIGRATIONS[0] ?? '');
  const opening = PostgresLog.open(url);
  holder.connection.stream.destroy();
  await using log: BackupLog = await opening;
  await log.append([entry(1)]);
  t.deepEqual(await numbersIn(url), [1]);
});

test('tables that a newer molt has extended are left alone', async (t) => {
  const url = await server.makeDatabase();
  const { log, key, warnings, files } = makeMachine(t, url);
  await log.append(entry(1), key);
  await log.settle();
  await server.query(url, 'INSERT INTO molt_migrations (version) VALUES ($1)', [MIGRATIONS.length + 1]);
  await refused(t, PostgresLog.open(url), 'NEWER_FORMAT', /extended by a newer molt \(step 2, this one knows 1\)/);
  await log.append(entry(2), key);
  await log.settle();
  t.regex(warnings[0] ?? '', /newer molt/);
  t.deepEqual(files(), ['waiting-repository']);
  const rows = await server.query(url, 'SELECT id FROM molt_runs');
  t.is(rows.length, 1);
});

test('a wrong password, none, an unknown database and a missing right are said, without the password', async (t) => {
  const url = await server.makeDatabase();
  const { port } = server;
  const wrong = `postgres://molt:hunter2@127.0.0.1:${port}/test_1`;
  await refused(t, PostgresLog.open(wrong), 'REMOTE_REFUSED', /password authentication failed/);
  await refused(
    t,
    PostgresLog.open(`postgres://molt@127.0.0.1:${port}/nothing`),
    'REMOTE_REFUSED',
    /"nothing" does not exist/,
  );
  delete process.env['PGPASSWORD'];
  try {
    await refused(t, PostgresLog.open(url), 'REMOTE_REFUSED', /wants a password, and none is given/);
  } finally {
    process.env['PGPASSWORD'] = PASSWORD;
  }
  await server.query(url, `CREATE ROLE reader LOGIN PASSWORD '${PASSWORD}'`);
  const reader = url.replace('molt@', 'reader@');
  await refused(t, PostgresLog.open(reader), 'REMOTE_REFUSED', /permission denied/);
});

test('who may only read the steps and insert can note runs, and not change what was noted', async (t) => {
  const url = await server.makeDatabase();
  {
    await using log = await PostgresLog.open(url);
    await log.append([entry(1)]);
  }
  await server.query(url, `CREATE ROLE noter LOGIN PASSWORD '${PASSWORD}'`);
  await server.query(url, 'GRANT SELECT ON molt_migrations TO noter');
  await server.query(url, 'GRANT INSERT ON molt_runs TO noter');
  const noter = url.replace('molt@', 'noter@');
  await using log = await PostgresLog.open(noter);
  await log.append([entry(1, { agent: 'forged' }), entry(2)]);
  await refused(t, log.query(everything), 'REMOTE_REFUSED', /permission denied/);
  t.deepEqual((await readPostgres(url, [], everything)).entries, [entry(2), entry(1)]);
});

test('a server that takes connections and never answers holds a command for two seconds at most, and once', async (t) => {
  const sockets: Socket[] = [];
  const silent = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const { log, key, warnings, files } = makeMachine(t, `postgres://molt@127.0.0.1:${port}/backups`, {});
  await log.append(entry(1), key);
  await log.settle();
  t.is(sockets.length, 1);
  t.regex(warnings[0] ?? '', new RegExp(`127.0.0.1:${port}/backups can't be reached: it does not answer in time`));
  await log.append(entry(2), key);
  await log.settle();
  t.is(sockets.length, 1);
  t.deepEqual(files(), ['waiting-repository']);
  silent.close();
  for (const socket of sockets) socket.destroy();
});

test('a table that somebody has locked holds nobody up', async (t) => {
  const url = await server.makeDatabase();
  const { log, key, warnings, waiting, later } = makeMachine(t, url, { patienceMs: 3_000 });
  await log.append(entry(1), key);
  await log.settle();
  const holder = await lockTable(url);
  await log.append(entry(2), key);
  await log.settle();
  t.is(warnings.length, 1);
  // Moved aside, but not forgotten.
  t.is(waiting.spool.peek(waiting.keys).length, 1);
  await holder.end();
  later(6);
  await log.append(entry(3), key);
  await log.settle();
  t.deepEqual(await numbersIn(url), [1, 2, 3]);
});

test('a log that can’t be reached is read as far as it waits here', async (t) => {
  const { log, key, waiting } = makeMachine(t, 'postgres://molt@127.0.0.1:1/none');
  await log.append(entry(1), key);
  await log.append(entry(2, { agent: 'other' }), key);
  const read = await readPostgres('postgres://molt@127.0.0.1:1/none', [waiting], { ...everything, agent: 'bot' });
  t.deepEqual(read.entries, [entry(1)]);
  t.is(read.problem?.code, 'REMOTE_UNREACHABLE');
});

test('people read the view: times as times, durations as durations', async (t) => {
  const url = await server.makeDatabase();
  await using log = await PostgresLog.open(url);
  await log.append([entry(0, { durationMs: 1_500, requests: { put: 1, get: 2, list: 3, head: 4, delete: 5 } })]);
  const rows = await server.query(
    url,
    `SELECT started_at = '2026-03-05T02:00:00Z'::timestamptz AS at, extract(epoch FROM duration)::float AS seconds, requests::int, agent FROM molt_backup_log`,
  );
  t.deepEqual(rows, [{ at: true, seconds: 1.5, requests: 15, agent: 'bot' }]);
});
