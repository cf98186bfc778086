// What molt needs from the outside and tests replace: time, randomness, and somewhere to report progress.

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
