// `molt import`: takes a bundle in.

import path from 'node:path';
import { shortId } from '../../model/ids.ts';
import { importBundle } from '../../ops/import.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';
import { formatCount, formatSize } from '../text.ts';

/** The import command. */
export const command = defineCommand({
  name: 'import',
  summary: 'take in a bundle that molt export wrote',
  description:
    'Makes a new agent of it, or adds what is new to the one that is here. All of it is checked before anything lands. A passphrase,\nrecovery key or other key of the agent opens it. Its files come with molt restore.',
  words: [{ name: 'file', required: true, description: 'the bundle; - for standard input', completes: ['file'] }],
  options: {
    as: {
      type: 'string',
      value: 'LABEL',
      description: 'what to call the agent here; as it is called there if left out',
    },
    fork: { type: 'boolean', description: 'make a repository of its own, with a new passphrase and recovery key' },
    state: { type: 'string', value: 'DIR', description: 'where the agent is to live (./LABEL)' },
  },
  examples: [
    ['import my-agent.molt', 'make an agent of a bundle, or bring it up to date'],
    ['import my-agent.molt --as twin --state ~/.openclaw', 'make one under another name'],
  ],
  async run(context, { options, words }) {
    const { output, program } = context;
    const isPipe = words.file === '-';
    let recoveryKey: string | undefined;
    const result = await importBundle(makeOpsContext(context), {
      from: isPipe ? process.stdin : path.resolve(context.cwd, words.file),
      name: isPipe ? 'standard input' : words.file,
      label: options.as,
      stateDir: options.state,
      fork: options.fork
        ? {
            passphrase: () => {
              context.reporter.pause();
              return context.secrets.newPassphrase('the fork');
            },
            keepRecoveryKey: async (text) => {
              recoveryKey = text;
            },
          }
        : undefined,
    });
    const { agent, isNew, stateDir, sizeBytes, commits, refs, left } = result;
    const shown = recoveryKey === undefined ? {} : { recoveryKey };
    output.result({ file: words.file, ...result, ...shown }, () => [
      ...refs.map(
        ({ name, to }) => `  ${name.replace(/^refs\/(heads|tags)\//, '')} ${to === undefined ? 'gone' : shortId(to)}`,
      ),
      ...left.map(({ name, why }) => `  ${name.replace(/^refs\/(heads|tags)\//, '')} stays: ${why}`),
      `${agent}: ${formatCount(commits, 'new commit')} from ${formatSize(sizeBytes)}`,
      ...(isNew
        ? [`  lives in ${stateDir}, where nothing was written yet: ${program} restore ${agent} --in-place`]
        : []),
      ...(recoveryKey === undefined
        ? []
        : ['', `    ${recoveryKey}`, '', 'Write this recovery key down now: it is not shown again.']),
    ]);
  },
});
