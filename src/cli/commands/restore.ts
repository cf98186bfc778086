// `molt restore`: brings an agent of a moment back: as a new pod, into a new folder, or where it lives.

import { COMPONENTS, type Component } from '../../model/component.ts';
import { MoltError } from '../../model/error.ts';
import { shortId } from '../../model/ids.ts';
import { formatTime } from '../../model/time-format.ts';
import { openSomewhere } from '../../ops/open-somewhere.ts';
import type { OpenWords } from '../../ops/open-words.ts';
import type { OpsContext } from '../../ops/context.ts';
import type { OpenAgent } from '../../ops/open.ts';
import { applyRestore, findMoment, planRestore, type Moment } from '../../ops/restore.ts';
import { defineCommand, type Context } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';
import {
  distance,
  drillDocument,
  drillLines,
  inPlaceDocument,
  inPlaceLines,
  momentFields,
  partOf,
  podDocument,
  podLines,
  podPlanDocument,
  podPlanLines,
} from '../restore-text.ts';
import { formatCount, formatDuration, formatSize } from '../text.ts';

/** The ways of bringing an agent back; one at a time. */
const WAYS = ['to', 'target', 'in-place', 'undo', 'drill'] as const;

/** The restore command. */
export const command = defineCommand({
  name: 'restore',
  summary: 'bring an agent back',
  description:
    'With --target, restores a moment as a new pod beside the agent: its files in a folder of their own, bound to that folder\n' +
    'and to ports of their own, started, and asked for the sessions, jobs and memory that the moment has (docs/pods.md). It\n' +
    'goes on as an agent of that name, on a branch of its own. With --drill the same is done quietly, without channels and\n' +
    'jobs, and taken away again: it tells how long coming back takes.\n' +
    'With --in-place, restores the files where the agent has them; an agent that runs is stopped first and started afterwards,\n' +
    'as a pod or by the commands of its lifecycle (see the README), and without either refused. What is there now is committed\n' +
    'before, so that --undo brings it back. Only what differs is written; caches, logs and whatever else is never captured stay.\n' +
    'With none of these, an agent whose folder is gone or empty is restored there and started; where there is one, a terminal\n' +
    'is asked.\n' +
    'With --to, restores the files alone into a new folder: state/… and roots/NUMBER/…, with their modes, times and links,\n' +
    'whole or not at all. Every byte is checked on its way.\n' +
    'With --component only that is brought back, and everything else stays as it is.\n' +
    'With --from, reads a remote directly, and of it only what the moment needs.',
  endsItself: true,
  words: [
    {
      name: 'revision',
      many: true,
      description: 'an agent, and a REV; without one the newest commit',
      completes: ['revision'],
    },
  ],
  options: {
    target: { type: 'string', value: 'NEW', description: 'a new pod and agent of this name', completes: 'nothing' },
    'in-place': { type: 'boolean', description: 'restore where the agent has its files' },
    undo: { type: 'boolean', description: 'bring back what was there before the last restore in place' },
    to: { type: 'string', value: 'DIR', description: 'the files alone; the folder must not exist, or be empty' },
    drill: { type: 'boolean', description: 'try it out: a quiet pod that is taken away again' },
    from: {
      type: 'string',
      value: 'URL',
      description: 'read from this place: s3://… or file:///…; goes with --target, --to and --drill',
    },
    timestamp: { type: 'string', value: 'TIME', description: 'the newest commit captured at or before this time' },
    component: {
      type: 'strings',
      value: 'NAME',
      choices: COMPONENTS,
      description: 'only this component; may be given several times',
    },
    'no-start': { type: 'boolean', description: 'start nothing, and leave stopped what was stopped' },
    force: { type: 'boolean', description: 'also what a newer program than the one installed or known has written' },
    'dry-run': { type: 'boolean', description: 'only tell what would be done, and what that would set off' },
  },
  examples: [
    ['restore my-agent --target my-agent-restored', 'bring the newest commit back as a pod beside the agent'],
    ['restore my-agent --timestamp "yesterday 14:30" --target old', 'bring yesterday at half past two back'],
    ['restore my-agent --timestamp "yesterday 14:30" --in-place', 'put the agent itself back to that moment'],
    ['restore latest', 'bring an agent back whose folder is gone'],
    ['restore --from s3://my-bucket/my-agent --target restored', 'bring an agent back that is not on this machine'],
    ['restore my-agent --undo', 'take the last restore in place back'],
    ['restore my-agent HEAD~3 --in-place --dry-run', 'tell what would be written, and what it would set off'],
    ['restore my-agent HEAD~3 --in-place --component skills', 'put the skills alone back'],
    ['restore my-agent --drill', 'find out whether it would come back, and how fast'],
    ['restore my-agent --to /srv/files', 'restore the files alone'],
  ],
  async run(context, { agent, options, words }) {
    const ops = makeOpsContext(context);
    const { from, timestamp } = options;
    const [way, otherWay] = WAYS.filter((one) => options[one] !== undefined && options[one] !== false);
    if (otherWay !== undefined)
      throw new MoltError('USAGE', `--${way} and --${otherWay} exclude each other`, { hint: 'leave one out' });
    const names = COMPONENTS.filter((name) => options.component.includes(name));
    const components = names.length === 0 ? undefined : names;
    if (components !== undefined && (way === 'target' || way === 'drill'))
      throw new MoltError('USAGE', `a pod is whole: --component goes with --in-place and --to, not with --${way}`);
    if (from !== undefined && (way === undefined || way === 'in-place' || way === 'undo'))
      throw new MoltError('USAGE', '--from goes with --target NEW, --to DIR or --drill', {
        hint: `${context.program} clone makes an agent of this machine first`,
      });
    await using opened =
      from === undefined
        ? await openSomewhere(ops, agent, words.revision, {
            isCopyWanted: way !== 'in-place' && way !== 'undo' && way !== undefined,
            isGoneMeant: way === undefined,
          })
        : await openThere(ops, from, words.revision);
    const { open } = opened;
    const [revision, ...others] = opened.words;
    if (others.length > 0)
      throw new MoltError('USAGE', `restore takes no '${others[0]}'`, { hint: `${context.program} restore --help` });
    const given: Given = {
      components,
      isDryRun: options['dry-run'],
      isStartWanted: !options['no-start'],
      isForced: options.force,
      ask: (question) => context.confirm(question),
    };
    if (options.to !== undefined) {
      await runToFolder(context, ops, open, { revision, timestamp, dir: options.to }, given);
      return;
    }
    if (options.undo && (revision !== undefined || timestamp !== undefined))
      throw new MoltError('USAGE', '--undo takes no moment: it goes back to what was there before', {
        hint: `${context.program} restore --undo`,
      });
    const wanted = options.undo ? await (await import('../../ops/in-place.ts')).findUndo(ops, open) : revision;
    const moment = await findMoment(ops, open, { revision: wanted, timestamp });
    if (moment.requestedMs !== undefined) context.output.note(distance(moment, moment.requestedMs));
    const url = from ?? ('url' in open ? String(open.url) : undefined);
    if (options.drill) await runDrill(context, ops, open, moment, given);
    else if (options.target !== undefined) await runPod(context, ops, open, moment, options.target, given, url);
    else {
      if (way === undefined) await askForPlace(context, ops, open, moment);
      await runInPlace(context, ops, open, moment, given);
    }
  },
});

interface Given {
  readonly components: readonly Component[] | undefined;
  readonly isDryRun: boolean;
  readonly isStartWanted: boolean;
  readonly isForced: boolean;
  readonly ask: (question: string) => Promise<boolean>;
}

/** Opens a place instead of an agent of this machine. */
async function openThere(ops: OpsContext, url: string, words: readonly string[]): Promise<OpenWords> {
  const { openPlace } = await import('../../ops/open-place.ts');
  const open = await openPlace(ops, url);
  return { open, words, [Symbol.asyncDispose]: () => open[Symbol.asyncDispose]() };
}

/** Asks whether to restore where the agent has its files, if it has any there. */
async function askForPlace(
  context: Context,
  ops: OpsContext,
  open: OpenAgent,
  { commit, timeMs }: Moment,
): Promise<void> {
  const { program } = context;
  const { label, stateDir } = open.agent;
  const { hasState } = await import('../../ops/in-place.ts');
  if (!(await hasState(ops, open, commit))) return;
  const hint = `${program} restore --target NEW leaves the agent alone; ${program} restore --in-place saves what is there, and replaces it`;
  if (!context.canConfirm) {
    throw new MoltError('USAGE', `restore where? ${label} has its state in "${stateDir}"`, { hint });
  }
  const question =
    `${label} has its state in "${stateDir}".\n` +
    `  yes  puts ${shortId(commit)} of ${formatTime(timeMs)} there; what is there now is saved first, and comes back by ${program} restore --undo\n` +
    `  no   changes nothing; ${program} restore --target NEW makes a pod beside it\n` +
    'Restore in place?';
  if (!(await context.confirm(question))) throw new MoltError('INTERRUPTED', 'nothing was changed', { hint });
}

async function runToFolder(
  context: Context,
  ops: OpsContext,
  open: OpenAgent,
  where: { revision: string | undefined; timestamp: string | undefined; dir: string },
  { components, isDryRun }: Given,
): Promise<void> {
  const plan = await planRestore(ops, open, { ...where, components });
  if (!isDryRun && plan.requestedMs !== undefined) context.output.note(distance(plan, plan.requestedMs));
  const done = isDryRun ? undefined : await applyRestore(ops, open, plan);
  context.reporter.pause();
  const { agent, dir } = plan;
  const document = {
    agent,
    target: dir,
    mode: 'folder',
    dir,
    dryRun: isDryRun,
    ...momentFields(plan),
    ...(components && { components }),
    files: done?.files ?? { written: plan.files, removed: 0, unchanged: 0 },
    bytes: done?.bytes ?? { fetched: 0, written: plan.bytes },
    phases: done?.phases ?? plan.phases,
    hazards: [],
  };
  context.output.result(document, () => {
    const lines = isDryRun && plan.requestedMs !== undefined ? [distance(plan, plan.requestedMs)] : [];
    const what = `${formatCount(plan.files, 'file')}, ${formatSize(plan.bytes)}`;
    const durationMs = document.phases.reduce((sum, phase) => sum + phase.durationMs, 0);
    const verb = isDryRun ? 'would restore' : 'restored';
    const end = isDryRun ? '' : ` in ${formatDuration(durationMs)}`;
    return [
      ...lines,
      `${verb} ${shortId(plan.commit)} of ${formatTime(plan.timeMs)} to ${plan.dir}${partOf(components)}: ${what}${end}`,
    ];
  });
}

async function runPod(
  context: Context,
  ops: OpsContext,
  open: OpenAgent,
  moment: Moment,
  target: string,
  given: Given,
  from: string | undefined,
): Promise<void> {
  const { applyPodRestore, planPodRestore } = await import('../../ops/restore-pod.ts');
  const plan = await planPodRestore(ops, open, moment, target);
  if (given.isDryRun) {
    const { findHazardsOf } = await import('../../ops/hazards.ts');
    const hazards = await findHazardsOf(ops, open, plan);
    context.reporter.pause();
    context.output.result(podPlanDocument(plan, hazards), () => podPlanLines(plan, hazards, given.isStartWanted));
    return;
  }
  const done = await applyPodRestore(ops, open, plan, given);
  if (from !== undefined) await bringHistory(context, ops, from, plan.target);
  context.reporter.pause();
  context.output.result(podDocument(plan, done), () => podLines(context.program, plan, done));
  refuseLack(context, plan.target, done.problems);
}

/** A pod that came straight from a remote runs already; now its history comes as well, and it becomes an agent of this machine. */
async function bringHistory(context: Context, ops: OpsContext, url: string, pod: string): Promise<void> {
  const { adoptPod } = await import('../../ops/adopt-pod.ts');
  try {
    await adoptPod(ops, url, pod);
  } catch (error) {
    if (!(error instanceof MoltError)) throw error;
    throw new MoltError('PARTIAL', `pod "${pod}" runs, but its history could not be brought here: ${error.message}`, {
      hint: `${error.hint === undefined ? '' : `${error.hint}; `}${context.program} restore --from ${url} --target ${pod} tries again`,
      cause: error,
    });
  }
}

async function runDrill(
  context: Context,
  ops: OpsContext,
  open: OpenAgent,
  moment: Moment,
  given: Given,
): Promise<void> {
  if (given.isDryRun || !given.isStartWanted)
    throw new MoltError('USAGE', 'a drill starts what it restores', { hint: 'leave --dry-run and --no-start out' });
  const { drill } = await import('../../ops/drill.ts');
  const done = await drill(ops, open, moment, given);
  context.reporter.pause();
  context.output.result(drillDocument(done), () => drillLines(done));
  if (done.restored.problems.length > 0)
    throw new MoltError('UNHEALTHY', 'the pod answered, but did not have all that the moment holds', {
      hint: `${context.program} verify --read-data tells whether the backup is whole`,
    });
}

async function runInPlace(
  context: Context,
  ops: OpsContext,
  open: OpenAgent,
  moment: Moment,
  given: Given,
): Promise<void> {
  const { components, isDryRun } = given;
  const { restoreAgent, planAgent } = await import('../../ops/restore-agent.ts');
  const { commit } = moment;
  const done = await (isDryRun ? planAgent : restoreAgent)(ops, open, commit, given);
  context.reporter.pause();
  const { agent } = open;
  // Another generation of a pod has a folder of its own.
  const dir = done.pod?.dir ?? agent.stateDir;
  const document = {
    agent: agent.label,
    target: dir,
    mode: 'in-place',
    dir,
    dryRun: isDryRun,
    ...momentFields(moment),
    ...(components && { components }),
    ...inPlaceDocument(done),
  };
  context.output.result(document, () => inPlaceLines(context.program, moment, done, { components, isDryRun }));
  const problem = done.lifecycle?.problem;
  if (problem !== undefined)
    throw new MoltError(
      done.pod === undefined ? 'PARTIAL' : 'UNHEALTHY',
      `the state is restored, but ${agent.label} could not be started: ${problem}`,
      { hint: `start it yourself; ${context.program} restore --undo goes back to what was there before` },
    );
  refuseLack(context, agent.label, done.problems ?? []);
}

/** @throws {MoltError} UNHEALTHY when a pod runs that lacks something of what its moment holds */
function refuseLack(context: Context, pod: string, problems: readonly string[]): void {
  if (problems.length === 0) return;
  throw new MoltError(
    'UNHEALTHY',
    `pod "${pod}" runs, but not all that the moment holds is there: ${problems.join('; ')}`,
    {
      hint: `${context.program} pod logs ${pod} may say why; ${context.program} pod stop ${pod} stops it`,
    },
  );
}
