// The primitives against the vectors of the papers that define them: molt's own wrappers where there are any, else the platform's.

import { argon2Sync, createSecretKey, hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import test from 'ava';
import { openGcm, sealGcm } from '../../src/crypto/gcm.ts';
import { hkdf } from '../../src/crypto/hkdf.ts';
import { hmacSha256 } from '../../src/crypto/hmac.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

interface GcmVector {
  readonly key: string;
  readonly nonce: string;
  readonly aad: string;
  readonly plain: string;
  readonly ciphertext: string;
  readonly tag: string;
}

const gcm = test.macro({
  exec(t, vector: GcmVector) {
    const key = createSecretKey(hex(vector.key));
    const [ciphertext, tag] = sealGcm(key, hex(vector.nonce), hex(vector.aad), hex(vector.plain));
    t.deepEqual(ciphertext, hex(vector.ciphertext));
    t.deepEqual(tag, hex(vector.tag));
    t.deepEqual(openGcm(key, hex(vector.nonce), hex(vector.aad), Buffer.concat([ciphertext, tag])), hex(vector.plain));
  },
  title: (name) => `AES-256-GCM gives the published ciphertext and tag (McGrew and Viega, ${name})`,
});

const LONG_KEY = 'feffe9928665731c6d6a8f9467308308 feffe9928665731c6d6a8f9467308308';
const LONG_PLAIN = `d9313225f88406e5a55909c5aff5269a 86a7a9531534f7da2e4c303d8a318a72
  1c3c0c95956809532fcf0e2449a6b525 b16aedf5aa0de657ba637b39`;
const LONG_CIPHERTEXT = `522dc1f099567d07f47f37a32a84427d 643a8cdcbfe5c0c97598a2bd2555d1aa
  8cb08e48590dbb3da7b08b1056828838 c5f61e6393ba7a0abcc9f662`;

test('test case 13', gcm, {
  key: '00'.repeat(32),
  nonce: '00'.repeat(12),
  aad: '',
  plain: '',
  ciphertext: '',
  tag: '530f8afbc74536b9a963b4f1c4cb738b',
});
test('test case 14', gcm, {
  key: '00'.repeat(32),
  nonce: '00'.repeat(12),
  aad: '',
  plain: '00'.repeat(16),
  ciphertext: 'cea7403d4d606b6e074ec5d3baf39d18',
  tag: 'd0d1c8a799996bf0265b98b5d48ab919',
});
test('test case 15', gcm, {
  key: LONG_KEY,
  nonce: 'cafebabefacedbaddecaf888',
  aad: '',
  plain: `${LONG_PLAIN} 1aafd255`,
  ciphertext: `${LONG_CIPHERTEXT} 898015ad`,
  tag: 'b094dac5d93471bdec1a502270e3cc6c',
});
test('test case 16', gcm, {
  key: LONG_KEY,
  nonce: 'cafebabefacedbaddecaf888',
  aad: 'feedfacedeadbeeffeedfacedeadbeef abaddad2',
  plain: LONG_PLAIN,
  ciphertext: LONG_CIPHERTEXT,
  tag: '76fc6ece0f4e1768cddf8853bb2d551b',
});

test('a tag that is short, absent or of other bytes opens nothing', (t) => {
  const key = createSecretKey(Buffer.alloc(32));
  const sealed = Buffer.concat(sealGcm(key, Buffer.alloc(12), Buffer.alloc(0), Buffer.from('text')));
  for (let length = 0; length < sealed.length; length += 1) {
    t.is(openGcm(key, Buffer.alloc(12), Buffer.alloc(0), sealed.subarray(0, length)), undefined);
  }
  t.deepEqual(openGcm(key, Buffer.alloc(12), Buffer.alloc(0), sealed), Buffer.from('text'));
});

const sequence = (first: number, count: number): string =>
  Buffer.from(Array.from({ length: count }, (_, index) => first + index)).toString('hex');

const hkdfCase = test.macro({
  exec(t, input: string, salt: string, info: string, output: string) {
    const expected = hex(output);
    t.deepEqual(hkdf(hex(input), hex(salt), hex(info), expected.length), expected);
    t.deepEqual(hkdf(createSecretKey(hex(input)), hex(salt), hex(info), expected.length), expected);
  },
  title: (name) => `HKDF-SHA-256 gives the published output (RFC 5869, ${name})`,
});

test(
  'A.1',
  hkdfCase,
  '0b'.repeat(22),
  sequence(0x00, 13),
  sequence(0xf0, 10),
  '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865',
);
test(
  'A.2',
  hkdfCase,
  sequence(0x00, 80),
  sequence(0x60, 80),
  sequence(0xb0, 80),
  `b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09
   da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87`,
);
test(
  'A.3',
  hkdfCase,
  '0b'.repeat(22),
  '',
  '',
  '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8',
);

const hmacCase = test.macro({
  exec(t, key: string, data: string, output: string) {
    const mac = hmacSha256(createSecretKey(hex(key)), hex(data));
    t.is(mac.subarray(0, output.length / 2).toString('hex'), output);
  },
  title: (name) => `HMAC-SHA-256 gives the published output (RFC 4231, ${name})`,
});

const ascii = (text: string): string => Buffer.from(text, 'ascii').toString('hex');

test(
  'test case 1',
  hmacCase,
  '0b'.repeat(20),
  ascii('Hi There'),
  'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
);
test(
  'test case 2',
  hmacCase,
  ascii('Jefe'),
  ascii('what do ya want for nothing?'),
  '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
);
test(
  'test case 3',
  hmacCase,
  'aa'.repeat(20),
  'dd'.repeat(50),
  '773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe',
);
test(
  'test case 4',
  hmacCase,
  sequence(1, 25),
  'cd'.repeat(50),
  '82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b',
);
test('test case 5', hmacCase, '0c'.repeat(20), ascii('Test With Truncation'), 'a3b6167473100ee06e0c796c2955552b');
test(
  'test case 6',
  hmacCase,
  'aa'.repeat(131),
  ascii('Test Using Larger Than Block-Size Key - Hash Key First'),
  '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
);
test(
  'test case 7',
  hmacCase,
  'aa'.repeat(131),
  ascii(
    'This is a test using a larger than block-size key and a larger than block-size data. ' +
      'The key needs to be hashed before being used by the HMAC algorithm.',
  ),
  '9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2',
);

test('the platform gives the published Argon2id tag (RFC 9106, 5.3)', (t) => {
  const tag = argon2Sync('argon2id', {
    message: Buffer.alloc(32, 1),
    nonce: Buffer.alloc(16, 2),
    secret: Buffer.alloc(8, 3),
    associatedData: Buffer.alloc(12, 4),
    memory: 32,
    passes: 3,
    parallelism: 4,
    tagLength: 32,
  });
  t.is(tag.toString('hex'), '0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659');
});

test('the platform gives the published CRC-32 check value', (t) => {
  t.is(crc32('123456789').toString(16), 'cbf43926');
});

const hashCase = test.macro({
  exec(t, algorithm: string, text: string, output: string) {
    t.is(hash(algorithm, text), output);
  },
  title: (name) => `the platform gives the published hash (FIPS 180, ${name})`,
});

const TWO_BLOCKS = 'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq';
const A_MILLION = 'a'.repeat(1_000_000);

test('SHA-1, one block', hashCase, 'sha1', 'abc', 'a9993e364706816aba3e25717850c26c9cd0d89d');
test('SHA-1, two blocks', hashCase, 'sha1', TWO_BLOCKS, '84983e441c3bd26ebaae4aa1f95129e5e54670f1');
test('SHA-1, a million a', hashCase, 'sha1', A_MILLION, '34aa973cd4c4daa4f61eeb2bdbad27316534016f');
test('SHA-1, nothing', hashCase, 'sha1', '', 'da39a3ee5e6b4b0d3255bfef95601890afd80709');
test(
  'SHA-256, one block',
  hashCase,
  'sha256',
  'abc',
  'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
);
test(
  'SHA-256, two blocks',
  hashCase,
  'sha256',
  TWO_BLOCKS,
  '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
);
test(
  'SHA-256, a million a',
  hashCase,
  'sha256',
  A_MILLION,
  'cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0',
);
test('SHA-256, nothing', hashCase, 'sha256', '', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
