// `molt switch`: puts an agent onto a branch. The agent's files are not touched.

import { MoltError } from '../../model/error.ts';
import { shortId } from '../../model/ids.ts';
import { formatTime } from '../../model/time-format.ts';
import { switchBranch } from '../../ops/branch.ts';
import { takeAgent } from '../../ops/open-words.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';

/** The switch command. */
export const command = defineCommand({
  name: 'switch',
  summary: 'choose the branch that the next commit goes onto',
  description:
    "The agent's files stay exactly as they are, and it may run meanwhile. Its next commit saves them onto the branch, after the\n" +
    "branch's newest commit, whatever that one held. To bring the files of a branch back, restore it.",
  words: [
    {
      name: 'words',
      place: 'NAME [REV]',
      many: true,
      required: true,
      description: 'the branch, and with --create where it begins; an agent may stand before them',
      completes: ['branch', 'revision'],
    },
  ],
  options: {
    create: { type: 'boolean', alias: 'c', description: 'begin the branch first: at REV, or at the newest commit' },
  },
  examples: [
    ['switch experiment', 'commit onto a branch from now on'],
    ['switch --create experiment', 'begin a branch at the newest commit, and commit onto it from now on'],
    ['switch my-agent --create calm HEAD~12', 'begin one at an older commit'],
  ],
  async run(context, { agent: option, words, options }) {
    const { output, program, zone } = context;
    const ops = makeOpsContext(context);
    const { agent, words: left } = await takeAgent(ops, option, words.words);
    const [name, revision, surplus] = left;
    const usage = (message: string): MoltError => new MoltError('USAGE', message, { hint: `${program} switch --help` });
    if (name === undefined) throw usage('switch needs NAME: the branch');
    if (surplus !== undefined) throw usage(`switch takes no '${surplus}'`);
    if (revision !== undefined && !options.create) throw usage(`switch takes '${revision}' only with --create`);
    const done = await switchBranch(ops, agent, {
      name,
      ...(options.create && { create: revision ?? 'HEAD' }),
    });
    output.result(done, () => {
      const time = formatTime(Date.parse(done.time), zone);
      const what = done.from === name ? 'was on branch' : done.created ? 'is on the new branch' : 'is on branch';
      return [
        `${done.agent} ${what} ${name}${done.from === name ? ' already' : ''}, at ${shortId(done.commit)} of ${time}`,
        `its files are as they were; the next commit saves them onto ${name}, after ${shortId(done.commit)}`,
      ];
    });
    output.note(`${program} diff ${done.agent} shows how they differ from it`);
  },
});
