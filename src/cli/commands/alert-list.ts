// `molt alert list`: changes that look like losses and wait for an answer.

import { openAgent } from '../../ops/open.ts';
import { readOpenAlerts } from '../../ops/alert-question.ts';
import { describeAlerts } from '../alert-text.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';

/** The alert list command. */
export const command = defineCommand({
  name: 'alert list',
  summary: 'list changes that look like losses and wait for an answer',
  description:
    'After each commit molt looks whether a memory, session or transcript shrank by more than half, files were deleted in\nmasses, or a history was rewritten. Then the backup before it is held, and nothing is pruned until alert answer.',
  words: [{ name: 'agent', description: 'the agent' }],
  options: {},
  examples: [
    ['alert list', 'list what looks lost'],
    ['alert list my-agent --json', 'the same for a program'],
  ],
  async run(context, { agent }) {
    const { output, zone, program } = context;
    await using open = await openAgent(makeOpsContext(context), agent);
    const alerts = await readOpenAlerts(open.repository);
    output.result(alerts, () => describeAlerts(alerts, program, zone));
    if (alerts.length === 0) output.note('nothing waits for an answer');
  },
});
