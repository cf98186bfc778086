// What people read when the operating system refuses.

import test from 'ava';
import { isMoltError, MoltError } from '../../src/model/error.ts';
import { ioError } from '../../src/storage/io-error.ts';

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: raw`), { code, syscall: 'write' });
}

const says = test.macro<[string, RegExp, RegExp]>({
  title: (_, code) => `${code} is told in words, with what helps`,
  exec(t, code, message, hint) {
    const cause = systemError(code);
    const error = ioError(cause, { verb: 'write', object: 'log/1', place: '/backup', outcome: 'nothing was changed' });
    if (!isMoltError(error, 'IO')) return t.fail();
    t.regex(error.message, message);
    t.regex(error.message, /^cannot write "log\/1" in \/backup: .*; nothing was changed$/);
    t.regex(error.hint ?? '', hint);
    t.is(error.cause, cause);
    t.deepEqual(error.details, { systemCode: code, object: 'log/1' });
  },
});

test(says, 'ENOSPC', /the disk is full/, /free some space .*\/backup/);
test(says, 'EDQUOT', /quota/, /free some space/);
test(says, 'EFBIG', /size limit/, /ulimit -f/);
test(says, 'EACCES', /permission denied/, /readable and writable/);
test(says, 'EROFS', /read-only/, /for writing/);
test(says, 'EIO', /input\/output error/, /molt verify/);
test(says, 'EMFILE', /too many open files/, /ulimit -n/);
test(says, 'ESOMETHING', /: ESOMETHING;/, /mounted/);

test('an error of the whole storage names no object', (t) => {
  const error = ioError(systemError('EIO'), { verb: 'open', place: '/backup' });
  t.true(
    error instanceof MoltError && error.message === 'cannot open /backup: the disk reports an input/output error (EIO)',
  );
});

test('a bug stays the error that it is', (t) => {
  const bug = new TypeError('undefined is not a function');
  const told = new MoltError('HOSTILE', 'no');
  t.is(ioError(bug, { verb: 'read', place: '/backup' }), bug);
  t.is(ioError(told, { verb: 'read', place: '/backup' }), told);
});
