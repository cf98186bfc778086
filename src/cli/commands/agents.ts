// `molt agents`: the agents that this machine knows.

import { shortId } from '../../model/ids.ts';
import { formatTime } from '../../model/time-format.ts';
import { listUnnamedRepositories } from '../../ops/agent.ts';
import { listAgents } from '../../ops/agents.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';
import { formatTable } from '../text.ts';

/** The agents command. */
export const command = defineCommand({
  name: 'agents',
  summary: 'list the agents of this machine, or of a remote',
  words: [],
  options: { remote: { type: 'string', value: 'URL', description: 'list what this place holds: s3://… or file:///…' } },
  examples: [
    ['agents', 'list them'],
    ['agents --remote s3://my-bucket/my-agent', 'see what could be cloned'],
  ],
  async run(context, { options }) {
    const { output, program, zone } = context;
    const ops = makeOpsContext(context);
    if (options.remote !== undefined) {
      const { listRemoteAgents } = await import('../../ops/remote-agents.ts');
      const there = await listRemoteAgents(ops, options.remote);
      output.result(there, () =>
        formatTable(
          there.map(({ agent, profile, branch, head, headTime }) => [
            output.style('bold', agent),
            profile,
            branch,
            output.style('yellow', shortId(head)),
            formatTime(Date.parse(headTime), zone),
          ]),
        ),
      );
      return;
    }
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
