// `molt verify`: checks a repository, and says what damage means for the backups in it.

import { MoltError } from '../../model/error.ts';
import { shortId } from '../../model/ids.ts';
import { formatTime } from '../../model/time-format.ts';
import { verifyAgent, verifyFailure, type VerifyResult } from '../../ops/verify.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';
import type { Output } from '../output.ts';
import { formatCount, formatDuration, formatSize } from '../text.ts';

/** How many hurt commits the text lists; --json has all. */
const LISTED_COMMITS = 20;

/** The verify command. */
export const command = defineCommand({
  name: 'verify',
  summary: 'check that every backup can be brought back',
  description:
    'Checks the log, the keyrings, the index and the objects of every commit. Without --read-data the content of files in packs\n' +
    'is not read: that it is there and has the right size is checked, and everything else is read. With --read-data every byte\n' +
    'is read, and the files of branches and tags are held against their Git ids; with --read-data=10% a random tenth of the packs.\n' +
    '--repair rebuilds what is derived from the log (checkpoints and index runs) and changes nothing else. Exit status 13: a\n' +
    'problem is left.',
  words: [{ name: 'agent', description: 'the agent' }],
  options: {
    'read-data': {
      type: 'string',
      value: 'SHARE',
      bare: '100%',
      description: 'read the content of all packs, or of a share of them',
    },
    remote: { type: 'string', value: 'NAME', description: 'check a remote instead of what is here' },
    'extend-locks': { type: 'boolean', description: 'with --remote: extend object locks that are about to end' },
    repair: {
      type: 'boolean',
      description: 'rebuild checkpoints and index runs where they are wrong; send a remote anew what it lost',
    },
  },
  examples: [
    ['verify', 'check the structure of the only agent’s repository, or of the one here'],
    ['verify my-agent --read-data', 'read and check every byte'],
    ['verify my-agent --read-data=10%', 'read a random tenth of the packs: every night another'],
    ['verify my-agent --repair', 'rebuild the index'],
    ['verify --remote origin --read-data=10%', 'check what a remote holds'],
  ],
  async run(context, { agent, options }) {
    const { output } = context;
    if (options['extend-locks'] && options.remote === undefined)
      throw new MoltError('USAGE', '--extend-locks needs --remote NAME', {
        hint: 'only what a remote holds is locked',
      });
    const readShare = parseShare(options['read-data']);
    const result = await verifyAgent(makeOpsContext(context), agent, {
      readShare,
      repair: options.repair,
      remote: options.remote,
      extendLocks: options['extend-locks'],
    });
    context.reporter.pause();
    output.result(result, () => describe(output, result));
    const failure = verifyFailure(result, agent, options.remote);
    if (failure !== undefined) throw failure;
  },
});

function parseShare(text: string | undefined): number {
  if (text === undefined) return 0;
  const percent = Number(/^(\d{1,3}(?:\.\d+)?)%$/.exec(text)?.[1] ?? Number.NaN);
  if (percent > 0 && percent <= 100) return percent / 100;
  throw new MoltError('USAGE', `--read-data takes a share from 1% to 100%, not '${text}'`, { hint: '--read-data=10%' });
}

function* describe(output: Output, result: VerifyResult): Iterable<string> {
  const { checked, problems, notes, commits } = result;
  for (const { object, note } of notes) yield `${output.style('dim', 'note:')} ${object} ${note}`;
  for (const { code, problem, repaired } of problems) {
    yield `${repaired ? output.style('green', 'repaired:') : output.style('red', 'problem:')} ${problem} (${code})`;
  }
  for (const { id, time, tags } of commits.hurt.slice(0, LISTED_COMMITS)) {
    const when = time === undefined ? 'at an unknown time' : formatTime(Date.parse(time));
    yield `${output.style('red', 'hurt:')} ${shortId(id)}  ${when}  ${tags.join(', ')}`.trimEnd();
  }
  if (commits.hurt.length > LISTED_COMMITS)
    yield `and ${formatCount(commits.hurt.length - LISTED_COMMITS, 'more commit')}`;
  const whole = commits.total - commits.hurt.length;
  if (commits.hurt.length > 0)
    yield `${formatCount(Math.max(whole, 0), 'commit')} of ${commits.total} can still be brought back whole`;
  yield (
    `checked ${formatCount(checked.segments, 'segment')}, ${formatCount(checked.packs, 'pack')}, ${formatCount(checked.objects, 'object')}, ` +
      `${formatSize(checked.bytes)} in ${formatDuration(result.durationMs)}`
  );
}
