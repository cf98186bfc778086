// The rule for object names.

import test from 'ava';
import { checkName, checkPrefix } from '../../src/storage/name.ts';

test('every name of the layout is a name, and each of its beginnings a prefix', (t) => {
  const hash = 'ab'.repeat(32);
  const names = [
    'format.json',
    'keys/1',
    'log/000000000001',
    `packs/ab/${hash}`,
    `index/${hash}`,
    `checkpoint/000000000001-${hash}`,
  ];
  for (const name of names) {
    t.notThrows(() => checkName(name), name);
    for (let end = 0; end <= name.length; end += 1)
      t.notThrows(() => checkPrefix(name.slice(0, end)), name.slice(0, end));
  }
});

test('a refusal shows the name safely and not at any length', (t) => {
  t.throws(() => checkName('a\u001b[31m'), { message: '"a\\u001b[31m" is not an object name' });
  t.throws(() => checkName('A'.repeat(5_000)), { message: `"${'A'.repeat(80)}…" is not an object name` });
});
