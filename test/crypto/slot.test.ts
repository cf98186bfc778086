// Slots: the right secret gives the root back, and nothing else does.

import test from 'ava';
import * as fc from 'fast-check';
import { DEFAULT_ARGON2_COST, isAllowedArgon2Cost, type Argon2Cost } from '../../src/crypto/argon2.ts';
import { createRootKeys, rotateRootKeys } from '../../src/crypto/roots.ts';
import { encodeSlot, parseSlot } from '../../src/crypto/slot-json.ts';
import {
  createSlot,
  isSecretSlot,
  openSlot,
  type SecretSlot,
  type SlotOptions,
  type SlotSecret,
} from '../../src/crypto/slot.ts';
import { MoltError } from '../../src/model/error.ts';
import type { RepositoryId } from '../../src/model/ids.ts';
import { seededRandom } from './random.ts';

const REPOSITORY = '000102030405060708090a0b0c0d0e0f' as RepositoryId;
const OTHER_REPOSITORY = 'ffffffffffffffffffffffffffffffff' as RepositoryId;
const KEYS = rotateRootKeys(createRootKeys(seededRandom('one')), seededRandom('two'));
const CHEAP: Argon2Cost = { memoryKiB: 64, passes: 1, lanes: 1 };
const PASSPHRASE: SlotSecret = { type: 'passphrase', passphrase: 'correct horse' };
const RECOVERY: SlotSecret = { type: 'recovery', key: Buffer.alloc(32, 3) };
const DEVICE: SlotSecret = { type: 'device', key: Buffer.alloc(32, 4) };
const SECRETS = [PASSPHRASE, RECOVERY, DEVICE];

function options(change: Partial<SlotOptions> = {}): SlotOptions {
  return { label: 'laptop', timeMs: 1_772_676_000_000, random: seededRandom('slot'), argon2: CHEAP, ...change };
}

const make = (secret: SlotSecret, change: Partial<SlotOptions> = {}): Promise<SecretSlot> =>
  createSlot(KEYS, REPOSITORY, secret, options(change));

async function openOrDamage(
  slot: SecretSlot,
  repository: RepositoryId,
  secret: SlotSecret,
): Promise<Buffer | undefined> {
  try {
    return await openSlot(slot, repository, secret);
  } catch (error) {
    if (error instanceof MoltError && error.code === 'DAMAGED') return undefined;
    throw error;
  }
}

for (const secret of SECRETS) {
  test(`a ${secret.type} slot gives back the root of the current epoch`, async (t) => {
    const slot = await make(secret);
    t.is(slot.type, secret.type);
    t.is(slot.epoch, 2);
    t.deepEqual(await openSlot(slot, REPOSITORY, secret), KEYS.roots.get(2));
  });

  test(`a ${secret.type} slot does not open in another repository, as another slot, type or epoch`, async (t) => {
    const slot = await make(secret);
    t.is(await openOrDamage(slot, OTHER_REPOSITORY, secret), undefined);
    t.is(await openOrDamage({ ...slot, id: '00'.repeat(16) }, REPOSITORY, secret), undefined);
    t.is(await openOrDamage({ ...slot, epoch: 1 }, REPOSITORY, secret), undefined);
  });

  test(`any flipped bit of a ${secret.type} slot's bytes is rejected`, async (t) => {
    const slot = await make(secret);
    for (const field of ['id', 'salt', 'commitment', 'wrapped'] as const) {
      const bytes = Buffer.from(slot[field], 'hex');
      for (let bit = 0; bit < bytes.length * 8; bit += 5) {
        const changed = Buffer.from(bytes);
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const root = await openOrDamage({ ...slot, [field]: changed.toString('hex') }, REPOSITORY, secret);
        t.is(root, undefined, `${field}, bit ${bit}`);
      }
    }
  });

  test(`a ${secret.type} slot stands in a keyring as it was made`, async (t) => {
    const slot = await make(secret);
    const text = JSON.stringify(encodeSlot(slot));
    t.deepEqual(parseSlot(JSON.parse(text)), slot);
    t.is(JSON.stringify(encodeSlot(parseSlot(JSON.parse(text)))), text);
  });
}

test('the same 32 bytes as another type of key open nothing', async (t) => {
  const slot = await make(RECOVERY);
  const key = Buffer.alloc(32, 3);
  t.is(await openSlot(slot, REPOSITORY, { type: 'device', key }), undefined);
  t.is(await openOrDamage({ ...slot, type: 'device' }, REPOSITORY, { type: 'device', key }), undefined);
});

test('another secret does not open a slot', async (t) => {
  t.is(
    await openSlot(await make(PASSPHRASE), REPOSITORY, { type: 'passphrase', passphrase: 'wrong horse' }),
    undefined,
  );
  t.is(await openSlot(await make(PASSPHRASE), REPOSITORY, { type: 'passphrase', passphrase: '' }), undefined);
  t.is(await openSlot(await make(RECOVERY), REPOSITORY, { type: 'recovery', key: Buffer.alloc(32) }), undefined);
});

test('the right secret with a changed wrapping is damage, not a wrong secret', async (t) => {
  const slot = await make(DEVICE);
  await t.throwsAsync(openSlot({ ...slot, wrapped: '00'.repeat(48) }, REPOSITORY, DEVICE), {
    instanceOf: MoltError,
    code: 'DAMAGED',
  });
});

test('a changed cost or salt of a passphrase does not open', async (t) => {
  const slot = await make(PASSPHRASE);
  const { argon2 } = slot;
  if (argon2 === undefined) return t.fail();
  for (const change of [{ memoryKiB: 72 }, { passes: 2 }, { lanes: 2 }, { salt: '00'.repeat(16) }]) {
    t.is(await openSlot({ ...slot, argon2: { ...argon2, ...change } }, REPOSITORY, PASSPHRASE), undefined);
  }
});

test('a passphrase opens however the keyboard composes its letters', async (t) => {
  const slot = await make({ type: 'passphrase', passphrase: 'caf\u00e9' });
  const root = await openSlot(slot, REPOSITORY, { type: 'passphrase', passphrase: 'cafe\u0301' });
  t.deepEqual(root, KEYS.roots.get(2));
});

test('wrapping again under the same secret shares no byte string with the first wrapping', async (t) => {
  const random = seededRandom('again');
  const [first, second] = [await make(PASSPHRASE, { random }), await make(PASSPHRASE, { random })];
  for (const field of ['id', 'salt', 'commitment', 'wrapped'] as const) t.not(first[field], second[field]);
  t.not(first.argon2?.salt, second.argon2?.salt);
});

test('an empty passphrase, a bad label and a cost out of bounds are refused', async (t) => {
  const usage = { instanceOf: MoltError, code: 'USAGE' };
  await t.throwsAsync(make({ type: 'passphrase', passphrase: '' }), usage);
  await t.throwsAsync(make(DEVICE, { label: 'x'.repeat(101) }), usage);
  await t.throwsAsync(make(DEVICE, { label: 'clear\u001b[2J' }), usage);
  await t.throwsAsync(make(DEVICE, { label: '\ud800' }), usage);
  await t.throwsAsync(make(PASSPHRASE, { argon2: { ...CHEAP, passes: 17 } }), usage);
});

test('a key that is not 32 bytes is a bug', async (t) => {
  const error = await t.throwsAsync(make({ type: 'device', key: Buffer.alloc(31) }));
  t.false(error instanceof MoltError);
});

const cost = test.macro({
  exec(t, allowed: boolean, memoryKiB: number, passes: number, lanes: number) {
    t.is(isAllowedArgon2Cost({ memoryKiB, passes, lanes }), allowed);
  },
  title: (_, allowed, memoryKiB, passes, lanes) =>
    `an Argon2 cost of ${memoryKiB} KiB, ${passes} passes and ${lanes} lanes is ${allowed ? 'taken' : 'refused'}`,
});

test(cost, true, DEFAULT_ARGON2_COST.memoryKiB, DEFAULT_ARGON2_COST.passes, DEFAULT_ARGON2_COST.lanes);
test(cost, true, 1024 * 1024, 16, 16);
test(cost, true, 8, 1, 1);
test(cost, false, 1024 * 1024 + 1, 3, 4);
test(cost, false, 65536, 17, 4);
test(cost, false, 65536, 3, 17);
test(cost, false, 31, 3, 4);
test(cost, true, 32, 3, 4);
test(cost, false, 65536, 0, 4);
test(cost, false, 65536, 3, 0);
test(cost, false, 64.5, 3, 1);
test(cost, false, Number.NaN, 3, 1);

test('a slot in a file that asks for more than a gigabyte is refused before any memory is taken', async (t) => {
  const slot = await make(PASSPHRASE);
  const greedy = { ...slot, argon2: { ...slot.argon2, memoryKiB: 1024 * 1024 + 1 } };
  t.throws(() => parseSlot(greedy), { instanceOf: MoltError, code: 'DAMAGED' });
});

test('a slot of a later type is kept as it is', (t) => {
  const value = { id: '0b'.repeat(16), zeta: [1, { two: null }], type: 'fido2', label: 'ops', alpha: 'x' };
  const slot = parseSlot(value);
  t.false(isSecretSlot(slot));
  t.is(JSON.stringify(encodeSlot(slot)), JSON.stringify(value));
});

test('the label of a slot of a later type may not hold what would upset a terminal', (t) => {
  const value = { id: '0b'.repeat(16), type: 'fido2', label: 'clear\u001b[2J' };
  t.throws(() => parseSlot(value), { instanceOf: MoltError, code: 'DAMAGED' });
});

test('a slot with a field missing or of another type is damaged', async (t) => {
  const slot = encodeSlot(await make(PASSPHRASE));
  const strange = fc.oneof(
    fc.constant(undefined),
    fc.integer({ max: -1 }),
    fc.boolean(),
    fc.constant(null),
    fc.double({ noInteger: true }),
  );
  fc.assert(
    fc.property(fc.constantFrom(...Object.keys(slot)), strange, (field, value) => {
      t.throws(() => parseSlot({ ...slot, [field]: value }), { instanceOf: MoltError, code: 'DAMAGED' });
    }),
  );
});

test('no JSON value makes the reader of slots crash', (t) => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.boolean(), (value, framed) => {
      const input = framed ? { id: '0b'.repeat(16), type: 'fido2', ...(value as object) } : value;
      try {
        parseSlot(input);
        t.pass();
      } catch (error) {
        t.true(error instanceof MoltError);
      }
    }),
  );
});
