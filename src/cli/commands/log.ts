// `molt log`: the history of an agent, newest first, written as it is read.

import { shortId } from '../../model/ids.ts';
import { formatTime } from '../../model/time-format.ts';
import { listLog } from '../../ops/log.ts';
import { defineCommand } from '../command.ts';
import { formatSubject, summaryDocument } from '../commit-text.ts';
import { checkCount } from '../count.ts';
import { makeOpsContext } from '../ops-context.ts';
import { formatSize } from '../text.ts';

/** The log command. */
export const command = defineCommand({
  name: 'log',
  summary: 'read history, newest first',
  description:
    'Each line is a commit: id, time, kind, how large the agent was, what changed, and its tags.\nA PATH counts from the state folder or the current one: workspace/MEMORY.md, or state/workspace/MEMORY.md as molt shows it.',
  words: [
    {
      name: 'what',
      many: true,
      place: 'REV',
      description: 'where to start: the newest commit if it is left out; an agent may stand before it',
      completes: ['revision'],
    },
  ],
  options: {
    number: { type: 'number', alias: 'n', value: 'N', description: 'only the newest N' },
    since: { type: 'string', value: 'TIME', description: 'only what was made since then' },
    until: { type: 'string', value: 'TIME', description: 'only what was made until then' },
  },
  rest: 'PATH…',
  examples: [
    ['log', 'show the whole history'],
    ['log my-agent -n 20', 'show the last twenty commits'],
    ["log --since 'last friday' -- workspace/MEMORY.md", 'show what changed a file'],
  ],
  async run(context, { agent, options, words, rest }) {
    const { output, zone } = context;
    const { since, until } = options;
    const limit = checkCount('number', options.number);
    const commits = listLog(makeOpsContext(context), { agent, words: words.what, since, until, limit, paths: rest });
    const documents: object[] = [];
    let shown = 0;
    for await (const commit of commits) {
      shown += 1;
      if (output.mode.json) documents.push(summaryDocument(commit));
      const time = formatTime(Date.parse(commit.time), zone);
      const size = formatSize(commit.sizeBytes).padStart(6);
      output.line(
        `${output.style('yellow', shortId(commit.id))}  ${time}  ${commit.kind.padEnd(11)}  ${size}  ${formatSubject(output, commit)}`,
      );
      if (output.abandoned) return;
    }
    if (output.mode.json) output.result(documents, () => '');
    else if (shown === 0)
      output.note(
        rest.length > 0
          ? `no commit changed ${rest.map((path) => `"${path}"`).join(' or ')}`
          : since === undefined && until === undefined
            ? 'no commits to show'
            : 'no commits in that time',
      );
  },
});
