// Entries of a backup log, for its tests.

import { createSecretKey, randomBytes } from 'node:crypto';
import type { CommitId, RepositoryId } from '../../src/model/ids.ts';
import type { RunKey } from '../../src/model/ports.ts';
import { NO_BYTES, NO_REQUESTS, type RunEntry } from '../../src/model/run-entry.ts';

export const REPOSITORY = 'a1'.repeat(16) as RepositoryId;
export const OTHER_REPOSITORY = 'b2'.repeat(16) as RepositoryId;
/** When entry 0 began. */
export const BEGAN_MS = Date.UTC(2026, 2, 5, 2);
export const COMMIT = 'c3'.repeat(20) as CommitId;

export const random = { bytes: (length: number): Buffer => randomBytes(length) };

/** Returns a new key of a repository, or of a machine. */
export function newKey(of: RunKey['of'] = 'repository'): RunKey {
  return { of, key: createSecretKey(randomBytes(32)) };
}

/** Returns an entry; each number is a minute later than the one before. */
export function entry(number: number, differs: Partial<RunEntry> = {}): RunEntry {
  const startedMs = BEGAN_MS + number * 60_000;
  return {
    id: number.toString(16).padStart(32, '0'),
    agent: 'bot',
    repository: REPOSITORY,
    host: 'laptop',
    verb: 'backup',
    trigger: 'scheduled',
    startedMs,
    lastMs: startedMs,
    count: 1,
    durationMs: 40 + number,
    result: 'ok',
    bytes: { ...NO_BYTES, read: 1000, stored: number },
    requests: NO_REQUESTS,
    error: undefined,
    commit: COMMIT,
    remote: undefined,
    detail: 'incremental',
    isRebuilt: false,
    ...differs,
  };
}

/** Returns an entry by which nothing changed. */
export function unchanged(number: number, differs: Partial<RunEntry> = {}): RunEntry {
  return entry(number, { result: 'unchanged', bytes: NO_BYTES, ...differs });
}
