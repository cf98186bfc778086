// The text of a device key file.

import test from 'ava';
import * as fc from 'fast-check';
import { encodeDeviceKey, parseDeviceKey } from '../../src/crypto/device-key.ts';
import { isMoltError, MoltError } from '../../src/model/error.ts';

const KEY = Buffer.alloc(32, 0xab);
const TEXT = encodeDeviceKey(KEY);

test('a device key is one line that names its version', (t) => {
  t.is(TEXT, `molt-device-key-1 ${KEY.toString('base64')}\n`);
});

test('every device key is read back from its text', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (array) =>
      t.deepEqual(parseDeviceKey(encodeDeviceKey(Buffer.from(array))), Buffer.from(array)),
    ),
  );
});

test('an editor may have changed the end of the line', (t) => {
  t.deepEqual(parseDeviceKey(TEXT.trimEnd()), KEY);
  t.deepEqual(parseDeviceKey(TEXT.replace('\n', '\r\n')), KEY);
});

const refused = test.macro({
  exec(t, text: string) {
    const error = t.throws(() => parseDeviceKey(text), { instanceOf: MoltError, code: 'DAMAGED' });
    t.false(error.message.includes('q6ur'));
  },
  title: (name) => `a device key file is refused when it ${name}`,
});

test('is empty', refused, '');
test('is cut', refused, TEXT.slice(0, -5));
test('has a second line', refused, `${TEXT}\n`);
test('has no version', refused, TEXT.replace('-1 ', ' '));
test('is of version 0', refused, TEXT.replace('-1 ', '-0 '));
test('spells its last digit in another way', refused, TEXT.replace('s=', 't='));

test('a device key of a later version asks for a newer molt', (t) => {
  for (const version of ['2', '10', '99']) {
    t.throws(() => parseDeviceKey(TEXT.replace('-1 ', `-${version} `)), {
      instanceOf: MoltError,
      code: 'NEWER_FORMAT',
    });
  }
});

test('no text makes it crash', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      try {
        parseDeviceKey(text);
        t.fail();
      } catch (error) {
        t.true(isMoltError(error, 'DAMAGED', 'NEWER_FORMAT'));
      }
    }),
  );
});
