// The grammar of REV and REV:PATH.

import test from 'ava';
import fc from 'fast-check';
import { isMoltError } from '../../src/model/error.ts';
import type { RevisionBase, RevisionStep } from '../../src/policy/revision.ts';
import { findRevisionPath, isRevisionName, parseRevision, parseRevisionPath } from '../../src/policy/revision.ts';

const ID = '0123456789abcdef0123456789abcdef01234567';

const reads = test.macro({
  exec(t, text: string, base: RevisionBase, steps: RevisionStep[] = []) {
    t.deepEqual(parseRevision(text), { text, base, steps });
  },
  title: (_, text: string) => `"${text}" is a revision`,
});

test(reads, 'HEAD', { kind: 'head' });
test(reads, '@', { kind: 'head' });
test(reads, 'latest', { kind: 'latest' });
test(reads, 'HEAD~3', { kind: 'head' }, [{ kind: 'ancestor', n: 3 }]);
test(reads, 'HEAD~', { kind: 'head' }, [{ kind: 'ancestor', n: 1 }]);
test(reads, 'latest^', { kind: 'latest' }, [{ kind: 'parent', n: 1 }]);
test(reads, 'main~2^2^', { kind: 'name', name: 'main' }, [
  { kind: 'ancestor', n: 2 },
  { kind: 'parent', n: 2 },
  { kind: 'parent', n: 1 },
]);
test(reads, ID, { kind: 'name', name: ID, idPrefix: ID });
test(reads, 'ABCD', { kind: 'name', name: 'ABCD', idPrefix: 'abcd' });
test(reads, 'abc', { kind: 'name', name: 'abc' });
test(reads, `${ID}0`, { kind: 'name', name: `${ID}0` });
test(reads, 'full/20260305T020000Z', { kind: 'name', name: 'full/20260305T020000Z' });
test(reads, 'before-märz', { kind: 'name', name: 'before-märz' });
test(reads, 'me@home', { kind: 'name', name: 'me@home' });
test(reads, '@{yesterday}', { kind: 'at', time: 'yesterday' });
test(reads, 'my-agent@{2026-03-04 14:30:00}~1', { kind: 'at', name: 'my-agent', time: '2026-03-04 14:30:00' }, [
  { kind: 'ancestor', n: 1 },
]);

const refuses = test.macro({
  exec(t, text: string, message: RegExp) {
    const error = t.throws(() => parseRevision(text));
    t.true(isMoltError(error, 'USAGE'));
    t.regex(error?.message ?? '', message);
  },
  title: (_, text: string) => `"${text.slice(0, 30)}" is not a revision`,
});

test(refuses, '', /empty/);
test(refuses, 'x'.repeat(5000), /too long/);
test(refuses, '~3', /nothing stands before/);
test(refuses, 'HEAD~x', /'~x' is not understood/);
test(refuses, 'HEAD~99999999999999999999', /more than any history/);
test(refuses, 'a..b', /range/);
test(refuses, 'a b', /'a b' can't be a name/);
test(refuses, '-rf', /'-rf' can't be a name/);
test(refuses, 'agent@{', /brace/);
test(refuses, 'agent@{ }', /empty/);
test(refuses, '../x@{now}', /can't be a name/);
test(refuses, '@{now}x', /'x' is not understood/);
test(refuses, 'tag.lock', /can't be a name/);
test(refuses, 'HEAD:path', /has a path/);

test('a path follows the first colon that is outside a time', (t) => {
  const parsed = parseRevisionPath('agent@{14:30}~2:state/a:b.md');
  t.deepEqual(parsed.revision, parseRevision('agent@{14:30}~2'));
  t.is(parsed.path, 'state/a:b.md');
  t.is(parseRevisionPath('HEAD:').path, '');
  t.is(parseRevisionPath('HEAD:./state//x/').path, 'state/x');
});

test('a path may not leave the tree', (t) => {
  t.throws(() => parseRevisionPath('HEAD:/etc/passwd'), { message: /begins with a slash/ });
  t.throws(() => parseRevisionPath('HEAD:a/../../b'), { message: /leaves the tree/ });
  t.throws(() => parseRevisionPath('HEAD:a\0b'), { message: /NUL/ });
});

test('a revision without a path is told apart from one with a path', (t) => {
  t.is(findRevisionPath('HEAD~2'), undefined);
  t.is(findRevisionPath('HEAD~2:x')?.path, 'x');
  t.throws(() => parseRevisionPath('HEAD'), { message: /a path is missing/ });
});

test('a name can be a tag or branch only if a revision could spell it', (t) => {
  for (const name of ['main', 'full/20260305T020000Z', 'a.b', 'cafe']) t.true(isRevisionName(name), name);
  for (const name of [
    '',
    'HEAD',
    'latest',
    '@',
    'a..b',
    'a b',
    '.a',
    'a/',
    'a//b',
    'a.lock',
    'a@{b',
    'a:b',
    '-a',
    'a\u001bb',
  ]) {
    t.false(isRevisionName(name), name);
  }
});

test('any text either is a revision that says so again or is refused as usage', (t) => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        return parseRevision(text).text === text;
      } catch (error) {
        return isMoltError(error, 'USAGE');
      }
    }),
  );
  t.pass();
});
