// Asks the files of a restored OpenClaw for what they promised, in the way OpenClaw itself will: a job that is filed under another
// folder's name is not there, however well its row came back.

import { realpathSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { isMoltError } from '../model/error.ts';
import { printable } from '../model/printable.ts';
import { findInside, nativeInside, quote } from './inside.ts';
import { DEFAULT_WORKSPACE, readOpenClawConfig } from './openclaw-config.ts';
import { listCronJobs } from './openclaw-cron.ts';
import { hashFile, readSchemaVersions } from './openclaw-expect.ts';
import { SHARED_PATH } from './openclaw-files.ts';
import { workspaceKeyOf } from './openclaw-paths.ts';
import { listSessions } from './openclaw-sessions.ts';
import { readPlaces } from './openclaw-places.ts';
import { readDatabase, readRows } from './read-database.ts';
import type { Expectations, RootDirs } from './revival.ts';

/** Carries out Profile.check for OpenClaw. */
export async function checkOpenClaw(dirs: RootDirs, expectations: Expectations): Promise<string[]> {
  const checks = [checkSchemas, checkSessions, checkCron, checkWorkspaces, checkMemory];
  const problems: string[] = [];
  for (const check of checks) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- one look at a database after the other
      problems.push(...(await check(dirs, expectations)));
    } catch (error) {
      if (!isMoltError(error)) throw error;
      problems.push(error.message);
    }
  }
  return problems;
}

async function checkSchemas(dirs: RootDirs, { schemaVersions }: Expectations): Promise<string[]> {
  const there = readSchemaVersions(dirs);
  return Object.entries(schemaVersions).flatMap(([path, version]) => {
    const now = there[path];
    if (now === undefined) return [`the database ${quote(path)} is not there`];
    return now < version ? [`the database ${quote(path)} has schema ${now}, and had ${version}`] : [];
  });
}

async function checkSessions(dirs: RootDirs, { sessions }: Expectations): Promise<string[]> {
  const { current, kept } = await listSessions(dirs);
  const keys = new Set(current.map(({ key }) => key));
  const missing = sessions.filter(({ key }) => !keys.has(key));
  // A conversation that began anew since keeps what it was before.
  const changed = sessions.filter(({ key, id }) => keys.has(key) && !kept.has(id));
  return [
    ...lacking(
      missing.map(({ key }) => key),
      sessions.length,
      'sessions are not there',
    ),
    ...lacking(
      changed.map(({ key }) => key),
      sessions.length,
      'sessions have lost their conversation',
    ),
  ];
}

async function checkCron(dirs: RootDirs, { cronJobs }: Expectations): Promise<string[]> {
  const state = dirs.get('state');
  if (cronJobs.length === 0 || state === undefined) return [];
  const { config, stateNames } = await readPlaces({ from: dirs, to: dirs });
  // Another name counts if it leads here: OpenClaw may have been told of its folder by a link.
  const names = stateNames.filter((name) => name === state || realOf(name) === state);
  const left = (await listCronJobs(dirs, names, config.cronStore)).map(({ name }) => name);
  const missing = cronJobs.filter((name) => {
    const at = left.indexOf(name);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
  return lacking(missing, cronJobs.length, 'cron jobs are not visible under the folder where the agent is now');
}

async function checkWorkspaces(dirs: RootDirs, { workspaces }: Expectations): Promise<string[]> {
  const state = dirs.get('state');
  if (workspaces.length === 0 || state === undefined) return [];
  const config = await readOpenClawConfig(state, homedir());
  if (config === undefined) return ['openclaw.json can’t be read'];
  const named = config.candidates.filter(({ kind }) => kind === 'workspace');
  const paths = named.map(({ path }) => path);
  if (!named.some(({ reason }) => reason === DEFAULT_WORKSPACE)) paths.push(`${state}/workspace`);
  const configured = new Set(paths.map((path) => realOf(path) ?? path));
  const database = findInside(dirs, SHARED_PATH);
  const rows =
    database === undefined
      ? []
      : await readDatabase(database, SHARED_PATH, (one) =>
          readRows(one, 'workspace_setup_state', 'workspace_key', 'version IS NOT NULL OR attested_at_ms IS NOT NULL'),
        );
  const keys = new Set(rows.map((row) => String(row['workspace_key'])));
  return workspaces.flatMap(({ path, isSetUp }) => {
    const dir = nativeInside(dirs, path) ?? path;
    const real = realOf(dir);
    if (real === undefined) return [`the workspace ${quote(dir)} is not there`];
    if (!configured.has(real)) return [`no agent works in ${quote(dir)}: openclaw.json names another folder`];
    return isSetUp && !keys.has(workspaceKeyOf(real))
      ? [`OpenClaw does not know the workspace ${quote(dir)} as one that was set up`]
      : [];
  });
}

async function checkMemory(dirs: RootDirs, { memory }: Expectations): Promise<string[]> {
  return memory.flatMap(({ path, sha256, mtimeMs }) => {
    const now = hashFile(dirs, path);
    if (now === undefined) return [`the memory ${quote(path)} is not there`];
    // What the agent wrote since is its own affair.
    return now.sha256 === sha256 || now.mtimeMs > mtimeMs ? [] : [`the memory ${quote(path)} has other content`];
  });
}

function realOf(path: string): string | undefined {
  try {
    const real = realpathSync(path);
    return statSync(real).isDirectory() ? real : undefined;
  } catch {
    return undefined;
  }
}

const NAMED = 5;

/** Says how many of how many, and names the first ones. */
function lacking(names: readonly string[], total: number, what: string): string[] {
  if (names.length === 0) return [];
  const more = names.length > NAMED ? ` and ${names.length - NAMED} more` : '';
  return [`${names.length} of ${total} ${what}: ${names.slice(0, NAMED).map(printableName).join(', ')}${more}`];
}

function printableName(name: string): string {
  return printable(name.replaceAll(/\s+/g, ' '));
}
