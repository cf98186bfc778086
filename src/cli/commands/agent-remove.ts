// `molt agent remove NAME`: forgets an agent; its repository stays unless that is asked for as well.

import { MoltError } from '../../model/error.ts';
import { applyAgentRemoval, planAgentRemoval, type AgentRemoval } from '../../ops/agent.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';

/** The agent remove command. */
export const command = defineCommand({
  name: 'agent remove',
  summary: 'forget an agent, with or without its repository',
  description:
    'Without --repository only the name goes, with its --include, --exclude and --pod: the backups stay, and molt agent add\n' +
    "gives them a name again. With --repository all backups of the agent on this machine go for good. The agent's own folder is\n" +
    'never touched.',
  words: [{ name: 'name', required: true, description: 'the agent', completes: ['agent'] }],
  options: {
    repository: { type: 'boolean', description: 'remove the repository too, with every backup in it' },
  },
  examples: [
    ['agent remove my-agent', 'forget the name; the backups stay'],
    ['agent remove my-agent --repository', 'remove all its backups as well, after asking'],
  ],
  async run(context, { words, options }) {
    const { output, program } = context;
    const ops = makeOpsContext(context);
    const plan = await planAgentRemoval(ops, words.name, { repository: options.repository });
    for (const line of describePlan(plan)) output.note(line);
    // Backups are not given up by habit.
    const typed = plan.removesRepository ? plan.agent : undefined;
    if (
      !(await context.confirm(
        `remove agent ${plan.agent}${plan.removesRepository ? ' and all its backups' : ''}?`,
        typed,
      ))
    ) {
      throw new MoltError('INTERRUPTED', 'nothing was removed');
    }
    await applyAgentRemoval(ops, plan);
    output.result(plan, () =>
      plan.removesRepository ? `removed agent ${plan.agent} and its repository` : `removed agent ${plan.agent}`,
    );
    if (plan.removesRepository || plan.others.length > 0) return;
    const id = plan.repository.slice(0, 8);
    output.note(`to use its backups again: ${program} agent add NAME --repository ${id} --state ${plan.stateDir}`);
  },
});

function* describePlan(plan: AgentRemoval): Iterable<string> {
  const { agent, branch, repositoryDir, stateDir, others, removesRepository } = plan;
  yield `goes:  the name ${agent}, on branch ${branch}`;
  if (removesRepository) yield `goes:  the repository ${repositoryDir}, every backup in it`;
  else yield `stays: the repository ${repositoryDir}${others.length > 0 ? `, used by ${others.join(', ')}` : ''}`;
  yield `stays: ${stateDir}, where the agent lives`;
}
