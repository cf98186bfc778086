// `molt fetch`: gets from a remote what is not here.

import { fetchRemote } from '../../ops/fetch.ts';
import { defineCommand } from '../command.ts';
import { describeExchange, exchangeDocument } from '../exchange-text.ts';
import { makeOpsContext } from '../ops-context.ts';
import { LIMIT_RATE, withLimit } from '../rate.ts';
import { REMOTE_WORDS, takeRemote } from '../remote-words.ts';

/** The fetch command. */
export const command = defineCommand({
  name: 'fetch',
  summary: 'get what a remote has that is not here',
  description: 'New tags come along; branches stay where they are. molt pull also moves the agent’s branch.',
  words: [REMOTE_WORDS],
  options: { 'limit-rate': LIMIT_RATE },
  examples: [['fetch', 'get what the only remote has']],
  async run(context, { agent: option, options, words }) {
    const ops = withLimit(makeOpsContext(context), options['limit-rate']);
    const { agent, remote } = await takeRemote(ops, option, words.remote);
    const result = await fetchRemote(ops, agent, remote);
    context.output.result(exchangeDocument(result), () => describeExchange(result, 'fetched from'));
  },
});
