// Entries of the backup log as rows of a table: the columns are the same in the embedded log and in PostgreSQL.

import type { CommitId, RepositoryId } from '../model/ids.ts';
import type { RunEntry, RunResult, RunTrigger, RunVerb } from '../model/run-entry.ts';
import type { RunFilter } from './backup-log.ts';

/** A value as a database takes and gives it. */
export type RowValue = string | number | null;

/** The columns, in the order of the values of a row. */
export const RUN_COLUMNS = [
  'id',
  'agent',
  'repository',
  'host',
  'verb',
  'run_by',
  'started_ms',
  'last_ms',
  'runs',
  'duration_ms',
  'result',
  'bytes_read',
  'bytes_stored',
  'bytes_sent',
  'bytes_received',
  'bytes_written',
  'requests_put',
  'requests_get',
  'requests_list',
  'requests_head',
  'requests_delete',
  'error_code',
  'error_message',
  'commit_id',
  'remote',
  'detail',
  'is_rebuilt',
] as const;
type Column = (typeof RUN_COLUMNS)[number];

/** Returns the values of an entry, in the order of the columns. */
export function rowOf(entry: RunEntry): RowValue[] {
  const { bytes, requests, error } = entry;
  const row: Record<Column, RowValue> = {
    id: entry.id,
    agent: entry.agent,
    repository: entry.repository,
    host: entry.host,
    verb: entry.verb,
    run_by: entry.trigger,
    started_ms: entry.startedMs,
    last_ms: entry.lastMs,
    runs: entry.count,
    duration_ms: entry.durationMs ?? null,
    result: entry.result,
    bytes_read: bytes.read,
    bytes_stored: bytes.stored,
    bytes_sent: bytes.sent,
    bytes_received: bytes.received,
    bytes_written: bytes.written,
    requests_put: requests.put,
    requests_get: requests.get,
    requests_list: requests.list,
    requests_head: requests.head,
    requests_delete: requests.delete,
    error_code: error?.code ?? null,
    error_message: error?.message ?? null,
    commit_id: entry.commit ?? null,
    remote: entry.remote ?? null,
    detail: entry.detail ?? null,
    is_rebuilt: entry.isRebuilt ? 1 : 0,
  };
  return RUN_COLUMNS.map((column) => row[column]);
}

/** Returns the entry of a row, by column. PostgreSQL gives large numbers as text. */
export function entryOf(row: Readonly<Record<string, unknown>>): RunEntry {
  const text = (column: Column): string => String(row[column]);
  const optional = (column: Column): string | undefined => (row[column] === null ? undefined : text(column));
  const number = (column: Column): number => Number(row[column]);
  const code = optional('error_code');
  return {
    id: text('id'),
    agent: text('agent'),
    repository: text('repository') as RepositoryId,
    host: text('host'),
    verb: text('verb') as RunVerb,
    trigger: text('run_by') as RunTrigger,
    startedMs: number('started_ms'),
    lastMs: number('last_ms'),
    count: number('runs'),
    durationMs: row['duration_ms'] === null ? undefined : number('duration_ms'),
    result: text('result') as RunResult,
    bytes: {
      read: number('bytes_read'),
      stored: number('bytes_stored'),
      sent: number('bytes_sent'),
      received: number('bytes_received'),
      written: number('bytes_written'),
    },
    requests: {
      put: number('requests_put'),
      get: number('requests_get'),
      list: number('requests_list'),
      head: number('requests_head'),
      delete: number('requests_delete'),
    },
    error: code === undefined ? undefined : { code, message: optional('error_message') ?? '' },
    commit: optional('commit_id') as CommitId | undefined,
    remote: optional('remote'),
    detail: optional('detail'),
    isRebuilt: number('is_rebuilt') === 1,
  };
}

/** Returns the conditions of a filter, and the values that they name by number. */
export function conditions(
  filter: RunFilter,
  mark: '?' | '$',
): { readonly where: string; readonly values: RowValue[] } {
  const values: RowValue[] = [];
  const place = (value: RowValue): string => `${mark}${values.push(value)}`;
  const anyOf = (column: string, words: readonly string[] | undefined): string[] =>
    words === undefined ? [] : [`${column} IN (${words.map(place).join(', ')})`];
  const { repository, agent, sinceMs, untilMs, verbs, results } = filter;
  const all = [
    ...(repository === undefined ? [] : [`repository = ${place(repository)}`]),
    ...(agent === undefined ? [] : [`agent = ${place(agent)}`]),
    ...(sinceMs === undefined ? [] : [`last_ms >= ${place(sinceMs)}`]),
    ...(untilMs === undefined ? [] : [`started_ms <= ${place(untilMs)}`]),
    ...anyOf('verb', verbs),
    ...anyOf('result', results),
  ];
  return { where: all.length === 0 ? '' : `WHERE ${all.join(' AND ')}`, values };
}
