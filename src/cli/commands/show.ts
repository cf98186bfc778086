// `molt show`: a commit, a folder of one, or a file of one.

import { shortId } from '../../model/ids.ts';
import { displayPath } from '../../model/name.ts';
import { formatTime } from '../../model/time-format.ts';
import { openShown, type ShownCommit, type ShownFolder } from '../../ops/show.ts';
import { defineCommand } from '../command.ts';
import { formatChanges, formatComponents, formatTotal, summaryDocument } from '../commit-text.ts';
import { fileDocument } from '../file-document.ts';
import { makeOpsContext } from '../ops-context.ts';
import type { Output } from '../output.ts';
import { formatCount, formatSize, formatTable } from '../text.ts';

/** The show command. */
export const command = defineCommand({
  name: 'show',
  summary: 'show a commit, or a folder or file of one',
  words: [
    {
      name: 'revision',
      many: true,
      place: 'REV[:PATH]',
      description: 'what to show: the newest commit if it is left out; an agent may stand before it',
      completes: ['revision'],
    },
  ],
  options: {},
  examples: [
    ['show', 'show the newest commit: what it is, how large, and what it changed'],
    ['show HEAD~3:workspace', 'list a folder as it was three commits ago'],
    ["show 'my-agent@{yesterday}:workspace/MEMORY.md'", 'show a file as it was yesterday'],
  ],
  async run(context, { agent, words }) {
    const { output, zone } = context;
    await using opened = await openShown(makeOpsContext(context), agent, words.revision);
    const { shown } = opened;
    if (shown.type === 'commit') {
      const { components, agent: author, changed } = shown;
      output.result({ ...summaryDocument(shown), agent: author, components, changed }, () =>
        describeCommit(output, zone, shown),
      );
    } else if (shown.type === 'folder') {
      output.result(shown, () => describeFolder(shown, zone));
    } else if (output.mode.json) {
      output.result(await fileDocument(shown), () => '');
    } else {
      for await (const bytes of shown.read()) await output.bytes(bytes);
    }
  },
});

function* describeCommit(output: Output, zone: string, shown: ShownCommit): Iterable<string> {
  const { id, parents, tags, kind, time, message, components, changed, agent, trigger } = shown;
  yield output.style('yellow', `commit ${id}`);
  if (parents.length > 1) yield `Merge:   ${parents.map(shortId).join(' ')}`;
  if (tags.length > 0) yield `Tags:    ${tags.join(', ')}`;
  yield `Agent:   ${agent}`;
  yield `Date:    ${formatTime(Date.parse(time), zone)}`;
  yield `Kind:    ${kind}, by ${trigger}`;
  yield `Holds:   ${formatTotal(components)}`;
  yield '';
  for (const line of message.split('\n')) yield `    ${line}`;
  yield '';
  yield* formatComponents(components);
  yield '';
  if (changed === undefined) {
    yield 'Expired: its content was pruned, and this is what is left of it.';
    return;
  }
  const since = parents[0] === undefined ? '' : ` since ${shortId(parents[0])}`;
  yield changed.length === 0 ? `No file changed${since}.` : `${formatCount(changed.length, 'file')} changed${since}:`;
  yield* formatChanges(output, changed);
}

function describeFolder({ entries }: ShownFolder, zone: string): string[] {
  return formatTable(
    entries.map(({ name, type, executable, sizeBytes, modified, component }) => [
      `${displayPath(name)}${type === 'folder' ? '/' : type === 'symlink' ? '@' : executable ? '*' : ''}`,
      sizeBytes === undefined ? '' : formatSize(sizeBytes),
      component ?? '',
      modified === undefined ? '' : formatTime(Date.parse(modified), zone),
    ]),
    [1],
  );
}
