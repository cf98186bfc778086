// Reads a command's options and words off the line, by yargs. Only this file loads yargs; its help and its messages are not used,
// since it can't tell an unknown option from a word too many.

import { inspect } from 'node:util';
import yargs from 'yargs';
import { MoltError } from '../model/error.ts';
import type { Args, Command, OptionSpec, WordSpec } from './command.ts';
import { GLOBAL_OPTIONS, type Globals } from './globals.ts';
import { findNearest } from '../model/nearest.ts';

/** A command line that was understood. */
export interface ParsedLine {
  readonly args: Args<Readonly<Record<string, OptionSpec>>, readonly WordSpec[]>;
  readonly globals: Globals;
  /** Help was asked for; nothing else was checked. */
  readonly help: boolean;
}

type Values = Record<string, unknown> & { readonly _: (string | number)[] };

/**
 * Reads the line of a command.
 * @throws {MoltError} USAGE when the line is not what the command takes
 */
export function parseLine(program: string, command: Command, argv: readonly string[]): ParsedLine {
  const fail = (message: string, hint = `${program} ${command.name} --help`): never => {
    throw new MoltError('USAGE', message, { hint });
  };
  const specs: Readonly<Record<string, OptionSpec>> = { ...GLOBAL_OPTIONS, ...command.options };
  const end = argv.indexOf('--');
  const rest = end === -1 ? [] : argv.slice(end + 1);
  const words = (end === -1 ? [...argv] : argv.slice(0, end)).map((word) => withBareValue(word, specs));
  const values = parserFor(specs)
    .fail((message, error) => fail(describeFailure(message ?? error?.message ?? 'the command line is wrong')))
    .parseSync(words) as Values;
  const help = values['help'] === true;
  const globals = globalsOf(values, fail, help);
  if (help) return { args: { agent: globals.agent, options: {}, words: {}, rest }, globals, help };
  refuseUnknown(values, specs, fail);
  const options = Object.fromEntries(
    Object.entries(command.options).map(([name, spec]) => [name, optionValue(name, spec, values[name], fail)]),
  );
  const given = values._.map(String);
  const assigned = assignWords(command, given, globals.agent, fail);
  if (rest.length > 0 && command.rest === undefined) fail(`${command.name} takes nothing behind --`);
  const { agent } = assigned;
  return { args: { ...assigned, options, rest }, globals: { ...globals, agent }, help };
}

function parserFor(specs: Readonly<Record<string, OptionSpec>>) {
  const parser = yargs()
    .locale('en')
    .detectLocale(false)
    .exitProcess(false)
    .help(false)
    .version(false)
    .string('_')
    .parserConfiguration({
      'boolean-negation': false,
      'camel-case-expansion': false,
      'dot-notation': false,
      'greedy-arrays': false,
      'parse-numbers': false,
      'parse-positional-numbers': false,
    });
  for (const [name, spec] of Object.entries(specs)) {
    parser.option(name, {
      type: spec.type === 'boolean' ? 'boolean' : 'string',
      array: spec.type === 'strings',
      ...(spec.type === 'boolean' ? {} : { requiresArg: true }),
      ...(spec.alias === undefined ? {} : { alias: spec.alias }),
    });
  }
  return parser;
}

/** Writes out what an option means that may stand without a value. */
function withBareValue(word: string, specs: Readonly<Record<string, OptionSpec>>): string {
  const bare = word.startsWith('--') ? specs[word.slice(2)]?.bare : undefined;
  return bare === undefined ? word : `${word}=${bare}`;
}

type Fail = (message: string, hint?: string) => never;

function globalsOf(values: Values, fail: Fail, lenient: boolean): Globals {
  const text = (name: keyof typeof GLOBAL_OPTIONS): string | undefined => {
    const value = values[name];
    if (lenient) return undefined;
    const checked = optionValue(name, GLOBAL_OPTIONS[name], value, fail);
    return typeof checked === 'string' ? checked : undefined;
  };
  return {
    agent: text('agent'),
    home: text('home'),
    tz: text('tz'),
    backupLog: text('backup-log'),
    passphraseFile: text('passphrase-file'),
    yes: values['yes'] === true,
  };
}

function optionValue(
  name: string,
  spec: OptionSpec,
  value: unknown,
  fail: Fail,
): boolean | string | number | string[] | undefined {
  if (spec.type === 'boolean') return Array.isArray(value) ? value.includes(true) : value === true;
  if (spec.type === 'strings') {
    const texts = Array.isArray(value) ? value.map(String) : [];
    for (const text of texts) checkText(name, spec, text, fail);
    return texts;
  }
  if (value === undefined) return undefined;
  if (Array.isArray(value)) return fail(`--${name} is given twice`);
  const text = typeof value === 'string' ? value : inspect(value);
  checkText(name, spec, text, fail);
  if (spec.type === 'string') return text;
  const number = Number(text);
  return Number.isFinite(number) ? number : fail(`--${name} takes a number, not '${text}'`);
}

function checkText(name: string, spec: OptionSpec, text: string, fail: Fail): void {
  // An empty message is a message; an empty file, name or number is a slip (an unset shell variable, mostly).
  if (text === '' && name !== 'message') fail(`--${name} is empty`);
  if (spec.choices?.includes(text) !== false) return;
  const nearest = findNearest(text, spec.choices);
  fail(
    `--${name} takes ${spec.choices.join(', ')}, not '${text}'`,
    nearest === undefined ? undefined : `did you mean --${name} ${nearest}`,
  );
}

function refuseUnknown(values: Values, specs: Readonly<Record<string, OptionSpec>>, fail: Fail): void {
  const known = new Set(
    Object.entries(specs).flatMap(([name, spec]) => (spec.alias === undefined ? [name] : [name, spec.alias])),
  );
  for (const name of Object.keys(values)) {
    if (name === '_' || name === '$0' || known.has(name)) continue;
    const nearest = findNearest(name, Object.keys(specs));
    fail(`unknown option ${dashed(name)}`, nearest === undefined ? undefined : `did you mean --${nearest}`);
  }
}

function assignWords(command: Command, given: string[], agentOption: string | undefined, fail: Fail) {
  const words: Record<string, string | string[] | undefined> = {};
  let agent = agentOption;
  for (const spec of command.words) {
    // The -a option has said it: every word is one of the others.
    if (spec.name === 'agent' && agentOption !== undefined) continue;
    const value = spec.many === true ? given.splice(0) : given.shift();
    if (spec.required === true && (value === undefined || value.length === 0)) {
      fail(`${command.name} needs ${spec.place ?? spec.name.toUpperCase()}: ${spec.description}`);
    }
    if (value === '') fail(`${spec.name.toUpperCase()} is empty`);
    if (spec.name !== 'agent') words[spec.name] = value;
    else if (typeof value === 'string') agent = value;
  }
  if (given.length > 0) fail(`${command.name} takes no '${given[0]}'`);
  return { agent, words };
}

function dashed(name: string): string {
  return name.length === 1 ? `-${name}` : `--${name}`;
}

/** Says in molt's words what yargs found wrong. */
function describeFailure(text: string): string {
  const option = /^Not enough arguments following: (\S+)$/.exec(text)?.[1];
  if (option !== undefined) return `${dashed(option)} needs a value`;
  return text.charAt(0).toLowerCase() + text.slice(1).replace(/\.$/, '');
}
