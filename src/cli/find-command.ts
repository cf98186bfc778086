// Finds which command a line is about before any command, or the parser, is loaded.

import { MoltError } from '../model/error.ts';
import { GLOBAL_OPTIONS } from './globals.ts';
import { findNearest } from '../model/nearest.ts';

/** A line without its command. */
export interface FoundCommand<E> {
  readonly entry: E;
  /** The other words, in order, global options that stood before the command included. */
  readonly argv: readonly string[];
}

// Global options that take the next word as their value.
const VALUED = new Set(
  Object.entries(GLOBAL_OPTIONS).flatMap(([name, spec]) =>
    spec.type === 'string' ? [`--${name}`, ...('alias' in spec ? [`-${spec.alias}`] : [])] : [],
  ),
);

/**
 * Finds the command of a line: its first two words that are no options, or its first. Returns undefined if there is no word.
 * @throws {MoltError} USAGE when the word is no command, with the nearest one as a hint
 */
export function findCommand<E extends { readonly name: string }>(
  argv: readonly string[],
  entries: readonly E[],
  program: string,
): FoundCommand<E> | undefined {
  const at = indexOfWord(argv, 0);
  const first = argv[at];
  if (first === undefined) return undefined;
  const nextAt = indexOfWord(argv, at + 1);
  const second = argv[nextAt];
  const pair = entries.find((entry) => second !== undefined && entry.name === `${first} ${second}`);
  if (pair !== undefined) return { entry: pair, argv: argv.filter((_, index) => index !== at && index !== nextAt) };
  const single = entries.find((entry) => entry.name === first);
  if (single !== undefined) return { entry: single, argv: argv.filter((_, index) => index !== at) };
  throw unknownCommand(first, second, entries, program);
}

/** Returns the commands that begin with a word: those of `backup` for `backup`. */
export function listSubcommands<E extends { readonly name: string }>(word: string, entries: readonly E[]): E[] {
  return entries.filter((entry) => entry.name.startsWith(`${word} `));
}

/** Makes the error of a word that is no command. */
export function unknownCommand(
  first: string,
  second: string | undefined,
  entries: readonly { readonly name: string }[],
  program: string,
): MoltError {
  const subcommands = listSubcommands(first, entries);
  if (subcommands.length > 0) {
    const names = subcommands.map((entry) => entry.name.slice(first.length + 1));
    const what = second === undefined ? `'${first}' needs a second word` : `'${first} ${second}' is not a command`;
    return new MoltError('USAGE', `${what}: ${names.join(', ')}`, { hint: `${program} help ${first}` });
  }
  // `molt my-agent status`: the agent stands behind the command.
  const swapped = entries.find((entry) => entry.name === second);
  const nearest = findNearest(
    first,
    new Set(entries.flatMap((entry) => [entry.name, entry.name.split(' ', 1)[0] ?? ''])),
  );
  const guess = nearest ?? (swapped === undefined ? undefined : `${swapped.name} ${first}`);
  return new MoltError('USAGE', `'${first}' is not a command`, {
    hint: guess === undefined ? `${program} help` : `did you mean ${program} ${guess}`,
  });
}

function indexOfWord(argv: readonly string[], from: number): number {
  for (let index = from; index < argv.length; index++) {
    const word = argv[index] ?? '';
    if (word === '--') return argv.length;
    if (VALUED.has(word)) index += 1;
    else if (!word.startsWith('-') || word === '-') return index;
  }
  return argv.length;
}
