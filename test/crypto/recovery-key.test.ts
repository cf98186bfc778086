// The printed recovery key: read back however it is typed, and a slip of the finger is noticed.

import test from 'ava';
import * as fc from 'fast-check';
import { encodeRecoveryKey, parseRecoveryKey } from '../../src/crypto/recovery-key.ts';
import { MoltError } from '../../src/model/error.ts';
import { seededRandom } from './random.ts';

const KEY = seededRandom('recovery').bytes(32);
const TEXT = encodeRecoveryKey(KEY);
const key32 = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((array) => Buffer.from(array));

test('a recovery key is one line of 14 groups of 4 after MOLT, in letters that look like no digit', (t) => {
  t.regex(TEXT, /^MOLT(-[0-9A-HJKMNP-TV-Z]{4}){14}$/);
});

test('every key is read back from its printed form', (t) => {
  fc.assert(fc.property(key32, (key) => t.deepEqual(parseRecoveryKey(encodeRecoveryKey(key)), key)));
  for (const fill of [0, 255])
    t.deepEqual(parseRecoveryKey(encodeRecoveryKey(Buffer.alloc(32, fill))), Buffer.alloc(32, fill));
});

const tolerated = test.macro({
  exec(t, type: (text: string) => string) {
    fc.assert(fc.property(key32, (key) => t.deepEqual(parseRecoveryKey(type(encodeRecoveryKey(key))), key)));
  },
  title: (name) => `a recovery key is read ${name}`,
});

test('in lower case', tolerated, (text) => text.toLowerCase());
test('without dashes', tolerated, (text) => text.replaceAll('-', ''));
test('with spaces for dashes', tolerated, (text) => text.replaceAll('-', ' '));
test('over several lines', tolerated, (text) => ` ${text.replaceAll('-', '-\r\n\t')}\n`);
test('with the dashes of a word processor', tolerated, (text) => text.replaceAll('-', '\u2013'));
test('without its prefix', tolerated, (text) => text.slice(5));
test('with O for 0', tolerated, (text) => text.replaceAll('0', 'O'));
test('with I for 1', tolerated, (text) => text.replaceAll('1', 'I'));
test('with l for 1', tolerated, (text) => text.replaceAll('1', 'l'));
test('with a prefix in digits', tolerated, (text) => text.replace('MOLT', 'M01T'));

function isMistyped(text: string): boolean {
  try {
    parseRecoveryKey(text);
  } catch (error) {
    return error instanceof MoltError && error.code === 'USAGE';
  }
  return false;
}

test('any one wrong character is noticed', (t) => {
  for (let index = 5; index < TEXT.length; index += 1) {
    if (TEXT[index] === '-') continue;
    for (const character of '0123456789ABCDEFGHJKMNPQRSTVWXYZU') {
      if (character === TEXT[index]) continue;
      t.true(isMistyped(TEXT.slice(0, index) + character + TEXT.slice(index + 1)), `${index} ${character}`);
    }
  }
});

test('two neighbouring groups or characters that trade places are noticed', (t) => {
  const groups = TEXT.split('-');
  for (let index = 1; index + 1 < groups.length; index += 1) {
    const swapped = groups.with(index, groups[index + 1] ?? '').with(index + 1, groups[index] ?? '');
    t.true(isMistyped(swapped.join('-')));
  }
  const body = TEXT.replaceAll('-', '').slice(4);
  for (let index = 0; index + 1 < body.length; index += 1) {
    if (body[index] === body[index + 1]) continue;
    t.true(isMistyped(body.slice(0, index) + (body[index + 1] ?? '') + (body[index] ?? '') + body.slice(index + 2)));
  }
});

test('a lost or doubled character is noticed', (t) => {
  t.true(isMistyped(TEXT.slice(0, -1)));
  t.true(isMistyped(`${TEXT}0`));
  t.true(isMistyped(''));
});

test('no text makes it crash, and no error repeats what was typed', (t) => {
  const typed = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ minLength: 56, maxLength: 56, unit: fc.constantFrom('0', '7', 'A', 'Z', 'U', '\u{1f600}') }),
  );
  fc.assert(
    fc.property(typed, (text) => {
      const error = t.throws(() => parseRecoveryKey(text), { instanceOf: MoltError, code: 'USAGE' });
      if (text.length > 12) t.false(error.message.includes(text));
    }),
  );
});

test('the error says where a character is impossible, and nothing of the key', (t) => {
  const error = t.throws(() => parseRecoveryKey(TEXT.replace(/....$/, 'UUUU')), { instanceOf: MoltError });
  t.regex(error.message, /group 14/);
  for (const group of TEXT.split('-').slice(1)) t.false(error.message.includes(group));
});
