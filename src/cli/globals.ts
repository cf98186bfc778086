// The options that every command takes, wherever they stand on the line.

import type { OptionSpec } from './command.ts';

/** The global options, by name. */
export const GLOBAL_OPTIONS = {
  agent: { type: 'string', alias: 'a', value: 'NAME', description: 'the agent' },
  home: { type: 'string', value: 'DIR', description: 'where agents live (MOLT_HOME, else ~/.molt)' },
  tz: { type: 'string', value: 'ZONE', description: 'zone of times without one, such as Asia/Jakarta' },
  'backup-log': {
    type: 'string',
    value: 'URL',
    description: 'keep the log of runs in PostgreSQL: postgres://… (MOLT_BACKUP_LOG)',
  },
  'passphrase-file': { type: 'string', value: 'FILE', description: 'read the passphrase from a file' },
  json: { type: 'boolean', description: 'write one JSON document' },
  yes: { type: 'boolean', description: 'answer every question with yes' },
  quiet: { type: 'boolean', alias: 'q', description: 'tell no progress' },
  verbose: { type: 'boolean', alias: 'v', description: 'tell more' },
  'no-color': { type: 'boolean', description: 'write without colours (NO_COLOR)' },
  help: { type: 'boolean', alias: 'h', description: 'show this help' },
} as const satisfies Readonly<Record<string, OptionSpec>>;

/** The values of the global options. */
export interface Globals {
  readonly agent: string | undefined;
  readonly home: string | undefined;
  readonly tz: string | undefined;
  readonly backupLog: string | undefined;
  readonly passphraseFile: string | undefined;
  readonly yes: boolean;
}

/** What shapes the output, known before anything else so that even a wrong command line is answered in the right form. */
export interface OutputFlags {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly noColor: boolean;
}

/** Finds the output flags among all words before `--`, whatever else stands there. */
export function scanOutputFlags(argv: readonly string[]): OutputFlags {
  const end = argv.indexOf('--');
  const words = new Set(end === -1 ? argv : argv.slice(0, end));
  const has = (...names: string[]): boolean => names.some((name) => words.has(name));
  return {
    json: has('--json'),
    quiet: has('--quiet', '-q'),
    verbose: has('--verbose', '-v'),
    noColor: has('--no-color'),
  };
}
