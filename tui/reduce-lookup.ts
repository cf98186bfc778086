// What is looked up in all history: a phrase and where it was, the lines of a file and who wrote them. Pure, as reduce.ts.

import { shortId } from '../src/model/ids.ts';
import type { PlacedTurn } from '../src/model/turn.ts';
import type { SearchAnswer } from '../src/ops/search.ts';
import { copy, seek } from './actions.ts';
import { shownLine } from './command-line.ts';
import { blamedLine } from './panes.ts';
import type { BlamedFile, Found, Loading, Overlay, State, Trouble } from './state.ts';

/** What the work of a lookup tells. */
export type LookupEvent =
  | {
      readonly type: 'finding';
      readonly id: number;
      readonly phase: string;
      readonly share: number | undefined;
    }
  /** Answers that are new, or of which more is known. */
  | { readonly type: 'answers'; readonly id: number; readonly answers: readonly SearchAnswer[] }
  | { readonly type: 'found'; readonly id: number; readonly isCut: boolean; readonly trouble?: Trouble | undefined }
  | { readonly type: 'blamed'; readonly blame: Loading<BlamedFile> }
  | { readonly type: 'said'; readonly said: Loading<readonly PlacedTurn[]> };

/** Has a phrase looked for. */
export function startFinding(state: State, phrase: string): State {
  const found: Found = {
    id: (state.found?.id ?? 0) + 1,
    phrase,
    answers: [],
    state: 'looking',
    phase: '',
    share: undefined,
    trouble: undefined,
  };
  return { ...state, found, overlay: { kind: 'found', at: 0 } };
}

/** Takes up what a lookup tells. */
export function takeLookup(state: State, event: LookupEvent): State {
  if (event.type === 'blamed') return { ...state, blame: event.blame };
  if (event.type === 'said') return { ...state, said: event.said };
  const { found } = state;
  if (found === undefined || found.id !== event.id) return state;
  switch (event.type) {
    case 'finding':
      return { ...state, found: { ...found, phase: event.phase, share: event.share } };
    case 'answers': {
      const answers = [...found.answers];
      for (const answer of event.answers) answers[answer.number] = answer;
      return { ...state, found: { ...found, answers } };
    }
    case 'found': {
      const { trouble, isCut } = event;
      const end = trouble !== undefined ? 'failed' : isCut ? 'cut' : 'done';
      return { ...state, found: { ...found, state: end, trouble } };
    }
  }
}

const STEPS: Readonly<Record<string, number>> = {
  down: 1,
  j: 1,
  up: -1,
  k: -1,
  pagedown: 8,
  space: 8,
  pageup: -8,
  home: -Infinity,
  g: -Infinity,
  end: Infinity,
  G: Infinity,
};

/** Returns the place in a list after a key, or undefined if the key is none that moves. */
function moved(at: number, count: number, key: string): number | undefined {
  const by = STEPS[key];
  return by === undefined ? undefined : Math.max(0, Math.min(count - 1, at + by));
}

/** Keys in the list of where a phrase was. */
export function reduceFound(state: State, overlay: Extract<Overlay, { kind: 'found' }>, key: string): State {
  const answers = state.found?.answers ?? [];
  const at = moved(overlay.at, answers.length, key);
  if (at !== undefined) return { ...state, overlay: { ...overlay, at } };
  const answer = answers[overlay.at];
  switch (key) {
    case 'enter':
      return answer === undefined ? state : seek(state, answer.appeared.commit, answer.path);
    case 'e':
      if (answer === undefined || answer.gone === 'pending') return state;
      return answer.gone === undefined
        ? { ...state, note: { message: 'it is still there', isTrouble: false } }
        : seek(state, answer.gone.commit, answer.path);
    case 'f':
      return { ...state, overlay: { kind: 'prompt', purpose: 'phrase', text: state.found?.phrase ?? '' } };
    case 'y':
      return copy(state, shownLine(state));
    default:
      return isClosing(key) ? { ...state, overlay: undefined } : state;
  }
}

/** Keys among the lines of a blamed file. */
export function reduceBlame(state: State, overlay: Extract<Overlay, { kind: 'blame' }>, key: string): State {
  const blamed = blamedLine(state);
  if (blamed !== undefined) {
    const at = moved(blamed.at, blamed.file.lines.length, key);
    if (at !== undefined) return { ...state, overlay: { ...overlay, at } };
    const { moment } = blamed;
    if (key === 'enter' && moment !== undefined)
      return moment.commit === overlay.commit
        ? { ...state, note: { message: `this is the moment, ${shortId(moment.commit)}`, isTrouble: false } }
        : seek(state, moment.commit, moment.path);
  }
  if (key === 'y') return copy(state, shownLine(state));
  return isClosing(key) ? { ...state, overlay: undefined } : state;
}

function isClosing(key: string): boolean {
  return key === 'esc' || key === 'q' || key === 'left';
}
