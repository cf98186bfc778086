// Configuration by key path: what is said of two versions leads from one to the other, secrets are masked, and bombs end in nothing.

import test from 'ava';
import fc from 'fast-check';
import json5 from 'json5';
import { stringify as stringifyYaml } from 'yaml';
import { diffConfig, findConfigFormat, type ConfigFormat, type ValueOptions } from '../../src/diff/config.ts';
import { diffValues, formatPath, type ValueChange } from '../../src/diff/values.ts';
import { MASK } from '../../src/model/semantic-diff.ts';

const OPEN: ValueOptions = { showSecrets: true, secrets: {} };
const MASKED: ValueOptions = { showSecrets: false, secrets: {} };

/** Returns the changes in short: `path: old -> new`. */
function changes(before: string, after: string, format: ConfigFormat = 'json', options = OPEN): string[] {
  const diff = diffConfig(before, after, format, options);
  return (diff?.changes ?? []).map((one) => `${one.path}: ${one.before ?? '(none)'} -> ${one.after ?? '(none)'}`);
}

const told = test.macro({
  exec(t, before: unknown, after: unknown, expected: readonly string[]) {
    t.deepEqual(changes(JSON.stringify(before), JSON.stringify(after)), expected);
  },
  title: (_, before: unknown, after: unknown) => `${JSON.stringify(before)} -> ${JSON.stringify(after)}`,
});

test(
  told,
  { skills: { entries: { 'tea-timer': { enabled: true } } } },
  { skills: { entries: { 'tea-timer': { enabled: false } } } },
  ['skills.entries.tea-timer.enabled: true -> false'],
);
test(told, { a: 1 }, { a: 1, b: { c: [true], d: {} } }, ['b.c[0]: (none) -> true', 'b.d: (none) -> {}']);
test(told, { models: { 'fake/1': 1 } }, { models: { 'fake/1': 2 } }, ['models["fake/1"]: 1 -> 2']);
test(
  told,
  [
    { id: 'a', x: 1 },
    { id: 'b', x: 1 },
  ],
  [{ id: 'new' }, { id: 'a', x: 1 }, { id: 'b', x: 2 }],
  ['[id=new].id: (none) -> "new"', '[id=b].x: 1 -> 2'],
);
test(told, { list: ['a', 'b', 'c'] }, { list: ['b', 'x', 'c', 'd'] }, [
  'list[0]: "a" -> (none)',
  'list[1]: (none) -> "x"',
  'list[3]: (none) -> "d"',
]);
test(told, { a: { b: 1 } }, { a: [1] }, ['a: {"b":1} -> [1]']);
test(told, { a: 1, b: 2 }, { b: 2, a: 1 }, []);
test(told, 1, 2, [': 1 -> 2']);

test('other forms of configuration say the same', (t) => {
  const [before, after] = [{ a: { b: [1, 2], c: 'x' } }, { a: { b: [1, 3], c: 'x' } }];
  t.deepEqual(changes(json5.stringify(before, { space: 1 }), `// why\n${json5.stringify(after)}`, 'json5'), [
    'a.b[1]: 2 -> 3',
  ]);
  t.deepEqual(changes(json5.stringify(before), json5.stringify(after), 'json'), ['a.b[1]: 2 -> 3']);
  t.deepEqual(changes(stringifyYaml(before), stringifyYaml(after), 'yaml'), ['a.b[1]: 2 -> 3']);
  t.deepEqual(changes('# x\nexport A="1"\nB=2\n', "A='1'\nB=3\nC=\n", 'env'), ['B: "2" -> "3"', 'C: (none) -> ""']);
});

test('a file that comes or goes is told value by value', (t) => {
  t.like(diffConfig(undefined, '{"a":{"b":1}}', 'json', OPEN), {
    changes: [{ path: 'a.b', change: 'added', after: '1' }],
  });
  t.like(diffConfig('[1]', undefined, 'json', OPEN), { changes: [{ path: '[0]', change: 'removed', before: '1' }] });
});

test('integers that a double cannot hold are told apart', (t) => {
  t.deepEqual(changes('{"id":12345678901234567890}', '{"id":12345678901234567891}'), [
    'id: 12345678901234567890 -> 12345678901234567891',
  ]);
});

test('a file is a configuration by its name', (t) => {
  const names = [
    'openclaw.json',
    'a/openclaw.json.bak.2',
    '.env',
    '.env.local',
    'x.env',
    'pod.yaml',
    'c.json5',
    'a.md',
    'x.jsonl',
  ];
  t.deepEqual(names.map(findConfigFormat), [
    'json',
    'json',
    'env',
    'env',
    'env',
    'yaml',
    'json5',
    undefined,
    undefined,
  ]);
});

const SECRET = 'correct-horse-battery';

const masks = test.macro({
  exec(t, before: object, after: object, options: Partial<ValueOptions> = {}) {
    const diff = diffConfig(JSON.stringify(before), JSON.stringify(after), 'json', { ...MASKED, ...options });
    const text = JSON.stringify(diff);
    t.notRegex(text, new RegExp(`${SECRET}|hunter2|sk-live|${SECRET.slice(0, 9)}`), text);
    t.true(text.includes(MASK));
    const shown = JSON.stringify(
      diffConfig(JSON.stringify(before), JSON.stringify(after), 'json', { ...OPEN, ...options }),
    );
    t.false(shown.includes(MASK));
  },
  title: (_, before: object, after: object, _options?: Partial<ValueOptions>) =>
    `a secret is masked in ${JSON.stringify([before, after])}`,
});

test(masks, { gateway: { auth: { token: SECRET } } }, { gateway: { auth: { token: `${SECRET}2` } } });
test(masks, {}, { channels: { telegram: { botToken: SECRET, nested: { deep: 1 } } } });
test(masks, { p: { apiKey: SECRET } }, { p: 1 });
test(masks, { password: 12 }, { password: 'hunter2' });
test(masks, { credentials: { a: [SECRET] } }, { credentials: { a: [] } });
test(masks, { a: 'x' }, { a: `curl -H 'Authorization: Bearer ${SECRET}-9'` });
test(masks, { a: 'x' }, { a: `{"password":"${SECRET}"}` });
test(masks, { a: 'x' }, { a: 'sk-live-aaaaaaaaaaaaaaaaaaaa' });
test(masks, {}, { 'sk-live-aaaaaaaaaaaaaaaaaaaa': { used: 1 } });
test(masks, {}, { list: [{ id: 'sk-live-aaaaaaaaaaaaaaaaaaaa', x: 1 }] });
test(masks, { mcp: { x: { env: { FOO: SECRET } } } }, { mcp: {} }, { secrets: { paths: [['mcp', '*', 'env']] } });
test(masks, { plain: SECRET }, {}, { secrets: { all: true } });

test('what only sounds like a secret is shown', (t) => {
  const after = { maxTokens: 4096, tokenCount: 12, session_key: 'agent:main:main', keyboard: 'qwerty', author: 'Ada' };
  t.false(JSON.stringify(diffConfig('{}', JSON.stringify(after), 'json', MASKED)).includes(MASK));
});

test('the path of a value can be read by people', (t) => {
  const path = [{ key: 'a' }, { key: 'b c' }, { index: 0 }, { index: 1, field: 'id', identity: 'x y' }, { key: 'd' }];
  t.is(formatPath(path), 'a["b c"][0][id="x y"].d');
});

/** Carries out what was said: what was removed goes, then what was added or changed takes its place. */
function apply(before: unknown, said: readonly ValueChange[]): unknown {
  const own = said.find(({ path }) => path.length === 0);
  if (own !== undefined) return own.change === 'removed' ? undefined : own.after;
  const [step] = said[0]?.path ?? [];
  if (step === undefined) return before;
  return 'index' in step ? applyToList((before ?? []) as unknown[], said) : applyToTree(before ?? {}, said);
}

function applyToTree(before: object, said: readonly ValueChange[]): unknown {
  const tree = new Map<string, unknown>(Object.entries(before));
  const byKey = Map.groupBy(said, ({ path: [step] }) => (step as { key: string }).key);
  for (const [key, changes] of byKey) {
    const value = apply(
      tree.get(key),
      changes.map((change) => ({ ...change, path: change.path.slice(1) })),
    );
    if (value === undefined) tree.delete(key);
    else tree.set(key, value);
  }
  // Of what is gone each value was told, and no more.
  return tree.size === 0 ? undefined : Object.fromEntries(tree);
}

/** The lists of these documents hold scalars. */
function applyToList(before: readonly unknown[], said: readonly ValueChange[]): unknown {
  const places = (change: string) =>
    new Map(
      said
        .filter((one) => one.change === change)
        .map(({ path: [step], after }) => [(step as { index: number }).index, after]),
    );
  const [removed, added, changed] = [places('removed'), places('added'), places('changed')];
  const kept = before.filter((_, index) => !removed.has(index));
  const list: unknown[] = [];
  while (kept.length > 0 || added.has(list.length))
    list.push(added.has(list.length) ? added.get(list.length) : kept.shift());
  const result = list.map((value, index) => (changed.has(index) ? changed.get(index) : value));
  return result.length === 0 ? undefined : result;
}

test('carrying out what is said of two documents gives the newer one', (t) => {
  const scalar = fc.constantFrom(0, 1, 'a', null, true);
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      scalar,
      fc.array(scalar, { maxLength: 6 }),
      fc.dictionary(fc.constantFrom('x', 'y', 'z.w', '__proto__', ''), tie('tree'), { maxKeys: 4 }),
    ),
  }));
  // Inside of something, as documents are: nothing but a whole document is empty without being told so.
  const document = tree.map((value) => ({ it: value }));
  fc.assert(
    fc.property(document, document, (before, after) => {
      t.is(canonical(apply(before, diffValues(before, after))), canonical(after));
    }),
    { numRuns: 2000 },
  );
});

/** Writes a value with its keys in order. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, one]) => `${JSON.stringify(key)}:${canonical(one)}`).join(',')}}`;
}

const bomb = test.macro({
  exec(t, format: ConfigFormat, text: string) {
    t.is(diffConfig('', text, format, MASKED), undefined);
  },
  title: (name = '', format: ConfigFormat) => `${name} (${format}) is left to those who compare text`,
});

const DEEP = 50_000;
test('nesting', bomb, 'json', '['.repeat(DEEP) + ']'.repeat(DEEP));
test('nesting in braces', bomb, 'json', '{"a":'.repeat(DEEP) + '1' + '}'.repeat(DEEP));
test('nesting', bomb, 'json5', '[ /**/'.repeat(DEEP) + ']'.repeat(DEEP));
test('nesting', bomb, 'yaml', '['.repeat(20_000) + ']'.repeat(20_000));
test('nesting by dashes', bomb, 'yaml', '- '.repeat(20_000));
test(
  'aliases of aliases',
  bomb,
  'yaml',
  Array.from({ length: 30 }, (_, n) => `a${n}: &a${n} [${n === 0 ? 'x' : `*a${n - 1},`.repeat(9)}]`).join('\n'),
);
test('what is too large', bomb, 'yaml', `a: ${'x'.repeat(300_000)}`);
test('what is none', bomb, 'json', '{"a":');
test('several documents', bomb, 'yaml', 'a: 1\n---\nb: 2\n');

test('a document of very many values is not compared by them', (t) => {
  t.is(diffConfig('{}', JSON.stringify({ list: Array.from({ length: 600_000 }, () => 0) }), 'json', MASKED), undefined);
});
