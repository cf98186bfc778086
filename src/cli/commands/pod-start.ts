// `molt pod start`: starts a pod and waits until it is healthy.

import { getPod } from '../../ops/pod-look.ts';
import { startPod } from '../../ops/pods.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';
import { atEndpoint } from '../pod-text.ts';
import { formatDuration } from '../text.ts';

/** The pod start command. */
export const command = defineCommand({
  name: 'pod start',
  summary: 'start a pod, and wait until it is healthy',
  description:
    'Its agent runs behind a supervisor, which starts it again should it end. An agent that does not become healthy is stopped\n' +
    'again, and what it said last is shown; its files stay as they are.',
  words: [{ name: 'pod', description: 'the pod', completes: ['pod'] }],
  options: {},
  examples: [['pod start my-agent-restored', 'start it']],
  async run(context, { agent, words }) {
    const ops = makeOpsContext(context);
    const startedMs = performance.now();
    const pod = await startPod(ops, await getPod(ops, words.pod, agent));
    const durationMs = Math.round(performance.now() - startedMs);
    context.reporter.pause();
    context.output.result(
      { ...pod, durationMs },
      () => `${pod.name} runs${atEndpoint(pod.endpoint)}, healthy after ${formatDuration(durationMs)}`,
    );
  },
});
