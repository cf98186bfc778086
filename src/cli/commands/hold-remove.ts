// `molt hold remove`: retention decides again.

import { shortId } from '../../model/ids.ts';
import { formatTime } from '../../model/time-format.ts';
import { removeHold } from '../../ops/hold.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';

/** The hold remove command. */
export const command = defineCommand({
  name: 'hold remove',
  summary: 'let retention decide about a backup again',
  description:
    'The backup itself stays until something is pruned that it is part of. Other machines and remotes hear of it with the\nnext push and fetch; one that was away can’t bring the hold back.',
  words: [
    {
      name: 'words',
      place: 'REV',
      many: true,
      description: 'what is not to be held any longer; an agent may stand before it',
      completes: ['held', 'nothing'],
    },
  ],
  options: {},
  examples: [
    ['hold remove 3fa91c02', 'end a hold'],
    ['hold remove my-agent full/20260305T020000Z', 'end the hold of a full backup'],
  ],
  async run(context, { agent, words }) {
    const { output, zone } = context;
    const ended = await removeHold(makeOpsContext(context), { agent, words: words.words });
    output.result(
      { ...ended, removed: true },
      () => `${shortId(ended.commit)} of ${formatTime(Date.parse(ended.time), zone)} is not held any longer`,
    );
  },
});
