// The backup log as operations see it: entries are put down on this machine, which takes a millisecond, and brought to the log itself
// when a command ends or a daemon has a moment. Neither SQLite nor PostgreSQL is loaded before there is something to bring.

import { join } from 'node:path';
import type { RepositoryId } from '../model/ids.ts';
import type { Clock, Random, RunKey, RunLog } from '../model/ports.ts';
import type { RunEntry } from '../model/run-entry.ts';
import { RunSpool } from './spool.ts';

/** What the backup log of a machine needs. */
export interface LocalRunsOptions {
  /** MOLT_HOME. */
  readonly homeDir: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Finds the URL of a log in PostgreSQL; undefined for the embedded one. @throws {MoltError} USAGE */
  readonly findUrl: () => Promise<string | undefined>;
  /** How long a command may wait at its end without any entry getting to PostgreSQL; two seconds unless given. */
  readonly patienceMs?: number;
  /** Told of what keeps entries from getting to the log. */
  readonly warn: (message: string) => void;
}

/** The entries of a repository that this process knows the keys for. */
export interface WaitingRuns {
  readonly repository: RepositoryId;
  readonly dir: string;
  readonly spool: RunSpool;
  readonly keys: readonly RunKey[];
}

/** From so many bytes on, some two hundred entries, the embedded log takes them in. */
const EMBEDDED_BYTES = 128 << 10;
/** From so many bytes on PostgreSQL is told that nothing changed: an hour of five-minute runs. */
const POSTGRES_UNCHANGED_BYTES = 8 << 10;

/** Takes entries for the backup log. */
export class LocalRuns implements RunLog {
  readonly #options: LocalRunsOptions;
  #touched = new Map<RepositoryId, Map<RunKey['of'], RunKey>>();
  /** Whether something happened that a log should soon know of. */
  #isNews = false;
  #warned: string | undefined;
  #settling: Promise<void> | undefined;

  constructor(options: LocalRunsOptions) {
    this.#options = options;
  }

  async append(entry: RunEntry, key: RunKey): Promise<void> {
    const { homeDir, random } = this.#options;
    new RunSpool(runsDir(homeDir, entry.repository), entry.repository).append(entry, key, random);
    const keys = this.#touched.get(entry.repository) ?? new Map<RunKey['of'], RunKey>();
    this.#touched.set(entry.repository, keys.set(key.of, key));
    this.#isNews ||= entry.result !== 'unchanged';
  }

  async settle(): Promise<void> {
    // One at a time: who comes meanwhile is served by the next.
    this.#settling ??= this.#settleNow().finally(() => {
      this.#settling = undefined;
    });
    await this.#settling;
  }

  async #settleNow(): Promise<void> {
    if (this.#touched.size === 0) return;
    const touched = this.#touched;
    const isNews = this.#isNews;
    try {
      const url = await this.#options.findUrl();
      const waiting = this.#waiting();
      if (url === undefined) {
        this.#touched = new Map();
        const full = waiting.filter(({ spool }) => spool.sizeBytes() >= EMBEDDED_BYTES);
        if (full.length > 0) await (await import('./settle.ts')).settleEmbedded(this.#options, full);
        return;
      }
      if (!isNews && waiting.every(({ spool }) => spool.sizeBytes() < POSTGRES_UNCHANGED_BYTES)) return;
      // What comes while these are sent is not among them.
      this.#touched = new Map();
      this.#isNews = false;
      const { settlePostgres } = await import('./settle.ts');
      if (!(await settlePostgres(this.#options, url, waiting))) this.#keepFor(touched, isNews);
    } catch (error) {
      this.#keepFor(touched, isNews);
      const message = `the backup log lacks entries, which wait on this machine: ${messageOf(error)}`;
      // A daemon need not say so every five minutes.
      if (message !== this.#warned) this.#options.warn(message);
      this.#warned = message;
    }
  }

  /** Has the next settling try again. */
  #keepFor(touched: ReadonlyMap<RepositoryId, Map<RunKey['of'], RunKey>>, isNews: boolean): void {
    for (const [repository, keys] of touched) {
      const now = this.#touched.get(repository) ?? [];
      this.#touched.set(repository, new Map([...keys, ...now]));
    }
    this.#isNews ||= isNews;
  }

  #waiting(): WaitingRuns[] {
    return [...this.#touched].map(([repository, keys]) =>
      waitingRuns(this.#options.homeDir, repository, [...keys.values()]),
    );
  }
}

/** Returns what waits of a repository. */
export function waitingRuns(homeDir: string, repository: RepositoryId, keys: readonly RunKey[]): WaitingRuns {
  const dir = runsDir(homeDir, repository);
  return { repository, dir, spool: new RunSpool(dir, repository), keys };
}

/** Returns the folder of a repository's runs. */
export function runsDir(homeDir: string, repository: RepositoryId): string {
  return join(homeDir, 'runs', repository);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
