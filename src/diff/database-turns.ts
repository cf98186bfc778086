// Conversations whose records are rows of a database: which of them differ, and by what turns.

import { zstdDecompressSync } from 'node:zlib';
import type { ConversationTable } from '../model/diff-hints.ts';
import type { ConversationChange } from '../model/semantic-diff.ts';
import { describeConversation } from './conversation.ts';
import type { DatabaseOptions } from './database.ts';
import type { RawChanges, TableSide } from './sqlite-collector.ts';
import { parseRecord, type SqlValue } from './sqlite-record.ts';
import { nameValues, type NamedRow } from './sqlite-schema.ts';
import { readCells, readPayload } from './sqlite-tree.ts';

/** Records of conversations that are looked at. */
export const SESSION_ROWS = 20_000;
const MOST_SESSIONS = 100;
/** A record that is larger when decompressed is no turn that somebody reads. */
const MOST_RECORD_BYTES = 4 << 20;
/** Names are looked up in tables up to so many pages. */
const MOST_NAME_PAGES = 4000;

interface Session {
  readonly removed: { readonly sequence: number; readonly json: string }[];
  readonly added: { readonly sequence: number; readonly json: string }[];
}

/** Returns the conversations that the changed rows are of. */
export async function describeSessions(
  changes: RawChanges,
  names: TableSide | undefined,
  options: DatabaseOptions,
): Promise<{ readonly conversations: ConversationChange[]; readonly more: number }> {
  const table = options.hints.conversations;
  if (table === undefined) return { conversations: [], more: 0 };
  const sessions = new Map<string, Session>();
  for (const { before, after } of changes.rows) {
    if (before !== undefined) note(sessions, table, before, 'removed');
    if (after !== undefined) note(sessions, table, after, 'added');
  }
  const nameOf = await readNames(names, table, sessions);
  const conversations: ConversationChange[] = [];
  for (const [id, { removed, added }] of sessions) {
    const [gone, come] = [inOrder(removed), inOrder(added)];
    // The record with which a conversation begins has the number 0.
    const isBefore = gone.length > 0 || come[0]?.sequence !== 0;
    const isAfter = come.length > 0 || gone[0]?.sequence !== 0;
    const change = describeConversation(
      { name: nameOf.get(id) ?? id, id, isBefore, isAfter },
      { removed: gone.map(({ json }) => json), added: come.map(({ json }) => json), isExtended: gone.length === 0 },
      options,
    );
    if (change !== undefined) conversations.push(change);
  }
  conversations.sort((a, b) => (a.name < b.name ? -1 : 1));
  const listed = conversations.slice(0, MOST_SESSIONS);
  return { conversations: listed, more: conversations.length - listed.length };
}

function inOrder(records: Session['added']): Session['added'] {
  return records.toSorted((a, b) => a.sequence - b.sequence);
}

function note(sessions: Map<string, Session>, table: ConversationTable, row: NamedRow, to: keyof Session): void {
  const id = row.get(table.session);
  const sequence = row.get(table.sequence);
  const json = readJson(row.get(table.json), table.zstd === undefined ? undefined : row.get(table.zstd));
  if (typeof id !== 'string' || typeof sequence !== 'number' || json === undefined) return;
  const session = sessions.get(id) ?? { removed: [], added: [] };
  sessions.set(id, session);
  session[to].push({ sequence, json });
}

function readJson(json: SqlValue | undefined, zstd: SqlValue | undefined): string | undefined {
  if (typeof json === 'string') return json;
  if (!Buffer.isBuffer(zstd)) return undefined;
  try {
    return zstdDecompressSync(zstd, { maxOutputLength: MOST_RECORD_BYTES }).toString('utf8');
  } catch {
    return undefined;
  }
}

async function readNames(
  side: TableSide | undefined,
  { names }: ConversationTable,
  wanted: ReadonlyMap<string, unknown>,
): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  if (side === undefined || names === undefined || wanted.size === 0) return found;
  for (const page of side.pages.slice(0, MOST_NAME_PAGES)) {
    // oxlint-disable-next-line no-await-in-loop -- until all are found
    for (const cell of await readCells(side.file, page, side.shape.kind)) {
      // oxlint-disable-next-line no-await-in-loop -- the same
      const payload = await readPayload(side.file, cell, () => {});
      const row = nameValues(side.shape, parseRecord(payload, side.file.encoding), cell.rowid);
      const [id, name] = [row.get(names.session), row.get(names.name)];
      if (typeof id === 'string' && typeof name === 'string' && wanted.has(id)) found.set(id, name);
    }
    if (found.size === wanted.size) break;
  }
  return found;
}
