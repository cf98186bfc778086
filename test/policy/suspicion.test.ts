// What looks like a loss, and what is ordinary work.

import test from 'ava';
import type { RowCounts } from '../../src/model/row-counts.ts';
import {
  findPreciousKind,
  findSuspicions,
  needsTotals,
  type ChangedFile,
  type ChangeFacts,
  type PreciousKind,
} from '../../src/policy/suspicion.ts';

const NOTHING: ChangeFacts = { files: [], fileCounts: { before: 0, removed: 0 }, totals: new Map(), rows: [] };
const MEMORY = 'state/workspace/MEMORY.md';
const TRANSCRIPT = 'state/agents/main/sessions/1.jsonl';

function file(path: string, beforeBytes: number, afterBytes: number, more: Partial<ChangedFile> = {}): ChangedFile {
  const kind = findPreciousKind(path, 'openclaw') ?? 'database';
  return { path, kind, beforeBytes, afterBytes, isRemoved: false, isContinued: undefined, ...more };
}

function rows(counts: Partial<RowCounts>): RowCounts {
  return { sessions: 10, events: 100, memory: 40, archived: 0, bySession: {}, ...counts };
}

function find(facts: Partial<ChangeFacts>, profile: 'openclaw' | 'generic' = 'openclaw', share = 0.5): string[] {
  return findSuspicions({ ...NOTHING, ...facts }, profile, share).map(({ what, text }) => `${what}: ${text}`);
}

const kinds = test.macro({
  exec(t, path: string, openclaw: PreciousKind | undefined, generic: PreciousKind | undefined) {
    t.deepEqual([findPreciousKind(path, 'openclaw'), findPreciousKind(path, 'generic')], [openclaw, generic]);
  },
  title: (_, path) => `what ${path} is worth`,
});
test(kinds, MEMORY, 'memory', 'memory');
test(kinds, 'roots/1/memory/2026-03-01.md', 'memory', 'memory');
test(kinds, 'state/workspace/notes.md', undefined, undefined);
test(kinds, TRANSCRIPT, 'transcript', 'transcript');
test(kinds, 'roots/2/sessions/1.jsonl', 'transcript', 'transcript');
test(kinds, 'state/workspace/train.jsonl', undefined, 'transcript');
test(kinds, 'state/agents/main/sessions/sessions.json', 'session', 'session');
test(kinds, 'state/agents/main/agent/openclaw-agent.sqlite', 'database', 'database');
test(kinds, 'state/media/photos.sqlite', undefined, 'database');
test(kinds, 'state/workspace/node_modules/x/memory/a.md', undefined, undefined);

test('a memory that shrinks by more than half is named, one that shrinks by less or by a few words is not', (t) => {
  t.deepEqual(find({ files: [file(MEMORY, 12_345, 0)] }), [
    'shrunk: state/workspace/MEMORY.md shrank from 12,345 to 0 bytes',
  ]);
  t.deepEqual(find({ files: [file(MEMORY, 1000, 500)] }), []);
  t.is(find({ files: [file(MEMORY, 1000, 499)] }).length, 1);
  t.deepEqual(find({ files: [file(MEMORY, 200, 0)] }), []);
  t.is(find({ files: [file(MEMORY, 1000, 790)] }, 'openclaw', 0.2).length, 1);
  t.deepEqual(find({ files: [file(MEMORY, 0, 1000), file(MEMORY, 1000, 2000)] }), []);
});

test('a transcript whose past changed is named however little it is, and a grown one is not', (t) => {
  t.is(find({ files: [file(TRANSCRIPT, 9000, 9001, { isContinued: false })] }).length, 1);
  t.deepEqual(find({ files: [file(TRANSCRIPT, 9000, 19_000, { isContinued: true })] }), []);
  // Cut off: named once, by what is worse.
  t.deepEqual(find({ files: [file(TRANSCRIPT, 9000, 100, { isContinued: false })] }), [
    `shrunk: ${TRANSCRIPT} shrank from 9,000 to 100 bytes`,
  ]);
});

test('removing the main memory is named, removing one old transcript among many is not, removing most of them is', (t) => {
  t.deepEqual(find({ files: [file(MEMORY, 900, 0, { isRemoved: true })] }), [
    'removed: state/workspace/MEMORY.md, 900 bytes, was deleted',
  ]);
  const gone = [1, 2, 3].map((at) => file(`state/agents/main/sessions/${at}.jsonl`, 10_000, 0, { isRemoved: true }));
  t.true(needsTotals(gone));
  t.deepEqual(find({ files: gone, totals: new Map([['transcript', 100_000]]) }), []);
  t.deepEqual(find({ files: gone, totals: new Map([['transcript', 50_000]]) }), [
    'removed: 3 transcript files with 30,000 of 50,000 bytes were deleted',
  ]);
  // What moved and changed a little.
  const moved = [...gone, file('state/agents/main/sessions/new.jsonl', 0, 29_500)];
  t.false(needsTotals(moved));
  t.deepEqual(find({ files: moved, totals: new Map([['transcript', 50_000]]) }), []);
});

test('a mass deletion is more than twenty files and more than three in ten', (t) => {
  t.deepEqual(find({ fileCounts: { before: 30, removed: 20 } }), []);
  t.deepEqual(find({ fileCounts: { before: 1000, removed: 300 } }), []);
  t.deepEqual(find({ fileCounts: { before: 1000, removed: 301 } }), ['mass-deletion: 301 of 1,000 files were deleted']);
  t.is(find({ fileCounts: { before: 1000, removed: 150 } }, 'openclaw', 0.1).length, 1);
});

test('rows that vanish are named, unless they were archived or there were few', (t) => {
  const path = 'state/agents/main/agent/openclaw-agent.sqlite';
  const judge = (before: Partial<RowCounts>, after: Partial<RowCounts>): string[] =>
    find({ rows: [{ path, before: rows(before), after: rows(after) }] });
  t.deepEqual(judge({}, { events: 49 }), [`rows-lost: ${path} had 100 transcript events and has 49`]);
  t.deepEqual(judge({}, { events: 50 }), []);
  t.deepEqual(judge({ sessions: 3 }, { sessions: 1 }), [`rows-lost: ${path} had 3 conversations and has 1`]);
  t.deepEqual(judge({ sessions: 1 }, { sessions: 0 }), []);
  t.deepEqual(judge({ memory: 21 }, { memory: 0 }), [`rows-lost: ${path} had 21 pieces of memory and has 0`]);
  t.deepEqual(judge({}, { sessions: 0, events: 0, archived: 1 }), []);
  t.deepEqual(judge({ bySession: { a: 40, b: 60 } }, { events: 71, bySession: { a: 11, b: 60 } }), [
    `rows-lost: ${path} had 40 events of the conversation a and has 11`,
  ]);
});

test('OpenClaw’s own databases may shrink as files, those of an unknown agent may not, and none may go', (t) => {
  const path = 'state/state/openclaw.sqlite';
  t.deepEqual(find({ files: [file(path, 9_000_000, 100_000)] }), []);
  t.is(find({ files: [file(path, 9_000_000, 100_000)] }, 'generic').length, 1);
  t.is(find({ files: [file(path, 9_000_000, 0, { isRemoved: true })] }).length, 1);
});
