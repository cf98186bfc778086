// `molt hold list`: the backups that no retention drops.

import { shortId } from '../../model/ids.ts';
import { formatTime } from '../../model/time-format.ts';
import { listHolds } from '../../ops/hold.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';
import { formatTable } from '../text.ts';

/** The hold list command. */
export const command = defineCommand({
  name: 'hold list',
  summary: 'list the backups that are kept for ever',
  description:
    'Newest first. What molt itself held after a suspicious change is marked, and ends when the alert is answered.',
  words: [{ name: 'agent', description: 'the agent' }],
  options: {},
  examples: [
    ['hold list', 'list what is held, and why'],
    ['hold list my-agent --json', 'the same for a program'],
  ],
  async run(context, { agent }) {
    const { output, zone } = context;
    const holds = await listHolds(makeOpsContext(context), agent);
    output.result(holds, () =>
      formatTable(
        holds.map(({ commit, time, kind, message, reason, setBy }) => [
          output.style('yellow', shortId(commit)),
          formatTime(Date.parse(time), zone),
          kind,
          `${setBy === 'alert' ? 'alert: ' : ''}${reason === '' ? (message.split('\n', 1)[0] ?? '') : reason.replaceAll(/\s+/g, ' ')}`,
        ]),
      ),
    );
    if (holds.length === 0) output.note('nothing is held');
  },
});
