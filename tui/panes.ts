// Where everything stands on the screen, and what is selected: worked out of the state by the reducer, the views and the session alike.

import type { CommitId } from '../src/model/ids.ts';
import type { BlameLine, BlameMoment } from '../src/ops/blame.ts';
import { Layout, listCommits, type Day, type Row, type Shown } from './days.ts';
import { wrapLine, type Line } from './line.ts';
import {
  dayId,
  isRead,
  isUneventful,
  type BlamedFile,
  type DetailFile,
  type FileView,
  type Size,
  type State,
} from './state.ts';

/** The least that everything fits into. */
export const LEAST: Size = { columns: 80, rows: 24 };
const WIDE = 116;

/** How the screen is divided: title, panes, status line and keys. */
export interface Panes {
  readonly isWide: boolean;
  /** Rows of the list and of the detail; 0 where it has no place. */
  readonly listRows: number;
  readonly detailRows: number;
  readonly listColumns: number;
  readonly detailColumns: number;
}

/** Divides the screen. */
export function dividePanes(state: State): Panes {
  const { size, focus } = state;
  const { columns } = size;
  const rows = Math.max(1, size.rows - 3);
  if (columns >= WIDE) {
    const listColumns = Math.min(72, Math.floor(columns * 0.44));
    return { isWide: true, listRows: rows, detailRows: rows, listColumns, detailColumns: columns - listColumns - 1 };
  }
  const share = { timeline: 0.5, files: 0.25, diff: 0 }[focus];
  // A short list leaves its room to the detail.
  const most = Math.max(3, layoutOf(state)?.count ?? rows);
  const listRows = Math.min(Math.floor(rows * share), most);
  const detailRows = listRows === 0 ? rows : rows - listRows - 1;
  return { isWide: false, listRows, detailRows, listColumns: columns, detailColumns: columns };
}

/** How the detail is divided. */
export interface DetailPanes {
  readonly filesRows: number;
  readonly diffRows: number;
}

/** Rows of the detail above its files: moment, message, components. */
export const HEAD_ROWS = 3;

/** Divides the detail. */
export function divideDetail(state: State): DetailPanes {
  const { detailRows } = dividePanes(state);
  if (state.focus === 'diff') return { filesRows: 0, diffRows: Math.max(0, detailRows - 1) };
  const rest = Math.max(0, detailRows - HEAD_ROWS);
  const files = filesOf(state).length;
  const filesRows = Math.min(files, Math.max(3, Math.floor(rest * (state.focus === 'files' ? 0.5 : 0.4))), rest);
  return { filesRows, diffRows: Math.max(0, rest - filesRows - 1) };
}

const layouts = new WeakMap<object, { readonly key: readonly unknown[]; readonly layout: Layout }>();

/** Returns the rows of the list. */
export function layoutOf(state: State): Layout | undefined {
  const { shown, openDays, showAll, glances, dayNotes } = state;
  if (shown === undefined) return undefined;
  const key = [openDays, showAll, glances, dayNotes];
  const known = layouts.get(shown);
  if (known !== undefined && known.key.every((part, index) => part === key[index])) return known.layout;
  const layout = new Layout(shown, openDays, (day) => listShown(state, shown, day));
  layouts.set(shown, { key, layout });
  return layout;
}

/** Lists the commits of an open day, without those in which nothing is known to have happened. */
function listShown(state: State, shown: Shown, day: Day): readonly number[] {
  const commits = listCommits(shown, day);
  if (state.showAll) return commits;
  const note = state.dayNotes.get(dayId(state, day));
  return commits.filter((at) => {
    const id = shown.timeline.id(at);
    const glance = state.glances.get(id);
    return isRead(glance) ? !isUneventful(glance) : note?.uneventful.has(id) !== true;
  });
}

/** Returns the number of the row that the cursor is on. */
export function cursorRow(state: State): number {
  return layoutOf(state)?.indexOf(state.cursor.day, state.cursor.at) ?? 0;
}

/** Returns the row that the cursor is on. */
export function selectedRow(state: State): Row | undefined {
  return layoutOf(state)?.row(cursorRow(state));
}

/** Returns the number of the commit that is meant: the cursor's, or the newest of its day. */
export function selectedAt(state: State): number | undefined {
  const row = selectedRow(state);
  if (row === undefined || state.shown === undefined) return undefined;
  return row.kind === 'commit' ? row.at : listCommits(state.shown, row.day)[0];
}

/** Returns the commit that is meant. */
export function selectedId(state: State): CommitId | undefined {
  const at = selectedAt(state);
  return at === undefined ? undefined : state.shown?.timeline.id(at);
}

/** Returns the rows on the screen, with their numbers. */
export function visibleRows(state: State): readonly (readonly [number, Row])[] {
  const layout = layoutOf(state);
  const { listRows } = dividePanes(state);
  const rows: (readonly [number, Row])[] = [];
  if (layout === undefined) return rows;
  for (let index = state.top; index < state.top + listRows; index += 1) {
    const row = layout.row(index);
    if (row !== undefined) rows.push([index, row]);
  }
  return rows;
}

/** Names what the detail is to show: two moments, by key. */
export function detailKey(state: State): string | undefined {
  const { pair } = state;
  if (pair !== undefined) return `${pair.from}..${pair.to}${pair.to === 'live' ? `#${pair.asked}` : ''}`;
  const id = selectedId(state);
  return id === undefined ? undefined : `before..${id}`;
}

/** Returns the files of the detail, as far as it fits the cursor. */
export function filesOf(state: State): readonly DetailFile[] {
  const { detail } = state;
  return detail?.is === 'ready' && detail.key === detailKey(state) ? detail.value.files : [];
}

/** Returns the file that is selected. */
export function selectedFile(state: State): DetailFile | undefined {
  return filesOf(state)[state.file];
}

/** Names the file that is selected, between its two moments. */
export function fileKey(state: State): string | undefined {
  const file = selectedFile(state);
  return file === undefined ? undefined : `${detailKey(state)} ${file.path}`;
}

/** Says whether the secrets of the file that is selected are shown. */
export function isUnmasked(state: State): boolean {
  return state.unmasked !== undefined && state.unmasked === fileKey(state);
}

/** Names what the diff is to show. */
export function viewKey(state: State): string | undefined {
  const key = fileKey(state);
  return key !== undefined && isUnmasked(state) ? `${key} unmasked` : key;
}

/** Names the file whose lines are blamed. */
export function blameKey({ commit, path }: { readonly commit: CommitId; readonly path: string }): string {
  return `${commit}:${path}`;
}

/** A file whose lines are blamed, and the line under the cursor. */
interface BlamedLine {
  readonly file: BlamedFile;
  readonly at: number;
  /** Undefined in an empty file. */
  readonly line: BlameLine | undefined;
  readonly moment: BlameMoment | undefined;
}

/** Returns the file whose lines are blamed and the line under the cursor, once they are there. */
export function blamedLine({ overlay, blame }: State): BlamedLine | undefined {
  if (overlay?.kind !== 'blame' || blame?.is !== 'ready' || blame.key !== blameKey(overlay)) return undefined;
  const file = blame.value;
  const at = overlay.at ?? file.start;
  const line = file.lines[at];
  return { file, at, line, moment: line && file.moments.get(line.commit) };
}

/** Names the moment whose conversations are shown below a blamed line. */
export function saidKey(state: State): string | undefined {
  const commit = blamedLine(state)?.line?.commit;
  return commit === undefined ? undefined : `${state.blame?.key} ${commit}`;
}

const wrapped = new WeakMap<FileView, { readonly columns: number; readonly lines: readonly Line[] }>();

/** Returns the rows of the diff as they fit into its pane; undefined while they are not there. */
export function viewLines(state: State): readonly Line[] | undefined {
  const { view } = state;
  if (view?.is !== 'ready' || view.key !== viewKey(state)) return undefined;
  const { detailColumns: columns } = dividePanes(state);
  const known = wrapped.get(view.value);
  if (known?.columns === columns) return known.lines;
  const lines = view.value.lines.flatMap((one) => wrapLine(one, columns));
  wrapped.set(view.value, { columns, lines });
  return lines;
}
