// What the tests share that capture databases in WAL mode while other processes have them open. No test waits for time to pass: what
// happens during a capture is done at one of its moments, by another process that says when it is done.

import { spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync, readdirSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { TestFn } from 'ava';
import { type CaptureContext, captureFile } from '../../src/agent/capture.ts';
import { getProfile } from '../../src/agent/profile.ts';
import { Actor, processes } from './processes.ts';
import { MemoryBlobs, captureContext, getEntry, scanRoots, tempFolders } from './support.ts';

export const NAME = 'memory.sqlite';
/** What the amounts of the two tables add up to at every committed moment. */
export const TOTAL = 100_000;
/** Changes rows all over the database. */
export const EVERYWHERE = "UPDATE filler SET text = 'changed' || substr(text, 8) WHERE rowid % 10 = 0";

const generic = getProfile('generic');

/** Moments of a capture at which a test may act. */
export interface Moments {
  /** Before a handle is opened: the first holds the transaction, the second, opened within it, asks how long the log is. */
  readonly beforeHandle?: (number: number) => void;
  /** Each time the clock is looked at, as before each piece of the log and of the main file. */
  readonly atClock?: (number: number) => void;
  /** When the first piece has been read. */
  readonly midway?: () => void | Promise<void>;
  /** When everything has been read, and the transaction not yet ended. */
  readonly atEnd?: () => void;
}

/** Returns what makes, captures and judges live databases for one test file. */
export function liveDatabases(test: TestFn) {
  const makeFolder = tempFolders(test);
  const spawn = processes(test);

  /** Starts a process with a database of some four megabytes, all of which is still in the log. */
  async function startActor(path: string, pragmas = ''): Promise<Actor> {
    const actor = await Actor.start(spawn, path);
    await actor.run(`${pragmas}; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;
      PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = OFF;
      CREATE TABLE left_side (id INTEGER PRIMARY KEY, amount INTEGER);
      CREATE TABLE right_side (id INTEGER PRIMARY KEY, amount INTEGER);
      CREATE TABLE filler (text TEXT);
      CREATE TABLE progress (writer INTEGER PRIMARY KEY, round INTEGER);
      INSERT INTO progress VALUES (1, 0), (2, 0);
      WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 50)
        INSERT INTO left_side SELECT i, ${TOTAL / 100} FROM n;
      INSERT INTO right_side SELECT id, amount FROM left_side;
      WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
        INSERT INTO filler SELECT hex(zeroblob(500)) FROM n`);
    return actor;
  }

  async function capture(dir: string, options: Partial<CaptureContext> = {}, at: Moments['midway'] | Moments = {}) {
    const moments = typeof at === 'function' ? { midway: at } : at;
    const blobs = new MemoryBlobs();
    blobs.onWrite = async () => {
      blobs.onWrite = () => {};
      await moments.midway?.();
    };
    const entry = getEntry(scanRoots(generic, await generic.findRoots(dir, { home: '/nowhere' })), `state/${NAME}`);
    const context = withMoments(captureContext(makeFolder(), options), moments);
    const outcome = await captureFile(entry, blobs.open, context);
    const bytes = outcome.status === 'captured' ? blobs.get(outcome.id) : Buffer.alloc(0);
    return { outcome, blobs, bytes, method: outcome.status === 'captured' ? outcome.method : undefined };
  }

  /**
   * Returns what the main file would be after a checkpoint; to be called while nothing writes, and not within a capture: to close
   * the file here would drop its locks.
   */
  function checkpointed(path: string): Buffer {
    const copy = join(makeFolder(), 'copy');
    for (const suffix of ['', '-wal']) copyFileSync(path + suffix, copy + suffix);
    const database = new DatabaseSync(copy);
    database.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get();
    database.close();
    return readFileSync(copy);
  }

  function inspect(bytes: Buffer): { check: unknown; total: unknown; rounds: unknown[] } {
    const path = join(makeFolder(), 'copy');
    writeFileSync(path, bytes);
    const database = new DatabaseSync(path);
    const check = database.prepare('PRAGMA integrity_check').get()?.['integrity_check'];
    const total = database
      .prepare('SELECT (SELECT sum(amount) FROM left_side) + (SELECT sum(amount) FROM right_side) AS total')
      .get()?.['total'];
    const rounds = database
      .prepare('SELECT round FROM progress ORDER BY writer')
      .all()
      .map(({ round }) => round);
    database.close();
    return { check, total, rounds };
  }

  return { makeFolder, spawn, startActor, capture, checkpointed, inspect };
}

/** Returns a context that calls a test back where the capture looks at it. */
function withMoments(context: CaptureContext, { beforeHandle, atClock, atEnd }: Moments): CaptureContext {
  let handles = 0;
  let looks = 0;
  return {
    ...context,
    clock: {
      now: () => {
        looks += 1;
        atClock?.(looks);
        return context.clock.now();
      },
    },
    get busyTimeoutMs() {
      handles += 1;
      beforeHandle?.(handles);
      return context.busyTimeoutMs ?? 0;
    },
    get quickCheck() {
      atEnd?.();
      return context.quickCheck ?? false;
    },
  };
}

/** Runs statements on a database in a process of its own and waits for its end; for moments that can't be awaited. */
export function executeElsewhere(path: string, statements: string): void {
  const script = `const database = new (require('node:sqlite').DatabaseSync)(process.argv[1]);
    database.exec('PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0; ' + process.argv[2]);
    database.close();`;
  const { status, stderr } = spawnSync(process.execPath, ['-e', script, path, statements], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}

/** Returns how many locks this process has on a database and on its shared memory. */
export function locksOf(path: string): { main: number; shm: number } {
  const lines = readFileSync('/proc/locks', 'utf8').split('\n');
  const count = (file: string): number => {
    const { ino } = statSync(file);
    return lines.filter((line) => new RegExp(`POSIX.* ${process.pid} [0-9a-f]+:[0-9a-f]+:${ino} `).test(line)).length;
  };
  return { main: count(path), shm: count(`${path}-shm`) };
}

/** Returns how many descriptors of a file this process has. */
export function descriptorsOf(path: string): number {
  return readdirSync('/proc/self/fd').filter((fd) => readLink(`/proc/self/fd/${fd}`) === path).length;
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
