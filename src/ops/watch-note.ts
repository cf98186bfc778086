// What is remembered of an agent between two commits to notice losses: the last commit of its live state and the rows of its databases.
// It is derived: without it the next commit is compared with its parent, and databases are counted as they were saved there.

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Fields, HEX_20 } from '../format/fields.ts';
import { isMoltError } from '../model/error.ts';
import type { CommitId } from '../model/ids.ts';
import type { RowCounts } from '../model/row-counts.ts';
import { readIfThere, type Agent, type Home } from './home.ts';

/** What was seen of an agent at its last commit. */
export interface WatchNote {
  readonly commit: CommitId;
  /** The incarnation in which that was: another one means that the agent was restored since. */
  readonly incarnation: string | undefined;
  /** By path in the commit tree. */
  readonly rows: ReadonlyMap<string, RowCounts>;
}

/** Reads the note of an agent; undefined if there is none that can be read. */
export async function readWatchNote(home: Home, agent: Agent): Promise<WatchNote | undefined> {
  const bytes = await readIfThere(fileOf(home, agent));
  if (bytes === undefined) return undefined;
  try {
    const fields = new Fields(JSON.parse(bytes.toString('utf8')), 'the watch note');
    return {
      commit: fields.text('commit', HEX_20) as CommitId,
      incarnation: fields.has('incarnation') ? fields.text('incarnation', HEX_20) : undefined,
      rows: new Map(fields.entries('rows').map(([path, value]) => [path, parseCounts(value)])),
    };
  } catch (error) {
    if (isMoltError(error) || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Writes the note of an agent. */
export async function writeWatchNote(home: Home, agent: Agent, note: WatchNote): Promise<void> {
  const { commit, incarnation, rows } = note;
  const text = JSON.stringify({ molt: 'watch', version: 1, commit, incarnation, rows: Object.fromEntries(rows) });
  await home.write(fileOf(home, agent), Buffer.from(`${text}\n`, 'utf8'), { replace: true });
}

/** Forgets an agent: the next commit is compared with its parent. */
export async function dropWatchNote(home: Home, agent: Agent): Promise<void> {
  await rm(fileOf(home, agent), { force: true });
}

function parseCounts(value: unknown): RowCounts {
  const fields = new Fields(value, 'the watch note');
  const [sessions, events, memory, archived] = ['sessions', 'events', 'memory', 'archived'].map((name) =>
    fields.integer(name),
  ) as [number, number, number, number];
  const bySession = Object.fromEntries(fields.entries('bySession').map(([id, count]) => [id, Number(count)]));
  return { sessions, events, memory, archived, bySession };
}

function fileOf(home: Home, agent: Agent): string {
  return join(home.dir, 'watch', agent.repository, `${agent.label}.json`);
}
