// `molt pod remove`: removes a stopped pod with its state.

import { MoltError } from '../../model/error.ts';
import { getPod } from '../../ops/pod-look.ts';
import { planPodRemoval, removePod } from '../../ops/pod-removal.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';

/** The pod remove command. */
export const command = defineCommand({
  name: 'pod remove',
  summary: 'remove a stopped pod and its state; its agent’s backups stay',
  description:
    'What its agent wrote since its last commit goes with it. The agent, its repository and its remotes stay.',
  words: [{ name: 'pod', required: true, description: 'the pod', completes: ['pod'] }],
  options: {},
  examples: [['pod remove my-agent-restored', 'remove it, after asking']],
  async run(context, { words }) {
    const { output } = context;
    const ops = makeOpsContext(context);
    const pod = await getPod(ops, words.pod);
    const { name, agent, dir, kept } = await planPodRemoval(ops, pod);
    output.note(`goes:  ${dir}, with its state and its log`);
    if (kept !== undefined) output.note(`stays: ${kept}, where its agent has its state`);
    output.note(`stays: the agent ${agent} and its backups`);
    if (!(await context.confirm(`remove pod ${name}?`))) throw new MoltError('INTERRUPTED', 'nothing was removed');
    const removed = await removePod(ops, pod);
    output.result({ ...removed, removed: true }, () => `removed pod ${name}`);
  },
});
