// The keys of a repository on two machines and their remote: changed on both sides before either is pushed.

import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { MoltError } from '../../src/model/error.ts';
import { silentReporter } from '../../src/model/ports.ts';
import { clone } from '../../src/ops/clone.ts';
import type { OpsContext } from '../../src/ops/context.ts';
import { fetchRemote } from '../../src/ops/fetch.ts';
import { addKey, findKeySlot, listKeySlots, removeKey } from '../../src/ops/key.ts';
import { rotateKeys } from '../../src/ops/key-rotate.ts';
import { readKeyring } from '../../src/ops/open-keys.ts';
import { push } from '../../src/ops/push.ts';
import { addRemote } from '../../src/ops/remote.ts';
import { DirectoryStorage } from '../../src/storage/directory.ts';
import { startS3Server, type S3Server } from '../storage/s3-server.ts';
import { makeEmptyContext, makeMachine } from './machine.ts';

process.env['AWS_ACCESS_KEY_ID'] = 'testaccess';
process.env['AWS_SECRET_ACCESS_KEY'] = 'testsecret';

/** A machine with the agent `bot`. */
interface Side {
  readonly context: OpsContext;
  readonly warnings: string[];
}

/** Two machines whose keys are the same, with the passphrases `first` and `old`, and the folder that is their remote. */
async function makeSides(t: ExecutionContext): Promise<{ one: Side; other: Side; remoteDir: string }> {
  const remoteDir = realpathSync(mkdtempSync(join(tmpdir(), 'molt-remote-keys-')));
  t.teardown(() => rmSync(remoteDir, { recursive: true, force: true }));
  const url = `file://${remoteDir}`;
  const machine = await makeMachine(t);
  const one = listening(machine.context);
  await addRemote(one.context, 'bot', { name: 'origin', url, singleWriter: false });
  await addPassphrase(one, 'old');
  await push(one.context, 'bot');
  const other = listening(makeEmptyContext(t, machine.context.clock));
  await clone(other.context, { url, label: 'bot', name: 'origin' });
  await push(other.context, 'bot');
  await fetchRemote(one.context, 'bot');
  return { one, other, remoteDir };
}

function listening(context: OpsContext): Side {
  const warnings: string[] = [];
  return { context: { ...context, reporter: { ...silentReporter, warn: (text) => warnings.push(text) } }, warnings };
}

async function addPassphrase({ context }: Side, label: string): Promise<void> {
  await addKey(context, 'bot', { type: 'passphrase', label, passphrase: async () => `secret ${label}` });
}

async function remove({ context }: Side, label: string): Promise<void> {
  await removeKey(context, 'bot', findKeySlot(await listKeySlots(context, 'bot'), label).id);
}

async function rotate({ context }: Side): Promise<void> {
  await rotateKeys(context, 'bot', {
    passphrase: async () => 'first',
    agree: async () => true,
    keep: async () => {},
  });
}

/** The labels of the passphrases of a machine's repository. */
async function passphrases({ context }: Side): Promise<string[]> {
  return (await listKeySlots(context, 'bot'))
    .filter(({ type }) => type === 'passphrase')
    .map(({ label }) => label)
    .toSorted();
}

async function passphrasesAt({ context }: Side, remoteDir: string): Promise<string[]> {
  const agent = await context.home.findAgent('bot');
  if (agent === undefined) throw new Error('there is no agent');
  const storage = await DirectoryStorage.open(remoteDir);
  const { slots } = await readKeyring(context, storage, agent);
  await storage.close();
  return slots.flatMap(({ type, label }) => (type === 'passphrase' ? [String(label)] : [])).toSorted();
}

function forgetViews({ context }: Side): void {
  rmSync(join(context.home.dir, 'views'), { recursive: true });
}

for (const first of ['the removal', 'the addition']) {
  test(`a key that is removed here stays removed and one that is added there is there, with ${first} pushed first`, async (t) => {
    const { one, other, remoteDir } = await makeSides(t);
    // More changes than one, so that the keyring here has the higher number although it lacks what was added there.
    await addPassphrase(one, 'more');
    await remove(one, 'old');
    await addPassphrase(other, 'new');
    const order = first === 'the removal' ? [one, other] : [other, one];
    for (const { context } of order) await push(context, 'bot');
    for (const { context } of order) await fetchRemote(context, 'bot');
    const expected = ['more', 'new', 'passphrase'];
    t.deepEqual(await passphrases(one), expected);
    t.deepEqual(await passphrases(other), expected);
    t.deepEqual(await passphrasesAt(one, remoteDir), expected);
    for (const { context } of order) {
      const { requests } = await push(context, 'bot');
      t.is(requests.put, 0, 'nothing is left to send');
    }
  });
}

test('a key that was removed elsewhere opens nothing on this disk after a fetch, beside a key that was added here', async (t) => {
  const { one, other } = await makeSides(t);
  await remove(one, 'old');
  await push(one.context, 'bot');
  await addPassphrase(other, 'new');
  await fetchRemote(other.context, 'bot');
  t.deepEqual(await passphrases(other), ['new', 'passphrase']);
  const agent = await other.context.home.findAgent('bot');
  const keys = join(other.context.home.repositoryDir(agent?.repository ?? ('' as never)), 'keys');
  for (const name of readdirSync(keys)) t.false(readFileSync(join(keys, name), 'utf8').includes('"old"'), name);
});

test('a key that came back to what it was before is a change like any other', async (t) => {
  const { one, other, remoteDir } = await makeSides(t);
  await addPassphrase(one, 'short-lived');
  await push(one.context, 'bot');
  await fetchRemote(other.context, 'bot');
  t.deepEqual(await passphrases(other), ['old', 'passphrase', 'short-lived']);
  await remove(one, 'short-lived');
  await push(one.context, 'bot');
  t.deepEqual(await passphrasesAt(one, remoteDir), ['old', 'passphrase']);
  await fetchRemote(other.context, 'bot');
  t.deepEqual(await passphrases(other), ['old', 'passphrase']);
});

test('a rotation here and other changes there are brought together by a fetch, which says what to do again', async (t) => {
  const { one, other, remoteDir } = await makeSides(t);
  await rotate(one);
  await remove(other, 'old');
  await remove(other, 'passphrase');
  await addPassphrase(other, 'new');
  await push(other.context, 'bot');
  await push(one.context, 'bot', { forceCheck: true }).then(
    () => t.fail('it was pushed'),
    (error: MoltError) => {
      t.is(error.code, 'CONFLICT');
      t.regex(error.message, /keys were changed here, and on origin too; nothing was sent.*"new"/);
      t.regex(error.hint ?? '', /^molt fetch origin /);
    },
  );
  await fetchRemote(one.context, 'bot');
  t.true(one.warnings.some((text) => /"new" .*: molt key add passphrase --label "new"$/.test(text)));
  await push(one.context, 'bot');
  t.deepEqual(await passphrases(one), [], 'what was removed there is not let in by the rotation here');
  t.deepEqual(await passphrasesAt(one, remoteDir), []);
});

test('a machine that forgot what was common sends no change of keys that is in doubt, and a fetch settles it', async (t) => {
  const { one, remoteDir } = await makeSides(t);
  await remove(one, 'old');
  forgetViews(one);
  const error = (await t.throwsAsync(push(one.context, 'bot'))) as MoltError;
  t.is(error.code, 'CONFLICT');
  t.regex(error.message, /In doubt: [0-9a-f]{8} "old"/);
  t.deepEqual(await passphrasesAt(one, remoteDir), ['old', 'passphrase']);
  await fetchRemote(one.context, 'bot');
  const [, id = ''] = /"old" of origin .* molt key remove ([0-9a-f]{8})$/.exec(one.warnings.at(-1) ?? '') ?? [];
  await removeKey(one.context, 'bot', findKeySlot(await listKeySlots(one.context, 'bot'), id).id);
  await push(one.context, 'bot');
  t.deepEqual(await passphrasesAt(one, remoteDir), ['passphrase']);
});

test('a machine that forgot what was common still knows that a key was removed elsewhere', async (t) => {
  const { one, other, remoteDir } = await makeSides(t);
  await remove(one, 'old');
  await push(one.context, 'bot');
  await addPassphrase(other, 'new');
  await remove(other, 'new');
  forgetViews(other);
  await push(other.context, 'bot');
  t.deepEqual(await passphrasesAt(one, remoteDir), ['passphrase']);
});

test('keys that were rotated on both sides are not mixed', async (t) => {
  const { one, other } = await makeSides(t);
  await rotate(one);
  await rotate(other);
  await push(one.context, 'bot');
  for (const act of [push(other.context, 'bot', { forceCheck: true }), fetchRemote(other.context, 'bot')]) {
    const error = (await t.throwsAsync(act)) as MoltError;
    t.is(error.code, 'CONFLICT');
    t.regex(error.message, /rotated here, and on origin too/);
    t.regex(error.hint ?? '', /molt remote add NAME URL/);
  }
});

test('a forged keyring on the remote stops nobody, and its number is passed over', async (t) => {
  const { one, other, remoteDir } = await makeSides(t);
  const newest = readdirSync(join(remoteDir, 'keys')).at(-1) ?? '';
  const number = Number(newest) + 1;
  const forged = readFileSync(join(remoteDir, 'keys', newest), 'utf8')
    .replace(`"generation":${Number(newest)}`, `"generation":${number}`)
    .replace('"old"', '"odd"');
  writeFileSync(join(remoteDir, 'keys', String(number).padStart(6, '0')), forged);
  await addPassphrase(one, 'new');
  await push(one.context, 'bot', { forceCheck: true });
  await fetchRemote(other.context, 'bot');
  t.deepEqual(await passphrases(other), ['new', 'old', 'passphrase']);
});

test('a key that was sent, of which the answer was lost, and that was removed since, stays removed', async (t) => {
  const server: S3Server = await startS3Server(t);
  const { context } = await makeMachine(t);
  const timing = { pause: async () => {}, random: () => 0.5, idleMs: 3000 };
  const one = listening({ ...context, remoteOptions: { timing } });
  await addRemote(one.context, 'bot', { name: 'origin', url: server.url, singleWriter: false });
  await push(one.context, 'bot');
  await addPassphrase(one, 'new');
  let isGone = false;
  server.fault = ({ method, key }) => {
    if (isGone) return { kind: 'reset' };
    isGone = method === 'PUT' && key.includes('keys/');
    return isGone ? { kind: 'lost-answer' } : undefined;
  };
  await t.throwsAsync(push(one.context, 'bot'));
  server.fault = () => undefined;
  t.is(server.versionsOf('keys/000002').length, 1);
  await remove(one, 'new');
  await push(one.context, 'bot', { forceCheck: true });
  await fetchRemote(one.context, 'bot');
  t.deepEqual(await passphrases(one), ['passphrase']);
  const newest =
    server
      .everything()
      .filter(([key]) => key.includes('keys/'))
      .at(-1)?.[1]
      .toString() ?? '';
  t.false(newest.includes('"new"'));
});
