// `molt clone`: makes an agent of this machine from a remote.

import { MoltError } from '../../model/error.ts';
import { shortId } from '../../model/ids.ts';
import { clone } from '../../ops/clone.ts';
import { defineCommand } from '../command.ts';
import { exchangeDocument } from '../exchange-text.ts';
import { makeOpsContext } from '../ops-context.ts';
import { LIMIT_RATE, withLimit } from '../rate.ts';
import { formatCount, formatDuration, formatSize } from '../text.ts';

/** The clone command. */
export const command = defineCommand({
  name: 'clone',
  summary: 'make an agent of this machine from a remote',
  description:
    'Its whole history comes here, encrypted as it is; a passphrase, recovery key or other key of it opens it. This machine then gets a key\nof its own. The agent’s files come with molt restore.',
  words: [
    { name: 'url', required: true, description: 's3://… or file:///…', completes: ['nothing'] },
    { name: 'agent', description: 'what to call it here; as it is called there if left out' },
  ],
  options: {
    state: { type: 'string', value: 'DIR', description: 'where the agent is to live (./AGENT)' },
    branch: { type: 'string', value: 'BRANCH', description: 'which line of history it follows; main if left out' },
    name: { type: 'string', value: 'NAME', description: 'what to call the remote (origin)' },
    'limit-rate': LIMIT_RATE,
  },
  examples: [
    ['clone s3://my-bucket/my-agent', 'get an agent from a bucket'],
    ['clone file:///mnt/nas/my-agent twin --state ~/.openclaw', 'get one from a folder, under another name'],
  ],
  async run(context, { agent, options, words }) {
    const { output, program } = context;
    if (options.name === '') throw new MoltError('USAGE', '--name needs a name');
    const result = await clone(withLimit(makeOpsContext(context), options['limit-rate']), {
      url: words.url,
      label: agent,
      stateDir: options.state,
      branch: options.branch,
      name: options.name ?? 'origin',
    });
    const { stateDir, branch, commit, commits } = result;
    output.result({ ...exchangeDocument(result), stateDir, branch, commit, commits }, () => [
      `${result.agent}: ${formatCount(commits, 'commit')}, ${formatSize(result.bytes)} from ${result.url} in ${formatDuration(result.durationMs)}`,
      `  branch ${branch} at ${shortId(commit)}`,
      `  lives in ${stateDir}, where nothing was written yet`,
      '',
      'Next:',
      `  ${program} restore ${result.agent} --in-place  bring its files there`,
      `  ${program} log ${result.agent}                 see what was saved`,
    ]);
  },
});
