// Counts the rows of OpenClaw's databases that hold conversations and memory. It reads no content, so it costs a walk of the indexes.

import type { DatabaseSync } from 'node:sqlite';
import type { RowCounts } from '../model/row-counts.ts';
import { hasTable, readDatabase } from './read-database.ts';

const AGENT_DATABASE = /^state\/agents\/[^/]+\/agent\/openclaw-agent\.sqlite$/;
/** Transcripts that are watched one by one: so many of the longest, with at least so many events. */
const MOST_SESSIONS = 200;
const LEAST_EVENTS = 10;
/** What isolated runs of jobs leave behind is swept away after a day. */
const RUN_KEY = '%:cron:%:run:%';

/**
 * Carries out Profile.countRows for OpenClaw.
 * @throws {MoltError} DAMAGED when it is no database, or SQLite can't read it
 */
export async function countOpenClawRows(
  real: string,
  path: string,
  watched: readonly string[],
): Promise<RowCounts | undefined> {
  if (!AGENT_DATABASE.test(path)) return undefined;
  return readDatabase(real, path, (database) => {
    // All counts are of one moment.
    database.exec('BEGIN');
    try {
      return hasTable(database, 'transcript_events') ? countAll(database, watched) : undefined;
    } finally {
      database.exec('ROLLBACK');
    }
  });
}

function countAll(database: DatabaseSync, watched: readonly string[]): RowCounts {
  const number = (table: string, sql: string, ...values: string[]): number =>
    hasTable(database, table) ? Number(database.prepare(sql).get(...values)?.['n'] ?? 0) : 0;
  const hasWindows = hasTable(database, 'session_windows');
  const isKept = hasWindows
    ? `session_id IN (SELECT session_id FROM session_windows WHERE session_key NOT LIKE '${RUN_KEY}')`
    : '1';
  const bySession: Record<string, number> = {};
  let events = 0;
  for (const row of database
    .prepare(`SELECT session_id AS id, count(*) AS n FROM transcript_events WHERE ${isKept} GROUP BY 1 ORDER BY 2 DESC`)
    .iterate()) {
    const [id, n] = [String(row['id']), Number(row['n'])];
    events += n;
    const isLong = n >= LEAST_EVENTS && Object.keys(bySession).length < MOST_SESSIONS;
    if (isLong || watched.includes(id)) bySession[id] = n;
  }
  return {
    sessions: number('session_nodes', 'SELECT count(*) AS n FROM session_nodes WHERE session_key NOT LIKE ?', RUN_KEY),
    events:
      events +
      number('session_transcript_cold_archives', 'SELECT sum(event_count) AS n FROM session_transcript_cold_archives'),
    memory: number('memory_index_chunks', 'SELECT count(*) AS n FROM memory_index_chunks'),
    archived:
      number('session_transcript_archives', 'SELECT count(*) AS n FROM session_transcript_archives') +
      number('session_transcript_cold_archives', 'SELECT count(*) AS n FROM session_transcript_cold_archives'),
    bySession,
  };
}
