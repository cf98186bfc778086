// One line of the backup log: a run of something that keeps an agent's backups, and what came of it.

import type { CommitId, RepositoryId } from './ids.ts';

/** What can be run. */
export const RUN_VERBS = [
  'backup',
  'push',
  'pull',
  'fetch',
  'clone',
  'restore',
  'verify',
  'drill',
  'export',
  'import',
  'prune',
] as const;
export type RunVerb = (typeof RUN_VERBS)[number];

/** What set it off: a person, a schedule or daemon, or `molt run`. */
export const RUN_TRIGGERS = ['manual', 'scheduled', 'run'] as const;
export type RunTrigger = (typeof RUN_TRIGGERS)[number];

/** What came of it. `unchanged`: there was nothing to do. `partial`: it was done, but not for everything. */
export const RUN_RESULTS = ['ok', 'unchanged', 'partial', 'failed'] as const;
export type RunResult = (typeof RUN_RESULTS)[number];

/** Bytes that a run moved. */
export interface RunBytes {
  /** Of the agent or the repository. */
  readonly read: number;
  /** Into the repository of this machine. */
  readonly stored: number;
  /** To a remote or a file. */
  readonly sent: number;
  /** From a remote or a file. */
  readonly received: number;
  /** Into an agent's folders. */
  readonly written: number;
}

/** Requests to a remote. */
export interface RunRequests {
  readonly put: number;
  readonly get: number;
  readonly list: number;
  readonly head: number;
  readonly delete: number;
}

/** A run. */
export interface RunEntry {
  /** 16 random bytes, hex: an entry that is handed over twice is kept once. */
  readonly id: string;
  /** The agent's label on its machine. */
  readonly agent: string;
  readonly repository: RepositoryId;
  /** The machine's name. */
  readonly host: string;
  readonly verb: RunVerb;
  readonly trigger: RunTrigger;
  /** When it began; of several that were folded into one, the first. Milliseconds since the Unix epoch. */
  readonly startedMs: number;
  /** When the last of them began. */
  readonly lastMs: number;
  /** How many runs these are: more than one where nothing changed again and again. */
  readonly count: number;
  /** Of all of them together; undefined of an entry that was rebuilt. */
  readonly durationMs: number | undefined;
  readonly result: RunResult;
  readonly bytes: RunBytes;
  readonly requests: RunRequests;
  readonly error: { readonly code: string; readonly message: string } | undefined;
  /** The commit that it made, found or brought back. */
  readonly commit: CommitId | undefined;
  /** The remote's name. */
  readonly remote: string | undefined;
  /** What kind of backup, or where a restore went: `full`, `in place`. */
  readonly detail: string | undefined;
  /** Made from the repository's history after the log was lost: what only the log knew is missing. */
  readonly isRebuilt: boolean;
}

/** No bytes. */
export const NO_BYTES: RunBytes = { read: 0, stored: 0, sent: 0, received: 0, written: 0 };
/** No requests. */
export const NO_REQUESTS: RunRequests = { put: 0, get: 0, list: 0, head: 0, delete: 0 };

/** The longest text of an entry, in UTF-16 units; what is longer is cut when it is recorded. */
export const MAX_RUN_TEXT = 500;

/** Returns a text as an entry may hold it: of bounded length, well-formed, without NUL, which PostgreSQL has no place for. */
export function runText(text: string): string {
  const short = text.length > MAX_RUN_TEXT ? `${text.slice(0, MAX_RUN_TEXT - 1)}…` : text;
  return short.replaceAll('\0', '\u2400').toWellFormed();
}
