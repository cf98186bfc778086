// What the keys do outside of prompts and plans: each action, as a pure function of the state.

import type { CommitId } from '../src/model/ids.ts';
import { shortId } from '../src/model/ids.ts';
import { requestLine, shownLine } from './command-line.ts';
import type { Action } from './keymap.ts';
import {
  cursorRow,
  detailKey,
  divideDetail,
  dividePanes,
  fileKey,
  filesOf,
  isUnmasked,
  layoutOf,
  selectedFile,
  selectedId,
  selectedRow,
} from './panes.ts';
import type { Job, Request, State } from './state.ts';

/** Ends the program. */
export function leave(state: State): State {
  return { ...state, isLeaving: true };
}

/** Carries an action out. */
export function act(state: State, action: Action): State {
  switch (action) {
    case 'down':
      return move(state, 1);
    case 'up':
      return move(state, -1);
    case 'page-down':
      return move(state, pageOf(state));
    case 'page-up':
      return move(state, -pageOf(state));
    case 'first':
      return move(state, -Infinity);
    case 'last':
      return move(state, Infinity);
    case 'enter':
      return enter(state);
    case 'back':
      return goBack(state);
    case 'next-pane':
      return nextPane(state);
    case 'next-file':
      return moveFile(state, 1);
    case 'previous-file':
      return moveFile(state, -1);
    case 'show-all':
      return { ...state, showAll: !state.showAll };
    case 'mark':
      return mark(state);
    case 'compare':
      return compare(state);
    case 'filter':
      return { ...state, overlay: { kind: 'prompt', purpose: 'filter', text: state.filter } };
    case 'jump':
      return { ...state, overlay: { kind: 'prompt', purpose: 'time', text: '' } };
    case 'find':
      return { ...state, overlay: { kind: 'prompt', purpose: 'phrase', text: state.found?.phrase ?? '' } };
    case 'blame':
      return blame(state);
    case 'unmask':
      return { ...state, unmasked: isUnmasked(state) ? undefined : fileKey(state) };
    case 'bring-back':
      return bringBack(state);
    case 'undo':
      return undo(state);
    case 'commit':
      return { ...state, overlay: { kind: 'prompt', purpose: 'message', text: '' } };
    case 'push':
      return startJob(state, { verb: 'push' }, 'push');
    case 'verify':
      return startJob(state, { verb: 'verify' }, 'verify');
    case 'remotes':
      return { ...state, overlay: { kind: 'remotes' } };
    case 'pods':
      return { ...state, overlay: { kind: 'pods' }, pods: { key: '', is: 'loading' } };
    case 'work':
      return { ...state, overlay: { kind: 'job' } };
    case 'copy':
      return copy(state, shownLine(state));
    case 'palette':
      return { ...state, overlay: { kind: 'palette', text: '', at: 0 } };
    case 'help':
      return { ...state, overlay: { kind: 'help', top: 0 } };
    case 'leave':
      return leave(state);
  }
}

/** Puts a text on the clipboard of the terminal. */
export function copy(state: State, text: string): State {
  const note = { message: `copied: ${text}`, isTrouble: false };
  return { ...state, copy: { id: (state.copy?.id ?? 0) + 1, text }, note };
}

/** Starts what is asked for. */
export function startJob(state: State, request: Request, title: string, command?: string): State {
  const job: Job = {
    id: (state.job?.id ?? 0) + 1,
    request,
    title,
    command: command ?? requestLine(state, request),
    state: 'running',
    phase: '',
    amount: '',
    phases: [],
    share: undefined,
    lines: [],
    trouble: undefined,
  };
  return { ...state, job, overlay: { kind: 'job' } };
}

function pageOf(state: State): number {
  const { listRows } = dividePanes(state);
  const { filesRows, diffRows } = divideDetail(state);
  return Math.max(1, { timeline: listRows, files: filesRows, diff: diffRows }[state.focus] - 1);
}

function move(state: State, by: number): State {
  if (state.focus === 'files') return moveFile(state, by);
  if (state.focus === 'diff')
    return { ...state, scroll: Math.max(0, Math.min(state.scroll + by, Number.MAX_SAFE_INTEGER)) };
  const layout = layoutOf(state);
  if (layout === undefined) return state;
  const to = Math.max(0, Math.min(layout.count - 1, cursorRow(state) + by));
  const row = layout.row(to);
  if (row === undefined) return state;
  const at = row.kind === 'commit' ? row.at : undefined;
  // A comparison that the user asked for stays until it is left.
  return { ...state, cursor: { day: row.day.key, at } };
}

function moveFile(state: State, by: number): State {
  const last = Math.max(0, filesOf(state).length - 1);
  return { ...state, file: Math.max(0, Math.min(last, state.file + by)), scroll: 0 };
}

function enter(state: State): State {
  if (state.focus === 'files') return { ...state, focus: 'diff', scroll: 0 };
  const row = selectedRow(state);
  if (state.pair !== undefined || row?.kind === 'commit') return { ...state, focus: 'files' };
  if (row === undefined) return state;
  const openDays = new Set(state.openDays);
  if (!openDays.delete(row.day.key)) openDays.add(row.day.key);
  return { ...state, openDays };
}

function goBack(state: State): State {
  if (state.focus === 'diff') return { ...state, focus: 'files' };
  if (state.focus === 'files') return { ...state, focus: 'timeline' };
  if (state.pair !== undefined) return { ...state, pair: undefined };
  if (state.marks.length > 0) return { ...state, marks: [] };
  const row = selectedRow(state);
  if (row !== undefined && state.openDays.has(row.day.key)) {
    const openDays = new Set(state.openDays);
    openDays.delete(row.day.key);
    return { ...state, openDays, cursor: { day: row.day.key, at: undefined } };
  }
  return state.filter === '' ? state : { ...state, filter: '', filtering: '' };
}

function nextPane(state: State): State {
  if (state.focus === 'timeline') return { ...state, focus: 'files' };
  return state.focus === 'files' ? { ...state, focus: 'diff', scroll: 0 } : { ...state, focus: 'timeline' };
}

function mark(state: State): State {
  const id = selectedId(state);
  if (id === undefined) return state;
  const marks = state.marks.includes(id) ? state.marks.filter((one) => one !== id) : [...state.marks, id].slice(-2);
  const message =
    marks.length === 0
      ? 'no moment is marked'
      : marks.length === 1
        ? `marked ${shortId(marks[0] ?? id)}: go to another moment and press d to compare, or m to mark that too`
        : 'two moments are marked: d compares them';
  return { ...state, marks, note: { message, isTrouble: false } };
}

function compare(state: State): State {
  const id = selectedId(state);
  if (id === undefined) return state;
  const asked = (state.pair?.asked ?? 0) + 1;
  const [a, b] = state.marks;
  const timeline = state.shown?.timeline;
  const pairOf = (one: CommitId, other: CommitId): State['pair'] => {
    // The older one first.
    const isOlder = (timeline?.find(one) ?? 0) > (timeline?.find(other) ?? 0);
    return isOlder ? { from: one, to: other, asked } : { from: other, to: one, asked };
  };
  const pair: State['pair'] =
    a !== undefined && b !== undefined
      ? pairOf(a, b)
      : a !== undefined && a !== id
        ? pairOf(a, id)
        : { from: id, to: 'live', asked };
  return { ...state, pair, focus: 'files', file: 0 };
}

function bringBack(state: State): State {
  const id = selectedId(state);
  if (id === undefined) return state;
  const at = state.shown?.timeline.find(id) ?? -1;
  if (at >= 0 && state.shown?.timeline.isExpired(at) === true) {
    return {
      ...state,
      note: {
        message: `the content of ${shortId(id)} was pruned: it can't be brought back`,
        hint: 'FULL and MANUAL moments are kept longest',
        isTrouble: true,
      },
    };
  }
  const overlay = {
    kind: 'restore',
    commit: id,
    step: 'target',
    target: 'pod',
    name: '',
    typed: '',
    isUndo: false,
  } as const;
  return { ...state, overlay, plan: undefined };
}

function undo(state: State): State {
  if (state.undo?.kind === 'pod')
    return { ...state, overlay: { kind: 'remove-pod', name: state.undo.name, typed: '' } };
  const id = selectedId(state);
  if (id === undefined) return state;
  const overlay = {
    kind: 'restore',
    commit: id,
    step: 'plan',
    target: 'in-place',
    name: '',
    typed: '',
    isUndo: true,
  } as const;
  return { ...state, overlay, plan: undefined };
}

function blame(state: State): State {
  const commit = state.pair?.to ?? selectedId(state);
  const path = selectedFile(state)?.path;
  if (commit === undefined || commit === 'live' || path === undefined) return state;
  return { ...state, overlay: { kind: 'blame', commit, path, at: undefined } };
}

/** Goes to a file of a commit, wherever it is: a filter that may hide it ends. */
export function seek(state: State, commit: CommitId, path: string): State {
  const closed: State = { ...state, overlay: undefined, pair: undefined };
  if (state.filter !== '') return { ...closed, filter: '', filtering: '', goal: { commit, path } };
  const at = state.shown?.timeline.find(commit) ?? -1;
  if (at < 0) return { ...closed, note: { message: `${shortId(commit)} is on another branch`, isTrouble: true } };
  const there = goTo({ ...closed, focus: 'files' }, at);
  const detail = detailKey(there);
  return detail === undefined ? there : pickFile({ ...there, wanted: { detail, path } });
}

/** Selects the file that was wanted of a detail, once it is there. */
export function pickFile(state: State): State {
  const { wanted } = state;
  if (wanted === undefined || wanted.detail !== detailKey(state)) return state;
  const file = filesOf(state).findIndex(({ path }) => path === wanted.path);
  return file < 0 ? state : { ...state, file, wanted: undefined };
}

/** Puts the cursor on a commit, and opens its day. */
export function goTo(state: State, at: number): State {
  const { shown } = state;
  const index = shown?.hits === undefined ? at : shown.hits.findIndex((hit) => hit >= at);
  const day = shown?.days.find(({ from, to }) => index >= from && index < to);
  if (day === undefined) return state;
  return { ...state, openDays: new Set([...state.openDays, day.key]), cursor: { day: day.key, at } };
}
