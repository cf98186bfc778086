// What a backup log can do, wherever it is kept.

import type { RepositoryId } from '../model/ids.ts';
import type { RunEntry, RunResult, RunVerb } from '../model/run-entry.ts';

/** Which entries are wanted; times are inclusive, in milliseconds since the Unix epoch, and count when a run began. */
export interface RunFilter {
  readonly repository?: RepositoryId | undefined;
  /** A label. */
  readonly agent?: string | undefined;
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
  readonly verbs?: readonly RunVerb[] | undefined;
  /** All results unless given. */
  readonly results?: readonly RunResult[] | undefined;
  readonly limit: number;
}

/** A backup log. */
export interface BackupLog extends AsyncDisposable {
  /**
   * Takes entries, all or none. One that it has already is left as it is; one that tells of a commit takes the place of what was rebuilt
   * for that commit.
   * @throws {MoltError} REMOTE_UNREACHABLE, REMOTE_REFUSED or IO
   */
  append(entries: readonly RunEntry[]): Promise<void>;
  /** Returns entries, newest first. @throws {MoltError} REMOTE_UNREACHABLE, REMOTE_REFUSED */
  query(filter: RunFilter): Promise<RunEntry[]>;
}
