// `molt cat REV:PATH`: the bytes of a file as they were saved.

import { MoltError } from '../../model/error.ts';
import { openShown } from '../../ops/show.ts';
import { defineCommand } from '../command.ts';
import { fileDocument } from '../file-document.ts';
import { makeOpsContext } from '../ops-context.ts';

/** The cat command. */
export const command = defineCommand({
  name: 'cat',
  summary: 'write a file as it was saved',
  description: 'The bytes are written as they are; only on a terminal are control characters made visible.',
  words: [
    {
      name: 'file',
      place: 'REV:PATH',
      many: true,
      required: true,
      description: 'a file of a moment',
      completes: ['revision-path'],
    },
  ],
  options: {},
  examples: [
    ['cat HEAD:workspace/MEMORY.md', 'write a file of the newest commit'],
    ["cat 'my-agent@{last friday}:openclaw.json' > old.json", 'get back one file of last friday'],
  ],
  async run(context, { agent, words }) {
    const { output } = context;
    await using opened = await openShown(makeOpsContext(context), agent, words.file);
    const { shown } = opened;
    const name = words.file.at(-1) ?? '';
    if (shown.type === 'commit') {
      throw new MoltError('USAGE', `"${name}" names a commit, and cat writes a file`, {
        hint: 'name one: REV:PATH, as in HEAD:workspace/MEMORY.md',
      });
    }
    if (shown.type === 'folder') {
      throw new MoltError('USAGE', `"${name}" is a folder`, { hint: `${context.program} show ${name} lists it` });
    }
    if (output.mode.json) {
      output.result(await fileDocument(shown), () => '');
      return;
    }
    for await (const bytes of shown.read()) {
      await output.bytes(bytes);
      if (output.abandoned) return;
    }
  },
});
