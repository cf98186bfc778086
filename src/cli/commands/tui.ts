// `molt tui`: the interface on a terminal.

import { MoltError } from '../../model/error.ts';
import type { RunEntry } from '../../model/run-entry.ts';
import { makeUnlock } from '../../ops/unlock.ts';
import { COMMANDS } from '../commands.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';

/** The tui command. */
export const command = defineCommand({
  name: 'tui',
  summary: 'browse history, compare moments and bring one back, on a terminal',
  description:
    'Days and the moments in them; what each changed; the inside of every file that did. ? shows the keys of where you are.\n' +
    'Nothing is written but by a key that says so, and what would be replaced has to be typed. Without a command, molt on a\n' +
    'terminal does the same.',
  words: [{ name: 'agent', description: 'the agent' }],
  options: {},
  endsItself: true,
  examples: [
    ['tui', 'browse the only agent there is, or the one that this folder belongs to'],
    ['tui my-agent', 'browse one of several'],
  ],
  async run(context, { agent }) {
    const { terminal, program, givenZone, output, env, secrets } = context;
    if (terminal === undefined || output.mode.json)
      throw new MoltError('USAGE', 'this is not a terminal: tui needs one for its screen and its keys', {
        hint: `${program} log shows the history as text, and ${program} diff what changed`,
      });
    await context.browse({
      ...terminal,
      ops: makeOpsContext(context),
      label: agent,
      program,
      zone: givenZone,
      colour: output.mode.colour,
      commands: COMMANDS.map(({ name, summary }) => ({ name, summary })),
      signal: context.signal,
      unlockWith: (ask) =>
        makeUnlock({
          passphrase: async (subject) => (await secrets.findPassphrase()) ?? ask(subject),
          recoveryKey: env['MOLT_RECOVERY_KEY'],
        }),
      async findLastCheck(ops, label): Promise<RunEntry | undefined> {
        const [{ readRuns }, { findBackupLog }] = await Promise.all([
          import('../runs.ts'),
          import('../backup-log-url.ts'),
        ]);
        const wanted = { verbs: ['verify'], results: ['ok'], limit: 1 } as const;
        const { entries } = await readRuns(ops, label, wanted, await findBackupLog(context));
        return entries[0];
      },
    });
  },
});
