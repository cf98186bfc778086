// The embedded backup log of one repository: an SQLite database in memory, sealed whole on disk and replaced whole when it changes. One
// writer at a time; readers take what is there.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { KeyObject } from 'node:crypto';
import type { Database } from 'sql.js';
import { isMoltError, isSystemError, MoltError } from '../model/error.ts';
import type { RepositoryId } from '../model/ids.ts';
import type { Clock, Random } from '../model/ports.ts';
import type { RunEntry } from '../model/run-entry.ts';
import { systemFailure } from '../model/system-error.ts';
import { tryLock } from '../pod/lock.ts';
import { openLocalFile, sealLocalFile, type LocalFile, type LocalFileSpec } from '../repo/local-file.ts';
import { writeWholeFile } from '../storage/whole-file.ts';
import type { BackupLog, RunFilter } from './backup-log.ts';
import { conditions, entryOf, RUN_COLUMNS, rowOf } from './run-rows.ts';
import { openMemoryDatabase } from '../diff/sqljs.ts';

/** Where an embedded log lies, and what it needs. */
export interface SqlJsLogOptions {
  /** The folder of the repository's runs. */
  readonly dir: string;
  readonly tempDir: string;
  readonly repository: RepositoryId;
  readonly key: KeyObject;
  readonly clock: Clock;
  readonly random: Random;
}

/** Tells its file from others that the same key seals. */
const HOLDS = 'runs';
const SCHEMA_VERSION = 1;
const SCHEMA = `
  CREATE TABLE runs (${RUN_COLUMNS.map((column) => (column === 'id' ? 'id TEXT PRIMARY KEY' : column)).join(', ')}) WITHOUT ROWID;
  CREATE INDEX runs_started ON runs (started_ms);
  CREATE INDEX runs_commit ON runs (commit_id);
  CREATE INDEX runs_rebuilt ON runs (commit_id) WHERE is_rebuilt = 1;
  PRAGMA user_version = ${SCHEMA_VERSION};`;

/**
 * The log is replaced whole: 15,000 rows, a month of an agent that is busy day and night, take a quarter of a second. What went well is
 * told by the repository's history too, so that of the rest older rows stay.
 */
const MOST_ROWS = 15_000;
const MOST_TROUBLES = 5_000;
const TROUBLES = `result IN ('failed', 'partial') OR verb NOT IN ('backup', 'push', 'pull', 'fetch')`;
const DAY_MS = 86_400_000;
const KEPT_DAYS = 365;
/** That nothing changed is of no interest for longer. */
const KEPT_UNCHANGED_DAYS = 30;

/** Why a log has nothing of what was before: it is the first one, or the one that was there could not be read. */
export type LogLack = 'new' | 'damaged';

/** The embedded log, opened. */
export class SqlJsLog implements BackupLog {
  readonly #options: SqlJsLogOptions;
  readonly #database: Database;
  readonly #lock: Disposable | undefined;
  #lack: LogLack | undefined;
  #hasChanged = false;

  private constructor(
    options: SqlJsLogOptions,
    database: Database,
    lock: Disposable | undefined,
    lack: LogLack | undefined,
  ) {
    this.#options = options;
    this.#database = database;
    this.#lock = lock;
    this.#lack = lack;
  }

  /**
   * Opens the log. With `isKept` what is appended stays when `save` is called; without, or where another process has it at the moment,
   * it is only there for queries of this object.
   * @throws {MoltError} IO, NEWER_FORMAT
   */
  static async open(options: SqlJsLogOptions, { isKept }: { readonly isKept: boolean }): Promise<SqlJsLog> {
    const lock = isKept ? tryLock(join(options.dir, 'lock')) : undefined;
    try {
      const { database, lack } = await load(options);
      return new SqlJsLog(options, database, lock, lack);
    } catch (error) {
      lock?.[Symbol.dispose]();
      throw error;
    }
  }

  /** Whether `save` keeps what is appended. */
  get isKept(): boolean {
    return this.#lock !== undefined;
  }

  /** Why it lacks what was before, until that is filled in from the repository's history. */
  get lack(): LogLack | undefined {
    return this.#lack;
  }

  /** Takes what the repository's history tells of runs; what is known of them already stays as it is. */
  async fill(rebuilt: readonly RunEntry[]): Promise<void> {
    await this.append(rebuilt);
    this.#lack = undefined;
    this.#hasChanged = true;
  }

  async append(entries: readonly RunEntry[]): Promise<void> {
    const places = RUN_COLUMNS.map(() => '?').join(', ');
    const database = this.#database;
    database.run('BEGIN');
    // What was rebuilt knows less than what was there when it happened.
    const forget = database.prepare('DELETE FROM runs WHERE commit_id = ? AND is_rebuilt = 1');
    const find = database.prepare('SELECT 1 FROM runs WHERE commit_id = ? AND verb = ? AND result <> ?');
    const insert = database.prepare(`INSERT OR IGNORE INTO runs VALUES (${places})`);
    try {
      for (const entry of entries) {
        const { commit, verb, isRebuilt } = entry;
        const isMade = commit !== undefined && verb === 'backup' && entry.result !== 'unchanged';
        if (isMade && isRebuilt && find.get([commit, verb, 'unchanged']).length > 0) continue;
        if (isMade && !isRebuilt) forget.run([commit]);
        insert.run(rowOf(entry));
      }
      database.run('COMMIT');
      this.#hasChanged ||= entries.length > 0;
    } catch (error) {
      database.run('ROLLBACK');
      throw error;
    } finally {
      for (const statement of [forget, find, insert]) statement.free();
    }
  }

  async query(filter: RunFilter): Promise<RunEntry[]> {
    const { where, values } = conditions(filter, '?');
    const statement = this.#database.prepare(
      `SELECT * FROM runs ${where} ORDER BY started_ms DESC, id DESC LIMIT ${Math.min(filter.limit, Number.MAX_SAFE_INTEGER)}`,
    );
    try {
      statement.bind(values);
      const entries: RunEntry[] = [];
      while (statement.step()) entries.push(entryOf(statement.getAsObject()));
      return entries;
    } finally {
      statement.free();
    }
  }

  /** Seals the log and puts it in the place of what was there: whole and durable, or not at all. @throws {MoltError} IO */
  async save(): Promise<void> {
    if (!this.isKept) throw new Error('another process has the log');
    if (!this.#hasChanged) return;
    this.#thinOut();
    const { dir, tempDir, clock, random } = this.#options;
    const content = Buffer.from(this.#database.export());
    const file = { record: { holds: HOLDS, version: SCHEMA_VERSION, lack: this.#lack }, content };
    const bytes = sealLocalFile(specOf(this.#options), file, { clock, random });
    try {
      await writeWholeFile(logFile(dir), bytes, { tempDir, replace: true });
    } catch (error) {
      throw systemFailure(error, `cannot write "${logFile(dir)}"`, dir);
    }
    this.#hasChanged = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#database.close();
    this.#lock?.[Symbol.dispose]();
  }

  #thinOut(): void {
    const nowMs = this.#options.clock.now();
    this.#database.run('DELETE FROM runs WHERE started_ms < ? OR (result = ? AND started_ms < ?)', [
      nowMs - KEPT_DAYS * DAY_MS,
      'unchanged',
      nowMs - KEPT_UNCHANGED_DAYS * DAY_MS,
    ]);
    const newest = 'ORDER BY started_ms DESC, id DESC LIMIT ?';
    this.#database.run(
      `DELETE FROM runs WHERE id NOT IN (SELECT id FROM runs ${newest})
        AND id NOT IN (SELECT id FROM runs WHERE ${TROUBLES} ${newest})`,
      [MOST_ROWS, MOST_TROUBLES],
    );
  }
}

async function load(
  options: SqlJsLogOptions,
): Promise<{ readonly database: Database; readonly lack: LogLack | undefined }> {
  const path = logFile(options.dir);
  const bytes = await readFile(path).catch((error: unknown) => {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw systemFailure(error, `cannot read "${path}"`, options.dir);
  });
  const file = bytes && (await openFile(bytes, options));
  if (file !== undefined) {
    const lack = file.record.has('lack') ? file.record.text('lack', /^(?:new|damaged)$/) : undefined;
    return { database: await openMemoryDatabase(file.content), lack: lack as LogLack | undefined };
  }
  const database = await openMemoryDatabase();
  database.run(SCHEMA);
  return { database, lack: bytes === undefined ? 'new' : 'damaged' };
}

/** Opens the sealed file; undefined if it is not what was sealed. */
async function openFile(bytes: Buffer, options: SqlJsLogOptions): Promise<LocalFile | undefined> {
  let file: LocalFile | undefined;
  try {
    file = await openLocalFile(bytes, specOf(options));
    if (file?.record.value('holds') !== HOLDS) return undefined;
    if (file.record.integer('version') <= SCHEMA_VERSION) return file;
  } catch (error) {
    if (!isMoltError(error)) throw error;
    return undefined;
  }
  throw new MoltError('NEWER_FORMAT', `the backup log "${logFile(options.dir)}" was written by a newer molt`, {
    hint: 'install a newer molt, or move the file away: what the repository tells of is rebuilt',
  });
}

function specOf({ repository, key }: SqlJsLogOptions): LocalFileSpec {
  return { name: 'the backup log', repositoryId: repository, storageId: undefined, key };
}

function logFile(dir: string): string {
  return join(dir, 'log');
}
