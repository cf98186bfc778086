// The keyring: opens with any of its secrets, changes one generation at a time, and takes nothing that its keys did not write.

import test from 'ava';
import * as fc from 'fast-check';
import { createRootKeys, rotateRootKeys, type RootKeys } from '../../src/crypto/roots.ts';
import { createSlot, type SecretSlot, type Slot, type SlotSecret } from '../../src/crypto/slot.ts';
import {
  addSlot,
  checkKeyringMac,
  createKeyring,
  encodeKeyring,
  openKeyring,
  parseKeyring,
  removeSlot,
  type Keyring,
} from '../../src/format/keyring.ts';
import { isMoltError, MoltError, type ErrorCode } from '../../src/model/error.ts';
import type { RepositoryId } from '../../src/model/ids.ts';
import { scriptedRandom, seededRandom } from '../crypto/random.ts';
import { cryptoVectors, hex, vectorRoots, vectorSecret } from '../crypto/vectors.ts';

const REPOSITORY = '000102030405060708090a0b0c0d0e0f' as RepositoryId;
const TIME_MS = 1_772_676_000_000;
const random = seededRandom('keyring');
const FIRST = createRootKeys(random);
const THIRD = rotateRootKeys(rotateRootKeys(FIRST, random), random);
const PASSPHRASE: SlotSecret = { type: 'passphrase', passphrase: 'correct horse' };
const RECOVERY: SlotSecret = { type: 'recovery', key: Buffer.alloc(32, 3) };
const DEVICE: SlotSecret = { type: 'device', key: Buffer.alloc(32, 4) };
const UNKNOWN: Slot = { zeta: 1, id: 'fe'.repeat(16), type: 'fido2', nested: { list: [true, null, 'x'] } };

function makeSlot(keys: RootKeys, secret: SlotSecret): Promise<SecretSlot> {
  const argon2 = { memoryKiB: 64, passes: 1, lanes: 1 };
  return createSlot(keys, REPOSITORY, secret, { label: `my ${secret.type}`, timeMs: TIME_MS, random, argon2 });
}

function makeKeyring(keys: RootKeys, slots: readonly Slot[]): Keyring {
  return createKeyring(keys, { repository: REPOSITORY, generation: keys.epoch, slots, timeMs: TIME_MS, random });
}

async function fullKeyring(keys: RootKeys): Promise<Keyring> {
  const slots = await Promise.all([PASSPHRASE, RECOVERY, DEVICE].map((secret) => makeSlot(keys, secret)));
  return makeKeyring(keys, [...slots, UNKNOWN]);
}

const parse = (text: string): Keyring => parseKeyring(Buffer.from(text), REPOSITORY);

for (const keys of [FIRST, THIRD]) {
  test(`a keyring of epoch ${keys.epoch} gives back every root with each of its secrets`, async (t) => {
    const keyring = parseKeyring(encodeKeyring(await fullKeyring(keys)), REPOSITORY);
    for (const secret of [PASSPHRASE, RECOVERY, DEVICE]) t.deepEqual(await openKeyring(keyring, secret), keys);
  });

  test(`any flipped byte of a keyring of epoch ${keys.epoch} is rejected with each of its secrets`, async (t) => {
    const bytes = encodeKeyring(await fullKeyring(keys));
    for (let index = 0; index < bytes.length; index += 1) {
      const changed = Buffer.from(bytes);
      changed[index] = (changed[index] ?? 0) ^ (1 << (index % 7));
      for (const secret of [PASSPHRASE, RECOVERY, DEVICE]) {
        const error = await openBytes(changed, secret);
        t.true(error instanceof MoltError, `byte ${index}: ${String(error)}`);
      }
    }
  });
}

async function openBytes(bytes: Buffer, secret: SlotSecret): Promise<unknown> {
  try {
    await openKeyring(parseKeyring(bytes, REPOSITORY), secret);
    return undefined;
  } catch (error) {
    return error;
  }
}

test('a keyring has one spelling, with its members in order and no spaces', async (t) => {
  const text = encodeKeyring(await fullKeyring(THIRD)).toString();
  t.regex(text, /^{"molt":"keyring","version":1,"repository":"[0-9a-f]{32}","generation":3,"epoch":3,"created":"2026-/);
  t.regex(text, /],"predecessors":{"salt":"[0-9a-f]{64}","sealed":"[0-9a-f]{160}"},"mac":"[0-9a-f]{64}"}$/);
  t.is(text, JSON.stringify(JSON.parse(text)));
});

const WRONG_SECRETS: readonly SlotSecret[] = [
  { type: 'passphrase', passphrase: 'wrong horse' },
  { type: 'recovery', key: Buffer.alloc(32, 4) },
  { type: 'device', key: Buffer.alloc(32, 3) },
];

for (const secret of WRONG_SECRETS) {
  test(`a wrong ${secret.type} is told apart from damage`, async (t) => {
    const keyring = await fullKeyring(FIRST);
    await t.throwsAsync(openKeyring(keyring, secret), { instanceOf: MoltError, code: 'WRONG_PASSPHRASE' });
  });
}

test('a secret of a kind that no slot takes opens nothing', async (t) => {
  const keyring = makeKeyring(FIRST, [await makeSlot(FIRST, RECOVERY)]);
  const error = await t.throwsAsync(openKeyring(keyring, PASSPHRASE), {
    instanceOf: MoltError,
    code: 'WRONG_PASSPHRASE',
  });
  t.is(error.message, 'no key of the agent is a passphrase');
});

test('of several slots of one type the one that fits opens', async (t) => {
  const other = await makeSlot(FIRST, { type: 'passphrase', passphrase: "somebody else's" });
  const keyring = makeKeyring(FIRST, [other, await makeSlot(FIRST, PASSPHRASE)]);
  t.deepEqual(await openKeyring(keyring, PASSPHRASE), FIRST);
});

test('a slot is added at the end, in the next generation, and opens', async (t) => {
  const before = makeKeyring(FIRST, [await makeSlot(FIRST, RECOVERY), UNKNOWN]);
  const after = addSlot(before, FIRST, await makeSlot(FIRST, DEVICE), { timeMs: TIME_MS + 1 });
  t.is(after.generation, before.generation + 1);
  t.is(after.created, new Date(TIME_MS + 1).toISOString());
  t.deepEqual(after.slots.slice(0, 2), before.slots);
  t.deepEqual(await openKeyring(after, DEVICE), FIRST);
  t.deepEqual(await openKeyring(after, RECOVERY), FIRST);
});

test('a slot is removed in the next generation, and its secret opens that one no more', async (t) => {
  const before = await fullKeyring(THIRD);
  const [passphrase, recovery, device, unknown] = before.slots;
  const after = removeSlot(before, THIRD, passphrase?.id ?? '', { timeMs: TIME_MS });
  t.is(after.generation, before.generation + 1);
  t.deepEqual(after.slots, [recovery, device, unknown]);
  await t.throwsAsync(openKeyring(after, PASSPHRASE), { code: 'WRONG_PASSPHRASE' });
  t.deepEqual(await openKeyring(after, RECOVERY), THIRD);
});

test('slots of unknown types keep their place, their members and the order of these', async (t) => {
  const keyring = makeKeyring(FIRST, [UNKNOWN, await makeSlot(FIRST, RECOVERY)]);
  const after = addSlot(parseKeyring(encodeKeyring(keyring), REPOSITORY), FIRST, await makeSlot(FIRST, DEVICE), {
    timeMs: TIME_MS,
  });
  t.true(
    encodeKeyring(after)
      .toString()
      .includes(`"slots":[${JSON.stringify(UNKNOWN)},`),
  );
});

test('the last passphrase or recovery slot stays, whatever other slots there are', async (t) => {
  const recovery = await makeSlot(FIRST, RECOVERY);
  const device = await makeSlot(FIRST, DEVICE);
  for (const slots of [[recovery], [recovery, device], [device, recovery, UNKNOWN]]) {
    t.throws(() => removeSlot(makeKeyring(FIRST, slots), FIRST, recovery.id, { timeMs: TIME_MS }), {
      instanceOf: MoltError,
      code: 'USAGE',
    });
  }
  t.deepEqual(removeSlot(makeKeyring(FIRST, [recovery, device]), FIRST, device.id, { timeMs: TIME_MS }).slots, [
    recovery,
  ]);
});

test('removing a slot that is not there says so', async (t) => {
  const keyring = await fullKeyring(FIRST);
  t.throws(() => removeSlot(keyring, FIRST, '00', { timeMs: TIME_MS }), { instanceOf: MoltError, code: 'NOT_FOUND' });
});

test('a keyring without a passphrase or recovery slot is not made', async (t) => {
  const device = await makeSlot(FIRST, DEVICE);
  const error = t.throws(() => makeKeyring(FIRST, [device, UNKNOWN]));
  t.false(error instanceof MoltError);
});

test('a keyring that somebody changed gets no new MAC by a change of ours', async (t) => {
  const keyring = await fullKeyring(FIRST);
  const [first, ...others] = keyring.slots;
  const planted: Keyring = { ...keyring, slots: [...others] };
  const damaged = { instanceOf: MoltError, code: 'DAMAGED' };
  const slot = await makeSlot(FIRST, DEVICE);
  t.throws(() => addSlot(planted, FIRST, slot, { timeMs: TIME_MS }), damaged);
  t.throws(() => removeSlot(planted, FIRST, others[0]?.id ?? '', { timeMs: TIME_MS }), damaged);
  await t.throwsAsync(openKeyring(planted, RECOVERY), damaged);
  t.notThrows(() => checkKeyringMac({ ...planted, slots: [first as Slot, ...others] }, FIRST));
});

test('a keyring takes 64 slots and refuses one more', async (t) => {
  const unknown = (index: number): Slot => ({ id: index.toString(16).padStart(32, '0'), type: 'fido2' });
  const slots = [await makeSlot(FIRST, RECOVERY), ...Array.from({ length: 63 }, (_, index) => unknown(index))];
  const full = makeKeyring(FIRST, slots);
  const slot = await makeSlot(FIRST, DEVICE);
  t.throws(() => addSlot(full, FIRST, slot, { timeMs: TIME_MS }), { instanceOf: MoltError, code: 'USAGE' });
});

test('a slot of another epoch, or one that is there already, never gets into a keyring', async (t) => {
  const keyring = await fullKeyring(THIRD);
  const old = await makeSlot(FIRST, DEVICE);
  t.throws(() => addSlot(keyring, THIRD, old, { timeMs: TIME_MS }), { instanceOf: MoltError, code: 'DAMAGED' });
  t.throws(() => addSlot(keyring, THIRD, keyring.slots[0] as SecretSlot, { timeMs: TIME_MS }), {
    instanceOf: MoltError,
    code: 'DAMAGED',
  });
});

test('a keyring of the next epoch opens with its own slots and reaches all earlier roots', async (t) => {
  const first = makeKeyring(FIRST, [await makeSlot(FIRST, RECOVERY)]);
  const next = rotateRootKeys(await openKeyring(first, RECOVERY), random);
  const second = createKeyring(next, {
    repository: REPOSITORY,
    generation: 2,
    slots: [await makeSlot(next, RECOVERY)],
    timeMs: TIME_MS,
    random,
  });
  const opened = await openKeyring(second, RECOVERY);
  t.deepEqual(opened, next);
  t.deepEqual(opened.roots.get(1), FIRST.roots.get(1));
  t.notThrows(() => checkKeyringMac(first, opened));
  t.throws(() => checkKeyringMac(second, FIRST), { instanceOf: MoltError, code: 'WRONG_KEY' });
});

const refused = test.macro({
  async exec(t, code: ErrorCode, change: (text: string) => string) {
    const text = encodeKeyring(await fullKeyring(THIRD)).toString();
    const changed = change(text);
    t.not(changed, text);
    t.throws(() => parse(changed), { instanceOf: MoltError, code });
  },
  title: (name, code) => `a keyring is refused as ${code} when ${name}`,
});

const field =
  (name: string, value: unknown) =>
  (text: string): string =>
    JSON.stringify({ ...(JSON.parse(text) as object), [name]: value });

test(
  'it is of a later version, whatever else it holds',
  refused,
  'NEWER_FORMAT',
  () => '{"molt":"keyring","version":2}',
);
test('it belongs to another repository', refused, 'WRONG_REPOSITORY', field('repository', 'ab'.repeat(16)));
test('it is something else', refused, 'DAMAGED', field('molt', 'format'));
test('it is of version 0', refused, 'DAMAGED', field('version', 0));
test('its version is a text', refused, 'DAMAGED', field('version', '1'));
test('its generation is 0', refused, 'DAMAGED', field('generation', 0));
test('its generation is a fraction', refused, 'DAMAGED', field('generation', 1.5));
test('its epoch is not that of its slots', refused, 'DAMAGED', field('epoch', 2));
test('its epoch is too large for its predecessors', refused, 'DAMAGED', field('epoch', 4_294_967_295));
test('its time is no day of the calendar', refused, 'DAMAGED', field('created', '2026-02-30T00:00:00.000Z'));
test('its time is in another zone', refused, 'DAMAGED', field('created', '2026-03-05T02:00:00.000+01:00'));
test('it has no slots', refused, 'DAMAGED', field('slots', []));
test(
  'it has 65 slots',
  refused,
  'DAMAGED',
  field(
    'slots',
    Array.from({ length: 65 }, () => UNKNOWN),
  ),
);
test('two slots have one id', refused, 'DAMAGED', field('slots', [UNKNOWN, UNKNOWN]));
test('its predecessors are missing', refused, 'DAMAGED', field('predecessors', undefined));
test('its MAC is missing', refused, 'DAMAGED', field('mac', undefined));
test('its MAC is in capitals', refused, 'DAMAGED', (text) =>
  text.replace(/"mac":"\w+"/, (mac) => `"mac":"${mac.slice(7, -1).toUpperCase()}"`),
);
test('it has one member more', refused, 'DAMAGED', field('more', 1));
test('a slot has one member more', refused, 'DAMAGED', (text) => text.replace('"wrapped"', '"more":1,"wrapped"'));
test('a member stands twice', refused, 'DAMAGED', (text) => text.replace('{', '{"molt":"keyring",'));
test('its members are in another order', refused, 'DAMAGED', (text) =>
  text.replace(/("version":1),("repository":"\w+")/, '$2,$1'),
);
test('it holds a space', refused, 'DAMAGED', (text) => text.replace(':', ': '));
test('it ends in a newline', refused, 'DAMAGED', (text) => `${text}\n`);
test('a number is spelled in another way', refused, 'DAMAGED', (text) => text.replace('"zeta":1,', '"zeta":1.0,'));
test('a letter is spelled in another way', refused, 'DAMAGED', (text) => text.replace('my device', '\\u006dy device'));
test('an unknown slot is nested without end', refused, 'DAMAGED', (text) =>
  text.replace('[true,null,"x"]', '['.repeat(200_000) + ']'.repeat(200_000)),
);
test('it is nothing but brackets', refused, 'DAMAGED', () => '['.repeat(1_000_000));
test('it is empty', refused, 'DAMAGED', () => '');
test('it is over a mebibyte, though well-formed', refused, 'DAMAGED', (text) =>
  text.replace('"zeta":1,', `"zeta":"${'x'.repeat(1024 * 1024)}",`),
);

test('bytes that are no UTF-8 are damage', async (t) => {
  const bytes = encodeKeyring(await fullKeyring(FIRST));
  const changed = Buffer.from(bytes);
  changed[bytes.indexOf('my device')] = 0xff;
  t.throws(() => parseKeyring(changed, REPOSITORY), { instanceOf: MoltError, code: 'DAMAGED' });
});

test('a keyring of epoch 1 with predecessors is damage', async (t) => {
  const text = encodeKeyring(await fullKeyring(FIRST)).toString();
  const changed = text.replace(
    ',"mac"',
    `,"predecessors":{"salt":"${'00'.repeat(32)}","sealed":"${'00'.repeat(16)}"},"mac"`,
  );
  t.throws(() => parse(changed), { instanceOf: MoltError, code: 'DAMAGED' });
});

function isRefused(bytes: Buffer): boolean {
  try {
    parseKeyring(bytes, REPOSITORY);
    return false;
  } catch (error) {
    return isMoltError(error, 'DAMAGED', 'NEWER_FORMAT', 'WRONG_REPOSITORY');
  }
}

test('no bytes and no JSON make the reader crash', (t) => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => t.true(isRefused(Buffer.from(bytes)))));
  fc.assert(fc.property(fc.json(), (text) => t.true(isRefused(Buffer.from(text)))));
});

test('no value in place of another, at any depth, makes the reader crash', async (t) => {
  const text = encodeKeyring(await fullKeyring(THIRD)).toString();
  const places = [...text.matchAll(/(?<=[:[,])("[^"]*"|\d+|\{|\[)/g)].map((match) => match.index);
  fc.assert(
    fc.property(fc.constantFrom(...places), fc.jsonValue(), (place, value) => {
      const end = text.slice(place).search(/[,\]}]/) + place;
      const changed = Buffer.from(text.slice(0, place) + JSON.stringify(value) + text.slice(end));
      // A value may by chance be one that is well-formed there: then the MAC answers for it.
      if (!isRefused(changed))
        t.throws(() => checkKeyringMac(parseKeyring(changed, REPOSITORY), THIRD), { code: 'DAMAGED' });
      t.pass();
    }),
    { numRuns: 1000 },
  );
});

test('keyrings are written and opened as in the vectors', async (t) => {
  t.deepEqual(
    cryptoVectors.keyrings.map(({ roots }) => roots.length),
    [1, 2],
  );
  for (const vector of cryptoVectors.keyrings) {
    const repository = vector.repository as RepositoryId;
    const keys = vectorRoots(vector.roots);
    const keyring = parseKeyring(Buffer.from(vector.text), repository);
    const { generation, timeMs } = vector;
    const script = scriptedRandom(hex(vector.random));
    const made = createKeyring(keys, { repository, generation, slots: keyring.slots, timeMs, random: script });
    t.is(encodeKeyring(made).toString(), vector.text);
    for (const secret of vector.secrets) t.deepEqual(await openKeyring(keyring, vectorSecret(secret)), keys);
  }
});
