// `molt export`: writes an agent's history for others to read, for now as a plain Git repository.

import { MoltError } from '../../model/error.ts';
import { exportGit } from '../../ops/export-git.ts';
import { openAgent } from '../../ops/open.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';
import { formatCount, formatSize } from '../text.ts';

/** The export command. */
export const command = defineCommand({
  name: 'export',
  summary: 'write an agent’s history as a Git repository',
  description:
    'Writes a bare Git repository with the same ids: git clone DIR and git -C DIR log work. It is NOT encrypted. Names that Git\n' +
    'refuses stay escaped (.git is %2Egit), and what Git can’t hold (modes, times, empty folders) is in the file attributes.',
  words: [{ name: 'agent', description: 'the agent' }],
  options: { git: { type: 'string', value: 'DIR', description: 'the folder; it must not exist, or be empty' } },
  examples: [
    ['export my-agent --git my-agent.git', 'write a Git repository, and look at it with git -C my-agent.git log'],
  ],
  async run(context, { agent, options }) {
    const ops = makeOpsContext(context);
    if (options.git === undefined) {
      throw new MoltError('USAGE', 'export needs a folder to write to', {
        hint: `${context.program} export --git DIR`,
      });
    }
    await using open = await openAgent(ops, agent);
    const result = await exportGit(ops, open, { dir: options.git });
    context.reporter.pause();
    context.output.result(result, () => {
      const what = `${formatCount(result.commits, 'commit')}, ${formatCount(result.objects, 'object')}, ${formatSize(result.sizeBytes)}`;
      return `${result.file}: ${what}, not encrypted`;
    });
  },
});
