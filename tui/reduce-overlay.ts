// What keys do while something lies over the panes: prompts, the palette, the plan of a restore, work, lists and questions.

import { BINDINGS } from './keymap.ts';
import { shownLine } from './command-line.ts';
import { characters } from './line.ts';
import { listPalette } from './palette.ts';
import { act, copy, leave, startJob } from './actions.ts';
import { reduceBlame, reduceFound, startFinding } from './reduce-lookup.ts';
import type { Overlay, State, Target } from './state.ts';

type OverlayEvent = { readonly type: 'key'; readonly key: string } | { readonly type: 'paste'; readonly text: string };

const TARGETS: readonly Target[] = ['pod', 'folder', 'in-place'];

/** Returns the state after a key or a pasted text. */
export function reduceOverlay(state: State, event: OverlayEvent): State {
  const { overlay } = state;
  if (overlay === undefined) return state;
  const key = event.type === 'key' ? event.key : '';
  const typed = event.type === 'paste' ? event.text.split('\n', 1)[0] : textOf(key);
  switch (overlay.kind) {
    case 'agents':
      return reduceAgents(state, overlay, key);
    case 'help':
      return reduceHelp(state, overlay, key);
    case 'palette':
      return reducePalette(state, overlay, key, typed);
    case 'prompt':
      return reducePrompt(state, overlay, key, typed);
    case 'restore':
      return reduceRestore(state, overlay, key, typed);
    case 'remove-pod':
      return reduceRemovePod(state, overlay, key, typed);
    case 'found':
      return reduceFound(state, overlay, key);
    case 'blame':
      return reduceBlame(state, overlay, key);
    case 'job':
      return reduceWork(state, key);
    case 'secret':
      return reduceSecret(state, overlay, key, typed);
    case 'question':
      if (key === 'y') return answer(state, 'yes', overlay.below);
      return key === 'n' || key === 'esc' || key === 'q' ? answer(state, undefined, overlay.below) : state;
    case 'remotes':
    case 'pods':
      if (key === 'y') return copy(state, shownLine(state));
      if (key === 'p' && overlay.kind === 'remotes') return again({ ...state, overlay: undefined }, key);
      return isClosing(key) || key === 'enter' ? { ...state, overlay: undefined } : state;
  }
}

function isClosing(key: string): boolean {
  return key === 'esc' || key === 'q' || key === 'left' || key === '?';
}

/** Returns the text that a key types, or undefined. */
function textOf(key: string): string | undefined {
  if (key === 'space') return ' ';
  return characters(key).length === 1 ? key : undefined;
}

/** Returns a text after a key that edits it, or undefined if it does not. */
function edit(text: string, key: string, typed: string | undefined): string | undefined {
  if (key === 'backspace') return characters(text).slice(0, -1).join('');
  if (key === 'ctrl+u') return '';
  if (key === 'ctrl+w') return text.replace(/\S+\s*$/, '');
  return typed === undefined ? undefined : text + typed;
}

function reduceAgents(state: State, overlay: Extract<Overlay, { kind: 'agents' }>, key: string): State {
  const { agents, at } = overlay;
  if (key === 'enter') return { ...state, overlay: undefined, wantedLabel: agents[at]?.label };
  if (key === 'q' || key === 'esc') return leave(state);
  const by = { down: 1, j: 1, up: -1, k: -1 }[key] ?? 0;
  return { ...state, overlay: { ...overlay, at: Math.max(0, Math.min(agents.length - 1, at + by)) } };
}

function reduceHelp(state: State, overlay: Extract<Overlay, { kind: 'help' }>, key: string): State {
  const by = { down: 1, j: 1, up: -1, k: -1, pagedown: 10, space: 10, pageup: -10 }[key];
  if (by !== undefined)
    return { ...state, overlay: { ...overlay, top: Math.max(0, Math.min(BINDINGS.length, overlay.top + by)) } };
  return isClosing(key) || key === 'enter' ? { ...state, overlay: undefined } : state;
}

function reducePalette(
  state: State,
  overlay: Extract<Overlay, { kind: 'palette' }>,
  key: string,
  typed: string | undefined,
): State {
  if (key === 'esc') return { ...state, overlay: undefined };
  const rows = listPalette(state, overlay.text);
  if (key === 'down' || key === 'up') {
    const at = Math.max(0, Math.min(rows.length - 1, overlay.at + (key === 'down' ? 1 : -1)));
    return { ...state, overlay: { ...overlay, at } };
  }
  if (key === 'enter') {
    const row = rows[overlay.at];
    const closed = { ...state, overlay: undefined };
    if (row === undefined) return closed;
    return row.key === undefined ? copy(closed, row.line) : again(closed, row.key);
  }
  const text = edit(overlay.text, key, typed);
  return text === undefined ? state : { ...state, overlay: { ...overlay, text, at: 0 } };
}

/** Does what a key does without the overlay. */
function again(state: State, key: string): State {
  const binding = BINDINGS.find(({ keys }) => keys.includes(key));
  if (binding === undefined) return state;
  const reason = binding.whyNot?.(state);
  return reason === undefined ? act(state, binding.action) : { ...state, note: { message: reason, isTrouble: true } };
}

function reducePrompt(
  state: State,
  overlay: Extract<Overlay, { kind: 'prompt' }>,
  key: string,
  typed: string | undefined,
): State {
  if (key === 'esc') return { ...state, overlay: undefined };
  const closed = { ...state, overlay: undefined };
  if (key === 'enter') {
    const text = overlay.text.trim();
    switch (overlay.purpose) {
      case 'filter':
        return text === state.filter
          ? closed
          : { ...closed, filter: text, filtering: text, pair: undefined, focus: 'timeline' };
      case 'time':
        return text === '' ? closed : { ...closed, jump: { text, id: (state.jump?.id ?? 0) + 1 } };
      case 'phrase':
        return text === '' ? closed : startFinding(state, text);
      case 'message':
        return startJob(closed, { verb: 'commit', message: text === '' ? undefined : text }, 'save');
    }
  }
  const text = edit(overlay.text, key, typed);
  return text === undefined ? state : { ...state, overlay: { kind: 'prompt', purpose: overlay.purpose, text } };
}

function reduceRestore(
  state: State,
  overlay: Extract<Overlay, { kind: 'restore' }>,
  key: string,
  typed: string | undefined,
): State {
  if (key === 'esc') {
    if (overlay.step === 'plan' && !overlay.isUndo)
      return {
        ...state,
        overlay: { ...overlay, step: overlay.target === 'in-place' ? 'target' : 'name', typed: '' },
        plan: undefined,
      };
    if (overlay.step === 'name') return { ...state, overlay: { ...overlay, step: 'target' } };
    return { ...state, overlay: undefined, plan: undefined };
  }
  if (overlay.step === 'target') {
    const at = TARGETS.indexOf(overlay.target);
    const to =
      TARGETS[{ down: at + 1, j: at + 1, up: at - 1, k: at - 1, 1: 0, 2: 1, 3: 2 }[key] ?? at] ?? overlay.target;
    if (key !== 'enter') return { ...state, overlay: { ...overlay, target: to } };
    if (overlay.target === 'in-place') return { ...state, overlay: { ...overlay, step: 'plan' } };
    const label = state.agent?.label ?? 'agent';
    return {
      ...state,
      overlay: { ...overlay, step: 'name', name: overlay.target === 'pod' ? `${label}-restored` : `./${label}-files` },
    };
  }
  if (overlay.step === 'name') {
    if (key === 'enter')
      return overlay.name.trim() === '' ? state : { ...state, overlay: { ...overlay, step: 'plan' } };
    const name = edit(overlay.name, key, typed);
    return name === undefined ? state : { ...state, overlay: { ...overlay, name } };
  }
  return reducePlan(state, overlay, key, typed);
}

function reducePlan(
  state: State,
  overlay: Extract<Overlay, { kind: 'restore' }>,
  key: string,
  typed: string | undefined,
): State {
  const { plan } = state;
  if (plan?.is !== 'ready') return state;
  const { value } = plan;
  if (value.refused !== undefined) return state;
  if (key === 'enter') {
    if (value.typed !== undefined && overlay.typed.trim() !== value.typed) {
      const message = `type ${value.typed} to go on: what is there now is replaced`;
      return { ...state, note: { message, isTrouble: true } };
    }
    const { target, name, isUndo } = overlay;
    const request = { verb: 'restore', commit: value.commit, target, name: name.trim() } as const;
    return startJob({ ...state, plan: undefined }, request, isUndo ? 'undo' : 'restore', shownLine(state));
  }
  if (value.typed === undefined) return key === 'y' ? copy(state, shownLine(state)) : state;
  const text = edit(overlay.typed, key, typed);
  return text === undefined ? state : { ...state, overlay: { ...overlay, typed: text } };
}

function reduceRemovePod(
  state: State,
  overlay: Extract<Overlay, { kind: 'remove-pod' }>,
  key: string,
  typed: string | undefined,
): State {
  if (key === 'esc') return { ...state, overlay: undefined };
  if (key === 'enter') {
    if (overlay.typed.trim() === overlay.name)
      return startJob(state, { verb: 'remove-pod', name: overlay.name }, 'undo');
    return { ...state, note: { message: `type ${overlay.name} to go on: its folder is deleted`, isTrouble: true } };
  }
  const text = edit(overlay.typed, key, typed);
  return text === undefined ? state : { ...state, overlay: { ...overlay, typed: text } };
}

function reduceWork(state: State, key: string): State {
  const { job } = state;
  if (job === undefined || isClosing(key)) return { ...state, overlay: undefined };
  if (key === 'x' && job.state === 'running') return { ...state, job: { ...job, state: 'stopping' } };
  if (key === 'y') return copy(state, job.command);
  if (key === 'z' && job.state === 'done') return again({ ...state, overlay: undefined }, 'z');
  return key === 'enter' && job.state !== 'running' && job.state !== 'stopping'
    ? { ...state, overlay: undefined }
    : state;
}

function reduceSecret(
  state: State,
  overlay: Extract<Overlay, { kind: 'secret' }>,
  key: string,
  typed: string | undefined,
): State {
  if (key === 'esc') return answer(state, undefined, overlay.below);
  if (key === 'enter') return overlay.text === '' ? state : answer(state, overlay.text, overlay.below);
  const text = edit(overlay.text, key, typed);
  return text === undefined ? state : { ...state, overlay: { ...overlay, text } };
}

function answer(state: State, text: string | undefined, overlay: Overlay | undefined): State {
  return { ...state, overlay, answer: { id: (state.answer?.id ?? 0) + 1, text } };
}
