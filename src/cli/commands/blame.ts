// `molt blame REV:PATH`: which commit wrote each line of a file, and what was said to the agent before it.

import { MoltError } from '../../model/error.ts';
import { shortId } from '../../model/ids.ts';
import { displayPath } from '../../model/name.ts';
import { formatJsonTime, formatTime } from '../../model/time-format.ts';
import type { PlacedTurn } from '../../model/turn.ts';
import { openBlame, type Blame, type BlameMoment } from '../../ops/blame.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';
import type { Output } from '../output.ts';
import { formatTurn, turnDocument } from '../turn-text.ts';

/** Turns of a window that are shown as text: the last ones, which stand nearest to the change. */
const SHOWN_TURNS = 8;

/** The blame command. */
export const command = defineCommand({
  name: 'blame',
  summary: 'tell which commit wrote each line of a file, and what was said before',
  description:
    'Below the lines, for each commit that wrote some, stands what was said to the agent between the commit before and that one.',
  words: [
    {
      name: 'file',
      place: 'REV:PATH',
      many: true,
      required: true,
      description: 'a file of a moment; an agent may stand before it',
      completes: ['revision-path'],
    },
  ],
  options: {
    lines: { type: 'string', alias: 'L', value: 'FROM[-TO]', description: 'only these lines' },
    'no-turns': { type: 'boolean', description: 'without what was said' },
  },
  examples: [
    ['blame HEAD:workspace/MEMORY.md', 'show when each memory was written, and why'],
    ['blame my-agent HEAD:workspace/MEMORY.md -L 12', 'ask about one line'],
    ["blame 'my-agent@{last friday}:workspace/SOUL.md' --no-turns", 'ask about a prompt as it was'],
  ],
  async run(context, { agent, options, words }) {
    const { output, zone } = context;
    await using opened = await openBlame(makeOpsContext(context), {
      agent,
      words: words.file,
      lines: parseLines(options.lines),
    });
    const { blame } = opened;
    const turnsOf = async (moment: BlameMoment): Promise<PlacedTurn[] | undefined> =>
      options['no-turns'] ? undefined : opened.readTurns(moment);
    if (output.mode.json) {
      const moments: object[] = [];
      // oxlint-disable-next-line no-await-in-loop -- one window after the other, so that memory stays flat
      for (const moment of blame.moments) moments.push(momentDocument(moment, await turnsOf(moment)));
      const { commit, path, lines } = blame;
      output.result({ commit, path, lines, moments }, () => '');
      return;
    }
    for (const line of describeLines(output, blame, zone)) output.line(line);
    for (const moment of blame.moments) {
      if (output.abandoned) return;
      // oxlint-disable-next-line no-await-in-loop -- the same
      for (const line of describeMoment(output, moment, await turnsOf(moment), zone)) output.line(line);
    }
  },
});

function parseLines(text: string | undefined): { from: number; to: number } | undefined {
  if (text === undefined) return undefined;
  const match = /^(\d{1,9})(?:[-,](\d{1,9}))?$/.exec(text);
  if (match === null)
    throw new MoltError('USAGE', `"${text}" names no lines`, { hint: 'as in --lines 12, or --lines 12-20' });
  return { from: Number(match[1]), to: Number(match[2] ?? match[1]) };
}

function momentDocument(moment: BlameMoment, turns: readonly PlacedTurn[] | undefined): object {
  const { commit, timeMs, message, path, before, mayBeEarlier } = moment;
  return {
    id: commit,
    time: formatJsonTime(timeMs),
    message,
    path,
    before: before === undefined ? null : { id: before.commit, time: formatJsonTime(before.timeMs) },
    mayBeEarlier,
    ...(turns !== undefined && { turns: turns.map(turnDocument) }),
  };
}

function* describeLines(output: Output, { lines, moments }: Blame, zone: string): Iterable<string> {
  const times = new Map(moments.map(({ commit, timeMs, mayBeEarlier }) => [commit, { timeMs, mayBeEarlier }]));
  const width = String(lines.at(-1)?.number ?? 0).length;
  for (const { number, text, commit } of lines) {
    const { timeMs = 0, mayBeEarlier = false } = times.get(commit) ?? {};
    const mark = mayBeEarlier ? '≤' : ' ';
    const id = output.style('yellow', shortId(commit));
    yield `${mark}${id}  ${formatTime(timeMs, zone)}  ${String(number).padStart(width)}  ${text}`;
  }
}

function* describeMoment(
  output: Output,
  { commit, timeMs, message, path, before, mayBeEarlier }: BlameMoment,
  turns: readonly PlacedTurn[] | undefined,
  zone: string,
): Iterable<string> {
  yield '';
  const [subject = ''] = message.split('\n', 1);
  yield `${output.style('yellow', shortId(commit))}  ${formatTime(timeMs, zone)}  ${displayPath(path)}  ${subject}`;
  if (mayBeEarlier)
    yield before === undefined
      ? '  history begins here: the lines may be older'
      : `  or earlier, after ${shortId(before.commit)} of ${formatTime(before.timeMs, zone)}: the commits between have expired`;
  if (turns === undefined) return;
  if (turns.length === 0) yield '  nothing was said in a conversation since the commit before';
  const hidden = turns.length - SHOWN_TURNS;
  if (hidden > 0) yield output.style('dim', `  … ${hidden} turns before these (--json has all)`);
  for (const turn of turns.slice(-SHOWN_TURNS)) yield `  ${formatTurn(turn, zone)}`;
}
