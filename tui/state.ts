// What the interface knows and shows. All of it is plain data that reduce.ts makes anew; what takes time is done by session.ts, which
// looks here for what is wanted.

import type { CommitId } from '../src/model/ids.ts';
import type { Component } from '../src/model/component.ts';
import type { CommitSummary } from '../src/ops/history.ts';
import type { ChangeKind } from '../src/ops/tree-diff.ts';
import type { BlameLine, BlameMoment } from '../src/ops/blame.ts';
import type { PodSummary } from '../src/ops/pods.ts';
import type { SearchAnswer } from '../src/ops/search.ts';
import type { PlacedTurn } from '../src/model/turn.ts';
import type { Day, Shown } from './days.ts';
import type { Line } from './line.ts';

/** The size of the terminal, in columns and rows. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** What went wrong, as people are told. */
export interface Trouble {
  readonly message: string;
  readonly hint?: string | undefined;
}

/** A commit of the list, as far as it was read. */
export type Glance = CommitSummary | { readonly id: CommitId; readonly trouble: Trouble };

/** What the commits of a day changed, without the commits themselves. */
export interface DayNote {
  /** How many changed a file. */
  readonly changed: number;
  /** Those that changed none, and that no person saved. */
  readonly uneventful: ReadonlySet<CommitId>;
}

/** How many files of each component a commit changed. */
export type ComponentCounts = Partial<Record<Component, Readonly<Record<ChangeKind, number>>>>;

/** Where the cursor of the list is. */
export interface Cursor {
  readonly day: string;
  /** The number of a commit; undefined on the day itself. */
  readonly at: number | undefined;
}

/** Two moments that are compared; a commit with the one before it unless the user chose them. */
export interface Pair {
  readonly from: CommitId | 'before';
  readonly to: CommitId | 'live';
  /** The live agent changes: each time it is asked for is another one. */
  readonly asked: number;
}

/** A file in the detail. */
export interface DetailFile {
  readonly path: string;
  readonly title: string;
  readonly component: Component;
  readonly change: ChangeKind;
  readonly beforeBytes: number | undefined;
  readonly afterBytes: number | undefined;
}

/** What differs between the two moments of the cursor. */
export interface Detail {
  readonly files: readonly DetailFile[];
}

/** Something that is read: not there yet, there, or in trouble. */
export type Loading<T> =
  | { readonly key: string; readonly is: 'loading' }
  | { readonly key: string; readonly is: 'ready'; readonly value: T }
  | { readonly key: string; readonly is: 'failed'; readonly trouble: Trouble };

/** The inside of a file that differs. */
export interface FileView {
  readonly lines: readonly Line[];
}

/** A phrase that is looked for in all history, and where it was. */
export interface Found {
  readonly id: number;
  readonly phrase: string;
  /** By number. */
  readonly answers: readonly SearchAnswer[];
  readonly state: 'looking' | 'done' | 'cut' | 'failed';
  /** What is being done: `index history`, and how much of it, from 0 to 1. */
  readonly phase: string;
  readonly share: number | undefined;
  readonly trouble: Trouble | undefined;
}

/** A file whose lines are blamed. */
export interface BlamedFile {
  readonly lines: readonly BlameLine[];
  readonly moments: ReadonlyMap<CommitId, BlameMoment>;
  /** The first line that the commit itself wrote, or the first. */
  readonly start: number;
}

/** How safe the agent's backups are. */
export interface Safety {
  readonly newestMs: number;
  readonly remotes: readonly RemoteRow[];
  readonly verifiedMs: number | undefined;
}

/** A remote in the status line and in its list. */
export interface RemoteRow {
  readonly name: string;
  readonly url: string;
  readonly ahead: number | undefined;
  readonly behind: number | undefined;
  readonly ageMs: number | undefined;
  readonly lock: string | undefined;
}

/** Where a moment is brought back to. */
export type Target = 'pod' | 'folder' | 'in-place';

/** What is asked for: the session does it once. */
export type Request =
  | { readonly verb: 'commit'; readonly message: string | undefined }
  | { readonly verb: 'push' }
  | { readonly verb: 'verify' }
  | { readonly verb: 'restore'; readonly commit: CommitId; readonly target: Target; readonly name: string }
  | { readonly verb: 'remove-pod'; readonly name: string };

/** Work that takes its time. */
export interface Job {
  readonly id: number;
  readonly request: Request;
  readonly title: string;
  readonly command: string;
  readonly state: 'running' | 'done' | 'failed' | 'stopping';
  /** What is being done. */
  readonly phase: string;
  /** How much of it: `3.7MB of 6.4MB`. */
  readonly amount: string;
  /** Phases that ended. */
  readonly phases: readonly string[];
  /** From 0 to 1, where that is known. */
  readonly share: number | undefined;
  readonly lines: readonly string[];
  readonly trouble: Trouble | undefined;
}

/** What a restore would do. */
export interface PlanView {
  /** What is brought back. */
  readonly commit: CommitId;
  readonly lines: readonly Line[];
  /** What has to be typed, where something is replaced. */
  readonly typed: string | undefined;
  /** Why it can't be done. */
  readonly refused: string | undefined;
}

/** An agent that could be meant. */
export interface AgentRow {
  readonly label: string;
  readonly branch: string;
  readonly stateDir: string;
}

/** What lies over the panes. */
export type Overlay =
  | { readonly kind: 'agents'; readonly agents: readonly AgentRow[]; readonly at: number }
  | { readonly kind: 'help'; readonly top: number }
  | { readonly kind: 'palette'; readonly text: string; readonly at: number }
  | {
      readonly kind: 'prompt';
      readonly purpose: 'filter' | 'time' | 'message' | 'phrase';
      readonly text: string;
      readonly trouble?: Trouble | undefined;
    }
  | {
      readonly kind: 'restore';
      readonly commit: CommitId;
      readonly step: 'target' | 'name' | 'plan';
      readonly target: Target;
      readonly name: string;
      readonly typed: string;
      readonly isUndo: boolean;
    }
  | { readonly kind: 'remove-pod'; readonly name: string; readonly typed: string }
  | { readonly kind: 'found'; readonly at: number }
  | { readonly kind: 'blame'; readonly commit: CommitId; readonly path: string; readonly at: number | undefined }
  | { readonly kind: 'job' }
  | { readonly kind: 'remotes' }
  | { readonly kind: 'pods' }
  | { readonly kind: 'secret'; readonly subject: string; readonly text: string; readonly below: Overlay | undefined }
  | { readonly kind: 'question'; readonly question: string; readonly below: Overlay | undefined };

/** What happened last that can be taken back. */
export type Undo = { readonly kind: 'in-place' } | { readonly kind: 'pod'; readonly name: string };

/** What the interface starts with. */
export interface Start {
  readonly program: string;
  readonly label: string | undefined;
  /** Undefined for the system's own. */
  readonly zone: string | undefined;
  readonly size: Size;
  readonly colour: boolean;
  readonly nowMs: number;
  /** The program's commands, for the palette. */
  readonly commands: readonly { readonly name: string; readonly summary: string }[];
}

/** All of it. */
export interface State extends Omit<Start, 'label'> {
  readonly agent: AgentRow | undefined;
  readonly wantedLabel: string | undefined;
  /** Why nothing can be shown. */
  readonly fatal: Trouble | undefined;
  readonly shown: Shown | undefined;
  readonly openDays: ReadonlySet<string>;
  readonly showAll: boolean;
  readonly cursor: Cursor;
  /** The first row on the screen. */
  readonly top: number;
  readonly focus: 'timeline' | 'files' | 'diff';
  /** Of the commits on the screen, and of some that were. */
  readonly glances: ReadonlyMap<CommitId, Glance>;
  /** By `dayId`. */
  readonly dayNotes: ReadonlyMap<string, DayNote>;
  readonly counts: ReadonlyMap<CommitId, ComponentCounts>;
  readonly marks: readonly CommitId[];
  readonly pair: Pair | undefined;
  readonly detail: Loading<Detail> | undefined;
  readonly file: number;
  readonly view: Loading<FileView> | undefined;
  readonly scroll: number;
  readonly filter: string;
  /** The filter that what is shown passed. */
  readonly shownFilter: string | undefined;
  /** A filter that is still being worked out, and how far it is. */
  readonly filtering: string | undefined;
  readonly jump: { readonly text: string; readonly id: number } | undefined;
  readonly found: Found | undefined;
  readonly blame: Loading<BlamedFile> | undefined;
  /** What was said before the commit that wrote the line under the cursor. */
  readonly said: Loading<readonly PlacedTurn[]> | undefined;
  /** A commit that is gone to as soon as the filter is gone. */
  readonly goal: { readonly commit: CommitId; readonly path: string } | undefined;
  /** The file to begin with where a detail shows two moments. */
  readonly wanted: { readonly detail: string; readonly path: string } | undefined;
  /** The file whose secrets are shown; any other has them masked. */
  readonly unmasked: string | undefined;
  readonly safety: Safety | undefined;
  readonly pods: Loading<readonly PodSummary[]> | undefined;
  readonly overlay: Overlay | undefined;
  readonly plan: Loading<PlanView> | undefined;
  readonly job: Job | undefined;
  readonly undo: Undo | undefined;
  readonly answer: { readonly id: number; readonly text: string | undefined } | undefined;
  readonly note: (Trouble & { readonly isTrouble: boolean }) | undefined;
  readonly copy: { readonly id: number; readonly text: string } | undefined;
  readonly isLeaving: boolean;
}

/** Returns the state before anything is read. */
export function initialState({ label, ...start }: Start): State {
  return {
    ...start,
    agent: undefined,
    wantedLabel: label,
    fatal: undefined,
    shown: undefined,
    openDays: new Set(),
    showAll: false,
    cursor: { day: '', at: undefined },
    top: 0,
    focus: 'timeline',
    glances: new Map(),
    dayNotes: new Map(),
    counts: new Map(),
    marks: [],
    pair: undefined,
    detail: undefined,
    file: 0,
    view: undefined,
    scroll: 0,
    filter: '',
    shownFilter: undefined,
    filtering: undefined,
    jump: undefined,
    found: undefined,
    blame: undefined,
    said: undefined,
    goal: undefined,
    wanted: undefined,
    unmasked: undefined,
    safety: undefined,
    pods: undefined,
    overlay: undefined,
    plan: undefined,
    job: undefined,
    undo: undefined,
    answer: undefined,
    note: undefined,
    copy: undefined,
    isLeaving: false,
  };
}

/** Says whether a commit could be read. */
export function isRead(glance: Glance | undefined): glance is CommitSummary {
  return glance !== undefined && !('trouble' in glance);
}

/** Says whether a commit changed a file. */
export function hasChanges({ files: { added, modified, removed } }: CommitSummary): boolean {
  return added + modified + removed > 0;
}

/** Says whether nothing happened in a commit: what a person saved or named is an event. */
export function isUneventful(commit: CommitSummary): boolean {
  const { kind, trigger, components, tags } = commit;
  const isOwn = kind !== 'incremental' || (trigger !== 'schedule' && trigger !== 'run') || tags.length > 0;
  return !isOwn && !hasChanges(commit) && components.length > 0;
}

/** Names a day of a history as it is: with another commit, or another filter, it is another one. */
export function dayId({ shown, shownFilter }: Pick<State, 'shown' | 'shownFilter'>, { key, from, to }: Day): string {
  const first = shown === undefined ? '' : shown.timeline.id(shown.hits?.[from] ?? from);
  return `${key} ${first} ${to - from} ${shownFilter}`;
}
