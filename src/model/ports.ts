// What molt needs from the outside and tests replace: time, randomness, and somewhere to report progress and to note what was done.

import type { KeyObject } from 'node:crypto';
import type { RunEntry } from './run-entry.ts';

/** The time. */
export interface Clock {
  /** Returns milliseconds since the Unix epoch. */
  now(): number;
}

/** A source of cryptographically secure random bytes. */
export interface Random {
  bytes(length: number): Buffer;
}

/** One step of a longer operation, as the reporter is told about it. */
export interface Progress {
  /** What is being done, in a word or two: `scan`, `read`, `write packs`. */
  readonly phase: string;
  readonly doneBytes?: number;
  readonly totalBytes?: number;
  readonly doneFiles?: number;
  readonly totalFiles?: number;
}

/** Receives progress and warnings; an operation never prints. Implementations must not throw. */
export interface Reporter {
  progress(progress: Progress): void;
  /** Something the user should know although the operation goes on. Lower-case, no full stop, no secret. */
  warn(message: string): void;
}

/** A reporter that keeps quiet. */
export const silentReporter: Reporter = { progress() {}, warn() {} };

/** A key that seals entries of the backup log on this machine, and whose it is. */
export interface RunKey {
  /** The machine's key stands in where the repository could not be opened. */
  readonly of: 'repository' | 'machine';
  readonly key: KeyObject;
}

/** Takes the entries of the backup log. */
export interface RunLog {
  /** Keeps an entry on this machine, sealed and durable. @throws {MoltError} IO */
  append(entry: RunEntry, key: RunKey): Promise<void>;
  /**
   * Brings what waits on this machine to the log itself, in bounded time; what does not get there waits on. Long-running programs call
   * it now and then, commands at their end. Never throws.
   */
  settle(): Promise<void>;
}
