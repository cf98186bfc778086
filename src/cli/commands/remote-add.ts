// `molt remote add`: probes a place and makes it a remote.

import { MoltError } from '../../model/error.ts';
import { addRemote } from '../../ops/remote.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';
import { describeProbe } from '../probe-text.ts';

const DEFAULT_LOCK_DAYS = 90;

/** The remote add command. */
export const command = defineCommand({
  name: 'remote add',
  summary: 'add a bucket or folder to push to, after trying out what it really does',
  description:
    'URL is s3://BUCKET/PREFIX?endpoint=…&region=…&path-style=…&profile=… or file:///FOLDER. Credentials never go into it: they come from\nthe environment or the AWS configuration files. Small objects are written, read, raced for and deleted there first, and what was found\nis shown; a place that could lose what is pushed to it is refused.',
  words: [
    { name: 'name', required: true, description: 'what to call it: origin', completes: ['nothing'] },
    { name: 'url', required: true, description: 's3://… or file:///…', completes: ['nothing'] },
  ],
  options: {
    lock: {
      type: 'string',
      value: 'MODE',
      choices: ['governance', 'compliance'],
      description: 'lock every object from birth: nobody can delete it before its time',
    },
    'lock-days': { type: 'number', value: 'N', description: `for how many days (${DEFAULT_LOCK_DAYS})` },
    'single-writer': { type: 'boolean', description: 'only this machine will ever write there' },
  },
  examples: [
    ['remote add origin s3://my-bucket/my-agent', 'add a bucket of AWS'],
    ['remote add nas file:///mnt/nas/my-agent', 'add a folder'],
    [
      'remote add safe s3://locked/my-agent --lock governance --lock-days 30',
      'add one that nothing can be deleted from',
    ],
  ],
  async run(context, { agent, options, words }) {
    const days = options['lock-days'] ?? DEFAULT_LOCK_DAYS;
    if (options['lock-days'] !== undefined && options.lock === undefined)
      throw new MoltError('USAGE', '--lock-days goes with --lock');
    if (!Number.isSafeInteger(days) || days < 1 || days > 36_500)
      throw new MoltError('USAGE', '--lock-days takes a whole number of days, from 1');
    const mode = options.lock;
    const report = await addRemote(makeOpsContext(context), agent, {
      name: words.name,
      url: words.url,
      lock: mode && { mode, days },
      singleWriter: options['single-writer'],
    });
    const { decision } = report;
    context.output.result({ name: words.name, added: decision.verdict === 'ok', ...report }, () =>
      describeProbe(report, words.name),
    );
    if (decision.verdict !== 'ok') {
      throw new MoltError('REMOTE_REFUSED', `${report.url} was not added: ${decision.reasons.join('; ')}`, {
        hint: decision.hint,
      });
    }
  },
});
