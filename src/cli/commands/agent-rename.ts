// `molt agent rename OLD NEW`: another name for an agent.

import { renameAgent } from '../../ops/agent.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';

/** The agent rename command. */
export const command = defineCommand({
  name: 'agent rename',
  summary: 'give an agent another name',
  description:
    'Repository, branch and files stay what they are. Commits keep the name that they were made under.\n' +
    'What calls molt by the old name, a cron job mostly, must be told the new one.',
  words: [
    { name: 'old', required: true, description: 'the agent as it is called now', completes: ['agent'] },
    { name: 'new', required: true, description: 'its new name', completes: ['nothing'] },
  ],
  options: {},
  examples: [['agent rename my-agent heron', 'call it heron from now on']],
  async run(context, { words }) {
    const { label, repository, branch, stateDir } = await renameAgent(makeOpsContext(context), words.old, words.new);
    const document = { agent: label, from: words.old, repository, branch, stateDir };
    context.output.result(document, () => `${words.old} is called ${label} now`);
  },
});
