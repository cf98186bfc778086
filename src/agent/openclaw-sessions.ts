// Lists the conversations of an OpenClaw state, from its databases and from the files that older versions had.

import { findInside, readInside } from './inside.ts';
import { listAgentDatabases, listNamesIn } from './openclaw-files.ts';
import { parseOrNothing } from './openclaw-paths.ts';
import { readDatabase, readRows } from './read-database.ts';
import type { ExpectedSession, RootDirs } from './revival.ts';

/** What isolated runs of jobs leave behind is swept away after a day. */
const RUN_KEY = /:cron:[^:]+:run:/;
/** How large the file of sessions of older versions may be. */
export const MAX_SESSIONS_BYTES = 512 * 1024 * 1024;

/** Conversations and what each of them was called before, in the order of their keys. */
export interface Sessions {
  readonly current: readonly ExpectedSession[];
  /** The ids of all conversations that are kept, also those that a newer one under the same key has replaced. */
  readonly kept: ReadonlySet<string>;
}

/** Lists the conversations of all agents that are there to stay. */
export async function listSessions(dirs: RootDirs): Promise<Sessions> {
  const current = new Map<string, ExpectedSession>();
  const kept = new Set<string>();
  for (const agent of listNamesIn(dirs, 'state/agents'))
    for (const session of listFileSessions(dirs, agent)) current.set(session.key, session);
  for (const path of listAgentDatabases(dirs)) {
    const agent = path.split('/')[2] ?? '';
    const real = findInside(dirs, path);
    if (real === undefined) continue;
    // oxlint-disable-next-line no-await-in-loop -- one database after the other
    const rows = await readDatabase(real, path, (database) => ({
      nodes: readRows(database, 'session_nodes', 'session_key, current_session_id'),
      windows: readRows(database, 'session_windows', 'session_id'),
    }));
    for (const { session_key: key, current_session_id: id } of rows.nodes)
      current.set(String(key), { agent, key: String(key), id: String(id) });
    for (const { session_id: id } of rows.windows) kept.add(String(id));
  }
  const sessions = [...current.values()].filter(({ key }) => !RUN_KEY.test(key));
  for (const { id } of sessions) kept.add(id);
  return { current: sessions.sort((a, b) => (a.key < b.key ? -1 : 1)), kept };
}

function listFileSessions(dirs: RootDirs, agent: string): ExpectedSession[] {
  const path = `state/agents/${agent}/sessions/sessions.json`;
  const real = findInside(dirs, path);
  const store = real === undefined ? undefined : parseOrNothing(readInside(real, path, MAX_SESSIONS_BYTES));
  if (typeof store !== 'object' || store === null) return [];
  return Object.entries(store).flatMap(([key, entry]): ExpectedSession[] => {
    const id: unknown = typeof entry === 'object' && entry !== null ? entry.sessionId : undefined;
    return typeof id === 'string' ? [{ agent, key, id }] : [];
  });
}
