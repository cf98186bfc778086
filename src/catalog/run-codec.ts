// Entries of the backup log as JSON, for the lines that wait on this machine. Read strictly: what comes out of here every log takes, so
// that no entry can stand in the way of the others.

import { Fields, HEX_16, HEX_20 } from '../format/fields.ts';
import type { CommitId, RepositoryId } from '../model/ids.ts';
import {
  MAX_RUN_TEXT,
  RUN_RESULTS,
  RUN_TRIGGERS,
  RUN_VERBS,
  type RunBytes,
  type RunEntry,
  type RunRequests,
} from '../model/run-entry.ts';

const NAME = 'an entry of the backup log';
const TEXT = /^[^\0]*$/s;

/** Returns an entry as JSON. */
export function encodeRun(entry: RunEntry): Buffer {
  return Buffer.from(JSON.stringify(entry), 'utf8');
}

/** Reads an entry. @throws {MoltError} DAMAGED */
export function parseRun(bytes: Buffer): RunEntry {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    value = undefined;
  }
  const fields = new Fields(value, NAME);
  const text = (key: string): string => fields.text(key, TEXT, MAX_RUN_TEXT);
  const optional = (key: string): string | undefined => (fields.has(key) ? text(key) : undefined);
  const error = fields.has('error') ? new Fields(fields.value('error'), NAME) : undefined;
  return {
    id: fields.text('id', HEX_16),
    agent: text('agent'),
    repository: fields.text('repository', HEX_16) as RepositoryId,
    host: text('host'),
    verb: oneOf(fields, 'verb', RUN_VERBS),
    trigger: oneOf(fields, 'trigger', RUN_TRIGGERS),
    startedMs: fields.integer('startedMs'),
    lastMs: fields.integer('lastMs'),
    count: fields.integer('count', 1),
    durationMs: fields.has('durationMs') ? fields.integer('durationMs') : undefined,
    result: oneOf(fields, 'result', RUN_RESULTS),
    bytes: parseBytes(new Fields(fields.value('bytes'), NAME)),
    requests: parseRequests(new Fields(fields.value('requests'), NAME)),
    error: error && {
      code: error.text('code', TEXT, MAX_RUN_TEXT),
      message: error.text('message', TEXT, MAX_RUN_TEXT),
    },
    commit: fields.has('commit') ? (fields.text('commit', HEX_20) as CommitId) : undefined,
    remote: optional('remote'),
    detail: optional('detail'),
    isRebuilt: fields.value('isRebuilt') === true,
  };
}

function parseBytes(fields: Fields): RunBytes {
  const [read, stored, sent, received, written] = ['read', 'stored', 'sent', 'received', 'written'].map((key) =>
    fields.integer(key),
  ) as [number, number, number, number, number];
  return { read, stored, sent, received, written };
}

function parseRequests(fields: Fields): RunRequests {
  const [put, get, list, head, del] = ['put', 'get', 'list', 'head', 'delete'].map((key) => fields.integer(key)) as [
    number,
    number,
    number,
    number,
    number,
  ];
  return { put, get, list, head, delete: del };
}

/** Returns a member that is one of some words. @throws {MoltError} DAMAGED */
function oneOf<T extends string>(fields: Fields, key: string, words: readonly T[]): T {
  return fields.text(key, new RegExp(`^(?:${words.join('|')})$`)) as T;
}
