// The one error class of molt and the codes it can carry. cli/exit.ts alone turns a code into an exit status.

/** What went wrong, as a closed set: callers switch on it, messages are for people. */
export type ErrorCode =
  /** The command's words are off. */
  | 'USAGE'
  /** A name, id, path or time that stands for nothing. */
  | 'NOT_FOUND'
  /** A moment whose content was pruned. */
  | 'EXPIRED'
  /** A short id or bare word that stands for several things. */
  | 'AMBIGUOUS'
  /** What should be made is there already. */
  | 'EXISTS'
  /** There is no repository, or none for this agent. */
  | 'NO_REPOSITORY'
  /** Another process holds what is needed. */
  | 'LOCKED'
  /** The agent runs, and the operation needs it stopped. */
  | 'RUNNING'
  /** A ref was moved by somebody else since it was read. */
  | 'CONFLICT'
  /** A storage was pruned while something counted on what it held. */
  | 'SWEPT'
  /** No slot opens with the secret that was given. */
  | 'WRONG_PASSPHRASE'
  /** A container was sealed under another key than the repository's. */
  | 'WRONG_KEY'
  /** A container belongs to another repository. */
  | 'WRONG_REPOSITORY'
  /** A container belongs to another storage of this repository. */
  | 'WRONG_STORAGE'
  /** A container is whole, but not the one that its name promises. */
  | 'RENAMED'
  /** A file ends before it should. */
  | 'TRUNCATED'
  /** Bytes that are not what was written. */
  | 'DAMAGED'
  /** Content that tries to escape where it belongs, or breaks a limit. */
  | 'HOSTILE'
  /** Two contents with one Git id: one of them was made on purpose. */
  | 'COLLISION'
  /** Written by a newer molt than this one. */
  | 'NEWER_FORMAT'
  /** The remote does not answer. */
  | 'REMOTE_UNREACHABLE'
  /** The remote answers, and says no. */
  | 'REMOTE_REFUSED'
  /** An older incarnation of an agent that was restored since. */
  | 'FENCED'
  /** The pod did not become healthy. */
  | 'UNHEALTHY'
  /** Something was done, but not all. */
  | 'PARTIAL'
  /** The newest backup is older than was asked for. */
  | 'TOO_OLD'
  /** The system refused a read or write (permission, full disk, I/O error). */
  | 'IO'
  /** The user or the system asked to stop. */
  | 'INTERRUPTED';

/** What a MoltError may carry beside its code and message. */
export interface MoltErrorOptions {
  /** The command or step that helps, as the user would type it. */
  readonly hint?: string;
  /** Plain data about the error for --json and tests; never a secret. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** The error underneath. */
  readonly cause?: unknown;
}

/** An expected failure. The message is lower-case, names the thing and ends without a full stop; a plain Error is a bug. */
export class MoltError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: MoltErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'MoltError';
    this.code = code;
    this.hint = options.hint;
    this.details = options.details ?? {};
  }
}

/** Says whether a value is a MoltError, with one of the given codes if any are given. */
export function isMoltError(error: unknown, ...codes: ErrorCode[]): error is MoltError {
  return error instanceof MoltError && (codes.length === 0 || codes.includes(error.code));
}

/** Says whether a value is a system error, with one of the given codes (ENOENT, EEXIST, …) if any are given. */
export function isSystemError(error: unknown, ...codes: string[]): error is NodeJS.ErrnoException {
  if (!(error instanceof Error && 'code' in error && typeof error.code === 'string')) return false;
  return codes.length === 0 ? 'syscall' in error : codes.includes(error.code);
}
