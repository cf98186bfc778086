// `molt backup create`: a backup that is kept as one: manual, named, or full.

import { backUp } from '../../ops/backup.ts';
import { defineCommand } from '../command.ts';
import { formatTotal, reportSkipped } from '../commit-text.ts';
import { reportSuspicion } from '../alert-text.ts';
import { makeOpsContext } from '../ops-context.ts';
import { commitDocument, describeCommit } from './commit.ts';

/** The backup create command. */
export const command = defineCommand({
  name: 'backup create',
  summary: 'make a manual backup, a named or a full one',
  description:
    'It is made even if nothing changed, and tagged: with --name by that name, else by kind and time.\nA full backup can be read without any other; it is what retention plans count.',
  words: [{ name: 'agent', description: 'the agent' }],
  options: {
    message: { type: 'string', alias: 'm', value: 'TEXT', description: 'say what it is' },
    name: { type: 'string', value: 'NAME', description: 'the name by which to find it again' },
    full: { type: 'boolean', description: 'make it self-contained' },
  },
  examples: [
    ['backup create', 'make a manual backup'],
    ['backup create my-agent --name before-upgrade', 'make one that restore finds by its name'],
    ['backup create my-agent --full -m "end of quarter"', 'make a full backup'],
  ],
  async run(context, { agent, options }) {
    const { output } = context;
    const result = await backUp(makeOpsContext(context), agent, {
      kind: options.full ? 'full' : 'manual',
      full: options.full,
      trigger: 'cli',
      name: options.name,
      message: options.message,
    });
    output.result(commitDocument(result), () => [
      describeCommit(result),
      `[${result.kind.toUpperCase()}] backup of ${formatTotal(result.components)}, tagged ${result.tag}`,
    ]);
    await reportSuspicion(context, result);
    reportSkipped(output, result.skipped);
  },
});
