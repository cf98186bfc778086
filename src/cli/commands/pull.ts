// `molt pull`: fetches, and brings the agent's branch together with the remote's.

import { pull } from '../../ops/pull.ts';
import { defineCommand } from '../command.ts';
import { describeExchange, describeFilesBehind, describeOutcome, exchangeDocument } from '../exchange-text.ts';
import { makeOpsContext } from '../ops-context.ts';
import { LIMIT_RATE, withLimit } from '../rate.ts';
import { REMOTE_WORDS, takeRemote } from '../remote-words.ts';

/** The pull command. */
export const command = defineCommand({
  name: 'pull',
  summary: 'get what a remote has, and bring the agent’s branch together with it',
  description:
    'The branch moves forward, or gets a merge commit if both sides went on. What both changed is kept side by side and named; nothing\nis chosen silently. The agent’s files stay as they are: molt restore brings them.',
  words: [REMOTE_WORDS],
  options: { 'limit-rate': LIMIT_RATE },
  examples: [['pull', 'pull from the only remote']],
  async run(context, { agent: option, options, words }) {
    const { output, program } = context;
    const ops = withLimit(makeOpsContext(context), options['limit-rate']);
    const { agent, remote } = await takeRemote(ops, option, words.remote);
    const result = await pull(ops, agent, remote);
    const { outcome, branch, commit, conflicts } = result;
    output.result({ ...exchangeDocument(result), outcome, branch, commit: commit ?? null, conflicts }, () => [
      ...describeExchange(result, 'fetched from'),
      ...describeOutcome(result),
    ]);
    if (outcome !== 'up-to-date') output.note(describeFilesBehind(result.agent, program));
  },
});
