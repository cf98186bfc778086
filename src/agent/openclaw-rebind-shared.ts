// Binds the rows of OpenClaw's shared database to where a restored agent is, and drops those that only its last process could use.
// Every table is asked for first, so older schemas are served as far as they go.

import type { DatabaseSync } from 'node:sqlite';
import { rewriteStrings } from './json-strings.ts';
import type { MovedPaths } from './moved-paths.ts';
import { parseOrNothing, workspaceKeyOf } from './openclaw-paths.ts';
import { hasTable, readRows } from './read-database.ts';
import type { RebindChange } from './revival.ts';

type Found = Omit<RebindChange, 'path'>;

/** What belongs to a process that is no more, or is on its way to somebody: table and which of its rows. */
const DROPPED: readonly (readonly [string, string])[] = [
  ['state_leases', '1'],
  ['agent_database_leases', '1'],
  ['delivery_queue_entries', '1'],
  ['channel_ingress_events', "status IN ('pending', 'claimed')"],
  ['gateway_restart_handoff', '1'],
  ['gateway_restart_intent', '1'],
  ['gateway_restart_sentinel', '1'],
  ['plugin_blob_entries', 'expires_at IS NOT NULL'],
];

/** Tables of what has been, or that are no business of ours: their texts stay as they were written. */
const LEFT_ALONE =
  /^(audit_|diagnostic_|capture_|backup_|migration_|meeting_|secret_|acp_replay_events|task_runs|sqlite_|schema_meta)/;

/** Columns of JSON whose paths are used. A job's definition isn't among them: its grant is bound to its text by a hash. */
const JSON_COLUMNS: readonly (readonly [table: string, column: string, where: string])[] = [
  ['exec_approvals_config', 'raw_json', '1'],
  ['config_machine_state', 'value_json', "state_key NOT LIKE 'plugins.%' AND state_key NOT LIKE 'auth%'"],
  ['agent_deletion_journal', 'database_paths_json', '1'],
  ['agent_deletion_journal', 'cleanup_paths_json', '1'],
  ['claw_installs', 'agent_owned_paths_json', '1'],
  ['subagent_runs', 'payload_json', '1'],
  ['worktrees', 'provisioned_paths_json', '1'],
];

const SETUP_TABLE = 'workspace_setup_state';
const KEY_COLUMNS: ReadonlySet<string> = new Set(['workspace_key', 'alias_key']);
const QUARANTINE_SCOPE = 'cron.quarantine:';
/** Plugins know a workspace by the beginning of its key. */
const SHORT_KEY_LENGTH = 24;

/** Makes all the changes, and returns what they were. */
export function rebindShared(database: DatabaseSync, paths: MovedPaths): Found[] {
  const changes = DROPPED.map(([table, where]): Found => {
    const count = hasColumnsFor(database, table, where) ? run(database, `DELETE FROM "${table}" WHERE ${where}`) : 0;
    return { what: `${table} (dropped)`, count };
  });
  changes.push(endRuns(database));
  if (paths.isMoved) {
    changes.push(...moveWorkspaceKeys(database, paths));
    changes.push(...moveTexts(database, paths));
    for (const [table, column, where] of JSON_COLUMNS)
      changes.push(moveJson(database, paths, { table, column, where }));
    changes.push(moveQuarantine(database, paths), moveHistory(database, paths));
  }
  return changes.filter(({ count }) => count > 0);
}

/** A run that was under way would be taken for one that still is, where its process's number is taken again. */
function endRuns(database: DatabaseSync): Found {
  const what = 'cron_run_receipts.status';
  if (!hasTable(database, 'cron_run_receipts')) return { what, count: 0 };
  const sql = `UPDATE cron_run_receipts SET status = 'interrupted', finished_at_ms = started_at_ms WHERE status = 'running'`;
  return { what, count: run(database, sql) };
}

/** Notes about a workspace are kept under a hash of its path. */
function moveWorkspaceKeys(database: DatabaseSync, paths: MovedPaths): Found[] {
  const keys = new Map<string, string>();
  const note = (value: unknown): void => {
    const moved = typeof value === 'string' ? paths.find(value) : undefined;
    if (moved !== undefined && moved !== value) keys.set(workspaceKeyOf(String(value)), workspaceKeyOf(moved));
  };
  for (const row of readRows(database, SETUP_TABLE, 'workspace_path')) note(row['workspace_path']);
  for (const row of readRows(database, 'workspace_path_aliases', 'alias_path, workspace_path')) {
    note(row['alias_path']);
    note(row['workspace_path']);
  }
  const changes: Found[] = [];
  // What is under a new key already is older; it goes with all that refers to it, so it goes first.
  const columns = listTextColumns(database).filter(({ column }) => KEY_COLUMNS.has(column));
  columns.sort((a, b) => Number(b.table === SETUP_TABLE) - Number(a.table === SETUP_TABLE));
  for (const { table, column } of columns) {
    const update = database.prepare(`UPDATE OR REPLACE "${table}" SET "${column}" = ? WHERE "${column}" = ?`);
    let count = 0;
    for (const [before, now] of keys) count += Number(update.run(now, before).changes);
    changes.push({ what: `${table}.${column}`, count });
  }
  return [...changes, movePluginKeys(database, keys)];
}

function movePluginKeys(database: DatabaseSync, keys: ReadonlyMap<string, string>): Found {
  let count = 0;
  for (const table of ['plugin_state_entries', 'plugin_blob_entries']) {
    if (!hasTable(database, table)) continue;
    const update = database.prepare(
      `UPDATE OR REPLACE "${table}" SET entry_key = ? || substr(entry_key, ${SHORT_KEY_LENGTH + 1})
       WHERE substr(entry_key, 1, ${SHORT_KEY_LENGTH}) = ?`,
    );
    for (const [before, now] of keys)
      count += Number(update.run(now.slice(0, SHORT_KEY_LENGTH), before.slice(0, SHORT_KEY_LENGTH)).changes);
  }
  return { what: 'plugin entries of a workspace', count };
}

/** Moves every text that is a path of the agent's, in whatever column it stands. */
function moveTexts(database: DatabaseSync, paths: MovedPaths): Found[] {
  const changes: Found[] = [];
  const { prefixes } = paths;
  for (const { table, column } of listTextColumns(database)) {
    if (LEFT_ALONE.test(table) || column.endsWith('_json')) continue;
    const isBelow = prefixes.map(() => `"${column}" = ? OR substr("${column}", 1, ?) = ?`).join(' OR ');
    const values = prefixes.flatMap((prefix) => [prefix, prefix.length + 1, `${prefix}/`]);
    const rows = database
      .prepare(`SELECT DISTINCT "${column}" AS text FROM "${table}" WHERE ${isBelow}`)
      .all(...values);
    const update = database.prepare(`UPDATE OR REPLACE "${table}" SET "${column}" = ? WHERE "${column}" = ?`);
    let count = 0;
    for (const { text } of rows) {
      const moved = paths.rewrite(String(text));
      if (moved !== undefined) count += Number(update.run(moved, text ?? null).changes);
    }
    changes.push({ what: `${table}.${column}`, count });
  }
  return changes;
}

interface JsonColumn {
  readonly table: string;
  readonly column: string;
  readonly where: string;
}

function moveJson(database: DatabaseSync, paths: MovedPaths, { table, column, where }: JsonColumn): Found {
  const what = `${table}.${column}`;
  let count = 0;
  for (const { rowid, text } of readRows(database, table, `rowid, "${column}" AS text`, where)) {
    const value = parseOrNothing(text);
    const moved = rewriteStrings(value, (one) => paths.rewrite(one));
    if (moved === value) continue;
    // A text that a person may see was written with an indent.
    const indent = String(text).includes('\n') ? 2 : undefined;
    const end = String(text).endsWith('\n') ? '\n' : '';
    database
      .prepare(`UPDATE "${table}" SET "${column}" = ? WHERE rowid = ?`)
      .run(JSON.stringify(moved, undefined, indent) + end, Number(rowid));
    count += 1;
  }
  return { what, count };
}

/** Jobs that OpenClaw could not read are kept under the key of their store. */
function moveQuarantine(database: DatabaseSync, paths: MovedPaths): Found {
  let count = 0;
  for (const { scope } of readRows(
    database,
    'diagnostic_events',
    'DISTINCT scope',
    `scope LIKE '${QUARANTINE_SCOPE}%'`,
  )) {
    const moved = paths.rewrite(String(scope).slice(QUARANTINE_SCOPE.length));
    if (moved === undefined) continue;
    const update = database.prepare('UPDATE OR REPLACE diagnostic_events SET scope = ? WHERE scope = ?');
    count += Number(update.run(QUARANTINE_SCOPE + moved, String(scope)).changes);
  }
  return { what: 'diagnostic_events.scope', count };
}

/** The history of a job's runs is found by the key of its store. */
function moveHistory(database: DatabaseSync, paths: MovedPaths): Found {
  let count = 0;
  const where = `detail_json LIKE '%"storeKey"%'`;
  for (const { rowid, text } of readRows(database, 'task_runs', 'rowid, detail_json AS text', where)) {
    const value = parseOrNothing(text) as Readonly<Record<string, unknown>> | undefined;
    const store = value?.['storeKey'];
    const moved = typeof store === 'string' ? paths.rewrite(store) : undefined;
    if (moved === undefined) continue;
    database
      .prepare('UPDATE task_runs SET detail_json = ? WHERE rowid = ?')
      .run(JSON.stringify({ ...value, storeKey: moved }), Number(rowid));
    count += 1;
  }
  return { what: 'task_runs.detail_json', count };
}

function listTextColumns(database: DatabaseSync): { readonly table: string; readonly column: string }[] {
  const sql = `SELECT s.name AS "table", c.name AS "column" FROM sqlite_schema AS s, pragma_table_info(s.name) AS c
    WHERE s.type = 'table' AND s.sql NOT LIKE 'CREATE VIRTUAL%' AND upper(c.type) = 'TEXT' ORDER BY s.name, c.cid`;
  return database
    .prepare(sql)
    .all()
    .map((row) => ({ table: plainName(row['table']), column: plainName(row['column']) }))
    .filter(({ table, column }) => table !== '' && column !== '');
}

/** A name that would have to be quoted is none of OpenClaw's. */
function plainName(name: unknown): string {
  return typeof name === 'string' && /^\w+$/.test(name) ? name : '';
}

function hasColumnsFor(database: DatabaseSync, table: string, where: string): boolean {
  if (!hasTable(database, table)) return false;
  const [column = ''] = where.split(' ');
  return where === '1' || listTextOrOther(database, table).includes(column);
}

function listTextOrOther(database: DatabaseSync, table: string): string[] {
  return database
    .prepare('SELECT name FROM pragma_table_info(?)')
    .all(table)
    .map(({ name }) => String(name));
}

function run(database: DatabaseSync, sql: string): number {
  return Number(database.prepare(sql).run().changes);
}
