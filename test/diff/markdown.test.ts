// Words that changed in changed lines, and the headings they stand under.

import test from 'ava';
import fc from 'fast-check';
import { markWords } from '../../src/diff/markdown.ts';
import { diffText } from '../../src/diff/text.ts';
import { MASK, type TextDiffResult } from '../../src/model/semantic-diff.ts';

function mark(before: string, after: string, showSecrets = true): TextDiffResult {
  return markWords(diffText(Buffer.from(before), Buffer.from(after)), { format: 'markdown', showSecrets, after });
}

/** Returns the changed lines, with the marked words in brackets. */
function marked(diff: TextDiffResult): string[] {
  return diff.hunks.flatMap(({ lines }) =>
    lines
      .filter(({ change }) => change !== 'same')
      .map(
        ({ change, parts }) =>
          (change === 'added' ? '+' : '-') + parts.map(({ text, changed }) => (changed ? `[${text}]` : text)).join(''),
      ),
  );
}

test('the words that changed in a line are marked on both sides', (t) => {
  t.deepEqual(marked(mark('- Favourite tea: gunpowder green, 80 C\n', '- Favourite tea: sencha, 80 C\n')), [
    '-- Favourite tea: [gunpowder green], 80 C',
    '+- Favourite tea: [sencha], 80 C',
  ]);
});

test('a line that became another one has no marks, and lines are matched across others that came', (t) => {
  const before = '- Lives in Utrecht with two cats\n- Never send email without asking\n';
  const after =
    '- Prefers metric units everywhere\n- Lives in Leiden with two cats\n- Never send email without asking\n';
  t.deepEqual(marked(mark(before, after)), [
    '-- Lives in [Utrecht] with two cats',
    '+- Prefers metric units everywhere',
    '+- Lives in [Leiden] with two cats',
  ]);
});

test('a change is told with the headings that it stands under', (t) => {
  const body = (text: string): string =>
    `# Memory\n\n${'- x\n'.repeat(9)}## People\n\n### Ada\n\n- ${text}\n\n\`\`\`\n# no heading\n\`\`\`\n- y\n- y\n- y\n## Places ##\n\n- ${text}\n`;
  const { hunks } = mark(body('likes tea'), body('likes coffee'));
  t.deepEqual(
    hunks.map(({ section }) => section),
    [
      ['Memory', 'People', 'Ada'],
      ['Memory', 'Places'],
    ],
  );
});

test('what was removed at the end stands under the last heading that is left', (t) => {
  t.deepEqual(mark('# A\n\n- a\n- b\n', '# A\n\n- a\n').hunks[0]?.section, ['A']);
});

test('secrets in lines are masked, with no marks that tell how they changed', (t) => {
  const diff = mark('- the api key is sk-live-aaaaaaaaaaaa\n', '- the api key is sk-live-aaaaaaaaaaab\n', false);
  t.false(JSON.stringify(diff).includes('aaaa'));
  t.deepEqual(marked(diff), [`-- the api key is ${MASK}`, `+- the api key is ${MASK}`]);
  const key = '-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIGJd4nSfXagQZ+TVHZdPa5faEG1nlf3hEfZBy1v24It9\n';
  t.false(JSON.stringify(mark('', key, false)).includes('MC4CAQ'));
  t.true(JSON.stringify(mark('', key, true)).includes('MC4CAQ'));
});

test('of a text with very many changed words only the first are marked', (t) => {
  const text = (word: string): string =>
    Array.from({ length: 900 }, (_, n) => `${`word${n} `.repeat(300)}${word}\n\nsame ${n}\n`).join('');
  const { hunks, addedLines } = mark(text('tea'), text('oolong'));
  const lines = hunks.flatMap((hunk) => hunk.lines).filter(({ parts }) => parts.some(({ changed }) => changed));
  t.is(addedLines, 900);
  t.true(lines.length > 10 && lines.length < 200);
});

test('very long lines are cut', (t) => {
  const diff = mark('a\n', `${'word '.repeat(100_000)}\n`);
  t.true(JSON.stringify(diff).length < 5000);
  t.true(marked(diff)[1]?.endsWith('…'));
});

test('the parts of a line are the line, and unmarked parts are on both sides', (t) => {
  const line = fc
    .array(fc.constantFrom('tea', 'green', ' ', '-', '**', '80', '日本', '\t'), { maxLength: 12 })
    .map((words) => words.join(''));
  const text = fc.array(line, { maxLength: 8 }).map((lines) => lines.map((one) => `${one}\n`).join(''));
  fc.assert(
    fc.property(text, text, (before, after) => {
      const { hunks } = mark(before, after);
      const [olds, nows] = [before.split('\n'), after.split('\n')];
      for (const hunk of hunks) {
        const of = (change: string) => hunk.lines.filter((one) => one.change === 'same' || one.change === change);
        const join = (lines: typeof hunk.lines) => lines.map(({ parts }) => parts.map((part) => part.text).join(''));
        t.deepEqual(
          join(of('removed')),
          olds.slice(hunk.beforeStart - (hunk.beforeLines > 0 ? 1 : 0)).slice(0, hunk.beforeLines),
        );
        t.deepEqual(
          join(of('added')),
          nows.slice(hunk.afterStart - (hunk.afterLines > 0 ? 1 : 0)).slice(0, hunk.afterLines),
        );
      }
      t.pass();
    }),
    { numRuns: 500 },
  );
});
