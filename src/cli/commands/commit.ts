// `molt commit`: saves what changed since the last commit.

import { shortId } from '../../model/ids.ts';
import { backUp, type BackupResult } from '../../ops/backup.ts';
import { defineCommand } from '../command.ts';
import { reportSkipped } from '../commit-text.ts';
import { reportSuspicion } from '../alert-text.ts';
import { makeOpsContext } from '../ops-context.ts';
import { formatCount, formatDuration, formatSize } from '../text.ts';

/** The commit command. */
export const command = defineCommand({
  name: 'commit',
  summary: 'save what changed',
  description: 'An unchanged agent makes no commit, and that is no error. The agent may run meanwhile.',
  words: [{ name: 'agent', description: 'the agent' }],
  options: {
    message: { type: 'string', alias: 'm', value: 'TEXT', description: 'say what it is' },
  },
  examples: [
    ['commit', 'save the agent whose folder this is, or the only one'],
    ['commit my-agent -m "before the upgrade"', 'save it with a message'],
  ],
  async run(context, { agent, options }) {
    const { output } = context;
    const result = await backUp(makeOpsContext(context), agent, {
      kind: 'incremental',
      trigger: 'cli',
      message: options.message,
    });
    output.result(commitDocument(result), () => describeCommit(result));
    await reportSuspicion(context, result);
    reportSkipped(output, result.skipped);
  },
});

/** Returns the JSON of a commit that was made. */
export function commitDocument(result: BackupResult): object {
  const { components: _, roots: __, parent, tag, ...document } = result;
  return { ...document, parent: parent ?? null, tag: tag ?? null };
}

/** Returns what a commit saved, in a line. */
export function describeCommit(result: BackupResult): string {
  const { id, agent, files, bytes, unchanged, durationMs } = result;
  if (unchanged) return `${agent}: nothing changed since ${shortId(id)}`;
  const counts = [
    [files.added, 'added'],
    [files.modified, 'modified'],
    [files.removed, 'removed'],
  ] as const;
  const changes = counts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  const what = changes.length === 0 ? `no change in ${formatCount(files.kept, 'file')}` : changes.join(', ');
  return `${agent}: ${shortId(id)}  ${what}; ${formatSize(bytes.stored)} stored in ${formatDuration(durationMs)}`;
}
