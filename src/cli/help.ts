// The help of the program, from the table of commands alone, and of a command, from its own file.

import type { Command, Completes, OptionSpec } from './command.ts';
import { COMMAND_GROUPS, COMMANDS, type CommandEntry } from './commands.ts';
import { GLOBAL_OPTIONS } from './globals.ts';
import { formatTable } from './text.ts';

const REV_LINE = 'REV is a commit id (its beginning will do), a tag, a branch, HEAD~3, latest, or AGENT@{TIME}.';
const TIME_LINE =
  "TIME is 2026-03-04T14:30:00Z, 2026-03-04, unix seconds, or words: yesterday, 'yesterday 14:30', '2 hours ago'; local unless --tz.";
const EXAMPLES = [
  ['init my-agent --state ~/.openclaw', 'begin'],
  ['commit', 'save what changed'],
  ['log -n 20', 'show the last twenty commits'],
  ["diff 'my-agent@{yesterday}'", 'show what changed since yesterday'],
  ['checkout HEAD~3 /tmp/before', 'put the files of three commits ago into a folder'],
] as const;

/** Returns the help of the whole program, or of the commands that begin with one word. */
export function programHelp(program: string, entries: readonly CommandEntry[]): string[] {
  const lines = [
    `Usage: ${program} COMMAND [options]`,
    '',
    "Git for an AI agent's state: encrypted history of a live agent, and every moment of it back.",
  ];
  const width = Math.max(...entries.map((entry) => entry.name.length));
  for (const group of COMMAND_GROUPS) {
    const members = entries.filter((entry) => entry.group === group);
    if (members.length === 0) continue;
    lines.push('', `${group.charAt(0).toUpperCase()}${group.slice(1)}:`);
    for (const { name, summary } of members) lines.push(`  ${name.padEnd(width)}  ${summary}`);
  }
  lines.push('', 'Options of every command:', ...optionLines(GLOBAL_OPTIONS));
  if (entries === COMMANDS) {
    const examples = EXAMPLES.map(([line, meaning]) => [`  ${program} ${line}`, meaning]);
    lines.push('', 'Examples:', ...formatTable(examples), '', REV_LINE, TIME_LINE);
  }
  lines.push('', `${program} COMMAND --help explains a command and has examples.`);
  return lines;
}

/** Returns the help of one command. */
export function commandHelp(program: string, command: Command): string[] {
  const places = command.words.map(({ name, place, required, many }) => {
    const shown = place ?? `${name.toUpperCase()}${many === true ? '…' : ''}`;
    return required === true ? shown : `[${shown}]`;
  });
  const rest = command.rest === undefined ? [] : [`[-- ${command.rest}]`];
  const lines = [`Usage: ${[program, command.name, ...places, '[options]', ...rest].join(' ')}`, ''];
  lines.push(`${command.summary.charAt(0).toUpperCase()}${command.summary.slice(1)}.`);
  if (command.description !== undefined) lines.push('', ...command.description.split('\n'));
  if (command.words.length > 0) {
    const rows = command.words.map(({ name, place, description }) => [`  ${place ?? name.toUpperCase()}`, description]);
    lines.push('', 'Words:', ...formatTable(rows));
  }
  const forms = [
    ...(command.words.some(({ completes = [] }) => completes.some(isRevision)) ? [REV_LINE] : []),
    ...(Object.values(command.options).some(({ value }) => value === 'TIME') ? [TIME_LINE] : []),
  ];
  if (forms.length > 0) lines.push('', ...forms);
  if (Object.keys(command.options).length > 0) lines.push('', 'Options:', ...optionLines(command.options));
  lines.push('', 'Options of every command:', ...optionLines(GLOBAL_OPTIONS));
  const examples = command.examples.map(([line, meaning]) => [`  ${program} ${line}`, meaning]);
  lines.push('', 'Examples:', ...formatTable(examples));
  return lines;
}

function isRevision(completes: Completes): boolean {
  return completes === 'revision' || completes === 'revision-path' || completes === 'held';
}

function optionLines(specs: Readonly<Record<string, OptionSpec>>): string[] {
  return formatTable(
    Object.entries(specs).map(([name, { alias, type, value, bare, choices, description }]) => {
      const taken = choices?.join('|') ?? value ?? 'VALUE';
      const placeholder = type === 'boolean' ? '' : bare === undefined ? ` ${taken}` : `[=${taken}]`;
      return [`  ${alias === undefined ? '    ' : `-${alias}, `}--${name}${placeholder}`, description];
    }),
  );
}
