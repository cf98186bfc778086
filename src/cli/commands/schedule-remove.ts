// `molt schedule remove`: ends schedules. With the last one the service goes too.

import { MoltError } from '../../model/error.ts';
import { removeSchedule } from '../../ops/schedule-install.ts';
import { listSchedules } from '../../ops/schedule.ts';
import { endDaemon } from '../../ops/schedule-runs.ts';
import { applyService, listInstalledServices, planServiceRemoval, type ServicePlan } from '../../ops/service.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';
import { describePlan, planDocument, SERVICE_NAMES, specOf, systemOf } from '../service-text.ts';
import { formatCount } from '../text.ts';

/** The schedule remove command. */
export const command = defineCommand({
  name: 'schedule remove',
  summary: 'end an agent’s schedule; its backups stay',
  description:
    'With the last schedule the service goes too, whatever it was installed by. Nothing else of the system is touched.',
  words: [{ name: 'agent', description: 'the agent' }],
  options: {
    all: { type: 'boolean', description: 'every schedule of this machine' },
    'dry-run': { type: 'boolean', description: 'show what would be done, and do nothing' },
  },
  examples: [
    ['schedule remove my-agent', 'end its schedule'],
    ['schedule remove --all', 'end every schedule, and take the service away'],
  ],
  async run(context, { agent, options }) {
    const { output, program } = context;
    const ops = makeOpsContext(context);
    const there = (await listSchedules(ops.home)).map(({ label }) => label);
    const labels = chooseLabels(program, there, agent, options.all);
    const isLast = there.every((label) => labels.includes(label));
    const plans: ServicePlan[] = [];
    if (isLast) {
      const [system, spec] = [systemOf(context), await specOf(context)];
      for (const kind of await listInstalledServices(system, spec))
        // oxlint-disable-next-line no-await-in-loop -- mostly one
        plans.push(await planServiceRemoval(system, kind, spec));
    }
    const isDry = options['dry-run'];
    const shown = plans.flatMap((plan) => [...describePlan(plan)]);
    if (!isDry) for (const line of shown) output.note(line);
    if (!isDry) {
      // The service first: a daemon that is asked to end finishes what it is at.
      for (const plan of plans) {
        // oxlint-disable-next-line no-await-in-loop -- mostly one
        await applyService(systemOf(context), plan);
        // oxlint-disable-next-line no-await-in-loop -- cron has no means to end what it started
        if (plan.kind === 'cron') await endDaemon(ops.home);
      }
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      for (const label of labels) await removeSchedule(ops, label);
    }
    output.result(
      { removed: isDry ? [] : labels, services: plans.map((plan) => planDocument(plan, false)), dryRun: isDry },
      () => {
        if (isDry) return [...shown, 'nothing was done (--dry-run)'];
        const gone = plans.map(({ kind }) => ` and the ${SERVICE_NAMES[kind]}`).join('');
        const what = labels.length === 1 ? `the schedule of ${labels[0]}` : formatCount(labels.length, 'schedule');
        return labels.length === 0 && plans.length === 0 ? 'nothing was scheduled' : `removed ${what}${gone}`;
      },
    );
  },
});

function chooseLabels(
  program: string,
  there: readonly string[],
  given: string | undefined,
  all: boolean,
): readonly string[] {
  if (all && given !== undefined) throw new MoltError('USAGE', 'give an agent or --all, not both');
  if (all) return there;
  const listed =
    there.length === 0 ? 'nothing is scheduled' : `scheduled ${there.length === 1 ? 'is' : 'are'} ${there.join(', ')}`;
  if (given === undefined) {
    const [only, ...others] = there;
    if (only !== undefined && others.length === 0) return [only];
    throw new MoltError(there.length === 0 ? 'NOT_FOUND' : 'AMBIGUOUS', `which schedule? ${listed}`, {
      hint: `${program} schedule remove AGENT, or --all`,
    });
  }
  if (there.includes(given)) return [given];
  throw new MoltError('NOT_FOUND', `agent "${given}" has no schedule; ${listed}`, {
    hint: `${program} schedule status lists them`,
  });
}
