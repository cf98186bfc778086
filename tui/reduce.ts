// What happens, as a pure function: a state and an event make the next state. What takes time is only asked for here.

import type { CommitId } from '../src/model/ids.ts';
import type { PodSummary } from '../src/ops/pods.ts';
import { act, goTo, leave, pickFile, seek } from './actions.ts';
import type { Day, Shown } from './days.ts';
import { findBinding } from './keymap.ts';
import { cursorRow, detailKey, divideDetail, dividePanes, fileKey, layoutOf, viewKey, viewLines } from './panes.ts';
import { takeLookup, type LookupEvent } from './reduce-lookup.ts';
import { reduceOverlay } from './reduce-overlay.ts';
import type {
  AgentRow,
  ComponentCounts,
  DayNote,
  Detail,
  FileView,
  Glance,
  Job,
  Loading,
  PlanView,
  Safety,
  Size,
  State,
  Trouble,
  Undo,
} from './state.ts';

/** What can happen. */
export type Event =
  | { readonly type: 'key'; readonly key: string }
  | { readonly type: 'paste'; readonly text: string }
  | { readonly type: 'resize'; readonly size: Size }
  | { readonly type: 'tick'; readonly nowMs: number }
  | { readonly type: 'opened'; readonly agent: AgentRow }
  | { readonly type: 'which-agent'; readonly agents: readonly AgentRow[] }
  | { readonly type: 'fatal'; readonly trouble: Trouble }
  | { readonly type: 'shown'; readonly shown: Shown; readonly filter: string; readonly isWhole: boolean }
  | { readonly type: 'not-shown'; readonly filter: string; readonly trouble: Trouble }
  | { readonly type: 'glances'; readonly glances: readonly Glance[] }
  | { readonly type: 'day-noted'; readonly id: string; readonly note: DayNote }
  | { readonly type: 'counts'; readonly counts: readonly (readonly [CommitId, ComponentCounts])[] }
  | { readonly type: 'detail'; readonly detail: Loading<Detail> }
  | { readonly type: 'view'; readonly view: Loading<FileView> }
  | { readonly type: 'safety'; readonly safety: Safety }
  | { readonly type: 'pods'; readonly pods: Loading<readonly PodSummary[]> }
  | { readonly type: 'plan'; readonly plan: Loading<PlanView> }
  | { readonly type: 'jumped'; readonly at: number }
  | { readonly type: 'not-jumped'; readonly trouble: Trouble }
  | {
      readonly type: 'progress';
      readonly id: number;
      readonly phase: string;
      readonly amount: string;
      readonly share: number | undefined;
    }
  | {
      readonly type: 'job-ended';
      readonly id: number;
      readonly lines: readonly string[];
      readonly undo?: Undo | undefined;
    }
  | { readonly type: 'job-failed'; readonly id: number; readonly trouble: Trouble }
  | LookupEvent
  | { readonly type: 'secret-wanted'; readonly subject: string }
  | { readonly type: 'asked'; readonly question: string }
  | { readonly type: 'note'; readonly note: Trouble };

const MOST_GLANCES = 1000;
/** More than a screen has rows. */
const MOST_DAY_NOTES = 150;

/** Returns the state after an event. */
export function reduce(state: State, event: Event): State {
  return settle(apply(state, event), state);
}

function apply(state: State, event: Event): State {
  switch (event.type) {
    case 'key':
      return reduceKey({ ...state, note: undefined }, event.key);
    case 'paste':
      return state.overlay === undefined ? state : reduceOverlay(state, event);
    case 'resize':
      return { ...state, size: event.size };
    case 'tick':
      return { ...state, nowMs: event.nowMs };
    case 'opened':
      return { ...state, agent: event.agent };
    case 'which-agent':
      return { ...state, overlay: { kind: 'agents', agents: event.agents, at: 0 } };
    case 'fatal':
      return { ...state, fatal: event.trouble, overlay: undefined };
    case 'shown':
      return takeShown(state, event);
    case 'not-shown':
      return event.filter === state.filter
        ? { ...state, filter: '', filtering: undefined, note: { ...event.trouble, isTrouble: true } }
        : state;
    case 'glances':
      return {
        ...state,
        glances: addTo(
          state.glances,
          event.glances.map((glance) => [glance.id, glance]),
        ),
      };
    case 'day-noted':
      return { ...state, dayNotes: addTo(state.dayNotes, [[event.id, event.note]], MOST_DAY_NOTES) };
    case 'counts':
      return { ...state, counts: addTo(state.counts, event.counts) };
    case 'detail':
      return takeDetail(state, event.detail);
    case 'view':
      return { ...state, view: event.view };
    case 'safety':
      return { ...state, safety: event.safety };
    case 'pods':
      return { ...state, pods: event.pods };
    case 'plan':
      return { ...state, plan: event.plan };
    case 'jumped':
      return goTo({ ...state, jump: undefined, focus: 'timeline', pair: undefined }, event.at);
    case 'not-jumped':
      return {
        ...state,
        overlay: { kind: 'prompt', purpose: 'time', text: state.jump?.text ?? '', trouble: event.trouble },
        jump: undefined,
      };
    case 'finding':
    case 'answers':
    case 'found':
    case 'blamed':
    case 'said':
      return takeLookup(state, event);
    case 'secret-wanted':
      return { ...state, overlay: { kind: 'secret', subject: event.subject, text: '', below: state.overlay } };
    case 'asked':
      return { ...state, overlay: { kind: 'question', question: event.question, below: state.overlay } };
    case 'note':
      return { ...state, note: { ...event.note, isTrouble: true } };
    case 'progress':
    case 'job-ended':
    case 'job-failed':
      return reduceJob(state, event);
  }
}

/** With a filter by path the file that passed it is the one to look at. */
function takeDetail(state: State, detail: Loading<Detail>): State {
  const next = pickFile({ ...state, detail });
  if (next.file !== state.file) return next;
  const wanted = state.filter.toLowerCase();
  if (detail.is !== 'ready' || wanted === '' || state.file !== 0) return next;
  const file = detail.value.files.findIndex(({ title }) => title.toLowerCase().includes(wanted));
  return file <= 0 ? next : { ...next, file };
}

function reduceJob(state: State, event: Extract<Event, { type: 'progress' | 'job-ended' | 'job-failed' }>): State {
  const { job } = state;
  if (job === undefined || job.id !== event.id) return state;
  if (event.type === 'progress') {
    const { phase, amount, share } = event;
    const isNew = job.phase !== '' && job.phase !== phase;
    const phases = isNew ? [...job.phases, job.phase] : job.phases;
    return { ...state, job: { ...job, phase, amount, phases, share } };
  }
  const isOpen = state.overlay?.kind === 'job';
  if (event.type === 'job-ended') {
    const ended: Job = { ...job, state: 'done', lines: event.lines, share: 1 };
    const note = isOpen ? undefined : { message: `${job.title}: ${event.lines[0] ?? 'done'}`, isTrouble: false };
    return { ...state, job: ended, undo: event.undo ?? state.undo, note };
  }
  const note = isOpen
    ? undefined
    : { ...event.trouble, message: `${job.title}: ${event.trouble.message}`, isTrouble: true };
  return { ...state, job: { ...job, state: 'failed', trouble: event.trouble }, note };
}

function addTo<K, V>(
  known: ReadonlyMap<K, V>,
  more: readonly (readonly [K, V])[],
  most = MOST_GLANCES,
): ReadonlyMap<K, V> {
  // What was not looked at for long is read again when it is.
  const kept = known.size + more.length > most ? [...known].slice(-most / 2) : known;
  return new Map([...kept, ...more]);
}

function takeShown(state: State, { shown, filter, isWhole }: Extract<Event, { type: 'shown' }>): State {
  if (filter !== state.filter) return state;
  const [newest] = shown.days;
  const before = state.shown;
  const filtering = isWhole ? undefined : state.filtering;
  const next = { ...state, shown, filtering, shownFilter: filter, goal: undefined };
  if (newest === undefined) return { ...next, cursor: { day: '', at: undefined } };
  if (state.goal !== undefined) return seek(next, state.goal.commit, state.goal.path);
  // Another filter shows where its commits are; the same history, grown, keeps the cursor on its commit.
  if (before === undefined || state.shownFilter !== filter)
    return {
      ...next,
      openDays: isShort(state, newest) ? new Set([newest.key]) : new Set(),
      cursor: { day: newest.key, at: undefined },
      top: 0,
    };
  const at = state.cursor.at;
  if (at === undefined) return { ...next, openDays: openToday(state, before, newest) };
  const moved = shown.timeline.find(before.timeline.id(at));
  return {
    ...next,
    openDays: openToday(state, before, newest),
    cursor: { ...state.cursor, at: moved < 0 ? undefined : moved },
  };
}

/** A day whose moments leave room for the days before it is open from the beginning. */
function isShort(state: State, { from, to }: Day): boolean {
  return to - from <= dividePanes({ ...state, focus: 'timeline' }).listRows / 2;
}

/** A day that begins while its predecessor is open opens too. */
function openToday({ openDays }: State, before: Shown, newest: Day): ReadonlySet<string> {
  const [last] = before.days;
  if (last?.key === newest.key || last === undefined || !openDays.has(last.key)) return openDays;
  return new Set([...openDays, newest.key]);
}

function reduceKey(state: State, key: string): State {
  if (key === 'ctrl+c') return leave(state);
  if (state.overlay !== undefined) return reduceOverlay(state, { type: 'key', key });
  if (state.fatal !== undefined) return key === 'q' || key === 'esc' ? leave(state) : state;
  const binding = findBinding(state, key);
  if (binding === undefined) return state;
  const reason = binding.whyNot?.(state);
  if (reason !== undefined) return { ...state, note: { message: reason, isTrouble: true } };
  return act(state, binding.action);
}

/** Keeps the cursor on the screen, and the detail where its cursor is. */
function settle(state: State, before: State): State {
  let next = state;
  if (detailKey(next) !== detailKey(before)) next = { ...next, file: 0, scroll: 0 };
  else if (viewKey(next) !== viewKey(before) && next.file !== before.file) next = { ...next, scroll: 0 };
  // Secrets are shown of one file, until it is left.
  if (next.unmasked !== undefined && next.unmasked !== fileKey(next)) next = { ...next, unmasked: undefined };
  const { listRows } = dividePanes(next);
  if (listRows > 0 && next.shown !== undefined) {
    const row = cursorRow(next);
    const last = Math.max(0, (layoutOf(next)?.count ?? 0) - listRows);
    const top = Math.min(Math.max(row - listRows + 1, Math.min(next.top, row)), Math.max(last, 0));
    if (top !== next.top) next = { ...next, top };
  }
  const lines = viewLines(next)?.length ?? 0;
  const most = Math.max(0, lines - divideDetail(next).diffRows);
  return next.scroll > most ? { ...next, scroll: most } : next;
}
