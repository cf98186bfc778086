// A live agent: a recorded OpenClaw state in which several processes change databases and files without pause, and the check of
// what was captured of it. The test and the campaign (scripts/campaign-writers.ts) share it.

import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { setPriority } from 'node:os';
import { join, relative } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { writeEntries } from '../../src/agent/rehydrate.ts';
import { FileFiller } from '../../src/repo/file-filler.ts';
import { silentReporter } from '../../src/model/ports.ts';
import type { CommitId } from '../../src/model/ids.ts';
import { readCommitView, readRestoreEntries } from '../../src/ops/commit-files.ts';
import type { OpsContext } from '../../src/ops/context.ts';
import { Home } from '../../src/ops/home.ts';
import { initAgent } from '../../src/ops/init.ts';
import type { OpenAgent } from '../../src/ops/open.ts';

/** A writing process. */
export interface Writer {
  readonly pid: number;
  /** Ends it after the step it is at. */
  stop(): Promise<void>;
}

/** Where the writers work, below the state folder: paths that OpenClaw's profile keeps. */
const DATABASES = ['state/ledger.sqlite', 'agents/main/agent/ledger.sqlite'] as const;
const SESSIONS = 'agents/main/sessions';
const WORK = 'workspace/work';
const ROWS = 50;
const START_AMOUNT = 1000;
const PIECE_BYTES = 64 * 1024;

/** Returns an operation's context with the real clock, and no way to ask for a secret. */
export function makeContext(homeDir: string): OpsContext {
  return {
    home: new Home(homeDir),
    clock: { now: () => Date.now() },
    random: { bytes: (length) => randomBytes(length) },
    reporter: silentReporter,
    cwd: '/',
    userHome: '/nowhere',
    unlock: async () => {
      throw new Error('the device key should have opened it');
    },
  };
}

/** Unpacks the recorded state into a folder, adds the writers' databases, and returns the state folder. */
export function makeLiveState(dir: string): string {
  const archive = new URL('../../fixtures/openclaw-2026.9.6.tar.gz', import.meta.url).pathname;
  execFileSync('tar', ['-xzf', archive, '-C', dir]);
  const stateDir = join(dir, 'state');
  for (const path of DATABASES) makeLedger(join(stateDir, path), 'wal');
  return stateDir;
}

/** Makes a database whose two tables always add up to the same. */
export function makeLedger(path: string, mode: 'wal' | 'delete'): void {
  const database = new DatabaseSync(path);
  database.exec(`PRAGMA journal_mode = ${mode};
    CREATE TABLE left_side (id INTEGER PRIMARY KEY, amount INTEGER);
    CREATE TABLE right_side (id INTEGER PRIMARY KEY, amount INTEGER);
    CREATE TABLE filler (text TEXT);
    WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ${ROWS})
      INSERT INTO left_side SELECT i, ${START_AMOUNT} FROM n;
    INSERT INTO right_side SELECT id, amount FROM left_side`);
  database.close();
}

/** Makes the repository of the state, with the device key alone. */
export async function beginAgent(context: OpsContext, stateDir: string): Promise<void> {
  await initAgent(context, {
    label: 'live',
    stateDir,
    profile: 'openclaw',
    include: [],
    exclude: [],
    passphrase: async () => undefined,
    keepRecoveryKey: async () => {},
  });
}

/**
 * Starts all kinds of writers on a state folder; resolves once each of them has begun to write.
 * @param nice how much of the processor they leave to others, from 0 (none) to 19
 */
export async function startWriters(stateDir: string, nice: number): Promise<Writer[]> {
  const [shared, own] = DATABASES;
  const writers = await Promise.all([
    startDatabaseWriter(join(stateDir, shared), 'wal', 'write', 1),
    startDatabaseWriter(join(stateDir, own), 'wal', 'write', 2),
    startFileWriter('append', join(stateDir, SESSIONS)),
    ...['replace', 'rename', 'churn', 'overwrite'].map((job) => startFileWriter(job, join(stateDir, WORK, job))),
  ]);
  for (const { pid } of writers) setPriority(pid, nice);
  return writers;
}

/** Starts a process that writes a ledger, or one that holds it locked. */
export function startDatabaseWriter(path: string, mode: string, job: 'write' | 'hold', number = 1): Promise<Writer> {
  return startProcess('../agent/sqlite-writer.ts', [path, mode, job, String(number)]);
}

function startFileWriter(job: string, dir: string): Promise<Writer> {
  mkdirSync(dir, { recursive: true });
  return startProcess('writer-process.ts', [job, dir]);
}

async function startProcess(script: string, args: readonly string[]): Promise<Writer> {
  const child: ChildProcess = fork(new URL(script, import.meta.url).pathname, args);
  const failed = once(child, 'exit').then(([code]): never => {
    throw new Error(`the writer ${args.join(' ')} ended with ${code}`);
  });
  await Promise.race([once(child, 'message'), failed]);
  const ended = failed.catch(() => {});
  const { pid } = child;
  if (pid === undefined) throw new Error(`the writer ${args.join(' ')} has not begun`);
  return {
    pid,
    async stop() {
      if (child.connected) child.send('stop');
      await ended;
    },
  };
}

/** Writes the files of a commit into a new folder. */
export async function restoreCommit({ repository }: OpenAgent, id: CommitId, dir: string): Promise<void> {
  const entries = await readRestoreEntries(repository, await readCommitView(repository, id));
  await writeEntries({
    targets: new Map([['state', dir]]),
    entries,
    content: new FileFiller(repository, { totalBytes: 0 }),
  });
}

/** Returns what is wrong with a restored state: each line names a file and what it shows that no moment of the writers' had. */
export function findTornContent(dir: string): string[] {
  return [...DATABASES.flatMap((path) => checkLedger(join(dir, path), path)), ...checkSessions(dir), ...checkWork(dir)];
}

/** Returns what is wrong with one ledger. */
export function checkLedger(file: string, path: string): string[] {
  if (!existsSync(file)) return [`${path} is missing`];
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    const check = String(database.prepare('PRAGMA integrity_check').get()?.['integrity_check']);
    const sum = 'SELECT (SELECT sum(amount) FROM left_side) + (SELECT sum(amount) FROM right_side) AS total';
    const total = Number(database.prepare(sum).get()?.['total']);
    const problems = check === 'ok' ? [] : [`${path}: integrity_check says ${check}`];
    if (total !== ROWS * START_AMOUNT * 2) problems.push(`${path}: a transaction was seen half, the sum is ${total}`);
    return problems;
  } finally {
    database.close();
  }
}

function checkSessions(dir: string): string[] {
  const files = listFiles(join(dir, SESSIONS)).filter((path) => path.endsWith('.jsonl'));
  if (files.length === 0) return [`${SESSIONS} has no session`];
  return files.flatMap((file) => {
    const path = relative(dir, file);
    const lines = readFileSync(file, 'utf8').split('\n');
    if (lines.at(-1) === '') lines.pop();
    const numbers = lines.map(parseSeq);
    const torn = numbers.findIndex((seq) => seq === undefined);
    if (torn !== -1) return [`${path}: line ${torn + 1} of ${lines.length} is not whole`];
    const first = numbers[0] ?? 0;
    return numbers.every((seq, index) => seq === first + index) ? [] : [`${path}: lines are missing in the middle`];
  });
}

function parseSeq(line: string): number | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && 'seq' in value ? Number(value.seq) : undefined;
  } catch {
    return undefined;
  }
}

function checkWork(dir: string): string[] {
  return listFiles(join(dir, WORK)).flatMap((file) => {
    const path = relative(dir, file);
    const bytes = readFileSync(file);
    const whole = path.endsWith('image.bin') ? isOneMoment(bytes) : isSigned(bytes);
    return whole ? [] : [`${path}: ${bytes.length} bytes that were never its content`];
  });
}

/** A file that was just made is empty until it is written, so an empty one is a moment too. */
function isSigned(bytes: Buffer): boolean {
  const body = bytes.subarray(65);
  return bytes.length === 0 || bytes.toString('latin1', 0, 64) === createHash('sha256').update(body).digest('hex');
}

/** The pieces are written in order, so at any moment the first ones have the newest number and all others the one before. */
function isOneMoment(bytes: Buffer): boolean {
  const numbers = Array.from({ length: Math.ceil(bytes.length / PIECE_BYTES) }, (_, piece) => {
    const content = bytes.subarray(piece * PIECE_BYTES, (piece + 1) * PIECE_BYTES);
    return content.equals(Buffer.alloc(content.length, content[0])) ? content[0] : undefined;
  });
  const [newest] = numbers;
  if (newest === undefined) return bytes.length === 0;
  const older = (newest + 255) % 256;
  const turn = numbers.indexOf(older);
  return numbers.every((number, piece) => number === (turn === -1 || piece < turn ? newest : older));
}

function listFiles(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .map((name) => join(dir, name))
    .filter((path) => statSync(path).isFile());
}
