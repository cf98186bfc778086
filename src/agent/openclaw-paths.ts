// By which names an OpenClaw state knows its own folders. A commit records real paths; OpenClaw writes down those that it was given,
// which may lead through links: `/home/me/.openclaw` for `/data/openclaw`.

import { createHash } from 'node:crypto';
import { normalize } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { isInside } from './native-path.ts';
import { readRows } from './read-database.ts';
import type { Relocation } from './revival.ts';

/** The file that cron jobs were in before they moved into the database; its path is still the key of their store. */
export const CRON_STORE = 'cron/jobs.json';

/** Returns the key under which OpenClaw notes what it knows of a workspace, by its real path (src/agents/workspace-state-identity.ts). */
export function workspaceKeyOf(path: string): string {
  return createHash('sha256').update(normalize(path).normalize('NFC')).digest('hex');
}

/** Returns further names of the captured folders that the shared database shows, each with the folder that it stands for. */
export function findAliases(database: DatabaseSync, { from }: Relocation): Map<string, string> {
  const aliases = new Map<string, string>();
  for (const row of readRows(database, 'workspace_path_aliases', 'alias_path, workspace_path')) {
    const alias = String(row['alias_path']);
    const path = String(row['workspace_path']);
    const dir = [...from.values()].find((one) => isInside(path, one));
    if (dir === undefined || alias === path) continue;
    const below = path.slice(dir.length);
    if (alias.endsWith(below) && alias.length > below.length)
      aliases.set(alias.slice(0, alias.length - below.length), dir);
  }
  const state = from.get('state');
  const stores = new Set(readRows(database, 'cron_jobs', 'DISTINCT store_key').map((row) => String(row['store_key'])));
  if (state === undefined || stores.has(`${state}/${CRON_STORE}`)) return aliases;
  // No job is under the state folder's own name: if all are under one other, that is how OpenClaw was told of it.
  const [store = '', ...others] = stores;
  if (others.length === 0 && store.endsWith(`/${CRON_STORE}`))
    aliases.set(store.slice(0, -CRON_STORE.length - 1), state);
  return aliases;
}

/**
 * Returns the keys under which OpenClaw, told that its state is in one of these folders, would look for its cron jobs; the first is tried
 * first.
 * @param configured `cron.store` of the configuration
 */
export function cronStoresOf(database: DatabaseSync, stateDirs: readonly string[], configured: unknown): string[] {
  if (typeof configured === 'string' && configured.trim().startsWith('/')) return [normalize(configured.trim())];
  const [row] = readRows(database, 'config_machine_state', 'value_json', "state_key = 'cron.store'");
  const stored = parseOrNothing(row?.['value_json']);
  if (typeof stored === 'string' && stored.trim().startsWith('/')) return [normalize(stored.trim())];
  return stateDirs.map((dir) => `${dir}/${CRON_STORE}`);
}

/** Parses a JSON text of a row; undefined if it is none. */
export function parseOrNothing(text: unknown): unknown {
  if (typeof text !== 'string') return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
