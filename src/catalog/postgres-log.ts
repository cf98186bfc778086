// The backup log in PostgreSQL, which a fleet shares. Every wait is bounded: a server that hangs is a server that is not there.

import pg from 'pg';
import { isMoltError, MoltError } from '../model/error.ts';
import type { RunEntry } from '../model/run-entry.ts';
import type { BackupLog, RunFilter } from './backup-log.ts';
import { describeLogUrl } from './log-url.ts';
import { MIGRATION_LOCK, MIGRATIONS, MIGRATIONS_TABLE } from './postgres-schema.ts';
import { conditions, entryOf, RUN_COLUMNS, rowOf } from './run-rows.ts';

/** How long a PostgreSQL log may take; milliseconds. */
export interface PostgresTimes {
  readonly connectMs: number;
  /** Of one statement. */
  readonly statementMs: number;
}

const PATIENT: PostgresTimes = { connectMs: 10_000, statementMs: 30_000 };
/** How long saying good-bye may take. */
const FAREWELL_MS = 500;
/** Rows of one statement. */
const BATCH = 1000;

/** The log, connected. */
export class PostgresLog implements BackupLog {
  readonly #client: pg.Client;
  readonly #place: string;
  /** Whether it was cut off because it took too long. */
  #isLate = false;

  private constructor(client: pg.Client, place: string) {
    this.#client = client;
    this.#place = place;
  }

  /**
   * Connects, and makes or extends the tables where that is needed.
   * @param url a PostgreSQL URL; a password that it lacks comes from PGPASSWORD or the user's .pgpass
   * @param options.deadline ends everything when aborted
   * @throws {MoltError} REMOTE_UNREACHABLE, REMOTE_REFUSED; NEWER_FORMAT when a newer molt has extended the tables
   */
  static async open(
    url: string,
    options: { readonly times?: PostgresTimes; readonly deadline?: AbortSignal } = {},
  ): Promise<PostgresLog> {
    const { times = PATIENT, deadline } = options;
    const place = describeLogUrl(url);
    const client = new pg.Client({
      connectionString: url,
      query_timeout: times.statementMs,
      statement_timeout: times.statementMs,
      application_name: 'molt',
    });
    // A connection that breaks between two statements is found out by the next one.
    client.on('error', () => undefined);
    const log = new PostgresLog(client, place);
    const cut = (): void => {
      log.#isLate = true;
      cutOff(client);
    };
    deadline?.addEventListener('abort', cut, { once: true });
    const timer = setTimeout(cut, times.connectMs);
    return log.#attempt(async () => {
      try {
        await client.connect();
      } finally {
        clearTimeout(timer);
      }
      await log.#migrate();
      return log;
    });
  }

  async append(entries: readonly RunEntry[]): Promise<void> {
    await this.#attempt(async () => {
      await this.#client.query('BEGIN');
      for (let at = 0; at < entries.length; at += BATCH) {
        const rows = entries.slice(at, at + BATCH).map(rowObject);
        // oxlint-disable-next-line no-await-in-loop -- one connection
        await this.#client.query(
          'INSERT INTO molt_runs SELECT * FROM json_populate_recordset(NULL::molt_runs, $1::json) ON CONFLICT DO NOTHING',
          [JSON.stringify(rows)],
        );
      }
      await this.#client.query('COMMIT');
    });
  }

  async query(filter: RunFilter): Promise<RunEntry[]> {
    const { where, values } = conditions(filter, '$');
    const limit = values.push(filter.limit);
    const text = `SELECT * FROM molt_runs ${where} ORDER BY started_ms DESC, id DESC LIMIT $${limit}`;
    const { rows } = await this.#attempt(() => this.#client.query<Record<string, unknown>>(text, values));
    return rows.map(entryOf);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, FAREWELL_MS);
    await Promise.race([this.#client.end().catch(() => undefined), late]);
    clearTimeout(timer);
    cutOff(this.#client);
  }

  /** Takes the steps that the database lacks, one client at a time. */
  async #migrate(): Promise<void> {
    const version = await this.#findVersion();
    if (version === MIGRATIONS.length) return;
    if (version > MIGRATIONS.length) throw newerTables(this.#place, version);
    await this.#client.query('BEGIN');
    await this.#client.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
    await this.#client.query(MIGRATIONS_TABLE);
    // Somebody else may have been quicker.
    for (let next = (await this.#findVersion()) + 1; next <= MIGRATIONS.length; next += 1) {
      // oxlint-disable-next-line no-await-in-loop -- step after step
      await this.#client.query(MIGRATIONS[next - 1] ?? '');
      // oxlint-disable-next-line no-await-in-loop -- the same
      await this.#client.query('INSERT INTO molt_migrations (version) VALUES ($1)', [next]);
    }
    await this.#client.query('COMMIT');
  }

  /** Returns how many steps the database has taken. */
  async #findVersion(): Promise<number> {
    const { rows } = await this.#client.query<{ found: string | null }>(
      `SELECT to_regclass('molt_migrations') AS found`,
    );
    if (rows[0]?.found === null) return 0;
    const found = await this.#client.query<{ version: number }>(
      'SELECT coalesce(max(version), 0) AS version FROM molt_migrations',
    );
    return found.rows[0]?.version ?? 0;
  }

  async #attempt<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      // What was begun is undone by the server once the connection is gone.
      cutOff(this.#client);
      throw this.#isLate ? noAnswer(this.#place, error) : failure(error, this.#place);
    }
  }
}

function rowObject(entry: RunEntry): Record<string, unknown> {
  const values = rowOf(entry);
  return Object.fromEntries(RUN_COLUMNS.map((column, index) => [column, values[index]]));
}

/** Ends a connection at once; what waits for it fails. */
function cutOff(client: pg.Client): void {
  client.connection.stream.destroy(new Error('the connection was cut'));
}

const WAIT_HINT = 'entries wait on this machine and follow when it is back';
const UNREACHABLE_STATES = /^(08|57P|53)/;
const ADVICE: ReadonlyMap<string, string> = new Map([
  ['28P01', 'set PGPASSWORD, or put the password into ~/.pgpass'],
  ['28000', 'check user and password, and pg_hba.conf of the server'],
  ['3D000', 'createdb makes the database'],
  ['42501', 'the first molt to come needs the right to make tables in the schema, later ones to read and insert'],
]);

function noAnswer(place: string, cause: unknown): MoltError {
  return new MoltError(
    'REMOTE_UNREACHABLE',
    `the backup log at ${place} can't be reached: it does not answer in time`,
    {
      hint: WAIT_HINT,
      cause,
    },
  );
}

/** Returns what a failure of the database means to molt. */
function failure(error: unknown, place: string): MoltError {
  if (isMoltError(error)) return error;
  const { code = '', message } = (error instanceof Error ? error : new Error(String(error))) as Error & {
    code?: string;
  };
  if (message.includes('password must be a string'))
    return new MoltError('REMOTE_REFUSED', `the backup log at ${place} wants a password, and none is given`, {
      hint: ADVICE.get('28P01') ?? '',
      cause: error,
    });
  const isAnswer = /^[0-9A-Z]{5}$/.test(code) && !UNREACHABLE_STATES.test(code);
  if (!isAnswer)
    return new MoltError('REMOTE_UNREACHABLE', `the backup log at ${place} can't be reached: ${message || code}`, {
      hint: WAIT_HINT,
      cause: error,
    });
  const hint = ADVICE.get(code);
  return new MoltError('REMOTE_REFUSED', `the backup log at ${place} refuses: ${message} (${code})`, {
    hint: hint ?? 'entries wait on this machine and follow when that is put right',
    cause: error,
  });
}

function newerTables(place: string, version: number): MoltError {
  return new MoltError(
    'NEWER_FORMAT',
    `the tables of the backup log at ${place} were extended by a newer molt (step ${version}, this one knows ${MIGRATIONS.length})`,
    { hint: 'install a newer molt; entries wait on this machine and follow then' },
  );
}
