// The reducer by tables: from a screen, keys and what they lead to.

import test from 'ava';
import { shownLine } from '../../tui/command-line.ts';
import { cursorRow, layoutOf, selectedAt, selectedId, viewKey, visibleRows } from '../../tui/panes.ts';
import { keyNames } from '../../tui/keys.ts';
import type { Event } from '../../tui/reduce.ts';
import { dayId, type State } from '../../tui/state.ts';
import { screenLines } from '../../tui/views/screen.ts';
import { formatCount } from '../../src/model/text.ts';
import { must } from '../repo/support.ts';
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
  withDetail,
} from './states.ts';

type Step = string | Event;

const leads = test.macro({
  exec(t, from: State, steps: readonly Step[], wanted: Partial<State>) {
    t.like(after(from, ...steps), wanted as never);
  },
  title: (title) => title ?? '',
});

const start = shownState();
const detail = withDetail(start);

test('the cursor begins on the newest day', leads, start, [], {
  cursor: { day: '2026-10-14', at: undefined },
  focus: 'timeline',
});
test('a day with few moments is open from the beginning, a long one folded', (t) => {
  const few = makeTimeline(600, { tickMs: 7_200_000 });
  t.true(after(shownState(600), '/', 'enter').openDays.size > 0);
  const again = after(start, '/', 'x', 'enter');
  t.is(after(again, { type: 'shown', shown: showOf(makeTimeline(600)), filter: 'x', isWhole: true }).openDays.size, 0);
  t.is(after(again, { type: 'shown', shown: showOf(few, [0, 1, 2, 30]), filter: 'x', isWhole: true }).openDays.size, 1);
});
test('down goes to the newest moment', leads, start, ['down'], { cursor: { day: '2026-10-14', at: 0 } });
test('j and k do what the arrows do', leads, start, ['j', 'j', 'k'], { cursor: { day: '2026-10-14', at: 0 } });
test('up at the top stays there', leads, start, ['up'], { cursor: { day: '2026-10-14', at: undefined } });
test('G goes to the oldest day', leads, start, ['G'], { cursor: { day: '2026-10-12', at: undefined } });
test('g goes back to the newest', leads, start, ['G', 'g'], { cursor: { day: '2026-10-14', at: undefined } });
test('Enter opens a moment', leads, start, ['j', 'enter'], { focus: 'files' });
test('Enter on a file opens its inside', leads, detail, ['tab', 'enter'], { focus: 'diff' });
test('Esc leads back to the list', leads, detail, ['tab', 'enter', 'esc', 'esc'], { focus: 'timeline' });
test('Esc on a moment folds its day', leads, start, ['j', 'j', 'esc'], {
  cursor: { day: '2026-10-14', at: undefined },
});
test('n goes to the next file', leads, detail, ['tab', 'n'], { file: 1 });
test('the last file has no next one', leads, detail, ['tab', 'n', 'n', 'n'], { file: 1 });
test('a diff scrolls no further than its end', leads, detail, ['tab', 'tab', 'G'], { scroll: 20 });
test('another moment begins with its first file', leads, detail, ['tab', 'n', 'esc', 'j', 'j'], { file: 0 });
test('d compares a moment with the live agent', leads, start, ['j', 'd'], {
  pair: { from: idOf(0), to: 'live', asked: 1 },
});
test('d compares the mark with the cursor, the older one first', leads, start, ['j', 'm', 'j', 'd'], {
  pair: { from: idOf(1), to: idOf(0), asked: 1 },
});
test('d compares two marks, wherever the cursor is', leads, start, ['j', 'm', 'j', 'j', 'm', 'G', 'd'], {
  pair: { from: idOf(2), to: idOf(0), asked: 1 },
});
test('Esc ends a comparison before anything else', leads, start, ['j', 'd', 'esc', 'esc'], { pair: undefined });
test('a filter is asked for, and shown when it is worked out', leads, start, ['/', 'M', 'E', 'M', 'enter'], {
  filter: 'MEM',
  filtering: 'MEM',
  overlay: undefined,
});
test('Backspace takes a whole character', leads, start, ['/', { type: 'paste', text: 'a👩‍👩‍👧' }, 'backspace'], {
  overlay: { kind: 'prompt', purpose: 'filter', text: 'a' },
});
test(
  'a time that is none comes back with why',
  leads,
  start,
  ['T', 'x', 'enter', { type: 'not-jumped', trouble: { message: "'x' is not a time" } }],
  { overlay: { kind: 'prompt', purpose: 'time', text: 'x', trouble: { message: "'x' is not a time" } } },
);
test('going to a time opens its day', leads, start, ['T', { type: 'jumped', at: 300 }], {
  cursor: { day: '2026-10-13', at: 300 },
});
test('s asks what to call it, and saves', leads, start, ['s', 'o', 'k', 'enter'], {
  overlay: { kind: 'job' },
});
test('push without a remote says so, and does nothing', leads, start, ['p'], { job: undefined, overlay: undefined });
test('q leaves', leads, start, ['q'], { isLeaving: true });
test('q in a prompt is a letter', leads, start, ['/', 'q'], { isLeaving: false });
test('Ctrl-C leaves from anywhere', leads, start, ['/', 'ctrl+c'], { isLeaving: true });
test('y copies the command line', leads, start, ['j', 'y'], {
  copy: { id: 1, text: `molt show heron ${idOf(0).slice(0, 10)}` },
});
test('the palette does what a key does', leads, start, [':', 'd', 'i', 'f', 'enter'], {
  pair: { from: idOf(0), to: 'live', asked: 1 },
});
test('the palette copies the line of what has no key', leads, start, [':', 'k', 'e', 'y', 'enter'], {
  copy: { id: 1, text: 'molt key list -a heron' },
});
test(
  'a window that shrinks keeps the cursor on the screen',
  leads,
  start,
  ['pagedown', { type: 'resize', size: { columns: 80, rows: 24 } }],
  { top: 0 },
);

const plan = (typed: string | undefined, refused?: string): Event => ({
  type: 'plan',
  plan: { key: '', is: 'ready', value: { commit: idOf(1), lines: [], typed, refused } },
});
const inPlace = ['j', 'j', 'c', 'down', 'down', 'enter', plan('heron')] as const;

test('a restore in place waits for the name', (t) => {
  t.is(after(start, ...inPlace, 'enter').job, undefined);
  t.is(after(start, ...inPlace, 'x', 'enter').job, undefined);
  const typed = after(start, ...inPlace, 'h', 'e', 'r', 'o', 'n', 'enter');
  t.like(typed.job?.request, { verb: 'restore', target: 'in-place', commit: idOf(1) });
});

test('a plan that can’t be carried out is not', (t) => {
  const refused = after(start, ...inPlace.slice(0, -1), plan('heron', 'it runs'), 'h', 'e', 'r', 'o', 'n', 'enter');
  t.is(refused.job, undefined);
});

test('a plan that is not there yet is not carried out', (t) => {
  t.is(after(start, ...inPlace.slice(0, -1), 'enter').job, undefined);
});

test('a restore into a pod goes by target, name and plan', (t) => {
  const done = after(start, 'j', 'c', 'enter', 'backspace', '2', 'enter', plan(undefined), 'enter');
  t.like(done.job?.request, { verb: 'restore', target: 'pod', name: 'heron-restore2' });
  t.is(done.job?.command, `molt restore heron ${idOf(0).slice(0, 10)} --target heron-restore2`);
  const ended = after(done, {
    type: 'job-ended',
    id: 1,
    lines: ['it runs'],
    undo: { kind: 'pod', name: 'heron-restore2' },
  });
  t.deepEqual(after(ended, 'enter', 'z').overlay, { kind: 'remove-pod', name: 'heron-restore2', typed: '' });
});

test('work that was left goes on, and its end is told', (t) => {
  const left = after(start, 's', 'enter', 'esc');
  t.is(left.overlay, undefined);
  t.is(left.job?.state, 'running');
  t.like(after(left, 'v'), { job: { id: 1 }, note: { isTrouble: true } }, 'one thing at a time');
  const ended = after(left, { type: 'job-ended', id: 1, lines: ['saved abc'] });
  t.deepEqual(ended.note, { message: 'save: saved abc', isTrouble: false });
  t.is(after(start, 's', 'enter', 'x').job?.state, 'stopping');
});

test('what another piece of work tells is not taken for this one’s', (t) => {
  const running = after(start, 's', 'enter');
  t.is(after(running, { type: 'job-ended', id: 7, lines: [] }).job?.state, 'running');
});

test('a moment that has expired is not brought back', (t) => {
  const shown = { type: 'shown', shown: showOf(makeTimeline(600, { expired: 1 })), filter: '', isWhole: true } as const;
  const { overlay, note } = after(start, shown, 'j', 'j', 'c');
  t.is(overlay, undefined);
  t.regex(note?.message ?? '', /pruned/);
});

test('a history that grows keeps the cursor on its commit', (t) => {
  const on = after(start, 'j', 'j', 'j');
  t.is(selectedId(on), idOf(2));
  t.is(
    after(on, { type: 'shown', shown: showOf(makeTimeline(601, { newer: 1 })), filter: '', isWhole: true }).cursor.at,
    3,
  );
});

test('a filter’s commits are those of its days', (t) => {
  const asked = after(start, '/', 'x', 'enter');
  const { shown, cursor } = after(asked, {
    type: 'shown',
    shown: showOf(makeTimeline(600), [5, 300]),
    filter: 'x',
    isWhole: true,
  });
  t.deepEqual(
    shown?.days.map(({ key, from, to }) => [key, from, to]),
    [
      ['2026-10-14', 0, 1],
      ['2026-10-13', 1, 2],
    ],
  );
  t.is(cursor.day, '2026-10-14');
  t.is(
    after(asked, { type: 'shown', shown: showOf(makeTimeline(600), [5]), filter: 'old', isWhole: true }).shown,
    asked.shown,
  );
});

test('commits that changed no file are folded away until a shows them', (t) => {
  const idle = glanceOf(1, { files: { added: 0, modified: 0, removed: 0, kept: 121 } });
  const state = after(start, { type: 'glances', glances: [idle] });
  t.is(selectedAt(after(state, 'j', 'j')), 2);
  t.is(selectedAt(after(state, 'a', 'j', 'j')), 1);
  const own = after(state, { type: 'glances', glances: [{ ...idle, trigger: 'tui' }] });
  t.is(selectedAt(after(own, 'j', 'j')), 1, 'what a person saved is always shown');
});

test('what is known of a day folds its commits, until there is another one', (t) => {
  const day = must(start.shown?.days[0]);
  const note = { changed: 7, uneventful: new Set([idOf(1), idOf(90)]) };
  const noted = after(start, { type: 'day-noted', id: dayId(start, day), note });
  t.true(screenLines(noted).some((row) => row.includes(`${formatCount(day.to, 'save')} · 7 changed`)));
  // Of a commit that was read itself more is known.
  t.is(selectedAt(after(noted, 'j', 'j')), 1);
  const unread = after({ ...noted, glances: new Map() }, 'j', 'j');
  t.is(selectedAt(unread), 2);
  t.is(selectedAt(after({ ...unread, showAll: true }, 'k')), 1);
  const newer = after(noted, {
    type: 'shown',
    shown: showOf(makeTimeline(600, { newer: 1 })),
    filter: '',
    isWhole: true,
  });
  t.false(screenLines(newer).some((row) => row.includes('7 changed')));
});

test('of a history that is not all there neither its length nor its oldest day is told', (t) => {
  const timeline = makeTimeline(600, { isWhole: false });
  const shown = showOf(timeline);
  t.is(shown.days.length, must(start.shown).days.length - 1);
  const [title = ''] = screenLines(after(start, { type: 'shown', shown, filter: '', isWhole: true }));
  t.false(title.includes('saves'), title);
  t.true(screenLines(start)[0]?.includes('600 saves'));
});

test('the cursor is always on the screen, whatever is pressed', (t) => {
  let state = start;
  const keys = [
    'j',
    'pagedown',
    'G',
    'k',
    'enter',
    'pageup',
    'g',
    'ctrl+d',
    'up',
    'enter',
    'G',
    'enter',
    'j',
    'esc',
    'tab',
  ];
  for (let count = 0; count < 600; count += 1) {
    state = after(state, keys[(count * 7) % keys.length] ?? 'j');
    const rows = visibleRows(state).map(([index]) => index);
    if (rows.length > 0) t.true(rows.includes(cursorRow(state)), `key ${count}`);
  }
  t.true((layoutOf(state)?.count ?? 0) > 0);
});

test('a year is folded into its days, and only what is on the screen is laid out', (t) => {
  const year = shownState(105_120);
  t.is(year.shown?.days.length, 366);
  t.true(visibleRows(after(year, 'G')).length <= 12);
  t.is(year.nowMs, NOW_MS);
});

test('every screen has its command line', (t) => {
  const lines = [
    [[], 'molt log heron --since 2026-10-14 --until 2026-10-14'],
    [['j'], `molt show heron ${idOf(0).slice(0, 10)}`],
    [['j', 'd'], `molt diff heron ${idOf(0).slice(0, 10)}`],
    [['j', 'm', 'j', 'd'], `molt diff heron ${idOf(1).slice(0, 10)} ${idOf(0).slice(0, 10)}`],
    [['R'], 'molt remote list -a heron'],
    [['P'], 'molt pod list'],
    [['f', 'a', ' ', 'b', 'enter'], "molt search heron 'a b'"],
    [['j', 'c', 'down', 'down'], `molt restore heron ${idOf(0).slice(0, 10)} --in-place`],
    [['z'], 'molt restore heron --undo'],
    [['s', 'i', "'", 's', 'enter'], "molt commit heron -m 'i'\\''s'"],
  ] as const;
  for (const [keys, wanted] of lines) t.is(shownLine(after(start, ...keys)), wanted);
});

test('f asks for a phrase, and asks again with it', (t) => {
  const asked = after(start, 'f', 't', 'e', 'a', 'enter');
  t.like(asked, { overlay: { kind: 'found', at: 0 }, found: { id: 1, phrase: 'tea', state: 'looking' } });
  t.like(after(asked, 'esc', 'f').overlay, { kind: 'prompt', purpose: 'phrase', text: 'tea' });
  t.is(after(asked, 'f', 's', 'enter').found?.id, 2);
  t.is(after(start, 'f', 'space', 'enter').found, undefined, 'nothing to look for');
});

test('of an answer that comes again the later one counts; those of another search do not', (t) => {
  const asked = after(start, 'f', 't', 'enter');
  const open = { ...answerOf(0, 3), gone: 'pending' } as const;
  const known = after(asked, { type: 'answers', id: 1, answers: [open, answerOf(1, 2)] });
  t.is(known.found?.answers[0]?.gone, 'pending');
  const ended = after(known, { type: 'answers', id: 1, answers: [answerOf(0, 3, 1)] });
  t.deepEqual(ended.found?.answers, [answerOf(0, 3, 1), answerOf(1, 2)]);
  t.deepEqual(after(ended, { type: 'answers', id: 7, answers: [open] }).found?.answers, ended.found?.answers);
});

test('from an answer Enter leads to where it appeared, and e to where it went', (t) => {
  const found = after(start, 'f', 't', 'enter', {
    type: 'answers',
    id: 1,
    answers: [answerOf(0, 300, 290), answerOf(1, 2)],
  });
  const there = after(found, 'enter');
  t.like(there, { overlay: undefined, focus: 'files', cursor: { day: '2026-10-13', at: 300 } });
  t.is(selectedId(after(found, 'e')), idOf(290));
  t.is(selectedId(after(found, 'down', 'down', 'enter')), idOf(2));
  t.regex(after(found, 'down', 'e').note?.message ?? '', /still there/);
});

test('what a filter hides is gone to all the same', (t) => {
  const filtered = after(start, '/', 'x', 'enter', {
    type: 'shown',
    shown: showOf(makeTimeline(600), [5]),
    filter: 'x',
    isWhole: true,
  });
  const left = after(filtered, 'f', 't', 'enter', { type: 'answers', id: 1, answers: [answerOf(0, 300)] }, 'enter');
  t.like(left, { filter: '', overlay: undefined });
  t.is(
    selectedId(after(left, { type: 'shown', shown: showOf(makeTimeline(600)), filter: '', isWhole: true })),
    idOf(300),
  );
});

test('the file of an answer is selected once the files are there', (t) => {
  const path = 'state/workspace/notes/茶🍵.md';
  const found = after(start, 'f', 't', 'enter', { type: 'answers', id: 1, answers: [{ ...answerOf(0, 3), path }] });
  t.is(withDetail(after(found, 'enter')).file, 1);
  t.is(after(withDetail(after(found, 'enter')), 'esc', 'j').wanted, undefined, 'and only then');
});

test('b blames the file of the moment, from the first line that the moment wrote', (t) => {
  const opened = after(detail, 'tab', 'b');
  const key = `${idOf(0)}:state/workspace/MEMORY.md`;
  t.like(opened.overlay, { kind: 'blame', commit: idOf(0), path: 'state/workspace/MEMORY.md', at: undefined });
  const blame = { key, is: 'ready', value: blamedBy(0) } as const;
  const ready = after(opened, { type: 'blamed', blame });
  t.is(shownLine(ready), `molt blame heron ${idOf(0).slice(0, 10)}:state/workspace/MEMORY.md -L 3`);
  t.is(after(ready, 'enter').overlay?.kind, 'blame', 'the moment itself is where one is');
  const oldest = after(ready, 'down', 'enter');
  t.is(oldest.overlay, undefined);
  t.is(selectedId(oldest), idOf(599));
  t.is(after(opened, { type: 'blamed', blame: { ...blame, key: 'another' } }, 'down').overlay?.kind, 'blame');
});

test('what is in no commit is not blamed', (t) => {
  const live = withDetail(after(start, 'j', 'd'));
  t.regex(after(live, 'b').note?.message ?? '', /in no commit yet/);
  t.regex(after(start, 'tab', 'b').note?.message ?? '', /no file is selected/);
});

test('secrets are shown of one file, until it is left or u masks them', (t) => {
  const shown = after(detail, 'tab', 'u');
  t.not(viewKey(shown), viewKey(detail));
  t.is(viewKey(after(shown, 'u')), viewKey(detail));
  t.is(viewKey(after(shown, 'n', 'N')), viewKey(detail));
  t.is(after(shown, 'esc', 'j', 'j').unmasked, undefined);
});

test('keys that come in one piece are several', (t) => {
  t.deepEqual(keyNames('jj k', {}), ['j', 'j', 'space', 'k']);
  t.deepEqual(keyNames('\t\t', {}), ['tab', 'tab'], 'held keys');
  t.deepEqual(keyNames('\u007f\u007f', {}), ['backspace', 'backspace']);
  t.deepEqual(keyNames('a\r\nb', {}), ['a', 'enter', 'b']);
  t.deepEqual(keyNames('', { tab: true }), ['tab']);
  t.deepEqual(keyNames('c', { ctrl: true }), ['ctrl+c']);
});

test('a key right behind Escape, which a terminal can’t tell from one with Alt, is Escape and that key', (t) => {
  t.deepEqual(keyNames('v', { meta: true }), ['esc', 'v']);
  t.deepEqual(keyNames('', { meta: true, escape: true }), ['esc', 'esc']);
  t.deepEqual(keyNames('', { meta: true, return: true }), ['esc', 'enter']);
  t.deepEqual(keyNames('', { meta: true, downArrow: true }), ['esc', 'down']);
  t.deepEqual(keyNames('', { escape: true }), ['esc']);
  t.deepEqual(keyNames('', { meta: true, backspace: true }), ['backspace']);
});

test('what a filter finds is shown as it comes, and the cursor stays where it is', (t) => {
  const asked = after(start, '/', 'x', 'enter');
  const some = (hits: readonly number[], isWhole: boolean): Event => {
    return { type: 'shown', shown: showOf(makeTimeline(600), hits), filter: 'x', isWhole };
  };
  const first = after(asked, some([3, 5], false), 'j', 'j');
  t.like(first, { filtering: 'x', cursor: { at: 5 } });
  const more = after(first, some([3, 5, 300], false), some([3, 5, 300, 590], true));
  t.like(more, { filtering: undefined, cursor: { at: 5 } });
  t.is(more.shown?.days.length, 3);
});
