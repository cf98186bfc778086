// `molt diff`: compares two moments, or a moment with the live agent.

import { COMPONENTS } from '../../model/component.ts';
import { displayPath } from '../../model/name.ts';
import { listDiff, type FileDiff } from '../../ops/diff.ts';
import { defineCommand } from '../command.ts';
import { describeDiff } from '../diff-text.ts';
import { makeOpsContext } from '../ops-context.ts';
import type { Output } from '../output.ts';
import { formatCount, formatSize, formatTable } from '../text.ts';

/** The diff command. */
export const command = defineCommand({
  name: 'diff',
  summary: 'compare two moments, or one with the live agent',
  description:
    'Files are compared by what they are: text and Markdown by lines and words, configuration by key path, conversations by turns, SQLite databases by tables and rows. Secrets are masked, unless --show-secrets is given.\nWithout a revision the newest commit is compared with the live agent, with one that revision, with two these.\nA PATH counts from the state folder or the current one: workspace/MEMORY.md, or state/workspace/MEMORY.md as molt shows it.',
  words: [
    {
      name: 'revisions',
      many: true,
      place: 'REV [REV]',
      description: 'what to compare; an agent may stand before them',
      completes: ['revision'],
    },
  ],
  options: {
    component: { type: 'string', value: 'NAME', choices: COMPONENTS, description: 'only this component' },
    stat: { type: 'boolean', description: 'only how much changed in each file' },
    'show-secrets': { type: 'boolean', description: 'secrets as they are, not masked' },
  },
  rest: 'PATH…',
  examples: [
    ['diff', 'show what changed since the last commit'],
    ['diff HEAD~1 HEAD -- openclaw.json', 'see which settings the last commit changed'],
    ['diff my-agent@{yesterday} --stat', 'show how much changed since yesterday'],
    ['diff HEAD~3 HEAD --component state -- workspace', 'compare two commits in part'],
  ],
  async run(context, { agent, options, words, rest }) {
    const { output } = context;
    const files = listDiff(makeOpsContext(context), {
      agent,
      words: words.revisions,
      component: options.component,
      paths: rest,
      statOnly: options.stat,
      showSecrets: options['show-secrets'],
    });
    const kept: FileDiff[] = [];
    for await (const file of files) {
      if (output.mode.json || options.stat) kept.push(file);
      else for (const line of describeFile(output, file)) output.line(line);
      if (output.abandoned) return;
    }
    if (output.mode.json) output.result(kept, () => '');
    else if (kept.length > 0) for (const line of describeStats(output, kept)) output.line(line);
  },
});

function* describeFile(output: Output, { diff, ...file }: FileDiff): Iterable<string> {
  const { path, component, change, from } = file;
  const name = from === undefined ? displayPath(path) : `${displayPath(from)} -> ${displayPath(path)}`;
  yield output.style('bold', `${change} ${name} (${component})`);
  if (diff !== undefined) yield* describeDiff(output, file, diff);
}

function describeStats(output: Output, files: readonly FileDiff[]): string[] {
  const rows = files.map(({ path, from, component, change, stat }) => {
    const name = from === undefined ? displayPath(path) : `${displayPath(from)} -> ${displayPath(path)}`;
    const bytes = `${formatSize(stat.beforeBytes)} -> ${formatSize(stat.afterBytes)}`;
    const lines =
      stat.omitted === undefined
        ? [output.style('green', `+${stat.addedLines}`), output.style('red', `-${stat.removedLines}`)]
        : [stat.omitted === 'sqlite' ? 'SQLite' : stat.omitted, ''];
    return [` ${name}`, component, change, ...lines, bytes];
  });
  const added = files.reduce((sum, { stat }) => sum + stat.addedLines, 0);
  const removed = files.reduce((sum, { stat }) => sum + stat.removedLines, 0);
  return [...formatTable(rows, [3, 4]), ` ${formatCount(files.length, 'file')} changed, +${added} -${removed} lines`];
}
