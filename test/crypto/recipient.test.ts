// Slots for recipients and commands: published vectors of what they stand on, and that no changed byte gets through.

import { randomBytes } from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import { encodeIdentity, encodePublicKey, parseIdentity, parsePublicKey } from '../../src/crypto/identity.ts';
import { createRootKeys } from '../../src/crypto/roots.ts';
import { derivePublicKey, openBox, sealBox } from '../../src/crypto/sealed-box.ts';
import { encodeSlot, parseSlot } from '../../src/crypto/slot-json.ts';
import { createSlot, openSlot, type KeyWrapper, type SecretSlot, type SlotSecret } from '../../src/crypto/slot.ts';
import { MoltError } from '../../src/model/error.ts';
import type { RepositoryId } from '../../src/model/ids.ts';
import { hex } from './vectors.ts';

const REPOSITORY = '00112233445566778899aabbccddeeff' as RepositoryId;
const random = { bytes: (length: number) => randomBytes(length) };
const OPTIONS = { label: 'ana', timeMs: Date.parse('2026-03-05T02:00:00Z'), random };

// RFC 7748, section 6.1.
const RFC_7748 = [
  [
    '77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a',
    '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a',
  ],
  [
    '5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb',
    'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f',
  ],
] as const;

test('public keys are those of RFC 7748', async (t) => {
  for (const [privateKey, publicKey] of RFC_7748) {
    t.is((await derivePublicKey(hex(privateKey))).toString('hex'), publicKey);
  }
});

// The reference vector of PyNaCl for crypto_box_seal (tests/data/sealed_box_ref.txt), made with libsodium's C code.
test('the published sealed box opens', async (t) => {
  const [privateKey, publicKey] = RFC_7748[0];
  const sealed = hex(
    '199c808806a62c1be56951023ad3396b0ce0ef2c5b9ca688ac96d2d06ca43f65d314400cc9bbefb23dd26f824c9cb553f81e8c894ea9a553f4d777c77b66d5a6' +
      '925da3f5961c5f7147172db5597ac14210066ee3ee13e6230a9a9610e9cddbf24094f54fbbf6694c08a436cec39ff5a373656d9584f4df9dd8c817e2e5975406' +
      '28d0ee21a6524a3fcf3eabdc0968390bd260a47366ead7f71cc2e774d411d96f3497c7e10291937bc16dc46a111686b85a8c86',
  );
  const plain =
    'be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f41db66cce314adb31' +
    '0e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f937763848645e0705';
  t.is((await openBox(sealed, hex(publicKey), hex(privateKey)))?.toString('hex'), plain);
});

async function recipient(): Promise<Required<Extract<SlotSecret, { type: 'recipient' }>>> {
  const privateKey = random.bytes(32);
  return { type: 'recipient', privateKey, publicKey: await derivePublicKey(privateKey) };
}

test('a box opens with its own key pair only, and with no byte changed', async (t) => {
  const [ana, ben] = [await recipient(), await recipient()];
  const sealed = await sealBox(Buffer.from('a key'), ana.publicKey);
  t.is((await openBox(sealed, ana.publicKey, ana.privateKey))?.toString(), 'a key');
  t.is(await openBox(sealed, ben.publicKey, ben.privateKey), undefined);
  await fc.assert(
    fc.asyncProperty(fc.nat(sealed.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
      const changed = Buffer.from(sealed);
      changed[at] = (changed[at] ?? 0) ^ flip;
      t.is(await openBox(changed, ana.publicKey, ana.privateKey), undefined);
    }),
  );
});

test('nothing is sealed to a key of small order', async (t) => {
  await t.throwsAsync(sealBox(Buffer.from('a key'), Buffer.alloc(32)), { instanceOf: MoltError, code: 'USAGE' });
});

test('an identity and its public key are read back as written, and with no character changed', async (t) => {
  const { privateKey, publicKey } = await recipient();
  t.deepEqual(parseIdentity(encodeIdentity(privateKey)), privateKey);
  const word = encodePublicKey(publicKey);
  t.deepEqual(parsePublicKey(` ${word}\n`), publicKey);
  fc.assert(
    fc.property(fc.nat(word.length - 1), fc.constantFrom('A', 'a', '0', '_', '-', 'é'), (at, character) => {
      fc.pre(word[at] !== character);
      const changed = word.slice(0, at) + character + word.slice(at + 1);
      t.throws(() => parsePublicKey(changed), { instanceOf: MoltError, code: 'USAGE' });
    }),
  );
  const error = t.throws(() => parseIdentity(encodeIdentity(privateKey).slice(0, -4)), { instanceOf: MoltError });
  t.false(error?.message.includes(privateKey.toString('base64').slice(0, 8)));
});

const xor = (bytes: Buffer): Buffer => Buffer.from(bytes.map((byte) => byte ^ 0x5a));
const wrapper: KeyWrapper = {
  wrap: async (key) => xor(key),
  unwrap: async (wrapped) => xor(wrapped),
};

for (const type of ['recipient', 'exec'] as const) {
  test(`a slot of type ${type} gives its root back, and no changed byte of it does`, async (t) => {
    const secret: SlotSecret = type === 'exec' ? { type, wrapper } : await recipient();
    const keys = createRootKeys(random);
    const slot = await createSlot(keys, REPOSITORY, secret, OPTIONS);
    const text = JSON.stringify(encodeSlot(slot));
    t.deepEqual(await openSlot(parseSlot(JSON.parse(text)) as SecretSlot, REPOSITORY, secret), keys.roots.get(1));
    const digits = [...text.matchAll(/[0-9a-f]{32,}/g)].flatMap(({ index, 0: run }) =>
      Array.from(run, (_, offset) => index + offset),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...digits),
        fc.constantFrom(...Array.from('0123456789abcdef')),
        async (at, digit) => {
          fc.pre(text[at] !== digit);
          const changed = parseSlot(JSON.parse(text.slice(0, at) + digit + text.slice(at + 1))) as SecretSlot;
          const root = await openSlot(changed, REPOSITORY, secret).catch((error: unknown) => {
            t.true(error instanceof MoltError);
          });
          t.is(root, undefined);
        },
      ),
    );
  });
}

test('a command that does not give back what it took makes no slot', async (t) => {
  const broken = { ...wrapper, unwrap: async (bytes: Buffer) => bytes };
  const made = createSlot(createRootKeys(random), REPOSITORY, { type: 'exec', wrapper: broken }, OPTIONS);
  await t.throwsAsync(made, { instanceOf: MoltError, code: 'USAGE' });
});
