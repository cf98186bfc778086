// `molt pod stop`: stops a pod.

import { getPod } from '../../ops/pod-look.ts';
import { stopPod } from '../../ops/pods.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';

/** The pod stop command. */
export const command = defineCommand({
  name: 'pod stop',
  summary: 'stop a pod',
  description:
    'Its agent gets the signal of its pod.json (SIGTERM unless given), and is killed with all it started if it runs on after\n' +
    'the grace. A pod that is stopped already stays so.',
  words: [{ name: 'pod', description: 'the pod', completes: ['pod'] }],
  options: {},
  examples: [['pod stop my-agent-restored', 'stop it']],
  async run(context, { agent, words }) {
    const ops = makeOpsContext(context);
    const pod = await getPod(ops, words.pod, agent);
    const wasRunning = await stopPod(ops, pod);
    context.reporter.pause();
    const { name } = pod;
    context.output.result({ name, state: 'stopped', wasRunning }, () =>
      wasRunning ? `${name} is stopped` : `${name} was stopped already`,
    );
  },
});
