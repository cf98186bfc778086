// `molt status`: what changed since the last commit, and how old the newest backup is.

import { MoltError } from '../../model/error.ts';
import { shortId } from '../../model/ids.ts';
import { displayPath } from '../../model/name.ts';
import { formatAge, formatTime } from '../../model/time-format.ts';
import { readStatus, type Status } from '../../ops/status.ts';
import { readScheduleOverview, type DaemonStatus, type ScheduleStatus } from '../../ops/schedule-status.ts';
import { defineCommand, type Context } from '../command.ts';
import { formatChanges, formatComponents, formatReason } from '../commit-text.ts';
import { parseDuration } from '../../model/duration.ts';
import { makeOpsContext } from '../ops-context.ts';
import { describeRuns, describeSchedule, statusDocument } from '../schedule-text.ts';
import { formatCount, formatTable } from '../text.ts';
import { describeAlerts } from '../alert-text.ts';

/** The status command. */
export const command = defineCommand({
  name: 'status',
  summary: 'show what changed since the last commit, and how old it is',
  description:
    'With --max-age it is an alarm: exit status 4 if the newest backup is older, here or on a remote of the agent (as of the\n' +
    'last push or fetch: no remote is asked). A commit that found nothing changed makes the newest backup as good as new.',
  words: [{ name: 'agent', description: 'the agent' }],
  options: {
    'max-age': {
      type: 'string',
      value: 'DURATION',
      description: 'fail if the newest backup, here or on a remote, is older, as in 15m, 2h or 1d',
    },
  },
  examples: [
    ['status', 'show what changed'],
    ['status my-agent --max-age 15m', 'fail if nothing was saved for a quarter of an hour'],
  ],
  async run(context, { agent, options }) {
    const { output } = context;
    const maxAge = options['max-age'];
    const maxAgeMs = maxAge === undefined ? undefined : parseDuration('max-age', maxAge);
    const ops = makeOpsContext(context);
    const status = await readStatus(ops, agent);
    const { daemon, schedules } = await readScheduleOverview(ops, status.agent);
    const [schedule] = schedules;
    const document =
      schedule === undefined
        ? status
        : { ...status, schedule: { ...statusDocument(schedule), daemonRuns: daemon?.isRunning ?? false } };
    output.result(document, () => describeStatus(context, status, schedule, daemon));
    if (maxAgeMs === undefined || maxAge === undefined) return;
    refuseOld(context.program, status, maxAge, maxAgeMs);
  },
});

/** @throws {MoltError} TOO_OLD when the newest backup here, or on a remote, is older */
function refuseOld(program: string, { agent, ageMs, remotes }: Status, maxAge: string, maxAgeMs: number): void {
  if (ageMs > maxAgeMs)
    throw new MoltError(
      'TOO_OLD',
      `the newest backup of agent "${agent}" is of ${formatAge(ageMs)}, older than ${maxAge}`,
      { hint: `${program} commit ${agent}`, details: { ageMs, maxAgeMs } },
    );
  const old = remotes.filter((remote) => remote.ageMs === undefined || remote.ageMs > maxAgeMs);
  const [first] = old;
  if (first === undefined) return;
  const said = old.map((remote) => `${remote.name} ${describeOldCopy(remote)}`);
  throw new MoltError(
    'TOO_OLD',
    `agent "${agent}" is saved here, but its newest backup on a remote is older than ${maxAge}, as of the last push or fetch: ${said.join('; ')}`,
    {
      hint: `${program} push ${old.length === 1 ? first.name : '--all'} -a ${agent}`,
      details: { maxAgeMs, remotes: old.map(({ name, ageMs: age }) => ({ name, ageMs: age ?? null })) },
    },
  );
}

function describeOldCopy({ ageMs, ahead }: Status['remotes'][number]): string {
  if (ageMs !== undefined) return `has one of ${formatAge(ageMs)}`;
  return ahead === undefined ? 'has commits that are not here, so that can’t be told before a fetch' : 'has none yet';
}

function* describeStatus(
  context: Context,
  status: Status,
  schedule: ScheduleStatus | undefined,
  daemon: DaemonStatus | undefined,
): Iterable<string> {
  const { output, zone, clock, program } = context;
  const { head, headKind, headMessage, headTime, changed, attributesChanged, components, skipped, remotes } = status;
  const headMs = Date.parse(headTime);
  const checkedMs = Date.parse(status.checkedTime);
  const age = formatAge(clock.now() - headMs);
  const checked = checkedMs > headMs ? `, checked ${formatAge(status.ageMs)}` : '';
  yield `${output.style('bold', status.agent)}: ${status.profile} in ${status.stateDir}, on branch ${status.branch}`;
  yield `Newest backup: ${age}${checked}  ${output.style('yellow', shortId(head))} [${headKind.toUpperCase()}] ${formatTime(headMs, zone)}  ${headMessage.split('\n', 1)[0]}`;
  if (status.fencedBy !== undefined)
    yield `Restored elsewhere since: ${status.branch} is in incarnation ${status.fencedBy.number} of ${formatTime(Date.parse(status.fencedBy.time), zone)}, and pushes from here are refused; ${program} push says what to do.`;
  yield* describeAlerts(status.alerts, program);
  yield '';
  if (changed.length === 0) {
    yield attributesChanged === 0 ? 'Nothing changed since then.' : 'No content changed since then.';
  } else {
    yield `Changed since then, ${formatCount(changed.length, 'path')}; ${program} commit saves ${changed.length === 1 ? 'it' : 'them'}:`;
    yield* formatChanges(output, changed);
  }
  if (attributesChanged > 0) {
    const more = changed.length > 0 ? ' more' : '';
    yield `${attributesChanged}${more} ${attributesChanged === 1 ? 'path differs' : 'paths differ'} only in times or permissions.`;
  }
  yield '';
  yield 'The agent now:';
  yield* formatComponents(components);
  if (remotes.length > 0) {
    yield '';
    yield 'Remotes, as they were last seen:';
    yield* formatTable(
      remotes.map((remote) => [`  ${remote.name}`, describeRemote(remote), describeNewest(remote, clock.now())]),
    );
  }
  if (schedule !== undefined) {
    yield '';
    yield `Schedule: ${describeSchedule(schedule.schedule)}`;
    if (daemon?.isRunning !== true) yield output.style('red', `  the daemon does not run: ${program} schedule status`);
    for (const { text, isWarning } of describeRuns(schedule, clock.now(), zone))
      yield `  ${isWarning ? output.style('yellow', text) : text}`;
  }
  for (const skip of skipped)
    yield output.style('dim', `  not captured: ${displayPath(skip.path)}: ${formatReason(skip)}`);
}

function describeRemote({ ahead, behind }: Status['remotes'][number]): string {
  if (ahead === undefined || behind === undefined) return 'has commits that are not here: molt fetch';
  if (ahead === 0 && behind === 0) return 'up to date';
  const parts = [
    ahead > 0 ? `${formatCount(ahead, 'commit')} to push` : '',
    behind > 0 ? `${formatCount(behind, 'commit')} to pull` : '',
  ];
  return parts.filter((part) => part !== '').join(', ');
}

function describeNewest({ newestTime }: Status['remotes'][number], nowMs: number): string {
  return newestTime === undefined ? '' : `newest backup there: ${formatAge(nowMs - Date.parse(newestTime))}`;
}
