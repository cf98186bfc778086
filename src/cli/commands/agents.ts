// `molt agents`: the agents that this machine knows.

import { listUnnamedRepositories } from '../../ops/agent.ts';
import { listAgents } from '../../ops/agents.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';
import { formatTable } from '../text.ts';

/** The agents command. */
export const command = defineCommand({
  name: 'agents',
  summary: 'list the agents of this machine',
  words: [],
  options: {},
  examples: [['agents', 'list them']],
  async run(context) {
    const { output, program } = context;
    const ops = makeOpsContext(context);
    const agents = await listAgents(ops);
    output.result(agents, () =>
      formatTable(
        agents.map(({ agent, profile, branch, repository, stateDir, present }) => [
          output.style('bold', agent),
          profile,
          `${repository.slice(0, 8)}/${branch}`,
          present ? stateDir : `${stateDir} ${output.style('red', '(not there)')}`,
        ]),
      ),
    );
    for (const id of await listUnnamedRepositories(ops)) {
      const short = id.slice(0, 8);
      output.note(
        `repository ${short} belongs to no agent; ${program} agent add NAME --repository ${short} --state DIR gives it one`,
      );
    }
    if (agents.length === 0) output.note(`no agents yet; ${program} init AGENT --state DIR makes one`);
  },
});
