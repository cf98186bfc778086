// `molt cost`: what an agent's backups cost a month, and what another way of saving them would.

import { parseDuration } from '../../model/duration.ts';
import { MoltError } from '../../model/error.ts';
import { estimateCost } from '../../ops/cost.ts';
import { resolveAgent } from '../../ops/open.ts';
import { findBackupLog } from '../backup-log-url.ts';
import { defineCommand } from '../command.ts';
import { costDocument, describeQuota, formatCost } from '../cost-text.ts';
import { checkCount } from '../count.ts';
import { makeOpsContext } from '../ops-context.ts';
import { readRuns } from '../runs.ts';

const MONTH_MS = 30 * 86_400_000;
const MOST_RUNS = 100_000;

/** The cost command. */
export const command = defineCommand({
  name: 'cost',
  summary: 'show what backups cost a month, and what others would',
  description: [
    'Storage, requests, what is downloaded and what only a lock keeps, estimated from what the agent’s last month of commits',
    'and full backups stored, as its schedule has it, for all of its remotes. No remote is asked. What was really counted,',
    'by the backup log, stands beside it. With --every, --retention, --copies and --lock-days, what that would cost.',
    'Prices are those of the product page ($0.03 a GB and month, $0.09 a GB downloaded, requests and restores free), or yours:',
    '"prices" in MOLT_HOME/config.json, requests by the thousand: {"prices": {"storageGbMonth": 0.023, "put": 0.005}}',
  ].join('\n'),
  words: [{ name: 'agent', description: 'the agent' }],
  options: {
    every: { type: 'string', value: 'DURATION', description: 'if it were committed this often' },
    retention: {
      type: 'string',
      value: 'DURATION|PLAN',
      description: 'if backups were kept so long: 90d, free, pro, …',
    },
    copies: { type: 'number', value: 'N', description: 'if there were so many remotes' },
    'lock-days': { type: 'number', value: 'N', description: 'if each object were locked so long' },
  },
  examples: [
    ['cost my-agent', 'show what a month costs'],
    ['cost my-agent --every 1h --retention 90d', 'show what an hourly schedule, kept for 90 days, would cost'],
    ['cost my-agent --copies 3 --lock-days 90', 'show what three locked copies would cost'],
  ],
  async run(context, { agent, options }) {
    const { output, clock } = context;
    const every = options.every === undefined ? undefined : parseDuration('every', options.every);
    if (every === 0)
      throw new MoltError('USAGE', '--every takes a span longer than none', { hint: '--every 15m, or leave it out' });
    const ops = makeOpsContext(context);
    const wanted = { sinceMs: clock.now() - MONTH_MS, limit: MOST_RUNS };
    const { label } = await resolveAgent(ops, agent);
    const { entries, problems } = await readRuns(ops, label, wanted, await findBackupLog(context));
    const cost = await estimateCost(ops, label, {
      runs: entries,
      everyMs: every,
      retention: options.retention,
      copies: checkCount('copies', options.copies),
      lockDays: checkCount('lock-days', options['lock-days']),
    });
    context.reporter.pause();
    output.result(costDocument(cost), () => formatCost(output, cost));
    const warning = cost.quota && describeQuota(cost.quota);
    if (warning !== undefined) output.warn(warning);
    for (const { message } of problems) output.warn(message);
  },
});
