// The keys of an agent's repository: what a change leaves behind, what it refuses, and what it does beside other processes.

import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { encodeRecoveryKey } from '../../src/crypto/recovery-key.ts';
import { MoltError } from '../../src/model/error.ts';
import { silentReporter } from '../../src/model/ports.ts';
import { commitAgent } from '../../src/ops/commit.ts';
import type { OpsContext } from '../../src/ops/context.ts';
import { Home } from '../../src/ops/home.ts';
import { initAgent } from '../../src/ops/init.ts';
import { checkKeys } from '../../src/ops/key-check.ts';
import { addKey, findKeySlot, listKeySlots, removeKey, type KeySlot } from '../../src/ops/key.ts';
import { openAgent } from '../../src/ops/open.ts';
import { writeRecoveryKeyFile } from '../../src/ops/recovery-key-file.ts';

interface Place {
  readonly context: OpsContext;
  readonly dir: string;
  readonly keysDir: string;
  readonly warnings: string[];
  readonly recoveryKey: string;
}

async function makePlace(t: ExecutionContext): Promise<Place> {
  const dir = mkdtempSync(join(tmpdir(), 'molt-keys-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const stateDir = mkdtempSync(join(dir, 'state-'));
  writeFileSync(join(stateDir, 'notes.md'), 'remember\n');
  const warnings: string[] = [];
  const context: OpsContext = {
    home: new Home(join(dir, 'home')),
    clock: { now: () => Date.now() },
    random: { bytes: (length) => randomBytes(length) },
    reporter: { ...silentReporter, warn: (message) => warnings.push(message) },
    cwd: '/',
    userHome: '/nowhere',
    unlock: async () => ({ type: 'passphrase', passphrase: 'first' }),
    argon2: { memoryKiB: 64, passes: 1, lanes: 1 },
  };
  let recoveryKey = '';
  const { agent } = await initAgent(context, {
    label: 'it',
    stateDir,
    profile: 'generic',
    include: [],
    exclude: [],
    passphrase: async () => 'first',
    keepRecoveryKey: async (text) => {
      recoveryKey = text;
    },
  });
  return { context, dir, keysDir: join(context.home.repositoryDir(agent.repository), 'keys'), warnings, recoveryKey };
}

const addPassphrase = (context: OpsContext, passphrase: string, label?: string) =>
  addKey(context, 'it', { type: 'passphrase', label, passphrase: async () => passphrase });

/** The same machine after its device key was lost, or another that has a copy. */
function withoutDevice({ context, dir }: Place, passphrase: string): OpsContext {
  rmSync(join(dir, 'home', 'device.key'), { force: true });
  return { ...context, unlock: async () => ({ type: 'passphrase', passphrase }) };
}

const byType = (slots: readonly KeySlot[], type: string): KeySlot =>
  slots.find((slot) => slot.type === type) as KeySlot;

test('an added passphrase opens the repository, and the older keyring stays beside the new one', async (t) => {
  const place = await makePlace(t);
  const change = await addPassphrase(place.context, 'second', 'spare');
  t.like(change, { generation: 2, slot: { type: 'passphrase', label: 'spare' } });
  t.deepEqual(readdirSync(place.keysDir), ['000001', '000002']);
  await using opened = await openAgent(withoutDevice(place, 'second'), 'it');
  t.is(opened.keyring.generation, 2);
});

test('a removed passphrase opens nothing on this disk any more', async (t) => {
  const place = await makePlace(t);
  await addPassphrase(place.context, 'second', 'spare');
  const first = findKeySlot(await listKeySlots(place.context, 'it'), 'passphrase');
  const change = await removeKey(place.context, 'it', first.id);
  t.deepEqual(
    change.slots.map(({ label }) => label),
    ['recovery key from init', 'this machine', 'spare'],
  );
  t.deepEqual(readdirSync(place.keysDir), ['000003']);
  await t.throwsAsync(openAgent(withoutDevice(place, 'first'), 'it'), {
    instanceOf: MoltError,
    code: 'WRONG_PASSPHRASE',
  });
  await using opened = await openAgent(withoutDevice(place, 'second'), 'it');
  t.is(opened.keyring.generation, 3);
});

test('the last key that outlives the machine is not removed', async (t) => {
  const place = await makePlace(t);
  const slots = await listKeySlots(place.context, 'it');
  await removeKey(place.context, 'it', byType(slots, 'passphrase').id);
  await t.throwsAsync(removeKey(place.context, 'it', byType(slots, 'recovery').id), {
    instanceOf: MoltError,
    code: 'USAGE',
  });
  t.deepEqual(readdirSync(place.keysDir), ['000002']);
});

test('a recovery key is kept before its slot is made, and a failure to keep it changes nothing', async (t) => {
  const place = await makePlace(t);
  const full = new MoltError('IO', 'disk is full');
  const keep = async (): Promise<void> => {
    throw full;
  };
  t.is(await t.throwsAsync(addKey(place.context, 'it', { type: 'recovery', keep })), full);
  t.deepEqual(readdirSync(place.keysDir), ['000001']);
  const file = join(place.dir, 'recovery.txt');
  await addKey(place.context, 'it', {
    type: 'recovery',
    label: 'safe',
    keep: (text) => writeRecoveryKeyFile(file, text),
  });
  t.is(statSync(file).mode & 0o777, 0o600);
  const check = await checkKeys(place.context, 'it', { recoveryKey: readFileSync(file, 'utf8') });
  t.deepEqual(
    check.slots.filter(({ type }) => type === 'recovery').map(({ label, opens }) => [label, opens]),
    [
      ['recovery key from init', false],
      ['safe', true],
    ],
  );
  await t.throwsAsync(writeRecoveryKeyFile(file, 'another'), { instanceOf: MoltError, code: 'EXISTS' });
});

test('what opens the repository already is not added again', async (t) => {
  const place = await makePlace(t);
  await t.throwsAsync(addKey(place.context, 'it', { type: 'device' }), { instanceOf: MoltError, code: 'EXISTS' });
  await t.throwsAsync(addPassphrase(place.context, 'first'), { instanceOf: MoltError, code: 'EXISTS' });
});

test('a machine that lost its key gets a new one with a passphrase', async (t) => {
  const place = await makePlace(t);
  await addKey(withoutDevice(place, 'first'), 'it', { type: 'device', label: 'new disk' });
  const unasked = { ...place.context, unlock: async () => t.fail() };
  await using opened = await openAgent(unasked, 'it');
  t.is(opened.keyring.generation, 2);
});

test('changes of several processes at once all come to stand', async (t) => {
  const place = await makePlace(t);
  await Promise.all(['a', 'b', 'c', 'd'].map((label) => addPassphrase(place.context, `secret ${label}`, label)));
  const labels = (await listKeySlots(place.context, 'it')).map(({ label }) => label);
  t.deepEqual(labels.toSorted().slice(0, 4), ['a', 'b', 'c', 'd']);
  t.is(readdirSync(place.keysDir).length, 5);
});

test('a change that begins on an older keyring is made on top of the newest', async (t) => {
  const place = await makePlace(t);
  const slots = await listKeySlots(place.context, 'it');
  const change = await addKey(place.context, 'it', {
    type: 'passphrase',
    label: 'slow',
    passphrase: async () => {
      await removeKey(place.context, 'it', byType(slots, 'passphrase').id);
      return 'slow';
    },
  });
  t.is(change.generation, 3);
  t.deepEqual(change.slots.map(({ label }) => label).toSorted(), ['recovery key from init', 'slow', 'this machine']);
});

test('a number that became free again by a deletion is not taken for the newest', async (t) => {
  const place = await makePlace(t);
  const path = (generation: number): string => join(place.keysDir, `00000${generation}`);
  const slots = await listKeySlots(place.context, 'it');
  const first = readFileSync(path(1));
  await addPassphrase(place.context, 'second', 'second');
  await removeKey(place.context, 'it', byType(slots, 'passphrase').id);
  const third = readFileSync(path(3));
  rmSync(path(3));
  writeFileSync(path(1), first);
  // This machine has seen number 3; the one that is slow has not.
  rmSync(join(place.context.home.dir, 'seen'), { recursive: true });
  // The second look at the clock is for the keyring that is about to be written as number 2: in between others write 2 and 3, and
  // delete 1 and 2 again.
  let looks = 0;
  const now = (): number => {
    looks += 1;
    if (looks === 2) {
      writeFileSync(path(3), third);
      rmSync(path(1));
    }
    return Date.now();
  };
  const change = await addPassphrase({ ...place.context, clock: { now } }, 'slow', 'slow');
  t.is(change.generation, 4);
  t.deepEqual(change.slots.map(({ label }) => label).toSorted(), [
    'recovery key from init',
    'second',
    'slow',
    'this machine',
  ]);
  t.deepEqual(readdirSync(place.keysDir), ['000003', '000004']);
});

test('a writer that opened an older keyring goes on after a change, and others read what it wrote', async (t) => {
  const place = await makePlace(t);
  await using writer = await openAgent(place.context, 'it');
  const slots = await listKeySlots(place.context, 'it');
  await addPassphrase(place.context, 'second');
  await removeKey(place.context, 'it', byType(slots, 'passphrase').id);
  writeFileSync(join(writer.agent.stateDir, 'more.md'), 'more\n');
  const commit = await commitAgent(place.context, writer.agent, writer.repository, {
    kind: 'incremental',
    trigger: 'cli',
  });
  await using reader = await openAgent(place.context, 'it');
  t.is(reader.keyring.generation, 3);
  t.is(reader.repository.refs.get('refs/heads/main'), commit.id);
  t.deepEqual(place.warnings, []);
});

test('a keyring that nobody with the keys wrote is reported and passed over', async (t) => {
  const place = await makePlace(t);
  const first = readFileSync(join(place.keysDir, '000001'), 'utf8');
  writeFileSync(join(place.keysDir, '000002'), 'not a keyring');
  writeFileSync(join(place.keysDir, '000003'), first.replace('"generation":1', '"generation":3'));
  await using opened = await openAgent(place.context, 'it');
  t.is(opened.keyring.generation, 1);
  t.is(place.warnings.length, 2);
  t.is((await addPassphrase(place.context, 'second')).generation, 4);
});

test('the check tells what opens, what does not and what was not tried, and proves the keyring', async (t) => {
  const place = await makePlace(t);
  const { recoveryKey, context } = place;
  const check = await checkKeys(context, 'it', { recoveryKey: recoveryKey.toLowerCase(), passphrase: 'wrong' });
  t.deepEqual(
    check.slots.map(({ type, opens }) => [type, opens]),
    [
      ['passphrase', false],
      ['recovery', true],
      ['device', true],
    ],
  );
  t.like(check, { authentic: true, useless: ['passphrase'], outdated: [], generation: 1 });
  await using opened = await openAgent(context, 'it');
  t.is(check.fingerprint, opened.repository.keys.fingerprint);
  const blind = await checkKeys(withoutDevice(place, ''), 'it', {});
  t.like(blind, { authentic: undefined, fingerprint: undefined, useless: [] });
  const other = encodeRecoveryKey(Buffer.alloc(32, 1));
  t.like(await checkKeys(withoutDevice(place, ''), 'it', { recoveryKey: other }), {
    authentic: undefined,
    useless: ['recovery'],
  });
});

test('the check refuses a keyring that was changed without its keys', async (t) => {
  const place = await makePlace(t);
  const path = join(place.keysDir, '000001');
  writeFileSync(path, readFileSync(path, 'utf8').replace('this machine', 'that machine'));
  await t.throwsAsync(checkKeys(place.context, 'it', {}), { instanceOf: MoltError, code: 'DAMAGED' });
});

test('a slot is found by its label or by the beginning of its id', (t) => {
  const slot = (id: string, label: string): KeySlot => ({
    id: id.padEnd(32, '0'),
    type: 'recovery',
    label,
    created: undefined,
  });
  const slots = [slot('abcd1', 'safe'), slot('abcd2', 'bank'), slot('beef', 'bank')];
  t.is(findKeySlot(slots, 'safe').id.slice(0, 5), 'abcd1');
  t.is(findKeySlot(slots, 'abcd2').label, 'bank');
  for (const which of ['bank', 'abcd'])
    t.throws(() => findKeySlot(slots, which), { instanceOf: MoltError, code: 'AMBIGUOUS' });
  for (const which of ['abc', 'none', ''])
    t.throws(() => findKeySlot(slots, which), { instanceOf: MoltError, code: 'NOT_FOUND' });
});
