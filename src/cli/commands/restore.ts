// `molt restore`: brings an agent's files of a moment back, into a new folder or where they live.

import { COMPONENTS, type Component } from '../../model/component.ts';
import { MoltError } from '../../model/error.ts';
import { shortId } from '../../model/ids.ts';
import { formatJsonTime, formatTime } from '../../model/time-format.ts';
import { openForWords, type OpenWords } from '../../ops/open-words.ts';
import type { InPlaceResult } from '../../ops/in-place.ts';
import type { OpsContext } from '../../ops/context.ts';
import type { OpenAgent } from '../../ops/open.ts';
import { applyRestore, findMoment, planRestore, type Moment, type RestorePlan } from '../../ops/restore.ts';
import { defineCommand, type Context } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';
import { formatCount, formatDuration, formatSize } from '../text.ts';

/** The restore command. */
export const command = defineCommand({
  name: 'restore',
  summary: 'bring an agent back',
  description:
    'With --to, restores the files of a moment into a new folder: state/… and roots/NUMBER/…, with their modes, times and\n' +
    'links. Every byte is checked on its way, and the folder is there whole or not at all.\n' +
    'With --in-place, restores them where the agent has them; an agent that runs is stopped first and started afterwards\n' +
    'by the commands of its lifecycle (see the README), and without one refused. What is there now is committed before, so\n' +
    'that --undo brings it back. Only what differs is written; caches, logs and whatever else is never captured stay.\n' +
    'With neither, an agent whose folder is gone or empty is restored in place; where there is one, a terminal is asked.\n' +
    'With --component only that is brought back, and everything else stays as it is.\n' +
    'With --from, reads a remote directly, and of it only what the moment needs.\n' +
    'Not there yet: starting the agent as a pod (--target).',
  words: [
    {
      name: 'revision',
      many: true,
      description: 'an agent, and a REV; without one the newest commit',
      completes: ['revision'],
    },
  ],
  options: {
    to: { type: 'string', value: 'DIR', description: 'the folder; it must not exist, or be empty' },
    from: { type: 'string', value: 'URL', description: 'read from this place: s3://… or file:///…; goes with --to' },
    'in-place': { type: 'boolean', description: 'restore where the agent has its files' },
    undo: { type: 'boolean', description: 'bring back what was there before the last restore in place' },
    timestamp: { type: 'string', value: 'TIME', description: 'the newest commit captured at or before this time' },
    component: {
      type: 'strings',
      value: 'NAME',
      choices: COMPONENTS,
      description: 'only this component; may be given several times',
    },
    'no-start': { type: 'boolean', description: 'leave an agent stopped that was stopped for the restore' },
    'dry-run': { type: 'boolean', description: 'only tell what would be done' },
  },
  examples: [
    ['restore my-agent --to /srv/my-agent-restored', 'restore the newest commit'],
    ['restore my-agent --timestamp "yesterday 14:30" --to old', 'restore what was there yesterday at half past two'],
    ['restore my-agent --timestamp "yesterday 14:30" --in-place', 'put the agent itself back to that moment'],
    ['restore --from s3://my-bucket/my-agent --to restored', 'bring an agent back that is not on this machine'],
    ['restore my-agent --undo', 'take the last restore in place back'],
    ['restore my-agent HEAD~3 --in-place --dry-run', 'tell what would be written'],
    ['restore my-agent HEAD~3 --in-place --component skills', 'put the skills alone back'],
  ],
  async run(context, { agent, options, words }) {
    const ops = makeOpsContext(context);
    const { to: dir, timestamp } = options;
    const ways = [dir !== undefined && '--to', options['in-place'] && '--in-place', options.undo && '--undo'];
    const [way, otherWay] = ways.filter((one) => one !== false);
    if (otherWay !== undefined)
      throw new MoltError('USAGE', `${way} and ${otherWay} exclude each other`, { hint: 'leave one out' });
    const names = COMPONENTS.filter((name) => options.component.includes(name));
    const components = names.length === 0 ? undefined : names;
    if (options.from !== undefined && dir === undefined)
      throw new MoltError('USAGE', '--from goes with --to DIR', {
        hint: `${context.program} clone makes an agent of this machine first`,
      });
    await using opened =
      options.from === undefined
        ? await openForWords(ops, agent, words.revision)
        : await openThere(ops, options.from, words.revision);
    const [revision, ...others] = opened.words;
    if (others.length > 0)
      throw new MoltError('USAGE', `restore takes no '${others[0]}'`, { hint: `${context.program} restore --help` });
    if (dir === undefined) {
      if (options.undo && (revision !== undefined || timestamp !== undefined))
        throw new MoltError('USAGE', '--undo takes no moment: it goes back to what was there before', {
          hint: `${context.program} restore --undo`,
        });
      const { findUndo } = await import('../../ops/in-place.ts');
      const wanted = options.undo ? await findUndo(ops, opened.open) : revision;
      const moment = await findMoment(ops, opened.open, { revision: wanted, timestamp });
      if (way === undefined) await askForPlace(context, opened.open, moment);
      await runInPlace(context, ops, opened.open, moment, {
        components,
        isDryRun: options['dry-run'],
        isStartWanted: !options['no-start'],
      });
      return;
    }
    const plan = await planRestore(ops, opened.open, { revision, timestamp, dir, components });
    const isDryRun = options['dry-run'];
    if (!isDryRun && plan.requestedMs !== undefined) context.output.note(distance(plan, plan.requestedMs));
    const done = isDryRun ? undefined : await applyRestore(ops, opened.open, plan);
    context.reporter.pause();
    const document = {
      ...planDocument(plan, isDryRun),
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
  },
});

/** Opens a place instead of an agent of this machine. */
async function openThere(ops: OpsContext, url: string, words: readonly string[]): Promise<OpenWords> {
  const { openPlace } = await import('../../ops/open-place.ts');
  const open = await openPlace(ops, url);
  return { open, words, [Symbol.asyncDispose]: () => open[Symbol.asyncDispose]() };
}

/** Asks whether to restore where the agent has its files, if it has any there. */
async function askForPlace(context: Context, open: OpenAgent, { commit, timeMs }: Moment): Promise<void> {
  const { program } = context;
  const { label, stateDir } = open.agent;
  const { hasState } = await import('../../ops/in-place.ts');
  if (!(await hasState(open, commit))) return;
  const hint = `${program} restore --to DIR leaves the agent alone; ${program} restore --in-place saves what is there, and replaces it`;
  if (!context.canConfirm) {
    throw new MoltError('USAGE', `restore where? ${label} has its state in "${stateDir}"`, { hint });
  }
  const question =
    `${label} has its state in "${stateDir}".\n` +
    `  yes  puts ${shortId(commit)} of ${formatTime(timeMs)} there; what is there now is saved first, and comes back by ${program} restore --undo\n` +
    `  no   changes nothing; ${program} restore --to DIR restores into a new folder\n` +
    'Restore in place?';
  if (!(await context.confirm(question))) throw new MoltError('INTERRUPTED', 'nothing was changed', { hint });
}

async function runInPlace(
  context: Context,
  ops: OpsContext,
  open: OpenAgent,
  moment: Moment,
  options: { components: readonly Component[] | undefined; isDryRun: boolean; isStartWanted: boolean },
): Promise<void> {
  const { components, isDryRun } = options;
  const { planInPlace, restoreInPlace } = await import('../../ops/in-place.ts');
  const startedMs = ops.clock.now();
  const { commit, timeMs, requestedMs } = moment;
  if (requestedMs !== undefined) context.output.note(distance(moment, requestedMs));
  const done = await (isDryRun ? planInPlace : restoreInPlace)(ops, open, commit, options);
  const durationMs = ops.clock.now() - startedMs;
  context.reporter.pause();
  const { agent } = open;
  const document = {
    agent: agent.label,
    target: agent.stateDir,
    mode: 'in-place',
    dir: agent.stateDir,
    dryRun: isDryRun,
    commit,
    time: formatJsonTime(timeMs),
    ...(requestedMs !== undefined && { requestedTime: formatJsonTime(requestedMs) }),
    ...(components && { components }),
    ...(done.safety !== undefined && { safety: done.safety }),
    files: done.files,
    bytes: done.bytes,
    phases: [{ name: 'restore', durationMs }],
    hazards: done.hazards,
    ...(done.lifecycle && { lifecycle: done.lifecycle }),
  };
  context.output.result(document, () => [
    `${isDryRun ? 'would restore' : 'restored'} ${shortId(commit)} of ${formatTime(timeMs)} in place${partOf(components)}: ${countsOf(done)}`,
    ...done.hazards.map((hazard) => `note: ${hazard}`),
    ...(done.safety === undefined
      ? []
      : [
          `what was there before is ${shortId(done.safety)}: ${context.program} restore --undo brings it back`,
          'the next commit records what is there now',
        ]),
    ...(done.lifecycle === undefined
      ? []
      : [`the agent was stopped first ${done.lifecycle.started ? 'and runs again' : 'and is stopped'}`]),
  ]);
  const problem = done.lifecycle?.problem;
  if (problem !== undefined)
    throw new MoltError('PARTIAL', `the state is restored, but ${agent.label} could not be started: ${problem}`, {
      hint: `start it yourself; ${context.program} restore --undo goes back to what was there before`,
    });
}

function partOf(components: readonly Component[] | undefined): string {
  return components === undefined ? '' : ` (${components.join(', ')} alone)`;
}

function countsOf({ files, bytes }: InPlaceResult): string {
  const { written, removed, unchanged } = files;
  return `${formatCount(written, 'file')} written (${formatSize(bytes.written)}), ${removed} removed, ${unchanged} unchanged`;
}

function planDocument(plan: RestorePlan, dryRun: boolean): object {
  const { agent, commit, dir, timeMs, requestedMs } = plan;
  const requested = requestedMs === undefined ? {} : { requestedTime: formatJsonTime(requestedMs) };
  return { agent, target: dir, mode: 'folder', dir, dryRun, commit, time: formatJsonTime(timeMs), ...requested };
}

function distance(plan: Moment, requestedMs: number): string {
  return `the newest commit by ${formatTime(requestedMs)} is ${shortId(plan.commit)} of ${formatTime(plan.timeMs)}, ${formatDuration(requestedMs - plan.timeMs)} before`;
}
