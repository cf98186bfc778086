// Where an OpenClaw state keeps what, as paths of a commit.

import { readdirSync } from 'node:fs';
import { findInside } from './inside.ts';
import type { RootDirs } from './revival.ts';

/** The configuration. */
export const CONFIG_PATH = 'state/openclaw.json';
/** The shared database. */
export const SHARED_PATH = 'state/state/openclaw.sqlite';
/** Cron jobs before there was a shared database. */
export const LEGACY_CRON_PATH = 'state/cron/jobs.json';

/** Lists the databases of the agents that are there. */
export function listAgentDatabases(dirs: RootDirs): string[] {
  return listNamesIn(dirs, 'state/agents')
    .map((name) => `state/agents/${name}/agent/openclaw-agent.sqlite`)
    .filter((path) => findInside(dirs, path) !== undefined);
}

/** Lists the names in a folder, in their order; none if it isn't there. */
export function listNamesIn(dirs: RootDirs, path: string): string[] {
  const real = findInside(dirs, path);
  if (real === undefined) return [];
  try {
    return readdirSync(real).sort();
  } catch {
    return [];
  }
}
