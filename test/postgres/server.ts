// A real PostgreSQL server for one test file: of Debian's package, on loopback, in a folder of its own, killed and started as a test
// wants it. PostgreSQL refuses to run as root, so that it is another user's then.

import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';

const run = promisify(execFile);
const DEBIAN = '/usr/lib/postgresql';

/** The password of the user `molt`; it goes with PGPASSWORD. */
export const PASSWORD = 'correct horse';

/** A server. */
export interface PostgresServer {
  readonly port: number;
  /** Makes a database, and returns its URL, without a password. */
  makeDatabase(): Promise<string>;
  /** Runs a statement in a database, as somebody else would. */
  query(url: string, text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>;
  /** Kills it as a power cut would, or lets it end. */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** Stops it for good, and removes its folder. */
  remove(): Promise<void>;
}

/** Starts a server. */
export async function startPostgres(): Promise<PostgresServer> {
  const programs = await findPrograms();
  const owner = process.getuid?.() === 0 ? await findOwner() : undefined;
  const dir = await mkdtemp(path.join(tmpdir(), 'molt-postgres-'));
  const passwordFile = path.join(dir, 'password');
  await writeFile(passwordFile, `${PASSWORD}\n`);
  await chmod(dir, 0o755);
  if (owner !== undefined) for (const one of [dir, passwordFile]) await chown(one, owner.uid, owner.gid);
  const data = path.join(dir, 'data');
  const init = ['-D', data, '-U', 'molt', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`, '-N', '-E', 'UTF8'];
  await run(path.join(programs, 'initdb'), [...init, '--locale=C'], { cwd: dir, ...owner });
  const port = await findFreePort();
  let server: ChildProcess | undefined;
  let databases = 0;
  const admin = `postgres://molt@127.0.0.1:${port}/postgres`;
  const made: PostgresServer = {
    port,
    async makeDatabase() {
      databases += 1;
      await made.query(admin, `CREATE DATABASE test_${databases}`);
      return `postgres://molt@127.0.0.1:${port}/test_${databases}`;
    },
    async query(url, text, values = []) {
      const own = new URL(url);
      own.password = PASSWORD;
      const client = new pg.Client({ connectionString: own.href });
      await client.connect();
      try {
        return (await client.query<Record<string, unknown>>(text, [...values])).rows;
      } finally {
        await client.end();
      }
    },
    async kill() {
      const ended = server === undefined || server.exitCode !== null ? undefined : once(server, 'close');
      server?.kill('SIGQUIT');
      await ended;
      server = undefined;
    },
    async start() {
      const settings = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'max_connections=50'];
      const words = ['-D', data, '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])];
      const env = { LC_MESSAGES: 'C' };
      server = spawn(path.join(programs, 'postgres'), words, {
        cwd: dir,
        env,
        stdio: ['ignore', 'ignore', 'pipe'],
        ...owner,
      });
      await untilReady(server);
    },
    async remove() {
      await made.kill();
      await rm(dir, { recursive: true, force: true });
    },
  };
  await made.start();
  return made;
}

/** Waits until the server says that it takes connections. */
async function untilReady(server: ChildProcess): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let said = '';
  server.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-10_000);
    if (said.includes('database system is ready to accept connections')) resolve();
  });
  server.once('close', () => reject(new Error(`PostgreSQL ended:\n${said}`)));
  await promise;
}

/** Returns the folder of the newest PostgreSQL's programs. */
async function findPrograms(): Promise<string> {
  const versions = await readdir(DEBIAN).catch(() => []);
  const [newest] = versions.toSorted((a, b) => Number(b) - Number(a));
  if (newest === undefined) throw new Error('PostgreSQL is not installed: apt-get install postgresql');
  return path.join(DEBIAN, newest, 'bin');
}

async function findOwner(): Promise<{ uid: number; gid: number }> {
  const idOf = async (flag: string): Promise<number> => Number((await run('id', [flag, 'postgres'])).stdout);
  return { uid: await idOf('-u'), gid: await idOf('-g') };
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
