// `molt checkout`: puts the files of a moment into a new folder.

import { shortId } from '../../model/ids.ts';
import { formatJsonTime, formatTime } from '../../model/time-format.ts';
import { MoltError } from '../../model/error.ts';
import { checkout } from '../../ops/checkout.ts';
import { openForWords } from '../../ops/open-words.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';
import { formatCount, formatSize } from '../text.ts';

/** The checkout command. */
export const command = defineCommand({
  name: 'checkout',
  summary: 'put the files of a moment into a folder',
  description:
    'DIR must not exist, or be empty. The state folder goes to DIR/state, each folder outside of it to DIR/roots/NUMBER.\n' +
    'The agent is not touched. A PATH counts from the state folder, or is one as molt shows it: state/workspace/MEMORY.md.',
  words: [
    {
      name: 'revision',
      place: 'REV DIR',
      many: true,
      required: true,
      description: 'a moment, and the folder to put it into; an agent may stand before them',
      completes: ['revision', 'folder'],
    },
  ],
  options: {},
  rest: 'PATH…',
  examples: [
    ['checkout HEAD~3 /tmp/before', 'put all files of three commits ago into a folder'],
    ["checkout 'my-agent@{yesterday}' old -- workspace", 'put yesterday’s workspace into a folder'],
  ],
  async run(context, { agent, words, rest }) {
    const ops = makeOpsContext(context);
    const usage = new MoltError('USAGE', 'checkout needs REV and DIR', {
      hint: `${context.program} checkout HEAD~3 DIR`,
    });
    const dir = words.revision.at(-1);
    if (dir === undefined || words.revision.length < 2) throw usage;
    await using opened = await openForWords(ops, agent, words.revision.slice(0, -1));
    if (opened.words.length > 1) throw usage;
    const result = await checkout(ops, opened.open, { revision: opened.words[0] ?? 'latest', dir, paths: rest });
    context.reporter.pause();
    const { timeMs, ...document } = result;
    context.output.result({ ...document, time: formatJsonTime(timeMs) }, () => {
      const what = `${formatCount(result.files.written, 'file')}, ${formatSize(result.bytes.written)}`;
      return `${shortId(result.commit)} of ${formatTime(timeMs)}: ${what} in ${result.dir}`;
    });
  },
});
