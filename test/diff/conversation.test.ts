// Conversations as turns: the forms of records, what is new, and what was rewritten.

import test from 'ava';
import { describeType } from '../../src/diff/binary.ts';
import { compareLines, describeConversation, parseTurn } from '../../src/diff/conversation.ts';
import { maskText } from '../../src/diff/secrets.ts';
import { MASK } from '../../src/model/semantic-diff.ts';

const SHOW = { showSecrets: true };
const NAME = { name: 'planning', isBefore: true, isAfter: true };
const turn = (role: string, content: string): string => JSON.stringify({ type: 'message', message: { role, content } });

const reads = test.macro({
  exec(t, record: unknown, expected: unknown) {
    t.deepEqual(parseTurn(JSON.stringify(record), SHOW), expected as ReturnType<typeof parseTurn>);
  },
  title: (name = '') => `a turn is read: ${name}`,
});

test(
  'OpenClaw’s',
  reads,
  {
    type: 'message',
    timestamp: '2026-11-22T09:28:19.887Z',
    message: {
      role: 'assistant',
      content: [
        { type: 'thinking', thinking: 'hm' },
        { type: 'text', text: 'Saved' },
        { type: 'toolCall', name: 'write', arguments: { path: 'a' } },
      ],
    },
  },
  {
    role: 'assistant',
    text: 'Saved',
    tools: [{ name: 'write', arguments: '{"path":"a"}' }],
    time: '2026-11-22T09:28:19.887Z',
  },
);
test(
  'a tool’s result',
  reads,
  { type: 'message', message: { role: 'toolResult', toolName: 'write', content: [{ type: 'text', text: 'done' }] } },
  {
    role: 'tool',
    text: 'write: done',
    tools: [],
  },
);
test(
  'OpenAI’s',
  reads,
  { role: 'assistant', content: null, tool_calls: [{ function: { name: 'f', arguments: '{"x":1}' } }] },
  {
    role: 'assistant',
    text: '',
    tools: [{ name: 'f', arguments: '{"x":1}' }],
  },
);
test(
  'Anthropic’s',
  reads,
  { role: 'user', content: [{ type: 'tool_result', content: [{ type: 'text', text: 'ok' }] }, { type: 'image' }] },
  {
    role: 'user',
    text: 'ok\n[image]',
    tools: [],
  },
);
test(
  'a plain one',
  reads,
  { from: 'human', text: 'hello', ts: 1_700_000_000 },
  {
    role: 'user',
    text: 'hello',
    tools: [],
    time: '2023-11-14T22:13:20.000Z',
  },
);
test('none at all', reads, { type: 'model_change', modelId: 'x' }, undefined);

test('what is no JSON, or too large, is no turn', (t) => {
  for (const text of ['', '{', 'null', '3', '[]', `{"role":"user","content":"${'x'.repeat(5 << 20)}"}`])
    t.is(parseTurn(text, SHOW), undefined);
});

test('turns at the end are new; a turn before it that changed rewrites the conversation', (t) => {
  const old = [turn('user', 'hi'), turn('assistant', 'hello'), '{"type":"snapshot"}'];
  const more = [...old, turn('user', 'tea?'), '{"type":"snapshot","n":2}'];
  const lines = (records: readonly string[]): string => records.map((one) => `${one}\n`).join('');
  t.like(describeConversation(NAME, compareLines(lines(old), lines(more)), SHOW), {
    change: 'extended',
    added: [{ role: 'user', text: 'tea?' }],
    removed: [],
    otherRecords: 1,
  });
  const rewritten = [turn('user', 'hi'), turn('assistant', 'good day'), ...more.slice(2)];
  t.like(describeConversation(NAME, compareLines(lines(old), lines(rewritten)), SHOW), {
    change: 'rewritten',
    removed: [{ text: 'hello' }],
    added: [{ text: 'good day' }, { text: 'tea?' }],
  });
  const gone = describeConversation({ ...NAME, isAfter: false }, compareLines(lines(old), ''), SHOW);
  t.like(gone, { change: 'removed', added: [] });
  t.is(gone?.removed.length, 2);
  t.is(describeConversation(NAME, compareLines(lines(old.slice(0, 2)), lines(old)), SHOW), undefined);
});

test('of very many turns the newest are listed', (t) => {
  const records = Array.from({ length: 500 }, (_, n) => turn('user', `turn ${n}`));
  const change = describeConversation(NAME, compareLines('', records.join('\n')), { ...SHOW, maxTurns: 3 });
  t.deepEqual(
    change?.added.map(({ text }) => text),
    ['turn 497', 'turn 498', 'turn 499'],
  );
  t.is(change?.moreAdded, 497);
});

test('secrets in turns are masked', (t) => {
  const record = JSON.stringify({
    role: 'assistant',
    content: [
      { type: 'text', text: 'use token: hunter2-correct' },
      { type: 'tool_use', name: 'x', input: { apiKey: 'hunter2-correct', note: '{"password":"hunter2-correct"}' } },
    ],
  });
  t.false(JSON.stringify(parseTurn(record, { showSecrets: false })).includes('hunter2'));
  t.true(JSON.stringify(parseTurn(record, SHOW)).includes('hunter2'));
});

test('texts are masked where they hold secrets, and left alone where they do not', (t) => {
  for (const text of [
    'the password is required',
    'token: count them',
    'https://example.org/?page=2',
    'maxTokens: 4096',
    'a: 1',
    'commit 3fa91c0277',
  ])
    t.is(maskText(text), text);
  for (const text of [
    'password=hunter22',
    '"token": "abc"',
    "botToken: 'x y'",
    'ghp_abcdefghijklmnopqrstuvwxyz0123456789',
    'Authorization: Bearer abcdefghijklmnop',
  ])
    t.true(maskText(text).includes(MASK), text);
});

test('a text made to be slow is masked fast enough to end', (t) => {
  for (const text of [
    '"'.repeat(500_000),
    `password: ${'\\"'.repeat(200_000)}`,
    `a${'.a'.repeat(300_000)}=`,
    `-----BEGIN PRIVATE KEY-----${' '.repeat(500_000)}`,
    `eyJ${'a'.repeat(500_000)}`,
    '-----BEGIN PRIVATE KEY-----'.repeat(20_000),
  ])
    t.is(typeof maskText(text), 'string');
});

test('a file’s type is told by its first bytes', (t) => {
  t.is(describeType(Buffer.from('89504e470d0a1a0a00', 'hex')), 'PNG image');
  t.is(describeType(Buffer.from('SQLite format 3\0')), 'SQLite database');
  t.is(describeType(Buffer.from('BMW is a car')), 'text');
  t.is(describeType(Buffer.from([0xff, 0x00])), 'data');
  t.is(describeType(Buffer.alloc(0)), 'empty');
});
