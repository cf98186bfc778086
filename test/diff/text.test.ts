// Unified diffs of texts: what they say, that a real patch(1)-like reading of them gives the new text, and their limits.

import test from 'ava';
import { applyPatch } from 'diff';
import fc from 'fast-check';
import { detectKind, KIND_HEAD_BYTES } from '../../src/diff/kind.ts';
import { printable } from '../../src/model/printable.ts';
import { diffText } from '../../src/diff/text.ts';

const side = (text: string | undefined, path = 'state/a.md') => ({
  path: text === undefined ? undefined : path,
  bytes: Buffer.from(text ?? ''),
});

function lines(before: string | undefined, after: string | undefined): readonly string[] {
  return diffText(side(before), side(after)).lines;
}

test('a changed line is shown with its surroundings and counted', (t) => {
  const before = Array.from({ length: 20 }, (_, index) => `line ${index + 1}\n`).join('');
  const diff = diffText(side(before), side(before.replace('line 10\n', 'line ten\nand more\n')));
  t.deepEqual(diff.lines, [
    '--- a/state/a.md',
    '+++ b/state/a.md',
    '@@ -7,7 +7,8 @@',
    ' line 7',
    ' line 8',
    ' line 9',
    '-line 10',
    '+line ten',
    '+and more',
    ' line 11',
    ' line 12',
    ' line 13',
  ]);
  t.like(diff, { added: 2, removed: 1, omitted: undefined });
});

test('a file that comes or goes is compared with /dev/null', (t) => {
  t.deepEqual(lines(undefined, 'x\n'), ['--- /dev/null', '+++ b/state/a.md', '@@ -0,0 +1 @@', '+x']);
  t.deepEqual(lines('x\ny\n', undefined), ['--- a/state/a.md', '+++ /dev/null', '@@ -1,2 +0,0 @@', '-x', '-y']);
  t.deepEqual(lines(undefined, ''), ['--- /dev/null', '+++ b/state/a.md']);
});

test('equal files have no diff', (t) => {
  t.deepEqual(diffText(side('x\n'), side('x\n')), { added: 0, removed: 0, omitted: undefined, lines: [] });
});

test('a missing newline at the end is told', (t) => {
  t.deepEqual(lines('a\nb', 'a\nb\n').slice(3), [' a', '-b', '\\ No newline at end of file', '+b']);
  t.deepEqual(lines('a', 'b').slice(3), ['-a', '\\ No newline at end of file', '+b', '\\ No newline at end of file']);
});

test('a carriage return that comes or goes is visible', (t) => {
  t.deepEqual(lines('a\n', 'a\r\n').slice(3), ['-a', '+a^M']);
});

test('no control character of a file or path reaches the terminal', (t) => {
  const hostile = '\u001b]0;title\u0007\u009b31m\u007f\u202e\u0000'.replace('\u0000', '');
  const diff = diffText(side('x\n', 'state/\u001b[2J\nb'), side(`x\n${hostile}\n`, 'state/\u001b[2J\nb'));
  // oxlint-disable-next-line no-control-regex -- control characters are what it looks for
  for (const line of diff.lines) t.notRegex(line, /[\u0000-\u001f\u007f-\u009f\u202e]/);
  t.is(diff.lines[0], '--- a/state/^[[2J^Jb');
  t.is(diff.lines.at(-1), '+^[]0;title^G<U+009B>31m^?<U+202E>');
});

test('what is safe to print stays as it is', (t) => {
  t.is(printable('tab\there\nnext – ümläut 日本語 👍'), 'tab\there\nnext – ümläut 日本語 👍');
});

test('bytes that are not text are not compared by lines', (t) => {
  const binary = { path: 'x', bytes: Buffer.from([0xff, 0xfe, 0x00]) };
  const diff = diffText(binary, side('x\n'));
  t.is(diff.omitted, 'binary');
  t.is(diff.lines.at(-1), 'Binary files differ: 3 -> 2 bytes');
  t.is(diffText(side('a\u0000b'), side('c')).omitted, 'binary');
});

test('a side over the cap is not read as text', (t) => {
  t.is(diffText(side('x\n'.repeat(10)), side('y\n'), { maxBytes: 19 }).omitted, 'too large');
  t.is(diffText(side('x\n'.repeat(10)), side('y\n'), { maxBytes: 20 }).omitted, undefined);
});

test('texts with too many differences are counted, not shown', (t) => {
  const numbered = (prefix: string) => Array.from({ length: 3000 }, (_, index) => `${prefix}${index}\n`).join('');
  const diff = diffText(side(`same\n${numbered('a')}`), side(`same\n${numbered('b')}`), { contextLines: 0 });
  t.like(diff, { omitted: 'too different' });
  t.true(diff.added >= 3000 && diff.added <= 3001);
  t.is(diff.lines.length, 3);
});

test('a large file with a few appended lines is compared in full', (t) => {
  const before = 'an old line\n'.repeat(300_000);
  const diff = diffText(side(before), side(`${before}one\ntwo\n`));
  t.like(diff, { added: 2, removed: 0, omitted: undefined });
  t.is(diff.lines[2], '@@ -299998,3 +299998,5 @@');
});

test('applying the diff to the old text gives the new text', (t) => {
  const text = fc
    .array(fc.constantFrom('a', 'b', 'c', 'd', ''), { maxLength: 30 })
    .chain((array) => fc.boolean().map((end) => array.join('\n') + (end && array.length > 0 ? '\n' : '')));
  fc.assert(
    fc.property(text, text, fc.integer({ min: 0, max: 4 }), (before, after, contextLines) => {
      const diff = diffText(side(before), side(after), { contextLines });
      t.is(before === after ? before : applyPatch(before, `${diff.lines.join('\n')}\n`), after);
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
