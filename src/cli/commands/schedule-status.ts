// `molt schedule status`: what is scheduled, what was done and missed, what comes next, and whether anything keeps it.

import { MoltError } from '../../model/error.ts';
import { formatAge, formatTime } from '../../model/time-format.ts';
import { readScheduleOverview, type ScheduleOverview } from '../../ops/schedule-status.ts';
import { listInstalledServices, type ServiceKind } from '../../ops/service.ts';
import { defineCommand, type Context } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';
import { describeRuns, describeSchedule, daemonDocument, statusDocument } from '../schedule-text.ts';
import { SERVICE_NAMES, specOf, systemOf } from '../service-text.ts';
import { formatCount } from '../text.ts';

/** The schedule status command. */
export const command = defineCommand({
  name: 'schedule status',
  summary: 'show what is scheduled, what was done and missed, and what comes next',
  description:
    'Reads what the daemon noted; opens no agent and asks no remote. molt status AGENT --max-age 15m is for monitoring.',
  words: [{ name: 'agent', description: 'the agent; all if left out' }],
  options: {},
  examples: [
    ['schedule status', 'show all schedules, and whether the daemon runs'],
    ['schedule status my-agent --json', 'that of one agent, for a script'],
  ],
  async run(context, { agent }) {
    const { output, program } = context;
    const overview = await readScheduleOverview(makeOpsContext(context), agent);
    const { schedules, broken, daemon } = overview;
    if (agent !== undefined && schedules.length + broken.length === 0)
      throw new MoltError('NOT_FOUND', `agent "${agent}" has no schedule`, {
        hint: `${program} schedule install ${agent}`,
      });
    const services = await listInstalledServices(systemOf(context), await specOf(context));
    output.result(
      {
        daemon: daemon === undefined ? null : daemonDocument(daemon),
        services,
        schedules: schedules.map((one) => statusDocument(one)),
        broken: broken.map(({ label, problem }) => ({ agent: label, problem: problem.message })),
      },
      () => describe(context, overview, services),
    );
    if (schedules.length + broken.length === 0)
      output.note(`nothing is scheduled yet: ${program} schedule install AGENT`);
  },
});

function* describe(
  context: Context,
  { daemon, schedules, broken }: ScheduleOverview,
  services: readonly ServiceKind[],
): Iterable<string> {
  const { output, clock, zone, program } = context;
  const nowMs = clock.now();
  const isWanted = schedules.length + broken.length > 0;
  if (daemon === undefined) yield 'The daemon has not run yet.';
  else if (!daemon.isRunning && !isWanted) yield 'The daemon does not run.';
  else if (!daemon.isRunning)
    yield output.style('red', `The daemon does not run; it was last heard of ${formatAge(nowMs - daemon.beatMs)}.`);
  else if (daemon.isStuck)
    yield output.style(
      'red',
      `The daemon (process ${daemon.process.pid}) runs, but was last heard of ${formatAge(nowMs - daemon.beatMs)}.`,
    );
  else
    yield `The daemon runs: process ${daemon.process.pid} since ${formatTime(daemon.startedMs, zone)}, serving ${formatCount(daemon.agents, 'agent')}.`;
  if (daemon?.isRunning === true && daemon.version !== context.version)
    yield `It is molt ${daemon.version}, and this is ${context.version}: ${program} schedule install starts this one.`;
  const kinds = services.map((kind) => SERVICE_NAMES[kind]).join(' and ');
  if (services.length > 0) yield `It is run by a ${kinds}.`;
  else if (isWanted)
    yield `No service runs it: ${program} schedule install makes one, or start ${program} daemon yourself.`;
  for (const one of schedules) {
    yield '';
    yield `${output.style('bold', one.label)}: ${describeSchedule(one.schedule)}`;
    yield* describeRuns(one, nowMs, zone).map(
      ({ text, isWarning }) => `  ${isWarning ? output.style('yellow', text) : text}`,
    );
  }
  for (const { label, problem } of broken) {
    yield '';
    yield `${output.style('bold', label)}: ${output.style('red', problem.message)}`;
    if (problem.hint !== undefined) yield `  hint: ${problem.hint}`;
  }
}
