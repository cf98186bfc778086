// `molt tag`: names moments, lists and removes these names.

import { MoltError } from '../../model/error.ts';
import { shortId } from '../../model/ids.ts';
import { formatTime } from '../../model/time-format.ts';
import { createTag, listTags, removeTag } from '../../ops/tag.ts';
import { defineCommand } from '../command.ts';
import { takeAgent } from '../../ops/open-words.ts';
import { makeOpsContext } from '../ops-context.ts';
import { formatTable } from '../text.ts';

/** The tag command. */
export const command = defineCommand({
  name: 'tag',
  summary: 'name a moment, or list names',
  description:
    'Without NAME all tags are listed. Full and manual backups are tagged by themselves: full/TIME and manual/TIME.\nA tag stays where it is. To move one, remove it and make it again.',
  words: [
    {
      name: 'words',
      place: 'NAME [REV]',
      many: true,
      description: 'the name, and what to name: the newest commit if it is left out; an agent may stand before them',
      completes: ['tag', 'revision'],
    },
  ],
  options: {
    delete: { type: 'boolean', alias: 'd', description: 'remove the name; the commit stays' },
    message: { type: 'string', alias: 'm', value: 'TEXT', description: 'say what it is' },
  },
  examples: [
    ['tag', 'list all tags'],
    ['tag before-upgrade', 'name the newest commit'],
    ['tag v2 HEAD~3 -m "the last good one"', 'name an older one, and say what it is'],
    ["tag my-agent good 'my-agent@{yesterday}'", 'name a moment of yesterday'],
    ['tag -d before-upgrade', 'remove a name'],
  ],
  async run(context, { agent: option, words, options }) {
    const { output, zone } = context;
    const ops = makeOpsContext(context);
    const { agent, words: left } = await takeAgent(ops, option, words.words);
    const [name, revision, surplus] = left;
    if (surplus !== undefined)
      throw new MoltError('USAGE', `tag takes no '${surplus}'`, { hint: `${context.program} tag --help` });
    if (options.delete) {
      if (name === undefined)
        throw new MoltError('USAGE', 'tag -d needs NAME', { hint: `${context.program} tag lists the names` });
      if (revision !== undefined) throw new MoltError('USAGE', `tag -d takes one name, not also '${revision}'`);
      const removed = await removeTag(ops, agent, name);
      output.result({ ...removed, deleted: true }, () => `removed tag ${name}; ${shortId(removed.commit)} stays`);
    } else if (name === undefined) {
      const tags = await listTags(ops, agent);
      output.result(tags, () =>
        formatTable(
          tags.map(({ name, commit, time, kind, message, annotation }) => [
            name,
            output.style('yellow', shortId(commit)),
            formatTime(Date.parse(time), zone),
            kind,
            (annotation === '' ? message : annotation).split('\n', 1)[0] ?? '',
          ]),
        ),
      );
      if (tags.length === 0) output.note('no tags yet');
    } else {
      const tag = await createTag(ops, agent, { name, revision: revision ?? 'HEAD', message: options.message });
      output.result(tag, () => `${name} now names ${shortId(tag.commit)} of ${formatTime(Date.parse(tag.time), zone)}`);
    }
  },
});
