// `molt schedule install`: has agents saved in the background. What is done on the system is shown first, and asked for.

import { MoltError } from '../../model/error.ts';
import { Home } from '../../ops/home.ts';
import { resolveAgent } from '../../ops/open.ts';
import { applySchedule, planSchedule, type SchedulePlan } from '../../ops/schedule-install.ts';
import { endDaemon, isBeating, loadBeat } from '../../ops/schedule-runs.ts';
import {
  applyService,
  findServiceKind,
  isLingering,
  listInstalledServices,
  planService,
  SERVICE_KINDS,
  type ServicePlan,
} from '../../ops/service.ts';
import { isGivenHereOnly } from '../backup-log-url.ts';
import { defineCommand, type Context } from '../command.ts';
import { parseDuration } from '../../model/duration.ts';
import { makeOpsContext } from '../ops-context.ts';
import { describePlan, planDocument, SERVICE_NAMES, specOf, systemOf } from '../service-text.ts';
import { describeSchedule, scheduleDocument } from '../schedule-text.ts';

// What a service that the system starts doesn't get from the user's shell, and remotes or keys may need.
const ENVIRONMENT = /^(AWS_\w+|HTTPS?_PROXY|NO_PROXY|NODE_EXTRA_CA_CERTS)$/i;

/** The schedule install command. */
export const command = defineCommand({
  name: 'schedule install',
  summary: 'have an agent saved every few minutes, in the background',
  description:
    'From then on a service of the system saves the agent: it commits every five minutes, makes a full backup daily, and\n' +
    'pushes both to its remotes. The service is a systemd user unit, a launchd agent or a crontab entry, whichever is there;\n' +
    'it is shown, and asked for. One service serves all agents. Given again it changes a schedule: what is left out stays.\n' +
    'It needs this machine’s key (molt key add device): nobody is asked for a passphrase.',
  words: [{ name: 'agent', description: 'the agent' }],
  options: {
    all: { type: 'boolean', description: 'every agent of this machine' },
    every: { type: 'string', value: 'DURATION', description: 'how often to commit (5m)' },
    'auto-backup': {
      type: 'string',
      value: 'daily|CRON',
      description: "when to make full backups: daily, or by five fields of cron ('0 2 * * 1-5')",
    },
    'daily-at': {
      type: 'string',
      value: 'HH:MM',
      description: 'the time of the daily one (02:00), in the zone of --tz (Asia/Jakarta)',
    },
    retention: {
      type: 'string',
      value: 'DURATION|PLAN',
      description: 'how long backups are kept: 90d, or a plan (free, pro, enterprise); for ever if left out',
    },
    with: {
      type: 'string',
      choices: SERVICE_KINDS,
      description: 'what runs the daemon; none: you do. Found out if left out',
    },
    'dry-run': { type: 'boolean', description: 'show what would be done, and do nothing' },
  },
  examples: [
    ['schedule install my-agent', 'commit every five minutes, in full daily at 02:00 WIB'],
    ['schedule install my-agent --every 1m --daily-at 03:30 --tz Europe/Berlin', 'more often, and at another time'],
    ['schedule install --all --auto-backup=daily --retention=90d --yes', 'all agents of this machine, without asking'],
    ['schedule install my-agent --dry-run', 'show the unit or crontab line that would be installed'],
  ],
  async run(context, { agent: label, options }) {
    const { output, program } = context;
    const ops = makeOpsContext(context);
    if (options.all && label !== undefined) throw new MoltError('USAGE', 'give an agent or --all, not both');
    const wish = {
      everyMs: options.every === undefined ? undefined : parseDuration('every', options.every),
      autoBackup: options['auto-backup'],
      dailyAt: options['daily-at'],
      zone: context.givenZone,
      retention: options.retention?.trim().toLowerCase(),
    };
    const agents = options.all ? await ops.home.listAgents() : [await resolveAgent(ops, label)];
    if (agents.length === 0)
      throw new MoltError('NO_REPOSITORY', 'there are no agents yet', {
        hint: `${program} init AGENT --state DIR makes one`,
      });
    const plans: SchedulePlan[] = [];
    // oxlint-disable-next-line no-await-in-loop -- one after the other: each opens a repository
    for (const agent of agents) plans.push(await planSchedule(ops, agent, wish));
    const service = await planFor(context, options.with);
    const isDry = options['dry-run'];
    const shown = [...describeAll(plans, service)];
    if (!isDry) for (const line of shown) output.note(line);
    if (!isDry && !service.isDone && !(await context.confirm('install this?')))
      throw new MoltError('INTERRUPTED', 'nothing was installed');
    if (!isDry) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      for (const plan of plans) await applySchedule(ops, plan);
      await applyService(systemOf(context), service);
      if (service.kind === 'cron' && !service.isDone) await endDaemon(ops.home);
    }
    output.result(
      {
        schedules: plans.map(({ agent, schedule }) => ({ agent: agent.label, ...scheduleDocument(schedule) })),
        service: planDocument(service, isDry),
        dryRun: isDry,
      },
      () => (isDry ? [...shown, 'nothing was done (--dry-run)'] : describeDone(plans, service)),
    );
    if (!isDry) for (const note of await listNotes(context, plans, service)) output.note(note);
  },
});

function* describeAll(plans: readonly SchedulePlan[], service: ServicePlan): Iterable<string> {
  for (const { agent, schedule } of plans) yield `${agent.label}: ${describeSchedule(schedule)}`;
  if (service.isDone) return;
  yield '';
  yield `molt daemon is to run in the background, by a ${SERVICE_NAMES[service.kind]}:`;
  yield* describePlan(service);
  yield '';
}

/** Plans the service: the one that is there already, unless another is asked for. */
async function planFor(context: Context, wanted: ServicePlan['kind'] | undefined): Promise<ServicePlan> {
  const system = systemOf(context);
  const spec = await specOf(context);
  const [installed] = await listInstalledServices(system, spec);
  if (wanted !== undefined && wanted !== 'none' && installed !== undefined && installed !== wanted)
    throw new MoltError('EXISTS', `the daemon is run by a ${SERVICE_NAMES[installed]} already`, {
      hint: `${context.program} schedule remove --all takes it away; then install again`,
    });
  const plan = await planService(system, wanted ?? installed ?? (await findServiceKind(system)), spec);
  const beat = await loadBeat(new Home(context.home));
  // After an update of molt the old one would go on.
  const isOutdated = beat !== undefined && isBeating(beat) && beat.version !== context.version;
  return isOutdated && plan.kind !== 'none' ? { ...plan, isDone: false } : plan;
}

function describeDone(plans: readonly SchedulePlan[], service: ServicePlan): string {
  const who = plans.length === 1 ? `${plans[0]?.agent.label} is` : `${plans.length} agents are`;
  if (service.kind === 'none') return `${who} scheduled`;
  return `${who} scheduled; ${SERVICE_NAMES[service.kind]} ${service.name} ${service.isDone ? 'runs already' : 'is installed'}`;
}

/** What a stranger would only notice when a backup is missing. */
async function listNotes(
  context: Context,
  plans: readonly SchedulePlan[],
  { kind }: ServicePlan,
): Promise<readonly string[]> {
  const { program, env, home } = context;
  const notes: string[] = [];
  if (kind === 'none')
    notes.push(`nothing runs it yet: start ${program} daemon yourself, as a service of your own or in a container`);
  if (kind === 'cron') notes.push('cron starts the daemon within five minutes, and again when it has ended');
  if (kind === 'systemd' && (await isLingering(systemOf(context))) === false)
    notes.push('systemd ends your services when you log out: run sudo loginctl enable-linger once, to have them go on');
  const given = Object.keys(env).filter((name) => ENVIRONMENT.test(name));
  if (kind !== 'none' && given.length > 0 && plans.some(({ hasS3 }) => hasS3))
    notes.push(
      `the service does not see ${given.join(', ')} of your shell: write what the remotes need into ${home}/daemon.env (NAME=value, one a line; chmod 600), or into ~/.aws`,
    );
  if (kind !== 'none' && (await isGivenHereOnly(context)))
    notes.push(
      `the service does not see the backup log that is given here: write MOLT_BACKUP_LOG=URL, and PGPASSWORD if it needs one, into ${home}/daemon.env (chmod 600)`,
    );
  notes.push(`${program} schedule status shows what was done and what comes next`);
  return notes;
}
