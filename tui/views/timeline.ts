// The list of days and commits, as rows.

import { COMPONENTS } from '../../src/model/component.ts';
import { shortId } from '../../src/model/ids.ts';
import { formatCount } from '../../src/model/text.ts';
import { listCommits, type Day, type LocalTime, type Row, type Shown } from '../days.ts';
import { clean, line, span, sparkline, type Line, type Span } from '../line.ts';
import { cursorRow, dividePanes, visibleRows } from '../panes.ts';
import { dayId, isRead, type ComponentCounts, type Glance, type State } from '../state.ts';

/** Signs of what changed, so that no colour is needed. */
const SIGNS = { added: '+', modified: '~', removed: '-', renamed: '>' } as const;
const KINDS = { full: 'FULL', manual: 'MANUAL', safety: 'SAFETY', incremental: '' } as const;

/** Returns the rows of the list that are on the screen. */
export function timelineLines(state: State, local: LocalTime): Line[] {
  const { listRows } = dividePanes(state);
  const selected = cursorRow(state);
  const lines = visibleRows(state).map(([index, row]) => ({
    ...rowLine(state, row, local, index === selected),
    selected: index === selected,
  }));
  if (lines.length === 0) lines.push(...emptyLines(state).map((one) => ({ ...one, selected: false })));
  while (lines.length < listRows) lines.push({ ...line(''), selected: false });
  return lines.slice(0, listRows);
}

function emptyLines(state: State): Line[] {
  if (state.shown === undefined) return [line('reading the history…', 'faint')];
  if (state.filter !== '')
    return [line(`nothing matches "${state.filter}"`, 'warning'), line('Esc shows everything again', 'faint')];
  return [line('nothing was saved yet', 'faint')];
}

function rowLine(state: State, row: Row, local: LocalTime, isSelected: boolean): Line {
  const pointer = isSelected ? (state.focus === 'timeline' ? '›' : '·') : ' ';
  return row.kind === 'day' ? dayLine(state, row.day, pointer) : commitLine(state, row.at, local, pointer);
}

/** `▾ Tue 14 Oct · 288 saves · 9 changed · ▂▅▁`. */
function dayLine(state: State, day: Day, pointer: string): Line {
  const { shown, openDays, dayNotes } = state;
  if (shown === undefined) return line('');
  const saves = day.to - day.from;
  const { full, manual, expired } = countKinds(shown, day);
  const changed = dayNotes.get(dayId(state, day))?.changed;
  const noun = shown.hits === undefined ? formatCount(saves, 'save') : formatCount(saves, 'match', 'matches');
  const about = changed === undefined ? '' : ` · ${changed} changed`;
  return {
    left: [
      span(`${pointer}${openDays.has(day.key) ? '▾' : '▸'} `),
      span(day.title.padEnd(10), 'strong'),
      span(` · ${noun}${about} · `),
      span(sparkline(day.spread), 'title'),
      ...(expired === 0 ? [] : [span(expired === saves ? ' expired' : ` ${expired} expired`, 'faint')]),
    ],
    right: [
      ...(manual === 0 ? [] : [span(`${manual > 1 ? `${manual} ` : ''}MANUAL `, 'changed')]),
      ...(full === 0 ? [] : [span('FULL', 'title')]),
    ],
  };
}

interface KindCounts {
  readonly full: number;
  readonly manual: number;
  readonly expired: number;
}

const counted = new WeakMap<Day, KindCounts>();

function countKinds(shown: Shown, day: Day): KindCounts {
  const known = counted.get(day);
  if (known !== undefined) return known;
  const counts = { full: 0, manual: 0, expired: 0 };
  for (const at of listCommits(shown, day)) {
    const kind = shown.timeline.kind(at);
    if (kind === 'full' || kind === 'manual') counts[kind] += 1;
    if (shown.timeline.isExpired(at)) counts.expired += 1;
  }
  counted.set(day, counts);
  return counts;
}

function commitLine(state: State, at: number, local: LocalTime, pointer: string): Line {
  const { shown, glances, counts, marks } = state;
  if (shown === undefined) return line('');
  const { timeline } = shown;
  const id = timeline.id(at);
  const kind = KINDS[timeline.kind(at)];
  const glance = glances.get(id);
  const markAt = marks.indexOf(id);
  return {
    left: [
      span(`${pointer}${markAt < 0 ? ' ' : (['①', '②'][markAt] ?? '*')} `, markAt < 0 ? 'plain' : 'warning'),
      span(local.clock(timeline.times[at] ?? 0).slice(0, 5), 'strong'),
      span(' '),
      ...(kind === '' ? [] : [span(`${kind} `, kind === 'FULL' ? 'title' : 'changed')]),
      ...(timeline.isExpired(at) ? [span('expired ', 'faint')] : []),
      ...changeSpans(glance, counts.get(id)),
      ...messageSpans(glance),
    ],
    right: [...nameSpans(state, at), span(shortId(id).slice(0, 7), 'faint')],
  };
}

function nameSpans({ shown }: State, at: number): Span[] {
  const timeline = shown?.timeline;
  const id = timeline?.id(at);
  if (timeline === undefined || id === undefined) return [];
  const branches = (timeline.branches.get(id) ?? []).map((name) => span(`${name} `, 'added'));
  // The tags that backups get by themselves say what FULL and MANUAL say.
  const tags = (timeline.tags.get(id) ?? []).filter((name) => !/^(full|manual|safety)\//.test(name));
  return [...branches, ...tags.map((name) => span(`#${name} `, 'changed'))];
}

/** What a commit changed: by component where that is known already, else by files. */
function changeSpans(glance: Glance | undefined, byComponent: ComponentCounts | undefined): Span[] {
  if (glance === undefined) return [span('…', 'faint')];
  if (!isRead(glance)) return [span(`! ${glance.trouble.message}`, 'error')];
  if (byComponent !== undefined) {
    const parts = COMPONENTS.flatMap((name) => {
      const counted = byComponent[name];
      if (counted === undefined) return [];
      const signs = (['added', 'modified', 'removed', 'renamed'] as const)
        .filter((change) => counted[change] > 0)
        .map((change) => span(`${SIGNS[change]}${counted[change]}`, toneOf(change)));
      return [span(`${name} `), ...signs, span('  ')];
    });
    return parts.length === 0 ? [span('no file  ', 'faint')] : parts;
  }
  const { added, modified, removed } = glance.files;
  return [
    ...(added > 0 ? [span(`+${added} `, 'added')] : []),
    ...(modified > 0 ? [span(`~${modified} `, 'changed')] : []),
    ...(removed > 0 ? [span(`-${removed} `, 'removed')] : []),
  ];
}

const OWN_WORDS = /^((full|manual|safety) backup, )?(\d+ (added|changed|modified|removed)|no change)/;

/** Only what somebody said: what molt says by itself tells nothing that the row does not. */
function messageSpans(glance: Glance | undefined): Span[] {
  if (!isRead(glance)) return [];
  const [said = ''] = glance.message.split('\n', 1);
  const isOwn = said === '' || OWN_WORDS.test(said);
  return isOwn ? [] : [span(clean(said), 'faint')];
}

/** Returns the tone of a change. */
export function toneOf(change: keyof typeof SIGNS): 'added' | 'removed' | 'changed' {
  return change === 'added' ? 'added' : change === 'removed' ? 'removed' : 'changed';
}

/** Returns the sign of a change. */
export function signOf(change: keyof typeof SIGNS): string {
  return SIGNS[change];
}
