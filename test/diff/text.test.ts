// Unified diffs of texts: what they say, that a real patch(1)-like reading of them gives the new text, and their limits.

import test from 'ava';
import { applyPatch } from 'diff';
import fc from 'fast-check';
import { detectKind, KIND_HEAD_BYTES } from '../../src/diff/kind.ts';
import { printable } from '../../src/model/printable.ts';
import { describeDiff } from '../../src/cli/diff-text.ts';
import { markWords } from '../../src/diff/markdown.ts';
import { diffText } from '../../src/diff/text.ts';

const PLAIN = {
  mode: { json: false, quiet: false, verbose: false, colour: false },
  style: (_: unknown, text: string) => text,
};
const bytes = (text: string | undefined): Buffer => Buffer.from(text ?? '');

function lines(before: string | undefined, after: string | undefined, path = 'state/a.txt', limits = {}): string[] {
  const change = before === undefined ? 'added' : after === undefined ? 'removed' : 'modified';
  const diff = diffText(bytes(before), bytes(after), limits);
  const marked = markWords(diff, { format: 'text', showSecrets: true, after: after ?? '' });
  return [...describeDiff(PLAIN, { path, component: 'custom', change }, marked)].map((line) => printable(line));
}

test('a changed line is shown with its surroundings and counted', (t) => {
  const before = Array.from({ length: 20 }, (_, index) => `line ${index + 1}\n`).join('');
  const after = before.replace('line 10\n', 'something\nand more\n');
  t.deepEqual(lines(before, after), [
    '--- a/state/a.txt',
    '+++ b/state/a.txt',
    '@@ -7,7 +7,8 @@',
    ' line 7',
    ' line 8',
    ' line 9',
    '-line 10',
    '+something',
    '+and more',
    ' line 11',
    ' line 12',
    ' line 13',
  ]);
  t.like(diffText(bytes(before), bytes(after)), { added: 2, removed: 1, omitted: undefined });
});

test('a file that comes or goes is compared with /dev/null', (t) => {
  t.deepEqual(lines(undefined, 'x\n'), ['--- /dev/null', '+++ b/state/a.txt', '@@ -0,0 +1 @@', '+x']);
  t.deepEqual(lines('x\ny\n', undefined), ['--- a/state/a.txt', '+++ /dev/null', '@@ -1,2 +0,0 @@', '-x', '-y']);
  t.deepEqual(lines(undefined, ''), ['--- /dev/null', '+++ b/state/a.txt']);
});

test('equal files have no diff', (t) => {
  t.deepEqual(diffText(bytes('x\n'), bytes('x\n')), { added: 0, removed: 0, omitted: undefined, hunks: [] });
});

test('a missing newline at the end is told', (t) => {
  t.deepEqual(lines('a\nb', 'a\nb\n').slice(3), [' a', '-b', '\\ No newline at end of file', '+b']);
  t.deepEqual(lines('a', 'b').slice(3), ['-a', '\\ No newline at end of file', '+b', '\\ No newline at end of file']);
});

test('a carriage return that comes or goes is visible', (t) => {
  t.deepEqual(lines('a\n', 'a\r\n').slice(3), ['-a', '+a{+^M+}']);
});

test('no control character of a file or path reaches the terminal', (t) => {
  const hostile = '\u001b]0;title\u0007\u009b31m\u007f\u202e\u0000'.replace('\u0000', '');
  const shown = lines('x\n', `x\n${hostile}\n`, 'state/\u001b[2J\nb');
  // oxlint-disable-next-line no-control-regex -- control characters are what it looks for
  for (const line of shown) t.notRegex(line, /[\u0000-\u001f\u007f-\u009f\u202e]/);
  t.is(shown[0], '--- a/state/^[[2J^Jb');
  t.is(shown.at(-1), '+^[]0;title^G<U+009B>31m^?<U+202E>');
});

test('what is safe to print stays as it is', (t) => {
  t.is(printable('tab\there\nnext – ümläut 日本語 👍'), 'tab\there\nnext – ümläut 日本語 👍');
});

test('bytes that are not text are not compared by lines', (t) => {
  t.is(diffText(Buffer.from([0xff, 0xfe, 0x00]), bytes('x\n')).omitted, 'binary');
  t.is(diffText(bytes('a\u0000b'), bytes('c')).omitted, 'binary');
});

test('a side over the cap is not read as text', (t) => {
  t.is(diffText(bytes('x\n'.repeat(10)), bytes('y\n'), { maxBytes: 19 }).omitted, 'too large');
  t.is(diffText(bytes('x\n'.repeat(10)), bytes('y\n'), { maxBytes: 20 }).omitted, undefined);
  t.is(diffText(bytes('x'), undefined).omitted, 'too large');
});

test('texts with too many differences are counted, not shown', (t) => {
  const numbered = (prefix: string) => Array.from({ length: 3000 }, (_, index) => `${prefix}${index}\n`).join('');
  const diff = diffText(bytes(`same\n${numbered('a')}`), bytes(`same\n${numbered('b')}`), { contextLines: 0 });
  t.like(diff, { omitted: 'too different', hunks: [] });
  t.true(diff.added >= 3000 && diff.added <= 3001);
});

test('a large file with a few appended lines is compared in full', (t) => {
  const before = 'an old line\n'.repeat(300_000);
  const diff = diffText(bytes(before), bytes(`${before}one\ntwo\n`));
  t.like(diff, { added: 2, removed: 0, omitted: undefined });
  t.like(diff.hunks[0], { beforeStart: 299_998, beforeLines: 3, afterStart: 299_998, afterLines: 5 });
});

test('applying the diff to the old text gives the new text', (t) => {
  const text = fc
    .array(fc.constantFrom('a', 'b', 'c', 'd', ''), { maxLength: 30 })
    .chain((array) => fc.boolean().map((end) => array.join('\n') + (end && array.length > 0 ? '\n' : '')));
  fc.assert(
    fc.property(text, text, fc.integer({ min: 0, max: 4 }), (before, after, contextLines) => {
      const patch = `${lines(before, after, 'a.txt', { contextLines }).join('\n')}\n`;
      t.is(before === after ? before : applyPatch(before, patch), after);
    }),
    { numRuns: 500 },
  );
});

test('a blob is told by its first bytes, then by its path', (t) => {
  t.is(detectKind(Buffer.from('SQLite format 3\0rest'), 'x.txt'), 'sqlite');
  t.is(detectKind(Buffer.from(''), 'empty'), 'text');
  t.is(detectKind(Buffer.from('{"a":1}'), 'openclaw.json'), 'text');
  t.is(detectKind(Buffer.from('%PDF-1.4 text so far'), 'a.pdf'), 'binary');
  t.is(detectKind(Buffer.from('a\0b'), 'a.md'), 'binary');
  t.is(detectKind(Buffer.from([0xc3, 0x28]), 'a.md'), 'binary');
  t.is(detectKind(Buffer.from('x'), 'memory.sqlite-wal'), 'binary');
});

test('a character that lies across the end of the looked-at bytes does not make a text binary', (t) => {
  const text = Buffer.from(`${'x'.repeat(KIND_HEAD_BYTES - 1)}ü and more`);
  t.is(detectKind(text, 'a.md'), 'text');
  t.is(detectKind(text.subarray(0, KIND_HEAD_BYTES), 'a.md'), 'text');
});
