// `molt pod health`: asks a pod how it is.

import { MoltError } from '../../model/error.ts';
import { getPod } from '../../ops/pod-look.ts';
import { checkPod } from '../../ops/pods.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';
import { atEndpoint } from '../pod-text.ts';
import { formatDuration } from '../text.ts';

/** The pod health command. */
export const command = defineCommand({
  name: 'pod health',
  summary: 'ask a pod how it is',
  description: 'Asks once, by the health check of its pod.json. Exits with 17 if it is not healthy.',
  words: [{ name: 'pod', description: 'the pod', completes: ['pod'] }],
  options: {},
  examples: [['pod health my-agent-restored && echo well', 'do something only if it is healthy']],
  async run(context, { agent, words }) {
    const ops = makeOpsContext(context);
    const health = await checkPod(ops, await getPod(ops, words.pod, agent));
    const { name, healthy, answer, endpoint, durationMs } = health;
    context.output.result(health, () =>
      healthy ? `${name} is healthy${atEndpoint(endpoint)}: ${answer} in ${formatDuration(durationMs)}` : [],
    );
    if (healthy) return;
    throw new MoltError('UNHEALTHY', `pod "${name}" is not healthy: ${answer}`, {
      hint:
        health.state === 'stopped'
          ? `${context.program} pod start ${name}`
          : `${context.program} pod logs ${name} shows what it said`,
    });
  },
});
