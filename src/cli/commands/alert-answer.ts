// `molt alert answer`: whether something was lost.

import { MoltError } from '../../model/error.ts';
import { shortId } from '../../model/ids.ts';
import { answerAlerts } from '../../ops/alert-question.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';

/** The alert answer command. */
export const command = defineCommand({
  name: 'alert answer',
  summary: 'say whether something was lost, so that retention goes on',
  description:
    'With --fine the backup before the change is held no longer. With --lost it stays held, as by hold add, to be restored\nfrom: molt restore, or molt checkout for single files. Either way retention goes on when no other alert is open.',
  words: [
    {
      name: 'words',
      place: 'REV',
      many: true,
      description: 'the suspicious commit or the held one, where several wait; an agent may stand before it',
      completes: ['revision', 'nothing'],
    },
  ],
  options: {
    fine: { type: 'boolean', description: 'nothing was lost' },
    lost: { type: 'boolean', description: 'something was: keep the backup before it' },
    all: { type: 'boolean', description: 'answer all that wait' },
  },
  examples: [
    ['alert answer --fine', 'say that it was meant, where one alert waits'],
    ['alert answer 3fa91c02 --lost', 'keep the backup before a loss'],
    ['alert answer my-agent --all --fine', 'answer all alerts of an agent'],
  ],
  async run(context, { agent, words, options }) {
    const { output } = context;
    const { fine, lost, all } = options;
    if (fine === lost)
      throw new MoltError(
        'USAGE',
        fine ? 'alert answer takes --fine or --lost, not both' : 'alert answer needs --fine or --lost',
        {
          hint: `${context.program} alert list shows what looks lost`,
        },
      );
    const verdict = lost ? 'lost' : 'fine';
    const answered = await answerAlerts(makeOpsContext(context), { agent, words: words.words, all, verdict });
    output.result(
      answered.map((alert) => ({ ...alert, answer: verdict })),
      () =>
        answered.map(({ commit, good }) =>
          lost
            ? `${shortId(good)} stays held: it is the last backup before the loss in ${shortId(commit ?? good)}`
            : `${shortId(commit ?? good)} is fine; ${shortId(good)} is held for it no longer`,
        ),
    );
  },
});
