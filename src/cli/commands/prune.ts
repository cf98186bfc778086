// `molt prune`: lets go what retention does not keep.

import { MoltError } from '../../model/error.ts';
import { prune, type PruneResult } from '../../ops/prune.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';
import { formatPrune } from '../prune-text.ts';
import { formatCount } from '../text.ts';

/** The prune command. */
export const command = defineCommand({
  name: 'prune',
  summary: 'let go what retention does not keep, here and on the remotes',
  description: [
    'A plan keeps full backups by their age and number, and with each the incrementals that follow it:',
    '  free        7 days, 3 full backups',
    '  pro         30 days, 30 full backups',
    '  enterprise  365 days',
    'Several rules keep what any of them keeps; without one, the agent’s schedule says what to keep. Whatever they say, the newest full backup stays, the newest commit of',
    'every branch, what is held (molt hold), has a name of yours (molt tag), or is not on every remote yet.',
    'What expires keeps its line in molt log. Nothing is deleted before all that stays is written where it can stay.',
  ].join('\n'),
  words: [{ name: 'agent', description: 'the agent' }],
  options: {
    plan: { type: 'string', value: 'NAME', description: 'free, pro or enterprise' },
    'keep-last': { type: 'number', value: 'N', description: 'the newest N backups of any kind' },
    'keep-within': { type: 'string', value: 'SPAN', description: 'all within that span before the newest, such as 7d' },
    'keep-hourly': { type: 'number', value: 'N', description: 'the last one of each of the newest N hours' },
    'keep-daily': { type: 'number', value: 'N', description: 'the same by days' },
    'keep-weekly': { type: 'number', value: 'N', description: 'by weeks' },
    'keep-monthly': { type: 'number', value: 'N', description: 'by months' },
    'keep-yearly': { type: 'number', value: 'N', description: 'by years' },
    'dry-run': { type: 'boolean', description: 'show what would go and what that frees; change nothing' },
    local: { type: 'boolean', description: 'only here, not on the remotes' },
  },
  examples: [
    ['prune --plan pro --dry-run', 'show what the Pro plan would keep, and why'],
    ['prune my-agent --keep-within 7d --keep-daily 30', 'keep a week of everything, and a month of days'],
    ['prune', 'as the schedule’s --retention says'],
  ],
  async run(context, { agent, options }) {
    const keep = {
      plan: options.plan,
      keepLast: options['keep-last'],
      keepWithin: options['keep-within'],
      keepHourly: options['keep-hourly'],
      keepDaily: options['keep-daily'],
      keepWeekly: options['keep-weekly'],
      keepMonthly: options['keep-monthly'],
      keepYearly: options['keep-yearly'],
    };
    const result = await prune(makeOpsContext(context), agent, {
      keep,
      isDryRun: options['dry-run'],
      isLocal: options.local,
    });
    context.reporter.pause();
    context.output.result(pruneDocument(result), () => formatPrune(context.output, result));
    const failed = result.remotes.filter(({ error }) => error !== undefined);
    const [first] = failed;
    if (first?.error === undefined) return;
    throw new MoltError(
      'PARTIAL',
      `${formatCount(failed.length, 'remote')} could not be pruned: ${first.error.message}`,
      {
        hint: 'what is here was pruned; nothing there was lost. Run it again once that is put right',
      },
    );
  },
});

/** Returns the JSON of a result. */
function pruneDocument({ remotes, ...result }: PruneResult): object {
  return {
    ...result,
    remotes: remotes.map(({ error, storage, ...remote }) => ({
      ...remote,
      ...storage,
      ...(error !== undefined && { error: { code: error.code, message: error.message, hint: error.hint ?? null } }),
    })),
  };
}
