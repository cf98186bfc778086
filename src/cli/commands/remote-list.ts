// `molt remote list`: the remotes of an agent, as they were last seen.

import { shortId } from '../../model/ids.ts';
import { formatTime } from '../../model/time-format.ts';
import { summarizeRemotes } from '../../ops/remote.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';
import { formatCount, formatTable } from '../text.ts';

/** The remote list command. */
export const command = defineCommand({
  name: 'remote list',
  summary: 'list the remotes, and what they held when last seen',
  description: 'No remote is asked.',
  words: [{ name: 'agent', description: 'the agent' }],
  options: {},
  examples: [['remote list', 'list the remotes of the only agent, or of the one here']],
  async run(context, { agent }) {
    const { output, zone } = context;
    const remotes = await summarizeRemotes(makeOpsContext(context), agent);
    output.result(remotes, () =>
      formatTable(
        remotes.map(({ name, url, head, seenTime, lock }) => [
          name,
          url,
          head === undefined ? 'nothing yet' : shortId(head),
          seenTime === undefined ? 'never seen' : `seen ${formatTime(Date.parse(seenTime), zone)}`,
          lock === undefined ? '' : `${lock.mode} lock, ${formatCount(lock.days, 'day')}`,
        ]),
      ),
    );
    if (remotes.length === 0) output.note('no remotes yet: molt remote add NAME URL');
  },
});
