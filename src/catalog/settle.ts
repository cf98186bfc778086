// Brings entries that wait on this machine to the log. They go away here only when they are there, so that a kill at any point loses none;
// each has an id, so that none is there twice.

import { createHash } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isMoltError, isSystemError } from '../model/error.ts';
import type { RunKey } from '../model/ports.ts';
import { writeWholeFile } from '../storage/whole-file.ts';
import type { BackupLog } from './backup-log.ts';
import type { LocalRunsOptions, WaitingRuns } from './local-runs.ts';
import { checkLogUrl, describeLogUrl } from './log-url.ts';
import type { PostgresTimes } from './postgres-log.ts';
import type { TakenRuns } from './spool.ts';
import { SqlJsLog, type SqlJsLogOptions } from './sqljs-log.ts';

type Outside = Pick<LocalRunsOptions, 'homeDir' | 'clock' | 'random' | 'patienceMs'>;

const PATIENCE_MS = 2_000;
/** The share of that which connecting, or one statement, may take. */
const STEP_SHARE = 0.75;
/** From so many entries on they are sent. */
const BATCH = 500;
/** After a server was not there, commands leave it alone for so long. */
const PAUSE_MS = 300_000;

/** Brings what waits to the embedded logs of its repositories; what another process is at stays. @throws {MoltError} IO */
export async function settleEmbedded(outside: Outside, waiting: readonly WaitingRuns[]): Promise<void> {
  for (const runs of waiting) {
    // oxlint-disable-next-line no-await-in-loop -- one database in memory at a time
    await using log = await openEmbedded(outside, runs, { isKept: true });
    // oxlint-disable-next-line no-await-in-loop -- the same
    if (log?.isKept === true) await keepWaiting(log, runs);
  }
}

/** Opens the embedded log of a repository; undefined where its key is not known. @throws {MoltError} IO, NEWER_FORMAT */
export async function openEmbedded(
  { homeDir, clock, random }: Outside,
  { repository, dir, keys }: WaitingRuns,
  how: { readonly isKept: boolean },
): Promise<SqlJsLog | undefined> {
  const key = keys.find(({ of }) => of === 'repository')?.key;
  if (key === undefined) return undefined;
  const options: SqlJsLogOptions = { dir, tempDir: join(homeDir, 'tmp'), repository, key, clock, random };
  return SqlJsLog.open(options, how);
}

/** Takes what waits into a log that keeps it, and forgets it here. @throws {MoltError} IO */
export async function keepWaiting(log: SqlJsLog, { spool, keys }: WaitingRuns): Promise<void> {
  const forget: (() => void)[] = [];
  for (const { entries, done } of spool.take(keys)) {
    // oxlint-disable-next-line no-await-in-loop -- in their order
    await log.append(entries);
    forget.push(done);
  }
  await log.save();
  for (const done of forget) done();
}

/**
 * Brings what waits to PostgreSQL, unless nothing gets there for two seconds; returns whether it is there.
 * @throws {MoltError} what it failed with; not again for five minutes, so that not each command waits for a server that is gone
 */
export async function settlePostgres(outside: Outside, url: string, waiting: readonly WaitingRuns[]): Promise<boolean> {
  checkLogUrl(url);
  const note = join(outside.homeDir, 'runs', `unreachable-${shortHash(describeLogUrl(url))}`);
  const nowMs = outside.clock.now();
  if (isPausing(note, nowMs)) return false;
  const deadline = new AbortController();
  const { patienceMs = PATIENCE_MS } = outside;
  const times: PostgresTimes = { connectMs: patienceMs * STEP_SHARE, statementMs: patienceMs * STEP_SHARE };
  const timer = setTimeout(() => deadline.abort(), patienceMs);
  try {
    await sendWaiting(url, waiting, { times, deadline: deadline.signal }, () => timer.refresh());
    rmSync(note, { force: true });
    return true;
  } catch (error) {
    if (isMoltError(error)) {
      const untilMs = Buffer.from(String(nowMs + PAUSE_MS), 'latin1');
      await writeWholeFile(note, untilMs, { tempDir: join(outside.homeDir, 'tmp'), replace: true });
    }
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Brings what waits to PostgreSQL. @throws {MoltError} REMOTE_UNREACHABLE, REMOTE_REFUSED, NEWER_FORMAT, IO */
async function sendWaiting(
  url: string,
  waiting: readonly WaitingRuns[],
  options: { readonly times: PostgresTimes; readonly deadline: AbortSignal },
  onProgress: () => void,
): Promise<void> {
  const { PostgresLog } = await import('./postgres-log.ts');
  await using log = await PostgresLog.open(url, options);
  await drainInto(log, waiting, onProgress);
}

/**
 * Moves what waits into a log that keeps what it has once `append` returns: of many repositories at once, since a daemon of a thousand
 * agents has an entry or two of each.
 * @param onProgress called before entries are sent, and when they are there
 * @throws {MoltError} what the log throws, IO
 */
export async function drainInto(
  log: BackupLog,
  waiting: readonly { readonly spool: WaitingRuns['spool']; readonly keys: readonly RunKey[] }[],
  onProgress: () => void = () => {},
): Promise<void> {
  let batch: TakenRuns[] = [];
  let count = 0;
  const send = async (): Promise<void> => {
    onProgress();
    await log.append(batch.flatMap(({ entries }) => entries));
    onProgress();
    for (const { done } of batch) done();
    batch = [];
    count = 0;
  };
  for (const { spool, keys } of waiting) {
    for (const taken of spool.take(keys)) {
      batch.push(taken);
      count += taken.entries.length;
      // oxlint-disable-next-line no-await-in-loop -- in their order
      if (count >= BATCH) await send();
    }
  }
  if (count > 0) await send();
}

function isPausing(note: string, nowMs: number): boolean {
  try {
    const untilMs = Number(readFileSync(note, 'latin1'));
    // A clock that was set back must not make it a long pause.
    return nowMs < untilMs && untilMs <= nowMs + PAUSE_MS;
  } catch (error) {
    if (isSystemError(error)) return false;
    throw error;
  }
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
