// `molt hold add`: a backup that no retention drops.

import { shortId } from '../../model/ids.ts';
import { formatTime } from '../../model/time-format.ts';
import { addHold } from '../../ops/hold.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';

/** The hold add command. */
export const command = defineCommand({
  name: 'hold add',
  summary: 'keep a backup for ever',
  description:
    'What is held is never pruned, here and on every remote that knows of it: holds go along with push, fetch and pull.\nThey end by hold remove alone. A tag with a name of your own keeps a backup too, while it is there.',
  words: [
    {
      name: 'words',
      place: 'REV',
      many: true,
      description: 'what to keep: the newest commit if it is left out; an agent may stand before it',
      completes: ['revision', 'nothing'],
    },
  ],
  options: { message: { type: 'string', alias: 'm', value: 'TEXT', description: 'say why' } },
  examples: [
    ['hold add', 'keep the newest backup'],
    ['hold add full/20260305T020000Z -m "as it was at the audit"', 'keep a full backup, and say why'],
    ["hold add 'my-agent@{yesterday}'", 'keep a moment of yesterday'],
  ],
  async run(context, { agent, words, options }) {
    const { output, zone } = context;
    const held = await addHold(makeOpsContext(context), { agent, words: words.words, reason: options.message });
    const what = `${shortId(held.commit)} of ${formatTime(Date.parse(held.time), zone)}`;
    output.result(held, () => (held.unchanged ? `${what} is held already` : `${what} is held from now on`));
  },
});
