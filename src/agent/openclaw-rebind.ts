// Binds a restored OpenClaw state to where it is, before its first start. What this knows of OpenClaw's schemas was found out with the
// versions named here; a newer one may keep a path where nobody looks.

import type { DatabaseSync } from 'node:sqlite';
import { MoltError } from '../model/error.ts';
import { applyBindings } from './bindings.ts';
import { findInside, quote, readInside, replaceInside } from './inside.ts';
import { rewriteStrings } from './json-strings.ts';
import { settleCopy } from './moved-links.ts';
import type { MovedPaths } from './moved-paths.ts';
import { SHARED_PATH, listAgentDatabases, listNamesIn } from './openclaw-files.ts';
import { parseOrNothing } from './openclaw-paths.ts';
import { readPlaces } from './openclaw-places.ts';
import { rebindConfig } from './openclaw-rebind-config.ts';
import { rebindShared } from './openclaw-rebind-shared.ts';
import { MAX_SESSIONS_BYTES } from './openclaw-sessions.ts';
import { patternToRegExp } from './path-table.ts';
import { readDatabase, readRows } from './read-database.ts';
import { changeDatabase } from './rebind-database.ts';
import type { RebindChange, RebindOptions } from './revival.ts';
import { readUserVersion } from './sqlite-header.ts';

/** The newest schemas that this knows: OpenClaw 2026.9.6. */
const KNOWN_SHARED = 18;
const KNOWN_AGENT = 23;

/** JSON files of older layouts, which OpenClaw's migration reads: what of the state folder, and how large they may be. */
const LEGACY_FILES: readonly (readonly [pattern: string, folder: string])[] = [
  ['exec-approvals.json', ''],
  ['*.json', 'cron'],
  ['*.json', 'subagents'],
];

/** Carries out Profile.rebind for OpenClaw. */
export async function rebindOpenClaw(options: RebindOptions): Promise<RebindChange[]> {
  const { paths } = await readPlaces(options);
  checkSchemas(paths, options.isForced === true);
  const changes = [
    ...settleCopy(paths),
    ...(await rebindConfig(paths, options)),
    ...(await rebindSharedDatabase(paths)),
    ...(await rebindAgentDatabases(paths)),
    ...rebindLegacyFiles(paths),
    ...(await applyBindings(options.to, options.bindings ?? [])),
  ];
  return changes;
}

function checkSchemas(paths: MovedPaths, isForced: boolean): void {
  if (!paths.isMoved || isForced) return;
  const { to } = paths.relocation;
  for (const path of [SHARED_PATH, ...listAgentDatabases(paths.relocation.to)]) {
    const real = findInside(to, path);
    const version = real === undefined ? undefined : readUserVersion(real);
    const known = path === SHARED_PATH ? KNOWN_SHARED : KNOWN_AGENT;
    if (version === undefined || version <= known) continue;
    throw new MoltError(
      'NEWER_FORMAT',
      `${quote(path)} has schema ${version}, and this molt knows how to move schemas up to ${known}: a part of it could go on pointing at the old place`,
      {
        hint: 'restore it to the folder where it was, take a newer molt, or move it all the same: --force',
        details: { path, version, known },
      },
    );
  }
}

async function rebindSharedDatabase(paths: MovedPaths): Promise<RebindChange[]> {
  const real = findInside(paths.relocation.to, SHARED_PATH);
  if (real === undefined) return [];
  const changes = await changeDatabase(real, SHARED_PATH, isFresh(paths), (one) => rebindShared(one, paths));
  return changes.map((change) => ({ path: SHARED_PATH, ...change }));
}

/** What of a session's entry only tells what a run once saw. */
const TOLD: ReadonlySet<string> = new Set(['skillsSnapshot', 'systemPromptReport']);

/** A session may have a folder of its own to work in. Most databases have none, and then are not written. */
async function rebindAgentDatabases(paths: MovedPaths): Promise<RebindChange[]> {
  if (!paths.isMoved) return [];
  const changes: RebindChange[] = [];
  for (const path of listAgentDatabases(paths.relocation.to)) {
    const real = findInside(paths.relocation.to, path);
    if (real === undefined) continue;
    // oxlint-disable-next-line no-await-in-loop -- one database after the other
    const moved = await readDatabase(real, path, (database) => findMovedSessions(database, paths));
    if (moved.size === 0) continue;
    // oxlint-disable-next-line no-await-in-loop -- as above
    await changeDatabase(real, path, isFresh(paths), (database) => {
      const update = database.prepare('UPDATE session_nodes SET entry_json = ? WHERE session_key = ?');
      for (const [key, entry] of moved) update.run(entry, key);
    });
    changes.push({ path, what: 'session_nodes.entry_json', count: moved.size });
  }
  return changes;
}

function findMovedSessions(database: DatabaseSync, paths: MovedPaths): Map<string, string> {
  const moved = new Map<string, string>();
  for (const row of readRows(database, 'session_nodes', 'session_key, entry_json')) {
    const entry = parseOrNothing(row['entry_json']);
    const now = rewriteStrings(
      entry,
      (text) => paths.rewrite(text),
      (name) => TOLD.has(name),
    );
    if (now !== entry) moved.set(String(row['session_key']), JSON.stringify(now));
  }
  return moved;
}

function rebindLegacyFiles(paths: MovedPaths): RebindChange[] {
  if (!paths.isMoved) return [];
  const { to } = paths.relocation;
  const agents = listNamesIn(to, 'state/agents');
  const files = [
    ...LEGACY_FILES,
    ...agents.flatMap((name) => [
      ['sessions.json', `agents/${name}/sessions`] as const,
      ['*.trajectory-path.json', `agents/${name}/sessions`] as const,
    ]),
  ];
  const changes: RebindChange[] = [];
  for (const [pattern, folder] of files) {
    const parent = folder === '' ? 'state' : `state/${folder}`;
    const isMeant = patternToRegExp(pattern);
    for (const name of listNamesIn(to, parent).filter((one) => isMeant.test(one))) {
      const path = `${parent}/${name}`;
      const real = findInside(to, path);
      if (real === undefined) continue;
      const text = readInside(real, path, MAX_SESSIONS_BYTES);
      const value = parseOrNothing(text);
      let count = 0;
      const move = (one: string): string | undefined => {
        const moved = paths.rewrite(one);
        if (moved !== undefined) count += 1;
        return moved;
      };
      const now = rewriteStrings(value, move, (field) => TOLD.has(field));
      if (now === value) continue;
      replaceInside(real, path, `${JSON.stringify(now, undefined, 2)}\n`);
      changes.push({ path, what: 'paths', count });
    }
  }
  return changes;
}

function isFresh({ relocation }: MovedPaths): boolean {
  return relocation.from.get('state') !== relocation.to.get('state');
}
