// `molt remote remove`: forgets a remote; what it holds stays there.

import { removeRemote } from '../../ops/remote.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';

/** The remote remove command. */
export const command = defineCommand({
  name: 'remote remove',
  summary: 'forget a remote; what it holds stays there',
  description: 'Nothing is deleted on the remote. Adding it again goes on where it was.',
  words: [{ name: 'name', required: true, description: 'the remote', completes: ['nothing'] }],
  options: {},
  examples: [['remote remove origin', 'forget origin']],
  async run(context, { agent, words }) {
    const removed = await removeRemote(makeOpsContext(context), agent, words.name);
    context.output.result(
      { ...removed, removed: true },
      () => `forgot ${removed.name}; ${removed.url} keeps what it holds`,
    );
  },
});
