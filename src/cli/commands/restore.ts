// `molt restore`: brings an agent's files of a moment back, for now into a new folder.

import { MoltError } from '../../model/error.ts';
import { shortId } from '../../model/ids.ts';
import { formatJsonTime, formatTime } from '../../model/time-format.ts';
import { openForWords } from '../../ops/open-words.ts';
import { applyRestore, planRestore, type RestorePlan } from '../../ops/restore.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';
import { formatCount, formatDuration, formatSize } from '../text.ts';

/** The restore command. */
export const command = defineCommand({
  name: 'restore',
  summary: 'bring an agent back',
  description:
    'Restores the files of a moment into a new folder: state/… and roots/NUMBER/…, with their modes, times and links. Every\n' +
    'byte is checked on its way, and the folder is there whole or not at all.\n' +
    'Not there yet: restoring in place, starting the agent as a pod, and reading from a remote (--target, --in-place, --from).',
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
    timestamp: { type: 'string', value: 'TIME', description: 'the newest commit captured at or before this time' },
    'dry-run': { type: 'boolean', description: 'only tell what would be done' },
  },
  examples: [
    ['restore my-agent --to /srv/my-agent-restored', 'restore the newest commit'],
    ['restore my-agent --timestamp "yesterday 14:30" --to old', 'restore what was there yesterday at half past two'],
    ['restore my-agent HEAD~3 --to old --dry-run', 'tell what would be written'],
  ],
  async run(context, { agent, options, words }) {
    const ops = makeOpsContext(context);
    const { to: dir, timestamp } = options;
    if (dir === undefined) {
      throw new MoltError('USAGE', 'restore needs a folder to restore into', {
        hint: `${context.program} restore --to DIR`,
      });
    }
    await using opened = await openForWords(ops, agent, words.revision);
    const [revision, ...others] = opened.words;
    if (others.length > 0)
      throw new MoltError('USAGE', `restore takes no '${others[0]}'`, { hint: `${context.program} restore --help` });
    const plan = await planRestore(ops, opened.open, { revision, timestamp, dir });
    const isDryRun = options['dry-run'];
    if (!isDryRun && plan.requestedMs !== undefined) context.output.note(distance(plan, plan.requestedMs));
    const done = isDryRun ? undefined : await applyRestore(ops, opened.open, plan);
    context.reporter.pause();
    const document = {
      ...planDocument(plan, isDryRun),
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
      return [...lines, `${verb} ${shortId(plan.commit)} of ${formatTime(plan.timeMs)} to ${plan.dir}: ${what}${end}`];
    });
  },
});

function planDocument(plan: RestorePlan, dryRun: boolean): object {
  const { agent, commit, dir, timeMs, requestedMs } = plan;
  const requested = requestedMs === undefined ? {} : { requestedTime: formatJsonTime(requestedMs) };
  return { agent, target: dir, mode: 'folder', dir, dryRun, commit, time: formatJsonTime(timeMs), ...requested };
}

function distance(plan: RestorePlan, requestedMs: number): string {
  return `the newest commit by ${formatTime(requestedMs)} is ${shortId(plan.commit)} of ${formatTime(plan.timeMs)}, ${formatDuration(requestedMs - plan.timeMs)} before`;
}
