// `molt completion SHELL`: the script that makes a shell complete molt's commands, options and names.

import { MoltError } from '../../model/error.ts';
import { findNearest } from '../../model/nearest.ts';
import { defineCommand } from '../command.ts';
import { completionScript, SHELLS } from '../completion-scripts.ts';

/** The completion command. */
export const command = defineCommand({
  name: 'completion',
  summary: 'make the shell complete commands, options and names',
  description:
    'Prints a script for the shell to read, which then asks molt: commands, options, agents, branches, tags, and after REV: the files\n' +
    'of that moment. Names in a repository are only offered where this machine’s key opens it; nothing is ever asked for.',
  words: [{ name: 'shell', required: true, description: SHELLS.join(', '), completes: [SHELLS] }],
  options: {},
  examples: [
    ['completion bash', 'print it; in ~/.bashrc: source <(molt completion bash)'],
    ['completion zsh', 'print it; in ~/.zshrc, after compinit: source <(molt completion zsh)'],
    ['completion fish', 'print it; in ~/.config/fish/config.fish: molt completion fish | source'],
  ],
  async run({ output }, { words }) {
    const shell = SHELLS.find((name) => name === words.shell);
    if (shell === undefined) {
      const nearest = findNearest(words.shell, SHELLS);
      throw new MoltError('USAGE', `there is no completion for '${words.shell}', only for ${SHELLS.join(', ')}`, {
        hint: nearest === undefined ? 'molt completion bash' : `did you mean molt completion ${nearest}`,
      });
    }
    const script = completionScript(shell);
    output.result({ shell, script }, () => script.trimEnd());
  },
});
