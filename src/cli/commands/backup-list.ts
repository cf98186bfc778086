// `molt backup list`: the backups of an agent, newest first.

import { shortId } from '../../model/ids.ts';
import { formatLocalTime, formatTime } from '../../model/time-format.ts';
import type { CommitSummary } from '../../ops/history.ts';
import type { OpsContext } from '../../ops/context.ts';
import { listBackups } from '../../ops/log.ts';
import { resolveAgent } from '../../ops/open.ts';
import { readScheduleOverview } from '../../ops/schedule-status.ts';
import { defineCommand, type Context } from '../command.ts';
import { formatSubject, summaryDocument } from '../commit-text.ts';
import { checkCount } from '../count.ts';
import { makeOpsContext } from '../ops-context.ts';
import { describeRuns } from '../schedule-text.ts';
import { formatSize, formatTable } from '../text.ts';

/** The backup list command. */
export const command = defineCommand({
  name: 'backup list',
  summary: 'list backups, newest first',
  description:
    'The size is that of the agent, not of what the backup takes. Incremental commits are shown with --all, and by molt log.',
  words: [{ name: 'agent', description: 'the agent' }],
  options: {
    all: { type: 'boolean', description: 'incremental commits too' },
    since: { type: 'string', value: 'TIME', description: 'only those made since then' },
    limit: { type: 'number', alias: 'n', value: 'N', description: 'only the newest N' },
  },
  examples: [
    ['backup list my-agent', 'list full and manual backups'],
    ['backup list --all --since yesterday', 'list every commit since yesterday'],
  ],
  async run(context, { agent, options }) {
    const { output, zone } = context;
    const { all, since } = options;
    const limit = checkCount('limit', options.limit);
    const ops = makeOpsContext(context);
    const backups: CommitSummary[] = [];
    for await (const backup of listBackups(ops, { agent, all, since, limit })) backups.push(backup);
    output.result(backups.map(summaryDocument), () =>
      formatTable(
        backups.map((backup) => {
          const ms = Date.parse(backup.time);
          const local = formatLocalTime(ms, zone);
          const head = `${formatTime(ms)} [${backup.kind.toUpperCase()}] ${formatSize(backup.sizeBytes)}`;
          return [
            head,
            output.style('yellow', shortId(backup.id)),
            formatSubject(output, backup),
            local === undefined ? '' : output.style('dim', `(${local})`),
          ];
        }),
      ),
    );
    if (!output.mode.json) await noteSchedule(context, ops, agent);
    if (backups.length === 0) output.note(since === undefined ? 'no backups yet' : `no backups since ${since}`);
  },
});

/** Tells what is wrong with the agent's schedule, if it has one; when all is well, when the next backup comes. */
async function noteSchedule(
  { output, clock, zone, program }: Context,
  ops: OpsContext,
  agent: string | undefined,
): Promise<void> {
  const { label } = await resolveAgent(ops, agent);
  const { daemon, schedules } = await readScheduleOverview(ops, label);
  const [schedule] = schedules;
  if (schedule === undefined) return;
  if (daemon?.isRunning !== true) output.note(`scheduled, but the daemon does not run: ${program} schedule status`);
  for (const { text } of describeRuns(schedule, clock.now(), zone)) output.note(`schedule: ${text}`);
}
