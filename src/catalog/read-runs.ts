// Reads the backup log, together with what waits on this machine and what the repository's history tells.

import { isMoltError, type MoltError } from '../model/error.ts';
import type { RunEntry } from '../model/run-entry.ts';
import type { RunFilter } from './backup-log.ts';
import type { LocalRunsOptions, WaitingRuns } from './local-runs.ts';
import { checkLogUrl } from './log-url.ts';
import { drainInto, keepWaiting, openEmbedded } from './settle.ts';
import type { LogLack } from './sqljs-log.ts';

type Outside = Pick<LocalRunsOptions, 'homeDir' | 'clock' | 'random'>;

/** What was read. */
export interface ReadRuns {
  /** Newest first. */
  readonly entries: readonly RunEntry[];
  /** Why the log was filled in from the repository's history just now. */
  readonly rebuilt: LogLack | undefined;
  /** Why it could not be written, or reached: what was read is what is on this machine. */
  readonly problem: MoltError | undefined;
}

/**
 * Reads the embedded log of a repository. What waits is taken in, if the log can be written.
 * @param rebuild tells what the repository's history knows of runs; asked only where the log lacks them
 * @throws {MoltError} IO when it can't be read, NEWER_FORMAT, and what `rebuild` throws
 */
export async function readEmbedded(
  outside: Outside,
  runs: WaitingRuns,
  filter: RunFilter,
  rebuild: () => Promise<readonly RunEntry[]>,
): Promise<ReadRuns> {
  const log = await openEmbedded(outside, runs, { isKept: true }).catch(async (error: unknown) => {
    // A disk that takes nothing any more: the log is read all the same.
    if (!isMoltError(error, 'IO')) throw error;
    return openEmbedded(outside, runs, { isKept: false });
  });
  if (log === undefined) return { entries: queryWaiting(runs, filter), rebuilt: undefined, problem: undefined };
  await using opened = log;
  const { lack } = opened;
  if (lack !== undefined) await opened.fill(await rebuild());
  let problem: MoltError | undefined;
  try {
    if (opened.isKept) await keepWaiting(opened, runs);
    else await opened.append(runs.spool.peek(runs.keys));
  } catch (error) {
    if (!isMoltError(error)) throw error;
    problem = error;
    await opened.append(runs.spool.peek(runs.keys));
  }
  return { entries: await opened.query(filter), rebuilt: lack, problem };
}

/**
 * Reads the log in PostgreSQL, after what waits was brought there; where that can't be, what waits.
 * @throws {MoltError} USAGE, IO
 */
export async function readPostgres(url: string, waiting: readonly WaitingRuns[], filter: RunFilter): Promise<ReadRuns> {
  checkLogUrl(url);
  const { PostgresLog } = await import('./postgres-log.ts');
  try {
    await using log = await PostgresLog.open(url);
    await drainInto(log, waiting);
    return { entries: await log.query(filter), rebuilt: undefined, problem: undefined };
  } catch (error) {
    if (!isMoltError(error, 'REMOTE_UNREACHABLE', 'REMOTE_REFUSED', 'NEWER_FORMAT')) throw error;
    const entries = waiting.flatMap((runs) => queryWaiting(runs, filter));
    return { entries: newestFirst(entries).slice(0, filter.limit), rebuilt: undefined, problem: error };
  }
}

/** Returns entries of several logs, newest first. */
export function newestFirst(entries: readonly RunEntry[]): RunEntry[] {
  return entries.toSorted((a, b) => b.startedMs - a.startedMs || (a.id < b.id ? 1 : -1));
}

/** Returns what waits and is wanted. */
function queryWaiting({ spool, keys }: WaitingRuns, filter: RunFilter): RunEntry[] {
  const { repository, agent, sinceMs = -Infinity, untilMs = Infinity, verbs, results, limit } = filter;
  const wanted = spool
    .peek(keys)
    .filter((entry) => repository === undefined || entry.repository === repository)
    .filter((entry) => agent === undefined || entry.agent === agent)
    .filter(({ startedMs, lastMs }) => lastMs >= sinceMs && startedMs <= untilMs)
    .filter(({ verb }) => verbs === undefined || verbs.includes(verb))
    .filter(({ result }) => results === undefined || results.includes(result));
  return newestFirst(wanted).slice(0, limit);
}
