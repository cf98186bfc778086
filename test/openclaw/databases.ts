// What is in the databases of a restored state, read without molt and without OpenClaw.

import { readdirSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { zstdDecompressSync } from 'node:zlib';

/** Returns the databases of a state, and what SQLite's own check says of each. */
export function checkDatabases(stateDir: string): Record<string, unknown> {
  const names = readdirSync(stateDir, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.sqlite'));
  return Object.fromEntries(
    names.toSorted().map((name) => {
      using database = openDatabase(path.join(stateDir, name));
      return [
        name,
        database
          .prepare('PRAGMA quick_check')
          .all()
          .map((row) => row['quick_check'])
          .join(),
      ];
    }),
  );
}

/** Returns the events of each session of an agent as text, in their order; throws if one is missing between two others. */
export function readTranscripts(stateDir: string, agent: string): Map<string, string[]> {
  using database = openDatabase(path.join(stateDir, 'agents', agent, 'agent/openclaw-agent.sqlite'));
  const holes = database
    .prepare('SELECT session_id FROM transcript_events GROUP BY 1 HAVING max(seq) - min(seq) + 1 <> count(*)')
    .all();
  if (holes.length > 0) throw new Error(`events are missing in ${holes.map((row) => row['session_id']).join(', ')}`);
  const rows = database
    .prepare('SELECT session_id, event_json, event_zstd FROM transcript_events ORDER BY session_id, seq')
    .all();
  const transcripts = new Map<string, string[]>();
  for (const { session_id: id, event_json: json, event_zstd: packed } of rows) {
    const events = transcripts.get(String(id)) ?? [];
    transcripts.set(String(id), events);
    events.push(typeof json === 'string' ? json : zstdDecompressSync(packed as Uint8Array).toString());
  }
  return transcripts;
}

function openDatabase(file: string): DatabaseSync {
  return new DatabaseSync(file, { readOnly: true });
}
