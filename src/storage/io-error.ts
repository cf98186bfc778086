// Turns what the operating system refused into an error that a person can act on: what, where, why, what now.

import { MoltError } from '../model/error.ts';

interface Cause {
  readonly text: string;
  readonly hint: (place: string) => string;
}

const space = (place: string): string => `free some space on the disk that holds ${place}, then try again`;
const access = (place: string): string => `make ${place} readable and writable for this user, then try again`;
const mount = (place: string): string =>
  `check that the disk or share that holds ${place} is mounted and answers, then try again`;

const CAUSES: ReadonlyMap<string, Cause> = new Map([
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

/** What was being done when the system refused. */
export interface IoContext {
  /** The verb, as in "cannot write". */
  readonly verb: 'open' | 'write' | 'read' | 'look up' | 'list' | 'delete';
  /** The object's name or the prefix; undefined when the whole storage is meant. */
  readonly object?: string;
  /** The storage's label. */
  readonly place: string;
  /** What is true of the storage now, as in "nothing was changed". */
  readonly outcome?: string;
}

/** Returns the MoltError (IO) that tells a person about a system error; any other error comes back as it is. */
export function ioError(error: unknown, context: IoContext): unknown {
  if (!(error instanceof Error) || error instanceof MoltError) return error;
  const { code } = error as NodeJS.ErrnoException;
  if (code === undefined || !('syscall' in error)) return error;
  const cause = CAUSES.get(code);
  const what = context.object === undefined ? context.place : `"${context.object}" in ${context.place}`;
  const outcome = context.outcome === undefined ? '' : `; ${context.outcome}`;
  const why = cause === undefined ? code : `${cause.text} (${code})`;
  return new MoltError('IO', `cannot ${context.verb} ${what}: ${why}${outcome}`, {
    hint: (cause?.hint ?? mount)(context.place),
    details: { systemCode: code, ...(context.object === undefined ? {} : { object: context.object }) },
    cause: error,
  });
}
