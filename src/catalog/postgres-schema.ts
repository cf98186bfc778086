// The tables of the backup log in PostgreSQL, as numbered steps: a database has taken the first so many of them, and a newer molt takes
// the rest. A step that was released is never changed.

/** Table of the steps that a database has taken. */
export const MIGRATIONS_TABLE = `CREATE TABLE IF NOT EXISTS molt_migrations (
  version integer PRIMARY KEY,
  taken_at timestamptz NOT NULL DEFAULT now()
)`;

/** The number of the lock that lets one client at a time migrate: any that nobody else takes. */
export const MIGRATION_LOCK = '7884926330126337';

/** The steps; the first has number 1. */
export const MIGRATIONS: readonly string[] = [
  `CREATE TABLE molt_runs (
    id text PRIMARY KEY,
    agent text NOT NULL,
    repository text NOT NULL,
    host text NOT NULL,
    verb text NOT NULL,
    run_by text NOT NULL,
    started_ms bigint NOT NULL,
    last_ms bigint NOT NULL,
    runs bigint NOT NULL,
    duration_ms bigint,
    result text NOT NULL,
    bytes_read bigint NOT NULL,
    bytes_stored bigint NOT NULL,
    bytes_sent bigint NOT NULL,
    bytes_received bigint NOT NULL,
    bytes_written bigint NOT NULL,
    requests_put bigint NOT NULL,
    requests_get bigint NOT NULL,
    requests_list bigint NOT NULL,
    requests_head bigint NOT NULL,
    requests_delete bigint NOT NULL,
    error_code text,
    error_message text,
    commit_id text,
    remote text,
    detail text,
    is_rebuilt smallint NOT NULL
  );
  CREATE INDEX molt_runs_started ON molt_runs (started_ms DESC);
  CREATE INDEX molt_runs_repository ON molt_runs (repository, started_ms DESC);
  CREATE INDEX molt_runs_failed ON molt_runs (started_ms DESC) WHERE result IN ('failed', 'partial');
  CREATE VIEW molt_backup_log AS
    SELECT to_timestamp(started_ms / 1000.0) AS started_at, agent, host, verb, run_by, result,
      duration_ms * interval '1 millisecond' AS duration, runs, to_timestamp(last_ms / 1000.0) AS last_at,
      error_code, error_message, remote, detail, commit_id, bytes_read, bytes_stored, bytes_sent, bytes_received,
      bytes_written, requests_put + requests_get + requests_list + requests_head + requests_delete AS requests, repository, id
    FROM molt_runs`,
];
