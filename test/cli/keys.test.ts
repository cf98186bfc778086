// The key commands as a user runs them: what they print, and the statuses that scripts rely on.

import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import test, { type ExecutionContext } from 'ava';
import { runProgram } from '../../src/cli/program.ts';
import { silentReporter } from '../../src/model/ports.ts';
import { Home } from '../../src/ops/home.ts';
import { initAgent } from '../../src/ops/init.ts';
import { fakeHost, recordingStream } from './fakes.ts';

interface Machine {
  readonly dir: string;
  run(
    words: readonly string[],
    env?: Record<string, string>,
  ): Promise<{ status: number; stdout: string; stderr: string }>;
}

async function makeMachine(t: ExecutionContext): Promise<Machine> {
  const dir = mkdtempSync(join(tmpdir(), 'molt-key-cli-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const home = join(dir, 'home');
  const random = { bytes: (length: number) => randomBytes(length) };
  const clock = { now: () => Date.now() };
  await initAgent(
    {
      home: new Home(home),
      clock,
      random,
      reporter: silentReporter,
      cwd: dir,
      userHome: dir,
      unlock: async () => t.fail(),
      argon2: { memoryKiB: 64, passes: 1, lanes: 1 },
    },
    {
      label: 'it',
      stateDir: mkdtempSync(join(dir, 'state-')),
      profile: 'generic',
      include: [],
      exclude: [],
      passphrase: async () => 'first',
      keepRecoveryKey: async () => {},
    },
  );
  return {
    dir,
    async run(words, env = {}) {
      const stdout = recordingStream();
      const stderr = recordingStream();
      const host = fakeHost(words, {
        stdout,
        stderr,
        clock,
        random,
        cwd: dir,
        env: { HOME: dir, MOLT_HOME: home, ...env },
      });
      const status = await runProgram(host);
      return { status, stdout: stdout.text(), stderr: stderr.text() };
    },
  };
}

test('the keys are listed, as text and as an array of objects', async (t) => {
  const { run } = await makeMachine(t);
  const { status, stdout } = await run(['key', 'list']);
  t.is(status, 0);
  t.regex(
    stdout,
    /^[0-9a-f]{8}  passphrase  passphrase +\d{4}-.*\n[0-9a-f]{8}  recovery +recovery key from init  .*\n[0-9a-f]{8}  device /,
  );
  const slots = JSON.parse((await run(['key', 'list', 'it', '--json'])).stdout) as Record<string, string>[];
  t.deepEqual(
    slots.map((slot) => [Object.keys(slot).join(), slot['type']]),
    ['passphrase', 'recovery', 'device'].map((type) => ['id,type,label,created', type]),
  );
});

test('a recovery key is printed once, or written to a new file and not printed', async (t) => {
  const { run, dir } = await makeMachine(t);
  const printed = await run(['key', 'add', 'recovery']);
  t.is(printed.status, 0);
  const [key = ''] = /MOLT(-[0-9A-Z]{4}){14}/.exec(printed.stdout) ?? [];
  t.is((await run(['key', 'check'], { MOLT_RECOVERY_KEY: key })).status, 0);
  const filed = await run(['key', 'add', 'recovery', '--label', 'safe', '--recovery-key-file', 'safe.txt', '--json']);
  const text = readFileSync(join(dir, 'safe.txt'), 'utf8');
  t.regex(text, /^MOLT-.{69}\n$/);
  t.is(statSync(join(dir, 'safe.txt')).mode & 0o777, 0o600);
  t.false(filed.stdout.includes(text.slice(5, 20)));
  t.like(JSON.parse(filed.stdout), {
    type: 'recovery',
    label: 'safe',
    generation: 3,
    recoveryKeyFile: join(dir, 'safe.txt'),
  });
  t.is((await run(['key', 'add', 'recovery', '--recovery-key-file', 'safe.txt'])).status, 1);
  t.is(readFileSync(join(dir, 'safe.txt'), 'utf8'), text);
});

test('a passphrase is added from a file, and one that opens it already is refused', async (t) => {
  const { run, dir } = await makeMachine(t);
  writeFileSync(join(dir, 'new.txt'), 'second\n');
  t.is((await run(['key', 'add', 'passphrase', '--new-passphrase-file', 'new.txt'])).status, 0);
  t.is((await run(['key', 'check'], { MOLT_PASSPHRASE: 'second' })).status, 0);
  t.like(await run(['key', 'add', 'passphrase'], { MOLT_PASSPHRASE: 'first' }), { status: 1 });
});

test('what makes no sense for a type of key is refused', async (t) => {
  const { run } = await makeMachine(t);
  for (const words of [
    ['recipient'],
    ['device', '--recovery-key-file', 'x'],
    ['recovery', '--new-passphrase-file', 'x'],
  ]) {
    t.is((await run(['key', 'add', ...words])).status, 2, words.join(' '));
  }
});

test('a key is removed after a question, and the last way in is not', async (t) => {
  const { run } = await makeMachine(t);
  t.is((await run(['key', 'remove', 'passphrase'])).status, 2);
  t.like(await run(['key', 'remove', 'passphrase', '--yes', '--quiet']), { status: 0, stderr: '' });
  const last = await run(['key', 'remove', 'recovery key from init', '--yes']);
  t.is(last.status, 2);
  t.regex(last.stderr, /last passphrase or recovery slot/);
});

test('the check ends with 12 when a given secret opens nothing, and names who gets in without this machine', async (t) => {
  const { run, dir } = await makeMachine(t);
  const good = await run(['key', 'check'], { MOLT_PASSPHRASE: 'first' });
  t.is(good.status, 0);
  t.regex(
    good.stdout,
    /keyring 1 is authentic\nfingerprint [0-9a-f ]{39}\nif this machine dies, .*passphrase .*recovery/,
  );
  t.is((await run(['key', 'check'], { MOLT_PASSPHRASE: 'wrong' })).status, 12);
  const [fingerprint = ''] = /[0-9a-f]{4}( [0-9a-f]{4}){7}/.exec(good.stdout) ?? [];
  t.is((await run(['key', 'check', '--fingerprint', fingerprint])).status, 0);
  t.is((await run(['key', 'check', '--fingerprint', fingerprint.replace(/.$/, 'x')])).status, 12);
  rmSync(join(dir, 'home', 'device.key'));
  t.is((await run(['key', 'check'])).status, 12);
});

test('a recipient is let in by a public key, and opens with its identity file and the fingerprint', async (t) => {
  const { run, dir } = await makeMachine(t);
  const made = await run(['key', 'identity', 'id']);
  t.is(statSync(join(dir, 'id')).mode & 0o777, 0o600);
  const publicKey = made.stdout.trim();
  t.is((await run(['key', 'identity', 'id', '--show'])).stdout.trim(), publicKey);
  t.is((await run(['key', 'identity', 'id'])).status, 1);
  t.like(JSON.parse((await run(['key', 'add', '--recipient', publicKey, '--label', 'ana', '--json'])).stdout), {
    type: 'recipient',
    label: 'ana',
  });
  t.is((await run(['key', 'add', '--recipient', publicKey.slice(0, -1)])).status, 2);
  const [fingerprint = ''] = /[0-9a-f]{4}( [0-9a-f]{4}){7}/.exec((await run(['key', 'check'])).stdout) ?? [];
  rmSync(join(dir, 'home', 'device.key'));
  rmSync(join(dir, 'home', 'trust'), { recursive: true });
  const identity = { MOLT_IDENTITY_FILE: 'id' };
  t.is((await run(['log'], identity)).status, 2);
  t.is((await run(['log'], { ...identity, MOLT_FINGERPRINT: 'abcd' })).status, 12);
  t.is((await run(['log'], { ...identity, MOLT_FINGERPRINT: fingerprint })).status, 0);
  const check = await run(['key', 'check'], identity);
  t.is(check.status, 0);
  t.regex(check.stdout, /recipient +ana .*opens/);
});

test('a rotation asks, prints a new recovery key and fingerprint, and the old recovery key opens nothing', async (t) => {
  const { run, dir } = await makeMachine(t);
  const old = /MOLT(-[0-9A-Z]{4}){14}/.exec((await run(['key', 'add', 'recovery'])).stdout)?.[0] ?? '';
  const asked = await run(['key', 'rotate'], { MOLT_PASSPHRASE: 'first' });
  t.is(asked.status, 2);
  const words = ['key', 'rotate', '--yes', '--json', '--recovery-key-file', 'new.txt'];
  t.is((await run(words, { MOLT_PASSPHRASE: 'wrong' })).status, 12);
  const { status, stdout } = await run(words, { MOLT_PASSPHRASE: 'first' });
  t.is(status, 0);
  t.like(JSON.parse(stdout), { epoch: 2, lost: [], recoveryKeyFile: join(dir, 'new.txt') });
  const text = readFileSync(join(dir, 'new.txt'), 'utf8');
  t.false(stdout.includes(text.slice(5, 20)));
  t.is((await run(['key', 'check'], { MOLT_RECOVERY_KEY: text, MOLT_PASSPHRASE: 'first' })).status, 0);
  t.is((await run(['key', 'check'], { MOLT_RECOVERY_KEY: old })).status, 12);
});
