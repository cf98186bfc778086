// `molt branch`: lists, makes and removes lines of history.

import { MoltError } from '../../model/error.ts';
import { shortId } from '../../model/ids.ts';
import { formatTime } from '../../model/time-format.ts';
import { createBranch, listBranches, removeBranch } from '../../ops/branch.ts';
import { takeAgent } from '../../ops/open-words.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';
import { formatTable } from '../text.ts';

/** The branch command. */
export const command = defineCommand({
  name: 'branch',
  summary: 'list, make and remove lines of history',
  description:
    'Without NAME all branches are listed; a star marks the one that the agent commits onto. A new branch begins at REV, and the\n' +
    'agent stays on its own until molt switch.',
  words: [
    {
      name: 'words',
      place: 'NAME [REV]',
      many: true,
      description: 'the name, and where it begins: the newest commit if it is left out; an agent may stand before them',
      completes: ['branch', 'revision'],
    },
  ],
  options: {
    delete: { type: 'boolean', alias: 'd', description: 'remove a branch that no agent is on' },
    force: { type: 'boolean', description: 'with --delete: also one with commits that no other branch has' },
  },
  examples: [
    ['branch', 'list all branches'],
    ['branch experiment', 'begin a branch at the newest commit'],
    ["branch my-agent calm 'my-agent@{last friday}'", 'begin one at a moment of last Friday'],
    ['branch -d experiment', 'remove one whose commits another branch has'],
  ],
  async run(context, { agent: option, words, options }) {
    const { output, program, zone } = context;
    const ops = makeOpsContext(context);
    const { agent, words: left } = await takeAgent(ops, option, words.words);
    const [name, revision, surplus] = left;
    const usage = (message: string): MoltError => new MoltError('USAGE', message, { hint: `${program} branch --help` });
    if (surplus !== undefined) throw usage(`branch takes no '${surplus}'`);
    if (options.force && !options.delete) throw usage('--force belongs to --delete');
    if (options.delete) {
      if (name === undefined) throw usage('branch --delete needs NAME');
      if (revision !== undefined) throw usage(`branch --delete takes one name, not also '${revision}'`);
      const removed = await removeBranch(ops, agent, { name, force: options.force });
      output.result(
        { ...removed, deleted: true },
        () => `removed branch ${name}, which was at ${shortId(removed.commit)}`,
      );
      return;
    }
    if (name !== undefined) {
      const made = await createBranch(ops, agent, { name, revision: revision ?? 'HEAD' });
      const time = formatTime(Date.parse(made.time), zone);
      output.result(made, () => `branch ${name} begins at ${shortId(made.commit)} of ${time}`);
      output.note(`${program} switch ${name} makes the next commit go onto it`);
      return;
    }
    const branches = await listBranches(ops, agent);
    output.result(branches, () =>
      formatTable(
        branches.map(({ name, commit, time, message, current, agents }) => [
          current ? `* ${output.style('green', name)}` : `  ${name}`,
          output.style('yellow', shortId(commit)),
          formatTime(Date.parse(time), zone),
          [message.split('\n', 1)[0], ...agents.map((one) => output.style('cyan', `[${one}]`))].join(' '),
        ]),
      ),
    );
  },
});
