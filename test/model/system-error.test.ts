// What the system refuses is told in words, and nothing else is taken for a refusal.

import { readFileSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import test from 'ava';
import { isMoltError, isSystemError, MoltError } from '../../src/model/error.ts';
import { systemFailure, unforeseenFailure } from '../../src/model/system-error.ts';

/** Returns an error as Node makes it. */
function refusal(code: string, syscall: string, path?: string): Error {
  return Object.assign(new Error(`${code}: ${syscall}`), { code, syscall, ...(path === undefined ? {} : { path }) });
}

test('a refusal names what was tried, why it failed and what helps', (t) => {
  const error = systemFailure(refusal('ENOSPC', 'write'), 'cannot write "a"', '/disk');
  t.true(isMoltError(error, 'IO'));
  t.like(error, {
    message: 'cannot write "a": the disk is full (ENOSPC)',
    hint: 'free some space on the disk that holds /disk, then try again',
    details: { systemCode: 'ENOSPC' },
  });
});

test('a refusal that molt has no words for is told by its code', (t) => {
  const error = systemFailure(refusal('EBUSY', 'rename'), 'cannot make "a"', '/disk');
  t.like(error, { message: 'cannot make "a": EBUSY', hint: undefined });
});

test('what is no refusal of the system comes back as it is', (t) => {
  for (const error of [new Error('bug'), new MoltError('DAMAGED', 'x'), 'text', undefined]) {
    t.is(systemFailure(error, 'cannot', 'x'), error);
    t.is(unforeseenFailure(error), error);
  }
});

test('a refusal that nobody foresaw is told with its path; a missing file is left to be a bug', async (t) => {
  t.like(unforeseenFailure(refusal('EACCES', 'scandir', '/root/x')), {
    code: 'IO',
    message: 'cannot list "/root/x": permission denied (EACCES)',
  });
  t.like(unforeseenFailure(refusal('ENOSPC', 'write')), { message: 'cannot write: the disk is full (ENOSPC)' });
  const missing = await t.throwsAsync(readFile('/no/such/file'));
  t.is(unforeseenFailure(missing), missing);
  const exists = refusal('EEXIST', 'open', '/x');
  t.is(unforeseenFailure(exists), exists);
});

test('a folder that can’t be made because a file is there says so', async (t) => {
  const error = await t.throwsAsync(mkdir(process.execPath, { recursive: true }));
  t.like(unforeseenFailure(error), {
    code: 'IO',
    message: `cannot make "${process.execPath}": a file stands where a folder should be (EEXIST)`,
  });
});

test('any system error is one, and no error of molt’s is', (t) => {
  const missing = t.throws(() => readFileSync('/nowhere/at/all'));
  t.true(isSystemError(missing) && isSystemError(missing, 'ENOENT', 'EPERM'));
  t.false(isSystemError(missing, 'EPERM'));
  for (const other of [new MoltError('EXISTS', 'x'), new Error('x'), undefined]) t.false(isSystemError(other));
});
