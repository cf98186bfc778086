// Every screen at three sizes: it fills the terminal to the column, whatever is on it, and says what it is to say.

import { renderToString } from 'ink';
import { createElement } from 'react';
import stringWidth from 'string-width';
import { stripVTControlCharacters } from 'node:util';
import test from 'ava';
import { Screen } from '../../tui/app.ts';
import { clip, line, paint, span, sparkline, widthOf, wrapLine } from '../../tui/line.ts';
import type { Event } from '../../tui/reduce.ts';
import type { Size, State } from '../../tui/state.ts';
import { rowsOfDiff } from '../../tui/views/diff.ts';
import type { SemanticDiff } from '../../src/model/semantic-diff.ts';
import { screenLines } from '../../tui/views/screen.ts';
import {
  after,
  answerOf,
  blamedBy,
  glanceOf,
  idOf,
  makeTimeline,
  NOW_MS,
  shownState,
  showOf,
  turnOf,
  withDetail,
} from './states.ts';

const SIZES: readonly Size[] = [
  { columns: 80, rows: 24 },
  { columns: 120, rows: 40 },
  { columns: 203, rows: 61 },
];

const job = (changes: Partial<NonNullable<State['job']>>): Event[] => [
  { type: 'key', key: 's' },
  { type: 'key', key: 'enter' },
  { type: 'progress', id: 1, phase: 'scan', amount: '', share: undefined },
  { type: 'progress', id: 1, phase: 'read', amount: '120MB of 480MB', share: 0.25 },
  ...(changes.state === 'done' ? [{ type: 'job-ended', id: 1, lines: changes.lines ?? [] } as const] : []),
  ...(changes.trouble === undefined ? [] : [{ type: 'job-failed', id: 1, trouble: changes.trouble } as const]),
];

const plan: Event = {
  type: 'plan',
  plan: {
    key: '',
    is: 'ready',
    value: {
      commit: idOf(0),
      lines: [{ left: [span('  ! ', 'warning'), span(`${'a hazard that takes more than one row '.repeat(6)}ends`)] }],
      typed: 'heron',
      refused: undefined,
    },
  },
};

const find = ['f', 't', 'e', 'a', 'enter'];
const answers: Event = { type: 'answers', id: 1, answers: [answerOf(0, 3, 1), answerOf(1, 2)] };
const many = Array.from({ length: 200 }, (_, number) => answerOf(number, 3));
const blamed = `${idOf(0)}:state/workspace/MEMORY.md`;
const blame: Event = { type: 'blamed', blame: { key: blamed, is: 'ready', value: blamedBy(0) } };
const said = [turnOf('no'), turnOf(`yes ${'and more 茶🍵 '.repeat(40)}`)];

/** The screens: how to get there, and what is on it. */
const SCREENS: Readonly<
  Record<string, readonly [steps: readonly (Event | string)[], shows: readonly (string | RegExp)[]]>
> = {
  'the list': [
    ['esc'],
    [
      /›▸ Wed 14 Oct +· 217 saves/,
      /▸ Tue 13 Oct +· 288 saves/,
      'saved 3 min ago',
      '! no copy elsewhere',
      'never verified',
      '? keys',
    ],
  ],
  'a moment': [['j'], [/› {2}18:00 ~1/, 'main 0000000', '~ state/workspace/MEMORY.md', '356B → 41B', '-old 0']],
  'a named moment': [['j', 'j', 'j'], ['#before-tidy']],
  'the files': [['j', 'tab', 'n'], ['› + state/workspace/notes/茶🍵.md'.slice(2)]],
  'the inside of a file': [
    ['tab', 'tab'],
    ['MEMORY.md', '+neu 茶🍵 1'],
  ],
  'a comparison': [
    ['j', 'd'],
    ['comparing', 'the agent as it is now'],
  ],
  'two marks': [
    ['j', 'm', 'j', 'm'],
    ['①', '②', 'd compares them'],
  ],
  'the keys': [['?'], ['keys in the list of moments', 'down, to older moments', 'Esc closes']],
  'the palette': [[':'], ['key list', 'copies its line', 'key d']],
  'no such command': [[':', 'x', 'x'], ['no command is called that']],
  'the filter': [
    ['/', 'q'],
    ['/ q', 'empty shows all'],
  ],
  'a wrong time': [
    ['T', 'x', 'enter', { type: 'not-jumped', trouble: { message: "'x' is not a time", hint: 'yesterday' } }],
    ["'x' is not a time", 'hint: yesterday'],
  ],
  'where to': [['c'], ['a new pod', 'a folder', 'in place']],
  'a name': [['c', 'enter'], ['heron-restored']],
  'a plan': [
    ['c', 'down', 'down', 'enter', plan, 'h', 'e'],
    ['type heron to go on: he', 'ends'],
  ],
  'a plan in the making': [['c', 'down', 'down', 'enter'], ['working the plan out']],
  'work under way': [job({}), ['✓ scan', 'read', '120MB of 480MB', '25%', 'x stops it']],
  'work that was left': [[...job({}), 'esc'], ['save 25%: w shows it']],
  'work that is done': [job({ state: 'done', lines: ['saved abc'] }), ['save: done', 'saved abc']],
  'work that failed': [
    job({ trouble: { message: 'vault does not answer', hint: 'try again' } }),
    ['! vault does not answer', 'hint: try again'],
  ],
  'a phrase to find': [
    ['f', 't'],
    ['find in all history', 'f t'],
  ],
  'a phrase that is looked for': [
    [...find, { type: 'finding', id: 1, phase: 'index history', share: 0.25 }, answers],
    ['where "tea" was', 'index history', '25%', '2 places so far', '› Wed 14 Oct 17:45', 'gone Wed 14 Oct 17:55'],
  ],
  'where a phrase was': [
    [...find, answers, { type: 'found', id: 1, isCut: false }, 'down'],
    ['2 places, in the order', 'state/workspace/MEMORY.md:7', 'user in agent:main:main', 'still there'],
  ],
  'more places than are shown': [
    [...find, { type: 'answers', id: 1, answers: many }, { type: 'found', id: 1, isCut: true }, 'G'],
    ['the first 200 places; more words find fewer', 'visits, 199'],
  ],
  'a phrase that was nowhere': [
    [...find, { type: 'found', id: 1, isCut: false }],
    ['no commit has "tea" in a text or a conversation'],
  ],
  'a search that failed': [
    [
      ...find,
      answers,
      { type: 'found', id: 1, isCut: false, trouble: { message: 'log/7 is damaged', hint: 'verify' } },
    ],
    ['2 places until then', '! log/7 is damaged', 'hint: verify'],
  ],
  'a file that is being blamed': [
    ['j', 'tab', 'b'],
    ['who wrote state/workspace/MEMORY.md', 'following the lines back'],
  ],
  'a file that can’t be blamed': [
    [
      'j',
      'tab',
      'b',
      { type: 'blamed', blame: { key: blamed, is: 'failed', trouble: { message: 'it holds secrets' } } },
    ],
    ['! it holds secrets'],
  ],
  'who wrote a line': [
    ['j', 'tab', 'b', blame, { type: 'said', said: { key: `${blamed} ${idOf(0)}`, is: 'ready', value: said } }],
    [
      /› {2}Wed 14 Oct 18:00 +3 line 3/,
      /≤Mon 12 Oct 16:05 +4 line 4/,
      'message 0',
      '2 turns since',
      'agent:main:main: yes',
    ],
  ],
  'a line as old as history': [
    ['j', 'tab', 'b', blame, 'down', { type: 'said', said: { key: `${blamed} ${idOf(599)}`, is: 'ready', value: [] } }],
    ['history begins here: it may be older', 'nothing was said in a conversation'],
  ],
  'secrets that are shown': [['j', 'tab', 'u'], ['secrets shown: u masks']],
  'no remote': [['R'], ['the backups are on this machine alone', 'molt remote add NAME URL']],
  'the remotes': [
    [
      {
        type: 'safety',
        safety: {
          newestMs: NOW_MS,
          verifiedMs: NOW_MS - 2 * 86_400_000,
          remotes: [
            { name: 'vault', url: 's3://bucket/heron', ahead: 0, behind: 0, ageMs: 1000, lock: 'governance 90 d' },
            { name: 'far', url: 'file:///mnt/far', ahead: 5, behind: 0, ageMs: undefined, lock: undefined },
          ],
        },
      },
      'R',
    ],
    ['✓ has everything', '5 to push', 'lock: governance 90 d', 'copies 1/2', 'verified 2 days ago'],
  ],
  'no pod': [['P', { type: 'pods', pods: { key: '', is: 'ready', value: [] } }], ['there are none']],
  'the pods in trouble': [
    ['P', { type: 'pods', pods: { key: '', is: 'failed', trouble: { message: 'no disk' } } }],
    ['! no disk'],
  ],
  'a passphrase': [
    [{ type: 'secret-wanted', subject: 'agent "heron"' }, 'a', 'b'],
    ['passphrase: ••', 'agent "heron"'],
  ],
  'a question': [
    [{ type: 'asked', question: 'run what the backup brings along?' }],
    ['run what the backup brings along?', 'y yes'],
  ],
  'which agent': [
    [
      {
        type: 'which-agent',
        agents: [
          { label: 'a', branch: 'main', stateDir: '/srv/a' },
          { label: 'b', branch: 'b', stateDir: '/srv/b' },
        ],
      },
      'down',
    ],
    ['which agent?', '› b'],
  ],
  'nothing can be shown': [
    [{ type: 'fatal', trouble: { message: 'there are no agents yet', hint: 'molt init AGENT --state DIR makes one' } }],
    ['! there are no agents yet', 'molt init AGENT', 'q leaves'],
  ],
  'a broken commit': [
    ['j', { type: 'glances', glances: [{ id: idOf(0), trouble: { message: 'log/000000000007 is damaged' } }] }],
    ['! log/000000000007 is damaged'],
  ],
  'expired moments': [
    [{ type: 'shown', shown: showOf(makeTimeline(600, { expired: 217 })), filter: '', isWhole: true }, 'esc'],
    [/▸ Tue 13 Oct.* expired/],
  ],
  'a filter without a match': [
    ['/', 'x', 'enter', { type: 'shown', shown: showOf(makeTimeline(600), []), filter: 'x', isWhole: true }],
    ['nothing matches "x"', 'Esc shows everything again'],
  ],
  'what an agent wrote': [
    ['j', { type: 'glances', glances: [glanceOf(0, { message: '\u001b[2Jgone\u202e 茶\n', trigger: 'cli' })] }],
    ['^[[2Jgone<U+202E> 茶'],
  ],
};

for (const [name, [steps, shows]] of Object.entries(SCREENS)) {
  for (const size of SIZES) {
    test(`${name} fits ${size.columns}x${size.rows}`, (t) => {
      const state = withDetailAfter(size, steps);
      const lines = screenLines(state);
      t.is(lines.length, size.rows);
      for (const text of lines) t.is(stringWidth(text), size.columns, text);
      const screen = lines.join('\n');
      for (const wanted of shows)
        t.true(typeof wanted === 'string' ? screen.includes(wanted) : wanted.test(screen), `${wanted} in\n${screen}`);
      t.false(screen.includes('\u001b'), 'no colour where none is wanted, and no escape of an agent');
    });
    test(`${name} is the same in colour at ${size.columns}x${size.rows}`, (t) => {
      const plain = withDetailAfter(size, steps);
      const colour = screenLines({ ...plain, colour: true });
      t.deepEqual(colour.map(stripVTControlCharacters), screenLines(plain));
      const drawn = renderToString(createElement(Screen, { state: plain }), { columns: size.columns });
      t.deepEqual(
        drawn.split('\n').map((row) => row.trimEnd()),
        screenLines(plain).map((row) => row.trimEnd()),
      );
    });
  }
}

/** The detail is there for the moment that the steps begin at. */
function withDetailAfter(size: Size, steps: readonly (Event | string)[]): State {
  const keys = steps.slice(0, steps.findIndex((step) => step !== 'j') >>> 0);
  const begun = withDetail(after(shownState(600, { size }), ...keys));
  return after(begun, ...steps.slice(keys.length));
}

test('a terminal that is too small is told so, and any size does no harm', (t) => {
  for (let columns = 1; columns < 90; columns += 7) {
    for (let rows = 1; rows < 30; rows += 3) {
      const lines = screenLines(withDetail(shownState(600, { size: { columns, rows } })));
      t.true(lines.length <= rows);
      for (const text of lines) t.true(stringWidth(text) <= columns);
    }
  }
  t.regex(
    screenLines(shownState(1, { size: { columns: 60, rows: 10 } })).join('\n'),
    /molt needs 80x24; this is 60x10/,
  );
});

test('a text is cut between characters, never through one', (t) => {
  t.is(clip('plain', 5), 'plain');
  t.is(clip('plainer', 5), 'plai…');
  t.is(clip('茶茶茶', 4), '茶…');
  t.is(clip('👩‍👩‍👧👩‍👩‍👧', 3), '👩‍👩‍👧…');
  for (const text of ['a茶b', '👩‍👩‍👧x', 'e\u0301tude', '한국어'])
    for (let columns = 0; columns < 8; columns += 1)
      t.true(widthOf(clip(text, columns)) <= columns, `${text} ${columns}`);
});

test('a row that is too long goes on under itself, and loses nothing', (t) => {
  const row = {
    left: [span('+ ', 'added'), span('one two 茶茶 three'), span('four', 'strong'), span('x'.repeat(25))],
  } as const;
  for (const columns of [10, 11, 17, 30, 200]) {
    const rows = wrapLine(row, columns).map((one) => one.left.map(({ text }) => text).join(''));
    for (const text of rows) t.true(widthOf(text) <= columns, text);
    t.is(rows.join('').replaceAll(' ', ''), '+onetwo茶茶threefour' + 'x'.repeat(25));
    for (const text of rows.slice(1)) t.true(text.startsWith('  '));
  }
});

test('a row is as wide as it is to be, with its end at the right', (t) => {
  t.is(paint({ left: [span('left')], right: [span('right')] }, 14, false), 'left     right');
  t.is(paint(line('much too long for it'), 8, false), 'much to…');
  t.is(paint(line('red', 'error'), 5, true), '\u001b[31;1mred\u001b[39;22m  ');
});

test('a small chart shows where there is nothing, little and much', (t) => {
  t.is(sparkline([0, 1, 4, 8]), '·▁▄█');
  t.is(sparkline([0, 0]), '··');
});

test('each kind of difference has rows with signs, not only colours', (t) => {
  const shown = (diff: SemanticDiff): string[] =>
    rowsOfDiff(diff).map(({ left }) => left.map(({ text }) => text).join(''));
  t.deepEqual(
    shown({
      kind: 'text',
      format: 'markdown',
      addedLines: 1,
      removedLines: 1,
      hunks: [
        {
          section: ['Tea', 'Green'],
          beforeStart: 3,
          beforeLines: 2,
          afterStart: 3,
          afterLines: 2,
          lines: [
            { change: 'same', parts: [{ text: 'as it was', changed: false }] },
            { change: 'removed', parts: [{ text: 'old', changed: true }] },
            { change: 'added', parts: [{ text: 'new', changed: true }] },
          ],
        },
      ],
    }),
    ['@ Tea › Green', '  as it was', '- old', '+ new'],
  );
  t.deepEqual(
    shown({
      kind: 'config',
      format: 'json',
      changes: [
        { path: 'skills.timer.enabled', change: 'changed', before: 'true', after: 'false' },
        { path: 'token', change: 'added', after: '********', secret: true },
      ],
      more: 2,
    }),
    ['~ skills.timer.enabled: true → false', '+ token: ********  (secret)', '… and 2 more changes'],
  );
  const turn = { role: 'user', text: 'two\nlines', tools: [{ name: 'read', arguments: 'a.md' }] };
  const conversation = {
    name: 'agent:main',
    change: 'extended',
    removed: [],
    added: [turn],
    moreRemoved: 0,
    moreAdded: 0,
    otherRecords: 0,
  } as const;
  const said = ['conversation agent:main extended', '+ user: two', '+   lines', '+   calls read(a.md)'];
  t.deepEqual(shown({ kind: 'conversation', conversations: [conversation], more: 0 }), said);
  t.deepEqual(
    shown({
      kind: 'database',
      conversations: [conversation],
      moreConversations: 0,
      moreTables: 0,
      tables: [
        {
          name: 'notes',
          change: 'changed',
          added: 0,
          removed: 0,
          changed: 1,
          rows: [
            {
              change: 'changed',
              key: [{ column: 'id', value: '7' }],
              cells: [{ column: 'text', before: "'a'", after: "'b'" }],
              more: 0,
            },
          ],
        },
      ],
      incomplete: 'it is too large',
    }),
    [...said, 'table notes ~1 rows', "~ id=7  text: 'a' → 'b'", 'not compared to the end: it is too large'],
  );
  t.deepEqual(shown({ kind: 'same' }), ['the content is the same']);
  t.deepEqual(shown({ kind: 'binary', reason: 'secret', after: { sizeBytes: 12, type: 'data' } }), [
    'data, 12B',
    'its content is a secret, and is not shown',
  ]);
});
