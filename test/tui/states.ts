// States of the interface for tests: a history made of numbers, and the events that bring the interface to a screen.

import type { CommitKind } from '../../src/format/segment.ts';
import type { CommitId } from '../../src/model/ids.ts';
import type { PlacedTurn } from '../../src/model/turn.ts';
import type { BlameMoment } from '../../src/ops/blame.ts';
import type { CommitSummary } from '../../src/ops/history.ts';
import type { SearchAnswer } from '../../src/ops/search.ts';
import { Timeline } from '../../src/ops/timeline.ts';
import { foldDays, LocalTime, type Shown } from '../../tui/days.ts';
import { reduce, type Event } from '../../tui/reduce.ts';
import { detailKey, viewKey } from '../../tui/panes.ts';
import { initialState, type BlamedFile, type Detail, type State } from '../../tui/state.ts';
import { line, span } from '../../tui/line.ts';

/** When the newest commit was captured: a Wednesday. */
export const NOW_MS = Date.parse('2026-10-14T18:00:00Z');
const TICK_MS = 300_000;
const KINDS: readonly CommitKind[] = ['incremental', 'full', 'manual', 'safety'];

/** Returns the id of a commit by its number. */
export function idOf(at: number): CommitId {
  return at.toString(16).padStart(8, '0').padEnd(40, 'a') as CommitId;
}

/** Makes a history; every hundredth commit is a full, what is older than `expired` has expired, and `newer` were saved since. */
export function makeTimeline(
  count: number,
  { tickMs = TICK_MS, expired = Infinity, newer = 0, isWhole = true } = {},
): Timeline {
  const ids = Buffer.concat(Array.from({ length: count }, (_, at) => Buffer.from(idOf((at - newer) >>> 0), 'hex')));
  const numbers = Array.from({ length: count }, (_, at) => at);
  return new Timeline(
    idOf(0),
    {
      times: Float64Array.from(numbers, (at) => NOW_MS - at * tickMs),
      kinds: Uint8Array.from(numbers, (at) => KINDS.indexOf(at % 100 === 99 ? 'full' : 'incremental')),
      flags: Uint8Array.from(numbers, (at) => (at >= expired ? 1 : 0)),
      seqs: Uint32Array.from(numbers, (at) => count - at),
      ids,
    },
    { tags: new Map([[idOf(2), ['before-tidy']]]), branches: new Map([[idOf(0), ['main']]]) },
    { isWhole },
  );
}

/** Folds a history as the session does. */
export function showOf(timeline: Timeline, hits?: readonly number[]): Shown {
  return { timeline, hits, days: foldDays(timeline, hits, new LocalTime('UTC'), NOW_MS) };
}

/** Returns what lists show of a commit. */
export function glanceOf(at: number, more: Partial<CommitSummary> = {}): CommitSummary {
  return {
    id: idOf(at),
    kind: 'incremental',
    time: new Date(NOW_MS - at * TICK_MS).toISOString(),
    sizeBytes: 6_200_000,
    message: '1 changed',
    tags: [],
    parents: [idOf(at + 1)],
    trigger: 'schedule',
    files: { added: 0, modified: 1, removed: 0, kept: 120 },
    components: [{ name: 'state', files: 121, sizeBytes: 6_200_000 }],
    expired: false,
    ...more,
  };
}

/** Returns a state after some events. */
export function after(state: State, ...events: readonly (Event | string)[]): State {
  return events.reduce<State>(
    (one, event) => reduce(one, typeof event === 'string' ? { type: 'key', key: event } : event),
    state,
  );
}

/** Returns a state that shows a history. */
export function shownState(count = 600, changes: Partial<State> = {}): State {
  const start = initialState({
    program: 'molt',
    label: 'heron',
    zone: 'UTC',
    size: { columns: 80, rows: 24 },
    colour: false,
    nowMs: NOW_MS,
    commands: [
      { name: 'diff', summary: 'compare' },
      { name: 'push', summary: 'send to a remote' },
      { name: 'key list', summary: 'list the keys' },
    ],
  });
  const opened = after(
    { ...start, ...changes },
    { type: 'opened', agent: { label: 'heron', branch: 'main', stateDir: '/srv/heron' } },
    { type: 'shown', shown: showOf(makeTimeline(count)), filter: '', isWhole: true },
  );
  return after(
    opened,
    'enter',
    { type: 'glances', glances: Array.from({ length: Math.min(count, 80) }, (_, at) => glanceOf(at)) },
    { type: 'safety', safety: { newestMs: NOW_MS - 180_000, remotes: [], verifiedMs: undefined } },
  );
}

/** Returns where a phrase was: from one commit on, until another if it went away. */
export function answerOf(number: number, from: number, to?: number): SearchAnswer {
  const momentOf = (at: number) => ({ commit: idOf(at), timeMs: NOW_MS - at * TICK_MS });
  return {
    number,
    path: number === 0 ? 'state/workspace/MEMORY.md' : 'state/agents/main/agent/openclaw-agent.sqlite',
    appeared: momentOf(from),
    before: momentOf(from + 1),
    mayBeEarlier: false,
    gone: to === undefined ? undefined : momentOf(to),
    lastSeen: momentOf(to === undefined ? 0 : to + 1),
    line: number === 0 ? 7 : undefined,
    excerpt: `my sister 茶🍵 visits, ${number}`,
    turn: number === 0 ? undefined : turnOf('my sister 茶🍵 visits'),
  };
}

/** Returns something that the user said. */
export function turnOf(text: string): PlacedTurn {
  return {
    path: 'state/agents/main/agent/openclaw-agent.sqlite',
    session: '39cce4d9',
    conversation: 'agent:main:main',
    seq: 4,
    role: 'user',
    time: new Date(NOW_MS - 60_000).toISOString(),
    text,
    tools: [],
  };
}

/** Returns a blamed file: three lines of the oldest commit, two of another. */
export function blamedBy(at: number): BlamedFile {
  const momentOf = (number: number, before?: number): BlameMoment => ({
    commit: idOf(number),
    timeMs: NOW_MS - number * TICK_MS,
    message: `message ${number}`,
    path: 'state/workspace/MEMORY.md',
    before: before === undefined ? undefined : { commit: idOf(before), timeMs: NOW_MS - before * TICK_MS },
    mayBeEarlier: before === undefined,
  });
  const lines = [599, 599, at, 599, at].map((number, index) => ({
    number: index + 1,
    text: `line ${index + 1} 茶🍵`,
    commit: idOf(number),
  }));
  return { lines, moments: new Map([momentOf(at, at + 1), momentOf(599)].map((one) => [one.commit, one])), start: 2 };
}

const DETAIL: Detail = {
  files: [
    {
      path: 'state/workspace/MEMORY.md',
      title: 'state/workspace/MEMORY.md',
      component: 'state',
      change: 'modified',
      beforeBytes: 356,
      afterBytes: 41,
    },
    {
      path: 'state/workspace/notes/茶🍵.md',
      title: 'state/workspace/notes/茶🍵.md',
      component: 'custom',
      change: 'added',
      beforeBytes: undefined,
      afterBytes: 67,
    },
  ],
};

/** Returns a state whose detail is there, with a diff of so many lines. */
export function withDetail(state: State, lines = 40): State {
  const detail = after(state, { type: 'detail', detail: { key: detailKey(state) ?? '', is: 'ready', value: DETAIL } });
  const value = {
    lines: Array.from({ length: lines }, (_, index) =>
      index % 2 === 0 ? line(`-old ${index}`, 'removed') : { left: [span(`+neu 茶🍵 ${index}`, 'added')] },
    ),
  };
  return after(detail, { type: 'view', view: { key: viewKey(detail) ?? '', is: 'ready', value } });
}
