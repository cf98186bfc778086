// `molt search PHRASE`: when a phrase appeared in an agent's files and conversations, and when it went away.

import { MoltError } from '../../model/error.ts';
import { shortId } from '../../model/ids.ts';
import { displayPath } from '../../model/name.ts';
import { formatJsonTime, formatTime } from '../../model/time-format.ts';
import { formatSpeaker } from '../../model/turn.ts';
import { takeAgent } from '../../ops/open-words.ts';
import { searchHistory, type SearchAnswer, type SearchMoment } from '../../ops/search.ts';
import { defineCommand } from '../command.ts';
import { checkCount } from '../count.ts';
import { makeOpsContext } from '../ops-context.ts';
import type { Output } from '../output.ts';
import { turnDocument } from '../turn-text.ts';

/** The search command. */
export const command = defineCommand({
  name: 'search',
  summary: 'find when a phrase appeared in files and conversations, and when it went away',
  description:
    'Lines of text files and the turns of conversations are searched, in databases too, in all commits that lead to the newest one. Case and\nwhite space don’t matter. Files that hold secrets are left out. The first search of a long history reads all of it and keeps an index\n(sealed, on this machine); later ones read what is new.',
  words: [
    {
      name: 'phrase',
      many: true,
      required: true,
      place: 'PHRASE',
      description: 'what to look for; an agent may stand before it',
      completes: ['nothing'],
    },
  ],
  options: {
    first: { type: 'boolean', description: 'only where it appeared first' },
    case: { type: 'boolean', description: 'capital and small letters differ' },
    rev: {
      type: 'string',
      value: 'REV',
      description: 'search what leads to this commit instead',
      completes: 'revision',
    },
    number: { type: 'number', alias: 'n', value: 'N', description: 'no more than N answers' },
  },
  rest: 'PATH…',
  examples: [
    ['search "gunpowder green"', 'show when the agent first knew of it, and where'],
    ['search my-agent "project heron" --first', 'show only where it appeared first'],
    ['search tea -- workspace/memory', 'search one folder'],
  ],
  async run(context, { agent, options, words, rest }) {
    const { output, zone } = context;
    const ops = makeOpsContext(context);
    const named = words.phrase.length > 1 ? await takeAgent(ops, agent, words.phrase) : { agent, words: words.phrase };
    const phrase = named.words.join(' ');
    const limit = checkCount('number', options.number) ?? Infinity;
    if (limit === 0) throw new MoltError('USAGE', '--number takes at least 1');
    const answers = searchHistory(ops, {
      agent: named.agent,
      phrase,
      isExact: options.case,
      revision: options.rev,
      paths: rest,
      isFirstOnly: options.first,
    });
    const documents: object[] = [];
    let shown = 0;
    for await (const answer of answers) {
      if (answer.gone === 'pending') continue;
      shown += 1;
      if (output.mode.json) documents.push(answerDocument(answer));
      else for (const line of describeAnswer(output, answer, zone)) output.line(line);
      if (output.abandoned || shown >= limit) break;
    }
    if (output.mode.json) output.result(documents, () => '');
    else if (shown === 0) output.note(`no commit has "${phrase}" in a text or a conversation`);
  },
});

function answerDocument(answer: SearchAnswer): object {
  const { path, appeared, before, mayBeEarlier, gone, lastSeen, line, excerpt, turn } = answer;
  return {
    path,
    appeared: momentDocument(appeared),
    before: before === undefined ? null : momentDocument(before),
    mayBeEarlier,
    gone: gone === undefined || gone === 'pending' ? null : momentDocument(gone),
    lastSeen: lastSeen === undefined ? null : momentDocument(lastSeen),
    line: line ?? null,
    excerpt,
    ...(turn !== undefined && { turn: turnDocument(turn) }),
  };
}

function momentDocument({ commit, timeMs }: SearchMoment): object {
  return { id: commit, time: formatJsonTime(timeMs) };
}

function* describeAnswer(output: Output, answer: SearchAnswer, zone: string): Iterable<string> {
  const { path, line, turn, excerpt, appeared, before, mayBeEarlier, gone } = answer;
  const place = displayPath(path) + (line === undefined ? '' : `:${line}`);
  yield `${output.style('bold', place)}${turn === undefined ? '' : `  ${formatSpeaker(turn)}`}`;
  yield `    ${excerpt}`;
  const said = turn?.time === undefined ? '' : `, said ${formatTime(Date.parse(turn.time), zone)}`;
  yield `  appeared  ${formatMoment(output, appeared, zone)}${said}`;
  if (mayBeEarlier)
    yield before === undefined
      ? '            or earlier: what was before has expired'
      : `            or earlier, after ${formatMoment(output, before, zone)}: the commits between have expired`;
  yield gone === undefined || gone === 'pending' ? '  still there' : `  gone      ${formatMoment(output, gone, zone)}`;
}

function formatMoment(output: Output, { commit, timeMs }: SearchMoment, zone: string): string {
  return `${output.style('yellow', shortId(commit))}  ${formatTime(timeMs, zone)}`;
}
