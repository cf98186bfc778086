// `molt agent add NAME`: a name for a repository that is there already.

import path from 'node:path';
import { MoltError } from '../../model/error.ts';
import { addAgent } from '../../ops/agent.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';

/** The agent add command. */
export const command = defineCommand({
  name: 'agent add',
  summary: 'give a repository of this machine a name',
  description:
    'For a repository that molt agent remove left, and for a second agent in the repository of another one, on a branch of its own.\n' +
    'Nothing is read or saved yet: the next commit saves what is in DIR onto the branch.',
  words: [{ name: 'name', required: true, description: 'the name', completes: ['nothing'] }],
  options: {
    repository: { type: 'string', value: 'ID', description: 'the beginning of its id, as molt agents shows it' },
    state: { type: 'string', value: 'DIR', description: 'the folder that the agent lives in' },
    branch: { type: 'string', value: 'BRANCH', description: 'the branch that it commits onto; main if left out' },
    include: { type: 'strings', value: 'PATTERN', description: 'also save what would be left out' },
    exclude: { type: 'strings', value: 'PATTERN', description: 'leave this out' },
  },
  examples: [
    ['agent add my-agent --repository 3fa91c02 --state ~/.openclaw', 'use the backups of a removed agent again'],
    ['agent add twin --repository 3fa91c02 --state ~/twin --branch twin', 'commit another folder onto its own branch'],
  ],
  async run(context, { words, options }) {
    const { output, program } = context;
    const { repository, state, branch = 'main', include, exclude } = options;
    if (repository === undefined || state === undefined) {
      throw new MoltError('USAGE', 'agent add needs --repository ID and --state DIR', {
        hint: `${program} agents shows the repositories without a name`,
      });
    }
    const added = await addAgent(makeOpsContext(context), {
      label: words.name,
      repository,
      stateDir: path.resolve(context.cwd, state),
      branch,
      include,
      exclude,
    });
    const document = { agent: added.label, repository: added.repository, branch, stateDir: added.stateDir };
    output.result(document, () => `${added.label}: ${added.profile} in ${added.stateDir}, on branch ${branch}`);
    output.note(`${program} status ${added.label} shows how it differs from its newest backup`);
  },
});
