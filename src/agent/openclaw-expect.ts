// Reads what a restored OpenClaw state promises: its conversations, jobs, workspaces and memory, as OpenClaw would find them where the
// state was captured.

import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { isMoltError } from '../model/error.ts';
import { commitPathOf, findInside } from './inside.ts';
import { SHARED_PATH, listAgentDatabases, listNamesIn } from './openclaw-files.ts';
import { listCronJobs } from './openclaw-cron.ts';
import { type OpenClawPlaces, readPlaces } from './openclaw-places.ts';
import { workspaceKeyOf } from './openclaw-paths.ts';
import { listSessions } from './openclaw-sessions.ts';
import { readDatabase, readRows } from './read-database.ts';
import type { ExpectedFile, ExpectedWorkspace, Expectations, Relocation, RootDirs } from './revival.ts';
import { readUserVersion } from './sqlite-header.ts';

/** Carries out Profile.readExpectations for OpenClaw. */
export async function readOpenClawExpectations(relocation: Relocation): Promise<Expectations> {
  const { to } = relocation;
  const places = await readPlaces(relocation);
  const jobs = await listCronJobs(to, places.stateNames, places.config.cronStore);
  const workspaces = await findWorkspaces(places);
  return {
    sessions: (await listSessions(to)).current,
    cronJobs: jobs.filter(({ isOnce }) => !isOnce).map(({ name }) => name),
    workspaces,
    memory: workspaces.flatMap(({ path }) => listMemory(to, path)),
    schemaVersions: readSchemaVersions(to),
  };
}

/** Returns the schema version of each of OpenClaw's databases. */
export function readSchemaVersions(dirs: RootDirs): Record<string, number> {
  const versions: Record<string, number> = {};
  for (const path of [SHARED_PATH, ...listAgentDatabases(dirs)]) {
    const real = findInside(dirs, path);
    const version = real === undefined ? undefined : readUserVersion(real);
    if (version !== undefined) versions[path] = version;
  }
  return versions;
}

async function findWorkspaces({ config, paths, relocation }: OpenClawPlaces): Promise<ExpectedWorkspace[]> {
  const { from, to } = relocation;
  const found = new Map<string, string>();
  const defaults = config.hasDefaultWorkspace ? [] : [`${from.get('state') ?? ''}/workspace`];
  for (const workspace of [...config.workspaces, ...defaults]) {
    const native = paths.locate(workspace);
    const path = native === undefined ? undefined : commitPathOf(to, native);
    const real = path === undefined ? undefined : findOrNothing(to, path);
    if (path !== undefined && real !== undefined && statSync(real).isDirectory()) found.set(path, real);
  }
  const database = findInside(to, SHARED_PATH);
  const keys = new Set(
    database === undefined
      ? []
      : await readDatabase(database, SHARED_PATH, (one) =>
          readRows(one, 'workspace_setup_state', 'workspace_key').map((row) => String(row['workspace_key'])),
        ),
  );
  return [...found.keys()].sort().map((path) => ({
    path,
    isSetUp: namesOf(path, relocation.from).some((name) => keys.has(workspaceKeyOf(name))),
  }));
}

function namesOf(path: string, from: RootDirs): string[] {
  return [...from].flatMap(([key, dir]) =>
    path === key || path.startsWith(`${key}/`) ? [dir + path.slice(key.length)] : [],
  );
}

/** Long-term memory: what OpenClaw indexes as such. */
function listMemory(dirs: RootDirs, workspace: string): ExpectedFile[] {
  const names = ['MEMORY.md', ...listNamesIn(dirs, `${workspace}/memory`).map((name) => `memory/${name}`)];
  return names
    .filter((name) => name.endsWith('.md'))
    .flatMap((name): ExpectedFile[] => {
      const path = `${workspace}/${name}`;
      const file = hashFile(dirs, path);
      return file === undefined ? [] : [{ path, ...file }];
    });
}

/** Returns the hash and the time of a file; undefined if it isn't there, or is a link out of the agent's folders. */
export function hashFile(dirs: RootDirs, path: string): Pick<ExpectedFile, 'sha256' | 'mtimeMs'> | undefined {
  const real = findOrNothing(dirs, path);
  const stats = real === undefined ? undefined : statSync(real, { throwIfNoEntry: false });
  if (real === undefined || stats?.isFile() !== true) return undefined;
  return { sha256: createHash('sha256').update(readFileSync(real)).digest('hex'), mtimeMs: Math.floor(stats.mtimeMs) };
}

function findOrNothing(dirs: RootDirs, path: string): string | undefined {
  try {
    return findInside(dirs, path);
  } catch (error) {
    if (isMoltError(error) && error.code === 'HOSTILE') return undefined;
    throw error;
  }
}
