// `molt help [COMMAND]`: the help of the program, of a command, or of the commands that begin with a word.

import { defineCommand } from '../command.ts';
import { COMMANDS } from '../commands.ts';
import { findCommand, listSubcommands } from '../find-command.ts';
import { commandHelp, programHelp } from '../help.ts';

/** The help command. */
export const command = defineCommand({
  name: 'help',
  summary: 'explain molt or one of its commands',
  words: [{ name: 'command', many: true, description: 'the command', completes: ['command'] }],
  options: {},
  examples: [
    ['help', 'show all commands'],
    ['help version', 'explain one command'],
  ],
  async run({ program, output }, { words }) {
    const [first] = words.command;
    const some = first === undefined ? COMMANDS : listSubcommands(first, COMMANDS);
    if (some.length > 0 && words.command.length < 2) {
      const document = { commands: some.map(({ name, group, summary }) => ({ name, group, summary })) };
      output.result(document, () => programHelp(program, some));
      return;
    }
    const entry = findCommand(words.command, COMMANDS, program)?.entry;
    if (entry === undefined) return;
    const { name, group, summary } = entry;
    const lines = commandHelp(program, await entry.load());
    output.result({ commands: [{ name, group, summary }] }, () => lines);
  },
});
