// Search and blame, as a user's shell sees them.

import { rm } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { makeAgentMachine } from './agent.ts';

const FILES = { 'MEMORY.md': 'tea: green\n', 'log/a.md': 'one\n' };

test('search shows where a phrase was, since when and until when', async (t) => {
  const { write, json, text, run, stateDir } = await makeAgentMachine(t, FILES);
  await write('MEMORY.md', 'tea: green\nproject: Heron\n');
  const { id: came } = await json(['commit']);
  await rm(path.join(stateDir, 'log/a.md'));
  await write('MEMORY.md', 'tea: green\n');
  const { id: went } = await json(['commit']);
  const [answer, ...others] = await json(['search', 'project: heron']);
  t.is(others.length, 0);
  t.like(answer, { path: 'state/MEMORY.md', line: 2, excerpt: 'project: Heron', mayBeEarlier: false });
  t.is(answer.appeared.id, came);
  t.is(answer.gone.id, went);
  t.regex(answer.appeared.time, /^\d{4}-.*\.\d{3}Z$/);
  const shown = await text(['search', 'project:', 'HERON']);
  t.regex(
    shown,
    /^state\/MEMORY\.md:2\n {4}project: Heron\n {2}appeared {2}[0-9a-f]{10} {2}.*\n {2}gone {6}[0-9a-f]{10} {2}/,
  );
  t.is(await text(['search', 'bot', 'project: heron', '--first']), shown);
  t.regex(await text(['search', 'green', '-n', '1', '--', 'MEMORY.md']), /still there\n$/);
  t.deepEqual(await json(['search', 'HERON', '--case']), []);
  t.like(await run(['search', 'nothing like it']), { status: 0, stdout: '' });
  t.like(await run(['search', 'x']), { status: 2 });
  t.like(await run(['search', 'green', '--rev', 'nowhere']), { status: 1 });
});

test('search takes one word for the phrase, also where an agent is called so', async (t) => {
  const { json } = await makeAgentMachine(t, { 'MEMORY.md': 'a bot\n' });
  t.is((await json(['search', 'bot'])).length, 1);
});

test('what an agent wrote reaches a terminal only as text', async (t) => {
  const { text } = await makeAgentMachine(t, { 'evil.md': 'tea \u001b]0;owned\u0007 \u202egreen\n' });
  const shown = await text(['search', 'tea']);
  t.false(shown.includes('\u001b]'));
  t.false(shown.includes('\u202e'));
  t.false((await text(['blame', 'HEAD:evil.md'])).includes('\u001b]'));
});

test('blame shows who wrote each line and what was said before', async (t) => {
  const { write, json, text, run } = await makeAgentMachine(t, FILES);
  await write('MEMORY.md', 'tea: green\nproject: Heron\n');
  const time = new Date().toISOString();
  const said = { type: 'message', timestamp: time, message: { role: 'user', content: 'the project is called Heron' } };
  await write('sessions/s1.jsonl', `${JSON.stringify(said)}\n`);
  const { id, parent } = await json(['commit']);
  const document = await json(['blame', 'HEAD:MEMORY.md']);
  t.deepEqual(document.lines, [
    { number: 1, text: 'tea: green', commit: parent },
    { number: 2, text: 'project: Heron', commit: id },
  ]);
  t.like(document.moments[0], {
    id,
    mayBeEarlier: false,
    turns: [{ role: 'user', text: 'the project is called Heron' }],
  });
  t.like(document.moments[1], { id: parent, mayBeEarlier: true, before: null });
  const shown = await text(['blame', 'bot', 'HEAD:MEMORY.md', '-L', '2']);
  t.regex(shown, /^ [0-9a-f]{10} {2}\S+.* {2}2 {2}project: Heron\n/);
  t.regex(shown, /user in s1: the project is called Heron/);
  t.notRegex(await text(['blame', 'HEAD:MEMORY.md', '--no-turns']), /is called/);
  t.like(await run(['blame', 'HEAD:MEMORY.md', '-L', 'x']), { status: 2 });
  t.like(await run(['blame', 'HEAD']), { status: 2 });
});
