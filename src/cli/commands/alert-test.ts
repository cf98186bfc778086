// `molt alert test`: whether alerts arrive.

import { MoltError } from '../../model/error.ts';
import { sendAlert } from '../../ops/alert-send.ts';
import { resolveAgent } from '../../ops/open.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';

/** The alert test command. */
export const command = defineCommand({
  name: 'alert test',
  summary: 'send an alert to see whether it arrives',
  description: 'What waits from before is sent first. One that fails waits, and goes with the next alert.',
  words: [{ name: 'agent', description: 'the agent that it is said to be about' }],
  options: {},
  examples: [['alert test my-agent', 'send a test to the webhook and the command']],
  async run(context, { agent: label }) {
    const { output, program } = context;
    const ops = makeOpsContext(context);
    const { label: agent } = await resolveAgent(ops, label);
    const text = `${agent}: this is a test of molt’s alerts`;
    const deliveries = await sendAlert(ops, { event: 'test', agent, text });
    if (deliveries.length === 0)
      throw new MoltError('USAGE', 'alerts go nowhere yet', { hint: `${program} alert set --webhook-file FILE` });
    const document = deliveries.map(({ channel, problem }) => ({ channel, delivered: problem === undefined }));
    output.result(document, () =>
      deliveries.map(({ channel, problem }) => `${channel}: ${problem === undefined ? 'delivered' : problem}`),
    );
    const failed = deliveries.filter(({ problem }) => problem !== undefined);
    if (failed.length > 0)
      throw new MoltError('PARTIAL', `${failed.map(({ channel }) => channel).join(' and ')} did not get it`, {
        hint: `${program} alert set shows where alerts go`,
      });
  },
});
