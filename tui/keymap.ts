// Which key does what, and where: one table, from which keys are looked up, the row of hints and the help are made, and the palette
// knows what it can do itself.

import { selectedFile, selectedId, selectedRow } from './panes.ts';
import type { State } from './state.ts';

/** What a key can do. */
export type Action =
  | 'down'
  | 'up'
  | 'page-down'
  | 'page-up'
  | 'first'
  | 'last'
  | 'enter'
  | 'back'
  | 'next-pane'
  | 'next-file'
  | 'previous-file'
  | 'show-all'
  | 'mark'
  | 'compare'
  | 'filter'
  | 'jump'
  | 'find'
  | 'blame'
  | 'unmask'
  | 'bring-back'
  | 'undo'
  | 'commit'
  | 'push'
  | 'verify'
  | 'remotes'
  | 'pods'
  | 'work'
  | 'copy'
  | 'palette'
  | 'help'
  | 'leave';

/** A key's meaning. */
export interface Binding {
  /** The first one is shown. */
  readonly keys: readonly string[];
  readonly action: Action;
  /** What it does, as the help says it. */
  readonly label: string;
  /** The same in a word, for the row of hints; those without are only in the help. */
  readonly hint?: string;
  /** The command whose work it does. */
  readonly command?: string;
  /** Whether it does anything where the user is. */
  readonly isHere: (state: State) => boolean;
  /** Why it can't be done now, if it can't. */
  readonly whyNot?: (state: State) => string | undefined;
}

const always = (): boolean => true;
const inList = ({ focus }: State): boolean => focus === 'timeline';
/** Says whether the day of the cursor is open. */
function isOpenDay(state: State): boolean {
  const row = selectedRow(state);
  return row !== undefined && state.openDays.has(row.day.key);
}

const inDetail = ({ focus }: State): boolean => focus !== 'timeline';
const noMoment = (state: State): string | undefined =>
  selectedId(state) === undefined ? 'no moment is selected' : undefined;
const noFile = (state: State): string | undefined =>
  selectedFile(state) === undefined ? 'no file is selected' : undefined;
const notBlamed = (state: State): string | undefined =>
  noFile(state) ??
  (state.pair?.to === 'live'
    ? 'what the agent has now is in no commit yet: s saves it'
    : selectedFile(state)?.change === 'removed'
      ? 'the file is gone at this moment: go to the one before'
      : undefined);
const noAgent = (state: State): string | undefined => (state.agent === undefined ? 'no agent is open yet' : undefined);
const isBusy = (state: State): string | undefined => {
  if (state.job?.state === 'running' || state.job?.state === 'stopping')
    return `${state.job.title} is still under way: w shows it`;
  return noAgent(state);
};

/** All keys, the most useful first. */
export const BINDINGS: readonly Binding[] = [
  { keys: ['down', 'j'], action: 'down', label: 'down, to older moments', isHere: always },
  { keys: ['up', 'k'], action: 'up', label: 'up, to newer moments', isHere: always },
  { keys: ['pagedown', 'ctrl+d', 'space'], action: 'page-down', label: 'a screen down', isHere: always },
  { keys: ['pageup', 'ctrl+u'], action: 'page-up', label: 'a screen up', isHere: always },
  { keys: ['home', 'g'], action: 'first', label: 'to the newest, or the top', isHere: always },
  { keys: ['end', 'G'], action: 'last', label: 'to the oldest, or the end', isHere: always },
  {
    keys: ['enter', 'right', 'l'],
    action: 'enter',
    label: 'open the day, the moment, the file',
    hint: 'open',
    isHere: ({ focus }) => focus !== 'diff',
  },
  {
    keys: ['esc', 'left', 'h', 'backspace'],
    action: 'back',
    label: 'back: to the list, fold the day, end the comparison or the filter',
    hint: 'back',
    isHere: (state) =>
      inDetail(state) || state.pair !== undefined || state.filter !== '' || state.marks.length > 0 || isOpenDay(state),
  },
  { keys: ['tab'], action: 'next-pane', label: 'to the next pane', isHere: always },
  {
    keys: ['n', ']'],
    action: 'next-file',
    label: 'the next file',
    hint: 'next file',
    isHere: inDetail,
    whyNot: noFile,
  },
  { keys: ['N', '['], action: 'previous-file', label: 'the file before', isHere: inDetail },
  {
    keys: ['d'],
    action: 'compare',
    label: 'compare: the marked moments, the mark and this one, or this one and the agent as it is now',
    hint: 'compare',
    command: 'diff',
    isHere: always,
    whyNot: noMoment,
  },
  {
    keys: ['m'],
    action: 'mark',
    label: 'mark this moment for a comparison',
    hint: 'mark',
    isHere: inList,
    whyNot: noMoment,
  },
  {
    keys: ['c'],
    action: 'bring-back',
    label: 'bring this moment back: a plan first',
    hint: 'bring back',
    command: 'restore',
    isHere: always,
    whyNot: (state) => noMoment(state) ?? isBusy(state),
  },
  {
    keys: ['z'],
    action: 'undo',
    label: 'take the last bringing back back',
    isHere: always,
    whyNot: isBusy,
  },
  {
    keys: ['/'],
    action: 'filter',
    label: 'show only what changed a path (MEMORY.md), or has a word, tag or kind',
    hint: 'filter',
    command: 'log',
    isHere: inList,
    whyNot: noAgent,
  },
  {
    keys: ['f'],
    action: 'find',
    label: 'find a phrase in all history: when it appeared, and when it went away',
    hint: 'find',
    command: 'search',
    isHere: always,
    whyNot: noAgent,
  },
  {
    keys: ['b'],
    action: 'blame',
    label: 'blame: which moment wrote each line of the file that is shown, and what was said before',
    hint: 'blame',
    command: 'blame',
    isHere: always,
    whyNot: notBlamed,
  },
  {
    keys: ['u'],
    action: 'unmask',
    label: 'show the secrets of the file that is shown, or mask them again',
    isHere: always,
    whyNot: noFile,
  },
  {
    keys: ['T'],
    action: 'jump',
    label: 'go to a time: yesterday 14:30, 2 hours ago',
    hint: 'time',
    isHere: always,
    whyNot: noAgent,
  },
  {
    keys: ['a'],
    action: 'show-all',
    label: 'show all commits of a day, or only those that changed a file',
    isHere: inList,
  },
  { keys: ['s'], action: 'commit', label: 'save the agent now', command: 'commit', isHere: always, whyNot: isBusy },
  {
    keys: ['p'],
    action: 'push',
    label: 'push to all remotes',
    command: 'push',
    isHere: always,
    whyNot: (state) =>
      isBusy(state) ??
      (state.safety?.remotes.length === 0
        ? `there is no remote yet: ${state.program} remote add NAME URL makes one`
        : undefined),
  },
  { keys: ['v'], action: 'verify', label: 'verify the repository', command: 'verify', isHere: always, whyNot: isBusy },
  { keys: ['R'], action: 'remotes', label: 'the remotes', command: 'remote list', isHere: always, whyNot: noAgent },
  { keys: ['P'], action: 'pods', label: 'the pods of this machine', command: 'pod list', isHere: always },
  {
    keys: ['w'],
    action: 'work',
    label: 'the work that is under way, or ended last',
    isHere: always,
    whyNot: (state) => (state.job === undefined ? 'nothing was started yet' : undefined),
  },
  { keys: ['y'], action: 'copy', label: 'copy the command line at the top', isHere: always },
  { keys: [':'], action: 'palette', label: 'all commands, by name', command: 'help', isHere: always },
  { keys: ['?'], action: 'help', label: 'the keys of where you are', hint: 'keys', isHere: always },
  { keys: ['q', 'ctrl+c'], action: 'leave', label: 'leave', hint: 'leave', isHere: always },
];

/** Finds what a key does where the user is. */
export function findBinding(state: State, key: string): Binding | undefined {
  return BINDINGS.find(({ keys, isHere }) => keys.includes(key) && isHere(state));
}

const NAMES: Readonly<Record<string, string>> = {
  down: '↓',
  up: '↑',
  left: '←',
  right: '→',
  pagedown: 'PgDn',
  pageup: 'PgUp',
  home: 'Home',
  end: 'End',
  enter: 'Enter',
  esc: 'Esc',
  tab: 'Tab',
  space: 'Space',
  backspace: 'Bksp',
};

/** Returns a key as people know it. */
export function showKey(key: string): string {
  return NAMES[key] ?? key.replace(/^ctrl\+(.)$/, (_, letter: string) => `^${letter.toUpperCase()}`);
}
