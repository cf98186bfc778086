// Why the operating system refused something, in words, and what a person can do about it.

import { MoltError } from './error.ts';

interface Refusal {
  readonly text: string;
  readonly hint: (place: string) => string;
}

/** A refusal of the system in words. */
export interface ExplainedRefusal {
  /** As in `permission denied (EACCES)`. */
  readonly why: string;
  /** What helps, or undefined where molt knows of nothing. */
  readonly hint: string | undefined;
  /** As in `EACCES`. */
  readonly systemCode: string;
}

const space = (place: string): string => `free some space on the disk that holds ${place}, then try again`;
const access = (place: string): string => `make ${place} readable and writable for this user, then try again`;
const mount = (place: string): string =>
  `check that the disk or share that holds ${place} is mounted and answers, then try again`;

const REFUSALS: ReadonlyMap<string, Refusal> = new Map([
  ['ENOSPC', { text: 'the disk is full', hint: space }],
  ['EDQUOT', { text: 'the disk quota is used up', hint: space }],
  [
    'EFBIG',
    { text: 'the file would pass the size limit', hint: () => 'raise the file size limit (ulimit -f), then try again' },
  ],
  ['EACCES', { text: 'permission denied', hint: access }],
  ['EPERM', { text: 'operation not permitted', hint: access }],
  [
    'EROFS',
    {
      text: 'the file system is read-only',
      hint: (place) => `mount the disk that holds ${place} for writing, then try again`,
    },
  ],
  [
    'EIO',
    {
      text: 'the disk reports an input/output error',
      hint: (place) => `check the disk that holds ${place}, then run molt verify`,
    },
  ],
  [
    'ENOTDIR',
    { text: 'a file stands where a folder should be', hint: (place) => `look into ${place} and move that file away` },
  ],
  ['EXDEV', { text: 'its folders lie on different disks', hint: (place) => `put all of ${place} on one disk` }],
  ['EMFILE', { text: 'too many open files', hint: () => 'raise the limit on open files (ulimit -n), then try again' }],
  ['ENFILE', { text: 'too many open files on this machine', hint: () => 'close other programs, then try again' }],
  ['ENOENT', { text: 'the folder is gone', hint: mount }],
  ['ESTALE', { text: 'the share was mounted anew', hint: mount }],
  ['ENOTCONN', { text: 'the share is not connected', hint: mount }],
  ['ETIMEDOUT', { text: 'the share does not answer', hint: mount }],
]);

// What the names of system calls mean to a person.
const VERBS: Readonly<Record<string, string>> = {
  scandir: 'list',
  mkdir: 'make',
  fsync: 'write',
  unlink: 'delete',
  rm: 'delete',
};

/**
 * Explains an error of the operating system; undefined for any other error.
 * @param place the folder or file that the hint names
 */
export function explainRefusal(error: unknown, place: string): ExplainedRefusal | undefined {
  if (!(error instanceof Error) || error instanceof MoltError || !('syscall' in error)) return undefined;
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === undefined) return undefined;
  // A folder can't be made where a file is: to a person that is the same as a file within the path.
  const refusal = REFUSALS.get(code === 'EEXIST' && syscall === 'mkdir' ? 'ENOTDIR' : code);
  return {
    why: refusal === undefined ? code : `${refusal.text} (${code})`,
    hint: refusal?.hint(place),
    systemCode: code,
  };
}

/**
 * Returns the MoltError (IO) for what the system refused; any other error comes back as it is.
 * @param what as in `cannot read "/etc/shadow"`
 * @param place the folder or file that the hint names
 */
export function systemFailure(error: unknown, what: string, place: string): unknown {
  const refusal = explainRefusal(error, place);
  if (refusal === undefined) return error;
  const { why, hint, systemCode } = refusal;
  return new MoltError('IO', `${what}: ${why}`, {
    ...(hint === undefined ? {} : { hint }),
    details: { systemCode },
    cause: error,
  });
}

/**
 * Returns the MoltError (IO) for a refusal that no operation has named: a full disk, a folder that may not be written. Everything else,
 * and a missing file, which somebody should have expected, comes back as it is.
 */
export function unforeseenFailure(error: unknown): unknown {
  const { code, syscall = '', path } = (error instanceof Error ? error : {}) as NodeJS.ErrnoException;
  if (code === undefined || code === 'ENOENT' || (!REFUSALS.has(code) && syscall !== 'mkdir')) return error;
  const verb = VERBS[syscall] ?? syscall;
  return systemFailure(error, path === undefined ? `cannot ${verb}` : `cannot ${verb} "${path}"`, path ?? 'it');
}
