// Recipients, commands and rotation: who gets in by what, who does not any more, and what happens beside other processes.

import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { parseRecoveryKey } from '../../src/crypto/recovery-key.ts';
import { MoltError } from '../../src/model/error.ts';
import { silentReporter } from '../../src/model/ports.ts';
import { backUp } from '../../src/ops/backup.ts';
import { commitAgent } from '../../src/ops/commit.ts';
import type { Access, OpsContext } from '../../src/ops/context.ts';
import { Home } from '../../src/ops/home.ts';
import { makeIdentity, showIdentity } from '../../src/ops/identity-file.ts';
import { initAgent } from '../../src/ops/init.ts';
import { checkKeys } from '../../src/ops/key-check.ts';
import { rotateKeys, type Rotation, type RotationPlan } from '../../src/ops/key-rotate.ts';
import { addKey, listKeySlots, removeKey } from '../../src/ops/key.ts';
import { openAgent } from '../../src/ops/open.ts';
import { verifyAgent } from '../../src/ops/verify.ts';

// Wraps by turning the text around, with nothing but what each system has.
const COMMAND = `'${process.execPath}' -e '
  const request = JSON.parse(require("fs").readFileSync(0, "utf8"));
  const turn = (text) => Buffer.from(text, "base64").reverse().toString("base64");
  console.log(JSON.stringify(request.molt === "wrap" ? { wrapped: turn(request.key) } : { key: turn(request.wrapped) }));
'`;

interface Place {
  readonly dir: string;
  readonly context: OpsContext;
  readonly identity: string;
  readonly publicKey: string;
  readonly recoveryKey: string;
  readonly fingerprint: string;
  readonly keysDir: string;
  write(name: string): void;
}

async function makePlace(t: ExecutionContext): Promise<Place> {
  const dir = mkdtempSync(join(tmpdir(), 'molt-rotate-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const stateDir = join(dir, 'state');
  mkdirSync(stateDir);
  writeFileSync(join(stateDir, 'notes.md'), 'remember\n');
  const context: OpsContext = {
    home: new Home(join(dir, 'home')),
    clock: { now: () => Date.now() },
    random: { bytes: (length) => randomBytes(length) },
    reporter: silentReporter,
    cwd: '/',
    userHome: '/nowhere',
    unlock: async () => ({ type: 'passphrase', passphrase: 'first' }),
    argon2: { memoryKiB: 64, passes: 1, lanes: 1 },
  };
  const identity = join(dir, 'identity');
  const publicKey = await makeIdentity(identity, context.random);
  let recoveryKey = '';
  const { agent, fingerprint } = await initAgent(context, {
    label: 'it',
    stateDir,
    profile: 'generic',
    include: [],
    exclude: [],
    recipients: [publicKey],
    passphrase: async () => 'first',
    keepRecoveryKey: async (text) => {
      recoveryKey = text;
    },
  });
  const keysDir = join(context.home.repositoryDir(agent.repository), 'keys');
  const write = (name: string): void => writeFileSync(join(stateDir, name), `${name}\n`);
  return { dir, context, identity, publicKey, recoveryKey, fingerprint, keysDir, write };
}

/** Another machine that has a copy of the repository, and nothing else of this one. */
function elsewhere(t: ExecutionContext, { dir, context }: Place, name: string, access: Access = {}): OpsContext {
  const home = new Home(join(dir, name));
  for (const part of ['agents', 'repositories']) {
    cpSync(join(context.home.dir, part), join(home.dir, part), { recursive: true });
  }
  const unlock = async (): Promise<never> => {
    throw new MoltError('WRONG_PASSPHRASE', 'nothing else is at hand');
  };
  return { ...context, home, unlock, access };
}

const rotate = (
  { context }: Pick<Place, 'context'>,
  agree: (plan: RotationPlan) => boolean = () => true,
  passphrase: string | undefined = 'first',
): Promise<Rotation & { recoveryKey: string }> => {
  let recoveryKey = '';
  return rotateKeys(context, 'it', {
    passphrase: async () => passphrase,
    agree: async (plan) => agree(plan),
    keep: async (text) => {
      recoveryKey = text;
    },
  }).then((rotation) => ({ ...rotation, recoveryKey }));
};

test('each slot alone opens everything, before and after a rotation', async (t) => {
  const place = await makePlace(t);
  await addKey(place.context, 'it', { type: 'exec', command: COMMAND });
  const opens = async (when: string, fingerprint: string, recoveryKey: string): Promise<void> => {
    const at = (name: string, access?: Access): OpsContext => elsewhere(t, place, `${when} ${name}`, access);
    const ways: OpsContext[] = [
      at('recipient', { identityFile: place.identity, fingerprint }),
      at('exec', { execCommand: COMMAND, fingerprint }),
      { ...at('passphrase'), unlock: async () => ({ type: 'passphrase', passphrase: 'first' }) },
      { ...at('recovery'), unlock: async () => ({ type: 'recovery', key: parseRecoveryKey(recoveryKey) }) },
      { ...place.context, unlock: async () => t.fail() },
    ];
    for (const way of ways) {
      t.deepEqual((await verifyAgent(way, 'it', { readShare: 1, repair: false })).problems, []);
    }
  };
  await opens('before', place.fingerprint, place.recoveryKey);
  place.write('old');
  await backUp(place.context, 'it', { kind: 'incremental', trigger: 'test' });
  const rotation = await rotate(place);
  t.like(rotation, { epoch: 2, lost: [] });
  t.deepEqual(
    rotation.kept.map(({ type }) => type),
    ['passphrase', 'device', 'recipient', 'exec'],
  );
  place.write('new');
  await backUp(place.context, 'it', { kind: 'incremental', trigger: 'test' });
  await opens('after', rotation.fingerprint, rotation.recoveryKey);
});

test('a first opening by a recipient demands the right fingerprint, and remembers it', async (t) => {
  const place = await makePlace(t);
  const { identity: identityFile, fingerprint } = place;
  const context = elsewhere(t, place, 'pod', { identityFile });
  await t.throwsAsync(openAgent(context, 'it'), { instanceOf: MoltError, code: 'USAGE', message: /fingerprint/ });
  const wrong = { ...context, access: { identityFile, fingerprint: fingerprint.replace(/^./, 'x') } };
  await t.throwsAsync(openAgent(wrong, 'it'), { instanceOf: MoltError, code: 'WRONG_KEY' });
  await (await openAgent({ ...context, access: { identityFile, fingerprint } }, 'it'))[Symbol.asyncDispose]();
  await (await openAgent(context, 'it'))[Symbol.asyncDispose]();
  const rotation = await rotate(place);
  const later = elsewhere(t, place, 'pod', { identityFile });
  await t.throwsAsync(openAgent(later, 'it'), { instanceOf: MoltError, code: 'WRONG_KEY', message: /rotated/ });
  const told = { ...later, access: { identityFile, fingerprint: rotation.fingerprint } };
  t.is((await checkKeys(told, 'it', {})).fingerprint, rotation.fingerprint);
});

test('no command runs on a machine whose user did not give it', async (t) => {
  const place = await makePlace(t);
  const ran = join(place.dir, 'ran');
  await addKey(place.context, 'it', { type: 'exec', command: `touch '${ran}'; ${COMMAND}` });
  rmSync(ran);
  const { fingerprint } = place;
  await t.throwsAsync(openAgent(elsewhere(t, place, 'copy', { fingerprint }), 'it'), { code: 'WRONG_PASSPHRASE' });
  t.false(readdirSync(place.dir).includes('ran'));
});

test('a command that fails is reported, and the passphrase opens', async (t) => {
  const place = await makePlace(t);
  await addKey(place.context, 'it', { type: 'exec', command: COMMAND });
  const warnings: string[] = [];
  const context: OpsContext = {
    ...elsewhere(t, place, 'copy', { execCommand: 'exit 3' }),
    reporter: { ...silentReporter, warn: (message) => warnings.push(message) },
    unlock: place.context.unlock,
  };
  await (await openAgent(context, 'it'))[Symbol.asyncDispose]();
  t.regex(warnings.join('\n'), /ended with status 3/);
});

test('who was removed before a rotation reads what was written before it and nothing after', async (t) => {
  const place = await makePlace(t);
  const slots = await listKeySlots(place.context, 'it');
  const removed = slots.find(({ type }) => type === 'recipient');
  // The whole repository, its old keyring included, and the private key.
  const thief = elsewhere(t, place, 'thief', { identityFile: place.identity, fingerprint: place.fingerprint });
  await removeKey(place.context, 'it', removed?.id ?? '');
  await rotate(place);
  place.write('secret');
  await backUp(place.context, 'it', { kind: 'incremental', trigger: 'test' });
  const repositories = join('repositories', readdirSync(join(place.context.home.dir, 'repositories'))[0] ?? '');
  const log = join(repositories, 'log');
  const before = readdirSync(join(thief.home.dir, log), { recursive: true }).length;
  cpSync(join(place.context.home.dir, repositories), join(thief.home.dir, repositories), { recursive: true });
  t.true(readdirSync(join(thief.home.dir, log), { recursive: true }).length > before);
  await t.throwsAsync(openAgent(thief, 'it'), { code: 'WRONG_PASSPHRASE' });
  // Even with the new keyring out of the way, so that the old root is at hand again.
  for (const name of readdirSync(place.keysDir)) rmSync(join(thief.home.dir, repositories, 'keys', name));
  await using opened = await openAgent(thief, 'it');
  t.is(opened.keyring.epoch, 1);
  await using owner = await openAgent(place.context, 'it');
  t.not(opened.repository.refs.get('refs/heads/main'), owner.repository.refs.get('refs/heads/main'));
});

test('who can’t be carried over is named first, and without consent nothing changes', async (t) => {
  const place = await makePlace(t);
  await addKey(place.context, 'it', { type: 'passphrase', label: 'ben', passphrase: async () => 'second' });
  const pod = { ...elsewhere(t, place, 'pod'), unlock: place.context.unlock };
  await addKey(pod, 'it', { type: 'device', label: 'pod' });
  const [repository = ''] = readdirSync(join(pod.home.dir, 'repositories'));
  const podKeys = join(pod.home.dir, 'repositories', repository, 'keys');
  const generations = readdirSync(podKeys);
  let plan: RotationPlan | undefined;
  const refuse = (seen: RotationPlan): boolean => {
    plan = seen;
    return false;
  };
  await t.throwsAsync(rotate({ context: pod }, refuse), { code: 'INTERRUPTED' });
  t.deepEqual(
    plan?.lost.map(({ label, type }) => [label, type]),
    [
      ['this machine', 'device'],
      ['ben', 'passphrase'],
    ],
  );
  t.deepEqual(readdirSync(podKeys), generations);
  await t.throwsAsync(rotate(place, undefined, 'wrong'), { code: 'WRONG_PASSPHRASE' });
});

test('a commit that runs while the keys are rotated saves nothing under the old root, and the next one saves all', async (t) => {
  const place = await makePlace(t);
  const running = await openAgent(place.context, 'it');
  await rotate(place);
  place.write('late');
  const commit = commitAgent(place.context, running.agent, running.repository, {
    kind: 'incremental',
    trigger: 'test',
  });
  await t.throwsAsync(commit, { instanceOf: MoltError, code: 'CONFLICT', message: /rotated/ });
  await running[Symbol.asyncDispose]();
  t.false((await backUp(place.context, 'it', { kind: 'incremental', trigger: 'test' })).unchanged);
  t.deepEqual((await verifyAgent(place.context, 'it', { readShare: 1, repair: false })).problems, []);
});

test('rotations and additions at once make one chain of keyrings, and none is lost', async (t) => {
  const place = await makePlace(t);
  const add = (label: string): Promise<unknown> =>
    addKey(place.context, 'it', { type: 'recovery', label, keep: async () => {} });
  const [first, second] = await Promise.allSettled([rotate(place), rotate(place), add('a'), add('b')]);
  const won = [first, second].filter((result) => result?.status === 'fulfilled').length;
  for (const result of [first, second]) {
    if (result?.status === 'rejected') t.is((result.reason as MoltError).code, 'CONFLICT');
  }
  await using opened = await openAgent({ ...place.context, unlock: async () => t.fail() }, 'it');
  t.is(opened.keyring.epoch, 1 + won);
  const labels = opened.keyring.slots.map(({ label }) => label);
  t.true(labels.includes('this machine'));
  // A rotation puts its own recovery key in the place of those it planned with; one that it did not see makes it give up.
  if (won === 0) t.true(labels.includes('a') && labels.includes('b'));
});

test('an identity is never written over, and gives its public key again', async (t) => {
  const { identity, publicKey, context } = await makePlace(t);
  await t.throwsAsync(makeIdentity(identity, context.random), { instanceOf: MoltError, code: 'EXISTS' });
  t.is(await showIdentity(identity), publicKey);
});

test('a public key is not let in twice', async (t) => {
  const { context, publicKey } = await makePlace(t);
  await t.throwsAsync(addKey(context, 'it', { type: 'recipient', publicKey }), { code: 'EXISTS' });
});
