// molt alert, as a user's shell sees it.

import { chmod, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { makeAgentMachine } from './agent.ts';

const FILES = { 'MEMORY.md': 'tea: green\n'.repeat(50) };

test('a commit that loses a memory warns, status and alert list show it until it is answered', async (t) => {
  const { write, run, json, text } = await makeAgentMachine(t, FILES);
  await write('MEMORY.md', '');
  const made = await run(['commit']);
  t.is(made.status, 0);
  t.regex(made.stderr, /looks like a loss: state\/MEMORY\.md shrank from 550 to 0 bytes\n/);
  const [alert] = await json(['alert', 'list']);
  const short = alert.commit.slice(0, 10);
  t.regex(made.stderr, new RegExp(`molt alert answer ${short} --fine or --lost\n$`));
  t.deepEqual(alert.findings, ['state/MEMORY.md shrank from 550 to 0 bytes']);
  t.regex(await text(['status']), /Looks like a loss, noticed .*:\n {2}state\/MEMORY\.md shrank/);
  t.is((await json(['status'])).alerts.length, 1);
  t.regex(await text(['hold', 'list']), /alert: state\/MEMORY\.md shrank/);
  const unsure = await run(['alert', 'answer']);
  t.is(unsure.status, 2);
  t.regex(unsure.stderr, /needs --fine or --lost\nhint: molt alert list shows what looks lost\n$/);
  t.is((await run(['alert', 'answer', '--fine', '--lost'])).status, 2);
  t.regex(await text(['alert', 'answer', short, '--lost']), /stays held: it is the last backup before the loss/);
  t.deepEqual(await json(['alert', 'list', 'bot']), []);
  const none = await run(['alert', 'answer', '--all', '--fine']);
  t.is(none.status, 1);
  t.regex(none.stderr, /no alert waits for an answer/);
});

test('alert set shows what is set without its secret, and alert test says what arrived', async (t) => {
  const { home, run, json, text } = await makeAgentMachine(t, FILES);
  t.like(await json(['alert', 'set']), {
    webhook: null,
    command: null,
    sharePercent: 50,
    overdueMs: 3_600_000,
    waiting: 0,
  });
  const nowhere = await run(['alert', 'test']);
  t.is(nowhere.status, 2);
  t.regex(nowhere.stderr, /alerts go nowhere yet/);
  const program = path.join(home, 'hook');
  await writeFile(program, '#!/bin/sh\ncat >/dev/null\nexit $(cat "$1")\n');
  await chmod(program, 0o755);
  await writeFile(path.join(home, 'status'), '0\n');
  const set = await text([
    'alert',
    'set',
    '--share',
    '30%',
    '--overdue',
    '2h',
    '--',
    program,
    path.join(home, 'status'),
  ]);
  t.regex(set, /Alerts go to the command \/.*hook .*status\.\n.*more than 30% .*\n.*failed for 2 hours\.\n$/);
  t.is(await text(['alert', 'test']), 'command: delivered\n');
  await writeFile(path.join(home, 'status'), '4\n');
  const failed = await run(['alert', 'test', 'bot', '--json']);
  t.is(failed.status, 3);
  t.deepEqual(JSON.parse(failed.stdout), [{ channel: 'command', delivered: false }]);
  t.is((await json(['alert', 'set'])).waiting, 1);
  await writeFile(path.join(home, 'url'), 'https://hooks.example.com/s3cr3t\n');
  const hooked = await run(['alert', 'set', '--webhook-file', 'url', '--off', 'command', '--json'], { cwd: home });
  t.like(JSON.parse(hooked.stdout), { webhook: 'hooks.example.com', command: null, sharePercent: 30 });
  t.false((hooked.stdout + hooked.stderr).includes('s3cr3t'));
  await writeFile(path.join(home, 'url'), 'hooks.example.com/s3cr3t\n');
  const wrong = await run(['alert', 'set', '--webhook-file', path.join(home, 'url')]);
  t.is(wrong.status, 2);
  t.false(wrong.stderr.includes('s3cr3t'));
  for (const option of ['--share=0', '--share=120%', '--share=half', '--overdue=5s', '--off=all'])
    t.is((await run(['alert', 'set', option])).status, 2, option);
  t.like(await json(['alert', 'set', '--off', 'webhook', '--off', 'watch']), { webhook: null, sharePercent: null });
});
