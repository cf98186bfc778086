// The table of commands: enough for the top-level help and for finding a command without loading any of them.

import type { Command } from './command.ts';

/** The headings of the top-level help, in order. */
export const COMMAND_GROUPS = [
  'begin',
  'save and see',
  'bring back',
  'run',
  'send and get',
  'look after',
  'more',
] as const;

/** One row of the table. */
export interface CommandEntry {
  /** As the user types it: `status`, `backup list`. */
  readonly name: string;
  readonly group: (typeof COMMAND_GROUPS)[number];
  readonly summary: string;
  /** Loads the command's file. */
  load(): Promise<Command>;
}

/** All commands, in the order of the help within their groups. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'help',
    group: 'more',
    summary: 'explain molt or one of its commands',
    load: async () => (await import('./commands/help.ts')).command,
  },
  {
    name: 'version',
    group: 'more',
    summary: 'show the version of molt',
    load: async () => (await import('./commands/version.ts')).command,
  },
];
