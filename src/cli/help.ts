// The help of the program, from the table of commands alone, and of a command, from its own file.

import type { Command, OptionSpec } from './command.ts';
import { COMMAND_GROUPS, type CommandEntry } from './commands.ts';
import { GLOBAL_OPTIONS } from './globals.ts';
import { formatTable } from './text.ts';

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
  if (Object.keys(command.options).length > 0) lines.push('', 'Options:', ...optionLines(command.options));
  lines.push('', 'Options of every command:', ...optionLines(GLOBAL_OPTIONS));
  const examples = command.examples.map(([line, meaning]) => [`  ${program} ${line}`, meaning]);
  lines.push('', 'Examples:', ...formatTable(examples));
  return lines;
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
