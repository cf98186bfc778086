// What follows the cursor: the moment, its components, its files, and the inside of the selected file.

import { COMPONENTS, type Component } from '../../src/model/component.ts';
import { shortId } from '../../src/model/ids.ts';
import { formatCount, formatSize } from '../../src/model/text.ts';
import type { LocalTime } from '../days.ts';
import { line, span, type Line, type Span } from '../line.ts';
import {
  detailKey,
  divideDetail,
  dividePanes,
  filesOf,
  HEAD_ROWS,
  isUnmasked,
  selectedAt,
  selectedFile,
  viewKey,
  viewLines,
} from '../panes.ts';
import { isRead, type DetailFile, type State, type Trouble } from '../state.ts';
import { signOf, toneOf } from './timeline.ts';

/** Returns the rows of the detail. */
export function detailLines(state: State, local: LocalTime): Line[] {
  const { detailRows } = dividePanes(state);
  const { filesRows, diffRows } = divideDetail(state);
  const lines =
    state.focus === 'diff'
      ? [diffTitle(state), ...diffLines(state, diffRows)]
      : [
          ...headLines(state, local).slice(0, HEAD_ROWS),
          ...bodyLines(state, filesRows),
          ...(diffRows > 0 ? [diffTitle(state), ...diffLines(state, diffRows)] : []),
        ];
  while (lines.length < detailRows) lines.push(line(''));
  return lines.slice(0, detailRows);
}

function headLines(state: State, local: LocalTime): Line[] {
  const { pair, shown, glances } = state;
  if (pair !== undefined) {
    return [
      { left: [span('comparing ', 'title'), ...momentSpans(state, pair.from, local)] },
      { left: [span('     with ', 'title'), ...momentSpans(state, pair.to, local)] },
      componentLine(state),
    ];
  }
  const at = selectedAt(state);
  if (shown === undefined || at === undefined) return [line(''), line(''), line('')];
  const id = shown.timeline.id(at);
  const glance = glances.get(id);
  const size = isRead(glance) && glance.sizeBytes > 0 ? formatSize(glance.sizeBytes) : '';
  const said = isRead(glance) ? (glance.message.split('\n', 1)[0] ?? '') : '';
  const trigger = isRead(glance) && glance.trigger !== 'unknown' ? ` (${glance.trigger})` : '';
  return [
    { left: momentSpans(state, id, local), right: [span(size)] },
    { left: [span(`${said}${trigger}`, 'faint')] },
    componentLine(state),
  ];
}

function momentSpans(state: State, moment: string, local: LocalTime): Span[] {
  if (moment === 'live') return [span('the agent as it is now', 'strong')];
  if (moment === 'before') return [span('nothing', 'strong')];
  const timeline = state.shown?.timeline;
  const at = timeline?.find(moment as never) ?? -1;
  if (timeline === undefined || at < 0) return [span(moment.slice(0, 10), 'changed')];
  const ms = timeline.times[at] ?? 0;
  const kind = timeline.kind(at);
  const tags = timeline.tags.get(timeline.id(at)) ?? [];
  return [
    span(shortId(timeline.id(at)), 'changed'),
    span(` ${local.date(ms, state.nowMs)} ${local.clock(ms)}`, 'strong'),
    ...(kind === 'incremental' ? [] : [span(` ${kind.toUpperCase()}`, 'title')]),
    ...(timeline.isExpired(at) ? [span(' expired', 'faint')] : []),
    ...tags.map((tag) => span(` #${tag}`, 'faint')),
  ];
}

/** `state +1 ~2 (+12KB)  skills ~1 (-3B)`. */
function componentLine(state: State): Line {
  const files = filesOf(state);
  const parts: Span[] = [];
  for (const name of COMPONENTS) {
    const own = files.filter(({ component }) => component === name);
    if (own.length === 0) continue;
    parts.push(span(`${name} `, 'strong'));
    for (const change of ['added', 'modified', 'removed', 'renamed'] as const) {
      const count = own.filter((file) => file.change === change).length;
      if (count > 0) parts.push(span(`${signOf(change)}${count} `, toneOf(change)));
    }
    const grown = own.reduce((sum, { beforeBytes = 0, afterBytes = 0 }) => sum + afterBytes - beforeBytes, 0);
    parts.push(span(`(${signed(grown)})  `, 'faint'));
  }
  return { left: parts };
}

function signed(bytes: number): string {
  return bytes < 0 ? `-${formatSize(-bytes)}` : `+${formatSize(bytes)}`;
}

function bodyLines(state: State, rows: number): Line[] {
  const { detail } = state;
  const key = detailKey(state);
  if (key === undefined) return [];
  if (detail === undefined || detail.key !== key || detail.is === 'loading') return [line('comparing…', 'faint')];
  if (detail.is === 'failed') return troubleLines(detail.trouble);
  const { files } = detail.value;
  if (files.length === 0) return [line('no file differs', 'faint')];
  const top = Math.max(0, Math.min(state.file - Math.floor(rows / 2), files.length - rows));
  return files.slice(top, top + rows).map((file, index) => fileLine(state, file, top + index === state.file));
}

function fileLine({ focus }: State, file: DetailFile, isSelected: boolean): Line {
  const isMarked = isSelected && focus === 'files';
  return {
    left: [
      span(isSelected ? '›' : ' '),
      span(`${signOf(file.change)} `, toneOf(file.change)),
      span(file.title),
      span(`  ${file.component satisfies Component}`, 'faint'),
    ],
    right: [span(sizesOf(file), 'faint')],
    selected: isMarked,
  };
}

function sizesOf({ beforeBytes, afterBytes }: DetailFile): string {
  if (beforeBytes === undefined) return afterBytes === undefined ? '' : formatSize(afterBytes);
  if (afterBytes === undefined) return `was ${formatSize(beforeBytes)}`;
  return beforeBytes === afterBytes ? formatSize(afterBytes) : `${formatSize(beforeBytes)} → ${formatSize(afterBytes)}`;
}

function diffTitle(state: State): Line {
  const file = selectedFile(state);
  const files = filesOf(state);
  const { scroll } = state;
  const lines = viewLines(state)?.length ?? 0;
  const { diffRows } = divideDetail(state);
  const place =
    lines > diffRows
      ? `${Math.min(100, Math.round(((scroll + diffRows) / lines) * 100))}% of ${formatCount(lines, 'line')}`
      : '';
  const pointer = state.focus === 'diff' ? '›' : '─';
  return {
    left: [
      span(`${pointer}─ `, 'faint'),
      span(file?.title ?? '', 'title'),
      span(file === undefined ? '' : ` ${sizesOf(file)}`, 'faint'),
    ],
    right: [
      span(isUnmasked(state) ? 'secrets shown: u masks them ' : '', 'warning'),
      span(files.length > 1 ? `${state.file + 1}/${files.length} ` : '', 'faint'),
      span(place, 'faint'),
    ],
  };
}

function diffLines(state: State, rows: number): Line[] {
  const { view, scroll } = state;
  const key = viewKey(state);
  if (key === undefined) return [];
  if (view === undefined || view.key !== key || view.is === 'loading') return [line('reading…', 'faint')];
  if (view.is === 'failed') return troubleLines(view.trouble);
  return viewLines(state)?.slice(scroll, scroll + rows) ?? [];
}

/** Returns what went wrong, and what helps. */
export function troubleLines({ message, hint }: Trouble): Line[] {
  return [
    { left: [span('! ', 'error'), span(message, 'error')] },
    ...(hint === undefined ? [] : [{ left: [span('  hint: '), span(hint)] }]),
  ];
}
