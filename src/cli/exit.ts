// The only place where an error becomes an exit status. Scripts rely on these numbers: they are never reused.

import type { ErrorCode } from '../model/error.ts';
import { MoltError } from '../model/error.ts';

const STATUS: Readonly<Record<ErrorCode, number>> = {
  NOT_FOUND: 1,
  EXPIRED: 1,
  EXISTS: 1,
  CONFLICT: 1,
  SWEPT: 1,
  IO: 1,
  USAGE: 2,
  AMBIGUOUS: 2,
  PARTIAL: 3,
  TOO_OLD: 4,
  NO_REPOSITORY: 10,
  LOCKED: 11,
  RUNNING: 11,
  WRONG_PASSPHRASE: 12,
  WRONG_KEY: 12,
  // An object of another repository or storage, or under another name, is damage wherever it came from.
  WRONG_REPOSITORY: 13,
  WRONG_STORAGE: 13,
  RENAMED: 13,
  TRUNCATED: 13,
  DAMAGED: 13,
  HOSTILE: 13,
  COLLISION: 13,
  REMOTE_UNREACHABLE: 14,
  REMOTE_REFUSED: 14,
  FENCED: 15,
  NEWER_FORMAT: 16,
  UNHEALTHY: 17,
  INTERRUPTED: 130,
};

/** Returns the exit status for what a command threw; 1 for what is no MoltError. */
export function exitStatus(error: unknown): number {
  return error instanceof MoltError ? STATUS[error.code] : 1;
}
