// What lies over the panes, as rows: help, palette, prompts, plans, work, remotes and pods.

import { shortId } from '../../src/model/ids.ts';
import { formatAge } from '../../src/model/time-format.ts';
import type { LocalTime } from '../days.ts';
import { bar, characters, line, span, wrap, type Line } from '../line.ts';
import { BINDINGS, showKey } from '../keymap.ts';
import { listPalette } from '../palette.ts';
import type { Overlay, State, Target } from '../state.ts';
import { troubleLines } from './detail.ts';
import { blameView, foundView } from './lookup.ts';
import type { OverlayView, Room } from './window.ts';

/** Returns the window that lies over the panes. */
export function overlayView(state: State, overlay: Overlay, room: Room, local: LocalTime): OverlayView {
  switch (overlay.kind) {
    case 'agents':
      return {
        title: 'which agent?',
        lines: overlay.agents.map(({ label, branch, stateDir }, index): Line => ({
          left: [span(index === overlay.at ? '› ' : '  '), span(label.padEnd(24), 'strong'), span(stateDir, 'faint')],
          right: [span(branch, 'faint')],
          selected: index === overlay.at,
        })),
        keys: '↑↓ choose  Enter opens it  q leaves',
      };
    case 'help':
      return helpView(state, overlay.top, room.rows);
    case 'palette':
      return paletteView(state, overlay, room.rows);
    case 'prompt':
      return promptView(overlay);
    case 'restore':
      return restoreView(state, overlay, local);
    case 'remove-pod':
      return {
        title: 'take the restore back',
        lines: [
          line(`the pod ${overlay.name} is stopped, and its folder deleted`),
          line('its name is free again; its branch and every backup stay', 'faint'),
          line(''),
          { left: [span(`type ${overlay.name} to go on: `), span(`${overlay.typed}▏`, 'strong')] },
        ],
        keys: 'Enter goes on  Esc leaves everything as it is',
      };
    case 'found':
      return foundView(state, overlay.at, room, local);
    case 'blame':
      return blameView(state, overlay, room, local);
    case 'job':
      return jobView(state, room.columns);
    case 'remotes':
      return remotesView(state);
    case 'pods':
      return podsView(state);
    case 'secret':
      return {
        title: 'a key is needed',
        lines: [
          line(`this machine's key does not open ${overlay.subject}`),
          { left: [span('passphrase: '), span(`${'•'.repeat(characters(overlay.text).length)}▏`, 'strong')] },
        ],
        keys: 'Enter opens it  Esc gives up',
      };
    case 'question':
      return {
        title: 'a question',
        lines: wrap(overlay.question, room.columns - 4).map((row) => line(row)),
        keys: 'y yes  n no',
      };
  }
}

function helpView(state: State, top: number, rows: number): OverlayView {
  const here = BINDINGS.filter(({ isHere }) => isHere(state));
  const lines = here.map(({ keys, label, whyNot }): Line => {
    const reason = whyNot?.(state);
    return {
      left: [
        span(keys.slice(0, 3).map(showKey).join(' ').padEnd(15), 'strong'),
        span(label, reason === undefined ? 'plain' : 'faint'),
        ...(reason === undefined ? [] : [span(`  (not now: ${reason})`, 'faint')]),
      ],
    };
  });
  const where = { timeline: 'the list of moments', files: 'the files of a moment', diff: 'the inside of a file' }[
    state.focus
  ];
  const most = Math.max(0, lines.length - rows);
  return {
    title: `keys in ${where}`,
    lines: lines.slice(Math.min(top, most)),
    keys: lines.length > rows ? '↓ more  Esc closes' : 'Esc closes',
  };
}

function paletteView(state: State, { text, at }: Extract<Overlay, { kind: 'palette' }>, rows: number): OverlayView {
  const found = listPalette(state, text);
  const room = Math.max(1, rows - 2);
  const top = Math.max(0, Math.min(at - Math.floor(room / 2), found.length - room));
  return {
    title: 'commands',
    lines: [
      { left: [span(': '), span(`${text}▏`, 'strong')] },
      ...found.slice(top, top + room).map((row, index): Line => ({
        left: [span(top + index === at ? '› ' : '  '), span(row.name.padEnd(18), 'strong'), span(row.summary, 'faint')],
        right: [span(row.key === undefined ? 'copies its line' : `key ${showKey(row.key)}`, 'faint')],
        selected: top + index === at,
      })),
      ...(found.length === 0 ? [line('no command is called that', 'warning')] : []),
    ],
    keys: 'type to search  ↑↓ choose  Enter does it  Esc closes',
  };
}

function promptView({ purpose, text, trouble }: Extract<Overlay, { kind: 'prompt' }>): OverlayView {
  const [title, help, sign] = {
    filter: [
      'filter',
      'a path (workspace/MEMORY.md), a tag, FULL, MANUAL, a date (2026-10-14), or words of a message; empty shows all',
      '/',
    ],
    phrase: [
      'find in all history',
      'words of a memory, a prompt, a conversation; capital letters and spaces don’t matter',
      'f',
    ],
    time: ['go to a time', 'yesterday 14:30 · 2 hours ago · last friday · 2026-10-14 09:00', 'T'],
    message: ['save the agent now', 'what to call it; may be left empty', '-m'],
  }[purpose];
  return {
    title: title ?? '',
    lines: [
      { left: [span(`${sign} `), span(`${text}▏`, 'strong')] },
      line(help ?? '', 'faint'),
      ...(trouble === undefined ? [] : troubleLines(trouble)),
    ],
    keys: 'Enter goes on  Esc closes',
  };
}

const TARGETS: readonly (readonly [Target, string, string])[] = [
  ['pod', 'a new pod', 'beside the agent, running, under a name of its own; nothing is replaced'],
  ['folder', 'a folder', 'its files alone, into a new folder; nothing is started or replaced'],
  ['in-place', 'in place', 'the agent itself goes back; what is there now is saved first, and z brings it back'],
];

function restoreView(state: State, overlay: Extract<Overlay, { kind: 'restore' }>, local: LocalTime): OverlayView {
  const { commit, step, target, name, typed, isUndo } = overlay;
  const timeline = state.shown?.timeline;
  const at = timeline?.find(commit) ?? -1;
  const ms = timeline?.times[at] ?? 0;
  const moment = `${shortId(commit)} of ${local.date(ms, state.nowMs)} ${local.clock(ms)}`;
  const title = isUndo ? 'take the last restore in place back' : `bring back ${moment}`;
  if (step === 'target') {
    return {
      title,
      lines: [
        line('where to?'),
        ...TARGETS.map(([one, words, what]): Line => ({
          left: [span(one === target ? '› ' : '  '), span(words.padEnd(11), 'strong'), span(what, 'faint')],
          selected: one === target,
        })),
      ],
      keys: '↑↓ choose  Enter goes on  Esc closes',
    };
  }
  if (step === 'name') {
    return {
      title,
      lines: [
        { left: [span(target === 'pod' ? 'name of the new pod: ' : 'the new folder: '), span(`${name}▏`, 'strong')] },
        line(
          target === 'pod'
            ? 'it goes on as an agent of this name, on a branch of its own'
            : 'must not be there yet, or be empty',
          'faint',
        ),
      ],
      keys: 'Enter shows the plan  Esc back',
    };
  }
  return { title, ...planView(state, typed) };
}

function planView({ plan }: State, typed: string): Omit<OverlayView, 'title'> {
  if (plan === undefined || plan.is === 'loading')
    return { lines: [line('working the plan out…', 'faint')], keys: 'Esc back' };
  if (plan.is === 'failed') return { lines: troubleLines(plan.trouble), keys: 'Esc back' };
  const { lines, typed: wanted, refused } = plan.value;
  if (refused !== undefined)
    return { lines: [...lines, { left: [span('! ', 'error'), span(refused, 'error')] }], keys: 'Esc back' };
  if (wanted === undefined) return { lines, keys: 'Enter does it  Esc back  y copies the command line' };
  return {
    lines: [...lines, line(''), { left: [span(`type ${wanted} to go on: `, 'warning'), span(`${typed}▏`, 'strong')] }],
    keys: 'Enter does it  Esc back',
  };
}

function jobView({ job }: State, columns: number): OverlayView {
  if (job === undefined) return { title: 'work', lines: [line('nothing was started yet')], keys: 'Esc closes' };
  const { title, state, phase, amount, phases, share, lines, trouble, command } = job;
  const running = state === 'running' || state === 'stopping';
  const done = phases.map((one): Line => ({ left: [span('✓ ', 'added'), span(one, 'faint')] }));
  const now: Line[] = running
    ? [
        {
          left: [
            span('… '),
            span(state === 'stopping' ? 'stopping' : phase === '' ? 'starting' : phase, 'strong'),
            span(amount === '' ? '' : `  ${amount}`),
          ],
        },
        share === undefined ? line('') : line(`${bar(share, Math.min(40, columns - 12))} ${Math.round(share * 100)}%`),
      ]
    : [];
  const end: Line[] = [
    ...(state === 'done' ? lines.map((one, index) => line(one, index === 0 ? 'strong' : 'plain')) : []),
    ...(trouble === undefined
      ? []
      : trouble.message
          .split('\n')
          .flatMap((one, index) => (index === 0 ? troubleLines({ message: one }) : [line(`  ${one}`, 'faint')]))),
    ...(trouble?.hint === undefined ? [] : wrap(`hint: ${trouble.hint}`, columns - 6).map((row) => line(`  ${row}`))),
  ];
  const words = { running: 'under way', stopping: 'stopping', done: 'done', failed: 'failed' }[state];
  return {
    title: `${title}: ${words}`,
    lines: [{ left: [span('$ ', 'faint'), span(command, 'faint')] }, ...done.slice(-6), ...now, ...end],
    keys: running ? 'Esc leaves it running  x stops it' : 'Enter closes  y copies the command line',
  };
}

function remotesView({ safety, program }: State): OverlayView {
  const rows = safety?.remotes ?? [];
  const lines = rows.flatMap(({ name, url, ahead, behind, ageMs, lock }): Line[] => [
    {
      left: [
        span(name.padEnd(14), 'strong'),
        ahead === undefined || behind === undefined
          ? span('has commits that are not here: fetch', 'warning')
          : ahead === 0 && behind === 0
            ? span('✓ has everything', 'added')
            : span(
                [ahead > 0 ? `${ahead} to push` : '', behind > 0 ? `${behind} to pull` : ''].filter(Boolean).join(', '),
                'warning',
              ),
      ],
      right: [span(ageMs === undefined ? 'no backup there' : `newest ${formatAge(ageMs)}`)],
    },
    { left: [span(`  ${url}`, 'faint')], right: [span(lock === undefined ? '' : `lock: ${lock}`, 'faint')] },
  ]);
  const none = [
    line('there is no remote yet: the backups are on this machine alone', 'warning'),
    line(`${program} remote add NAME URL makes one`),
  ];
  return {
    title: 'remotes, as they were last seen',
    lines: safety === undefined ? [line('looking…', 'faint')] : rows.length === 0 ? none : lines,
    keys: 'p pushes to all  y copies the command line  Esc closes',
  };
}

function podsView({ pods, program }: State): OverlayView {
  const keys = 'y copies the command line  Esc closes';
  const title = 'pods of this machine';
  if (pods === undefined || pods.is === 'loading') return { title, lines: [line('asking them…', 'faint')], keys };
  if (pods.is === 'failed') return { title, lines: troubleLines(pods.trouble), keys };
  if (pods.value.length === 0)
    return {
      title,
      lines: [
        line('there are none'),
        line(`c brings a moment back as one, as ${program} restore --target NEW does`, 'faint'),
      ],
      keys,
    };
  const lines = pods.value.flatMap(({ name, agent, state, healthy, endpoint, problem }): Line[] => [
    {
      left: [
        span(name.padEnd(22), 'strong'),
        span(state.padEnd(9)),
        healthy === undefined ? span('') : healthy ? span('✓ healthy  ', 'added') : span('! unhealthy  ', 'error'),
        span(endpoint ?? ''),
      ],
      right: [span(`agent ${agent}`, 'faint')],
    },
    ...(problem === undefined ? [] : [{ left: [span(`  ${problem}`, 'warning')] }]),
  ]);
  return { title, lines, keys };
}
