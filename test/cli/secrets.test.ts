// Where a passphrase comes from, in which order, and what is said when it comes from nowhere.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Prompt } from '../../src/cli/prompt.ts';
import { createSecrets } from '../../src/cli/secrets.ts';
import { isMoltError } from '../../src/model/error.ts';

async function secretFile(t: ExecutionContext, content: string | Buffer): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'molt-secret-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const file = path.join(folder, 'passphrase');
  await writeFile(file, content, { mode: 0o600 });
  return file;
}

function answering(...answers: string[]): Prompt & { asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    async hidden(message, check) {
      asked.push(message);
      for (;;) {
        const answer = answers.shift();
        if (answer === undefined) throw new Error('asked too often');
        if (check === undefined || check(answer) === true) return answer;
      }
    },
    async yes() {
      return false;
    },
  };
}

test('the file is asked first, then the environment, then the terminal', async (t) => {
  const passphraseFile = await secretFile(t, 'from file\n');
  const env = { MOLT_PASSPHRASE: 'from env' };
  const prompt = answering('from prompt');
  t.is(await createSecrets({ env, passphraseFile, prompt }).passphrase('x'), 'from file');
  t.is(await createSecrets({ env, passphraseFile: undefined, prompt }).passphrase('x'), 'from env');
  t.is(
    await createSecrets({ env: { MOLT_PASSPHRASE: '' }, passphraseFile: undefined, prompt }).passphrase('x'),
    'from prompt',
  );
  t.deepEqual(prompt.asked, ['Passphrase for x:']);
});

test('without any source the error says how to give one', async (t) => {
  const secrets = createSecrets({ env: {}, passphraseFile: undefined, prompt: undefined });
  const error = await t.throwsAsync(secrets.passphrase('my-agent'), { message: 'a passphrase is needed for my-agent' });
  t.true(isMoltError(error, 'USAGE') && error.hint === 'set MOLT_PASSPHRASE, or give --passphrase-file FILE');
  await t.throwsAsync(secrets.newPassphrase('my-agent'), { message: /a new passphrase/ });
  t.true(isMoltError(await t.throwsAsync(secrets.recoveryKey()), 'USAGE'));
  t.is(await secrets.findPassphrase(), undefined);
});

test('a new passphrase is asked for until both are the same', async (t) => {
  const prompt = answering('', 'secret', 'sercet', 'secret');
  t.is(await createSecrets({ env: {}, passphraseFile: undefined, prompt }).newPassphrase('x'), 'secret');
  t.deepEqual(prompt.asked, ['New passphrase for x:', 'Once more:']);
});

test('a passphrase file is taken as it is but for one line end', async (t) => {
  const read = async (content: string) =>
    createSecrets({ env: {}, passphraseFile: await secretFile(t, content), prompt: undefined }).passphrase('x');
  t.is(await read(' a b \r\n'), ' a b ');
  t.is(await read('no end'), 'no end');
  await t.throwsAsync(read('\n'), { message: /is empty$/ });
  await t.throwsAsync(read('one\ntwo\n'), { message: /more than one line$/ });
  await t.throwsAsync(read('x'.repeat(5000)), { message: /over 4096 bytes$/ });
});

test('a passphrase file that is not there is named, and nothing else is tried', async (t) => {
  const secrets = createSecrets({
    env: { MOLT_PASSPHRASE: 'x' },
    passphraseFile: '/nowhere/at/all',
    prompt: answering('y'),
  });
  const error = await t.throwsAsync(secrets.passphrase('x'), {
    message: "can't read the passphrase file '/nowhere/at/all' (ENOENT)",
  });
  t.true(isMoltError(error, 'USAGE'));
});

test('a recovery key loses the spaces around it', async (t) => {
  const secrets = createSecrets({ env: { MOLT_RECOVERY_KEY: ' KEY ' }, passphraseFile: undefined, prompt: undefined });
  t.is(await secrets.recoveryKey(), 'KEY');
  t.is(await secrets.recoveryKey(await secretFile(t, '  FROM FILE \n')), 'FROM FILE');
});
