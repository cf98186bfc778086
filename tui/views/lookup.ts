// The windows of what is looked up in all history: where a phrase was, and who wrote the lines of a file.

import { shortId } from '../../src/model/ids.ts';
import { displayPath } from '../../src/model/name.ts';
import { formatCount } from '../../src/model/text.ts';
import { formatSpeaker } from '../../src/model/turn.ts';
import type { BlameMoment } from '../../src/ops/blame.ts';
import type { SearchAnswer } from '../../src/ops/search.ts';
import type { LocalTime } from '../days.ts';
import { bar, clip, line, span, wrapLine, type Line } from '../line.ts';
import { blamedLine, saidKey } from '../panes.ts';
import type { Found, Overlay, State } from '../state.ts';
import { troubleLines } from './detail.ts';
import type { OverlayView, Room } from './window.ts';

const BAR_COLUMNS = 20;
const TIME_COLUMNS = 18;

/** Returns the window of where a phrase was. */
export function foundView(state: State, at: number, { rows }: Room, local: LocalTime): OverlayView {
  const { found } = state;
  if (found === undefined) return { title: 'find', lines: [], keys: 'Esc closes' };
  const { phrase, answers, trouble } = found;
  const head = [headOf(found), ...(trouble === undefined ? [] : troubleLines(trouble))];
  const room = Math.max(1, Math.floor((rows - head.length) / 2));
  const top = Math.max(0, Math.min(at - Math.floor(room / 2), answers.length - room));
  const shown = answers.slice(top, top + room);
  const lines = shown.flatMap((answer, index) => answerLines(state, answer, top + index === at, local));
  return {
    title: `where "${phrase}" was`,
    lines: [...head, ...lines],
    keys: 'Enter goes to where it appeared  e to where it went  f finds another  y copies  Esc closes',
  };
}

function headOf({ state, phase, share, answers, phrase }: Found): Line {
  const count = formatCount(answers.length, 'place');
  switch (state) {
    case 'looking': {
      const done = share === undefined ? '' : ` ${bar(share, BAR_COLUMNS)} ${Math.round(share * 100)}%`;
      return line(
        `${phase === '' ? 'looking' : phase}…${done}${answers.length === 0 ? '' : `  ${count} so far`}`,
        'faint',
      );
    }
    case 'cut':
      return line(`the first ${count}; more words find fewer`, 'faint');
    case 'failed':
      return line(answers.length === 0 ? '' : `${count} until then`, 'faint');
    case 'done':
      return answers.length === 0
        ? line(`no commit has "${phrase}" in a text or a conversation`, 'warning')
        : line(`${count}, in the order in which it appeared`, 'faint');
  }
}

function answerLines(state: State, answer: SearchAnswer, isSelected: boolean, local: LocalTime): Line[] {
  const { path, appeared, mayBeEarlier, gone, line: number, excerpt, turn } = answer;
  const place = `${displayPath(path)}${number === undefined ? '' : `:${number}`}`;
  const end =
    gone === undefined
      ? [span('  still there', 'added')]
      : gone === 'pending'
        ? [span('  …', 'faint')]
        : [span('  gone ', 'removed'), span(timeOf(state, gone.timeMs, local))];
  return [
    {
      left: [
        span(isSelected ? '› ' : '  '),
        span(mayBeEarlier ? '≤' : '', 'faint'),
        span(timeOf(state, appeared.timeMs, local), 'strong'),
        ...end,
      ],
      right: [span(turn === undefined ? place : formatSpeaker(turn), 'faint')],
      selected: isSelected,
    },
    { left: [span('    '), span(excerpt)], right: [] },
  ];
}

/** Returns the window of who wrote the lines of a file: the lines above, and below what was said before the one of the cursor. */
export function blameView(
  state: State,
  overlay: Extract<Overlay, { kind: 'blame' }>,
  { columns, rows }: Room,
  local: LocalTime,
): OverlayView {
  const title = `who wrote ${displayPath(overlay.path)}, as of ${shortId(overlay.commit)}`;
  const keys = '↑↓ lines  Enter goes to the moment that wrote it  y copies the command line  Esc closes';
  const { blame } = state;
  const blamed = blamedLine(state);
  if (blamed === undefined)
    return {
      title,
      lines: blame?.is === 'failed' ? troubleLines(blame.trouble) : [line('following the lines back…', 'faint')],
      keys: 'Esc closes',
    };
  const { file, at, moment } = blamed;
  const { lines, moments } = file;
  if (lines.length === 0) return { title, lines: [line('the file is empty', 'faint')], keys: 'Esc closes' };
  const room = Math.max(3, Math.min(lines.length, Math.floor(rows * 0.55)));
  const top = Math.max(0, Math.min(at - Math.floor(room / 2), lines.length - room));
  const width = String(lines.at(-1)?.number ?? 0).length;
  const shown = lines.slice(top, top + room).map(({ number, text, commit }, index): Line => {
    const { timeMs = 0, mayBeEarlier = false } = moments.get(commit) ?? {};
    return {
      left: [
        span(top + index === at ? '› ' : '  '),
        span(mayBeEarlier ? '≤' : ' ', 'faint'),
        span(timeOf(state, timeMs, local).padEnd(TIME_COLUMNS), commit === overlay.commit ? 'added' : 'faint'),
        span(`${String(number).padStart(width)} `, 'faint'),
        span(text),
      ],
      right: [],
      selected: top + index === at,
    };
  });
  const below = moment === undefined ? [] : momentLines(state, moment, columns - 4, local);
  return { title, lines: [...shown, line('─'.repeat(columns - 4), 'faint'), ...below.slice(0, rows - room - 1)], keys };
}

function momentLines(state: State, moment: BlameMoment, columns: number, local: LocalTime): Line[] {
  const { commit, timeMs, message, before, mayBeEarlier } = moment;
  const [subject = ''] = message.split('\n', 1);
  const earlier =
    before === undefined ? 'history begins here: it may be older' : 'or earlier: the commits before have expired';
  const head: Line[] = [
    {
      left: [
        span(shortId(commit), 'changed'),
        span(` ${timeOf(state, timeMs, local)}`, 'strong'),
        span(`  ${subject}`, 'faint'),
      ],
      right: [],
    },
    ...(mayBeEarlier ? [line(earlier, 'faint')] : []),
  ];
  const { said } = state;
  if (said === undefined || said.key !== saidKey(state) || said.is === 'loading')
    return [...head, line('reading what was said before…', 'faint')];
  if (said.is === 'failed') return [...head, ...troubleLines(said.trouble)];
  if (said.value.length === 0)
    return [...head, line('nothing was said in a conversation since the commit before', 'faint')];
  // What stands nearest to the change comes first.
  const turns = said.value.toReversed().flatMap((turn): Line[] => {
    const text = [turn.text, ...turn.tools.map((tool) => `calls ${tool.name}(${tool.arguments})`)]
      .filter(Boolean)
      .join(' ');
    const time = turn.time === undefined ? '' : `${local.clock(Date.parse(turn.time)).slice(0, 5)} `;
    const row = {
      left: [span(time, 'faint'), span(`${formatSpeaker(turn)}: `, 'strong'), span(clip(text, 3 * columns))],
    };
    return wrapLine(row, columns);
  });
  return [
    ...head,
    line(`${formatCount(said.value.length, 'turn')} since the commit before, the last one first:`, 'faint'),
    ...turns,
  ];
}

function timeOf({ nowMs }: State, ms: number, local: LocalTime): string {
  return `${local.date(ms, nowMs)} ${local.clock(ms).slice(0, 5)}`;
}
