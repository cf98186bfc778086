// The whole screen, as rows of exactly its width: title, panes, status line and keys; what lies over the panes in a frame on top.

import { formatAge } from '../../src/model/time-format.ts';
import { formatCount } from '../../src/model/text.ts';
import { shownLine } from '../command-line.ts';
import { LocalTime } from '../days.ts';
import { clip, line, paint, span, widthOf, wrapLine, type Line, type Span } from '../line.ts';
import { BINDINGS, showKey } from '../keymap.ts';
import { dividePanes, LEAST } from '../panes.ts';
import type { State } from '../state.ts';
import { detailLines, troubleLines } from './detail.ts';
import { overlayView } from './overlay.ts';
import { timelineLines } from './timeline.ts';

const locals = new Map<string | undefined, LocalTime>();

/** Returns the times of a zone; what was asked of the system is remembered. */
export function localTime(zone: string | undefined): LocalTime {
  const known = locals.get(zone) ?? new LocalTime(zone);
  locals.set(zone, known);
  return known;
}

/** Returns the rows of the screen. */
export function screenLines(state: State): string[] {
  const { columns, rows } = state.size;
  if (columns < LEAST.columns || rows < LEAST.rows) return tooSmall(state);
  const local = localTime(state.zone);
  const body = state.fatal === undefined ? paneLines(state, local) : fatalLines(state);
  const lines = [titleLine(state), ...body, statusLine(state), keysLine(state)].slice(0, rows);
  const painted = lines.map((one) => (typeof one === 'string' ? one : paint(one, columns, state.colour)));
  return state.overlay === undefined ? painted : withOverlay(state, painted, local);
}

function tooSmall({ size, colour }: State): string[] {
  const text = `molt needs ${LEAST.columns}x${LEAST.rows}; this is ${size.columns}x${size.rows}`;
  const lines = [line(text), line('make the window larger; q leaves')];
  return lines.slice(0, size.rows).map((one) => paint(one, size.columns, colour));
}

function titleLine(state: State): Line {
  const { agent, shown, filter, filtering, program } = state;
  const count = shown?.timeline.isWhole === true ? ` · ${formatCount(shown.timeline.count, 'save')}` : '';
  return {
    left: [
      span(` ${program} `, 'title'),
      span(agent === undefined ? (state.wantedLabel ?? '') : agent.label, 'strong'),
      span(agent === undefined || agent.branch === 'main' ? count : ` on ${agent.branch}${count}`),
      ...(filter === ''
        ? []
        : [span(` · filter "${filter}"${filtering === undefined ? ` ${shown?.hits?.length ?? 0}` : ' …'}`, 'warning')]),
    ],
    right: [span(`$ ${shownLine(state)} `, 'faint')],
  };
}

function paneLines(state: State, local: LocalTime): (Line | string)[] {
  const { isWide, listRows, listColumns, detailColumns } = dividePanes(state);
  const detail = detailLines(state, local);
  if (listRows === 0) return detail;
  const list = timelineLines(state, local);
  if (!isWide) return [...list, line('─'.repeat(listColumns), 'faint'), ...detail];
  const rule = paint(line('│', 'faint'), 1, state.colour);
  return list.map(
    (one, index) =>
      paint(one, listColumns, state.colour) + rule + paint(detail[index] ?? line(''), detailColumns, state.colour),
  );
}

function fatalLines(state: State): Line[] {
  const { listRows, detailRows, isWide } = dividePanes(state);
  const rows = isWide ? listRows : listRows + detailRows + (listRows === 0 ? 0 : 1);
  const lines = [
    line(''),
    ...(state.fatal === undefined ? [] : troubleLines(state.fatal)),
    line(''),
    line('q leaves', 'faint'),
  ];
  return Array.from({ length: rows }, (_, index) => lines[index] ?? line(''));
}

/** ` saved 3 min ago · copies 3/3 · nothing to push · verified 2 days ago`. */
function statusLine(state: State): Line {
  const { safety, nowMs, job, note } = state;
  if (note !== undefined) {
    const hint = note.hint === undefined ? '' : ` (${note.hint})`;
    return {
      left: [
        span(note.isTrouble ? ' ! ' : ' ', 'error'),
        span(`${note.message}${hint}`, note.isTrouble ? 'warning' : 'strong'),
      ],
    };
  }
  const right: Span[] =
    job?.state === 'running' || job?.state === 'stopping'
      ? [
          span(
            `${job.title}${job.share === undefined ? '' : ` ${Math.round(job.share * 100)}%`}: w shows it `,
            'warning',
          ),
        ]
      : [];
  if (safety === undefined) return { left: [span(' …', 'faint')], right };
  const { newestMs, remotes, verifiedMs } = safety;
  const parts: Span[] = [span(' saved '), span(formatAge(nowMs - newestMs), 'strong')];
  if (remotes.length === 0) parts.push(span(' · '), span('! no copy elsewhere', 'warning'));
  else {
    const whole = remotes.filter(({ ahead }) => ahead === 0).length;
    parts.push(span(' · copies '), span(`${whole}/${remotes.length}`, whole === remotes.length ? 'added' : 'warning'));
    const most = Math.max(0, ...remotes.map(({ ahead }) => ahead ?? 0));
    parts.push(most === 0 ? span(' · nothing to push') : span(` · ${most} to push`, 'warning'));
  }
  parts.push(
    verifiedMs === undefined
      ? span(' · never verified', 'faint')
      : span(` · verified ${formatAge(nowMs - verifiedMs)}`),
  );
  const [lock] = remotes.flatMap((remote) => (remote.lock === undefined ? [] : [remote.lock]));
  if (lock !== undefined) parts.push(span(` · lock ${lock}`));
  return { left: parts, right };
}

function keysLine(state: State): Line {
  const here = BINDINGS.filter(({ hint, isHere }) => hint !== undefined && isHere(state));
  let room = state.size.columns - 2;
  const spans: Span[] = [span(' ')];
  // The last ones, help and the way out, are always there.
  const [wanted, always] = [here.slice(0, -2), here.slice(-2)];
  const textOf = ({ keys, hint }: (typeof BINDINGS)[number]): string => `${showKey(keys[0] ?? '')} ${hint}  `;
  room -= always.reduce((sum, one) => sum + widthOf(textOf(one)), 0);
  const fitting = wanted.filter((one) => {
    room -= widthOf(textOf(one));
    return room >= 0;
  });
  for (const one of [...fitting, ...always])
    spans.push(span(showKey(one.keys[0] ?? ''), 'strong'), span(` ${one.hint}  `, 'faint'));
  return { left: spans };
}

/** Lays a frame over the middle of the panes. */
function withOverlay(state: State, rows: readonly string[], local: LocalTime): string[] {
  const { overlay, colour } = state;
  if (overlay === undefined) return [...rows];
  const { columns } = state.size;
  const width = columns - 4;
  const most = state.size.rows - 7;
  const { title, lines, keys } = overlayView(state, overlay, { columns: width, rows: most }, local);
  const shown = lines.flatMap((one) => wrapLine(one, width - 4)).slice(0, most);
  const head = `╭─ ${clip(title, width - 8)} `;
  const frame = (one: Line): string =>
    `  ${paint(line('│'), 1, colour)} ${paint(one, width - 4, colour)} ${paint(line('│'), 1, colour)}  `;
  const box = [
    `  ${head}${'─'.repeat(Math.max(0, width - widthOf(head) - 1))}╮  `,
    ...shown.map(frame),
    frame({ left: [span(keys, 'faint')] }),
    `  ╰${'─'.repeat(width - 2)}╯  `,
  ];
  const top = Math.max(1, Math.floor((state.size.rows - box.length) / 3));
  return rows.map((row, index) => box[index - top] ?? row);
}
