// molt cost, as a user's shell sees it.

import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { makeAgentMachine } from './agent.ts';

test('cost shows what a month costs, what others would, and takes the user’s prices', async (t) => {
  const { text, json, run, home, write } = await makeAgentMachine(t, { 'MEMORY.md': 'tea: green\n' });
  await write('MEMORY.md', 'tea: black\n');
  await text(['commit']);
  const shown = await text(['cost']);
  t.regex(shown, /^bot: every 5m, kept for ever, 1 copy; no remote yet: what one would cost\nmeasured over /);
  t.regex(shown, /\nas it is +\S+B +\d+ +0B +\$/);
  t.regex(shown, /\nkept by the plan enterprise /);
  t.regex(shown, /\nnothing expires: it grows by /);
  const other = await text([
    'cost',
    'bot',
    '--every',
    '1h',
    '--retention',
    '90d',
    '--copies',
    '3',
    '--lock-days',
    '120',
  ]);
  t.regex(other, /\nevery 1h, kept for 90d, 3 copies, locked for 120 days +\S+B/);
  const config = path.join(home, '.molt/config.json');
  await writeFile(config, '{"prices": {"currency": "€", "storageGbMonth": 1000000, "put": 5}}');
  const document = await json(['cost', 'bot', '--retention', 'free']);
  t.like(document, {
    agent: 'bot',
    prices: { currency: '€', egressGb: 0.09, thousand: { put: 5, get: 0 } },
    remotes: [],
    now: { change: '', everyMs: 300_000, copies: 1, lockDays: 0 },
    wanted: { retention: 'free' },
    quota: { plan: 'free', mostBytes: 5e9, backups: 1, mostBackups: 3 },
  });
  t.true(document.now.month.cost.storage > 0);
  t.true(document.now.month.cost.requests > 0);
  await writeFile(config, '{"prices": {"storage": 1}}');
  t.like(await run(['cost']), { status: 2 });
  t.regex((await run(['cost'])).stderr, /"prices" in ".*config\.json" has no price "storage"\nhint: /);
  await writeFile(config, '[]');
  t.regex((await run(['cost'])).stderr, /is not a JSON object/);
  await writeFile(config, '{}');
  t.like(await run(['cost', '--every', '0s']), { status: 2 });
  t.like(await run(['cost', '--retention', 'gold']), { status: 2 });
  t.like(await run(['cost', '--copies', '0.5']), { status: 2 });
});
