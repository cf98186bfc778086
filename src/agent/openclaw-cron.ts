// The scheduled jobs of an OpenClaw state: those that OpenClaw would see if it were told that its state is in a given folder.

import type { DatabaseSync } from 'node:sqlite';
import { findInside, readInside } from './inside.ts';
import { LEGACY_CRON_PATH, SHARED_PATH } from './openclaw-files.ts';
import { cronStoresOf, parseOrNothing } from './openclaw-paths.ts';
import { readDatabase, readRows } from './read-database.ts';
import type { RootDirs } from './revival.ts';

/** A scheduled job. */
export interface CronJob {
  readonly name: string;
  readonly isEnabled: boolean;
  /** Whether it goes away by itself once it has run. */
  readonly isOnce: boolean;
  /** In milliseconds since the Unix epoch. */
  readonly nextRunMs: number | undefined;
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * Lists the jobs.
 * @param stateDirs the names by which OpenClaw may have been told of its state folder; the first that has jobs counts
 * @param configured `cron.store` of the configuration
 */
export async function listCronJobs(
  dirs: RootDirs,
  stateDirs: readonly string[],
  configured: string | undefined,
): Promise<CronJob[]> {
  const real = findInside(dirs, SHARED_PATH);
  const jobs =
    real === undefined
      ? []
      : await readDatabase(real, SHARED_PATH, (one) => readJobs(one, cronStoresOf(one, stateDirs, configured)));
  return jobs.length > 0 ? jobs : listFileJobs(dirs);
}

function readJobs(database: DatabaseSync, stores: readonly string[]): CronJob[] {
  for (const store of stores) {
    const rows = readRows(database, 'cron_jobs', '*', 'store_key = ?', store);
    if (rows.length > 0) return rows.map((row) => jobOf(asFields(parseOrNothing(row['job_json'])), row)).sort(byName);
  }
  return [];
}

function jobOf(job: Fields, row: Fields = {}): CronJob {
  const state = asFields(parseOrNothing(row['state_json']) ?? job['state']);
  const next = state['nextRunAtMs'];
  const name = row['name'] ?? job['name'];
  return {
    name: typeof name === 'string' ? name : '',
    isEnabled: row['enabled'] === undefined ? job['enabled'] !== false : row['enabled'] !== 0,
    isOnce: asFields(job['schedule'])['kind'] === 'at' && job['deleteAfterRun'] !== false,
    nextRunMs: typeof next === 'number' ? next : undefined,
  };
}

/** Before there was a shared database, jobs were in a file. */
function listFileJobs(dirs: RootDirs): CronJob[] {
  const real = findInside(dirs, LEGACY_CRON_PATH);
  const store = real === undefined ? undefined : parseOrNothing(readInside(real, LEGACY_CRON_PATH));
  const jobs: unknown = Array.isArray(store) ? store : asFields(store)['jobs'];
  return Array.isArray(jobs) ? jobs.map((job) => jobOf(asFields(job))).sort(byName) : [];
}

function byName(a: CronJob, b: CronJob): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

function asFields(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}
