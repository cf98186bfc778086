// A diff by meaning, as lines for people: marked so that it reads without colour, and printable through Output.

import { displayPath } from '../model/name.ts';
import type {
  CellChange,
  ComparedFile,
  ConfigDiff,
  ConversationChange,
  DatabaseDiff,
  BinaryDiff,
  ItemChange,
  RowChange,
  SemanticDiff,
  TableDiff,
  TextDiffResult,
  TextLine,
  Turn,
} from '../model/semantic-diff.ts';
import type { Output, Style } from './output.ts';
import { formatCount, formatSize } from './text.ts';

type Styler = Pick<Output, 'style' | 'mode'>;

const MARKS: Readonly<Record<ItemChange, readonly [mark: string, style: Style]>> = {
  added: ['+', 'green'],
  removed: ['-', 'red'],
  changed: ['~', 'yellow'],
};
/** Of what may be thousands the text shows so many; --json has more. */
const MOST_ROWS = 20;
const MOST_CELL_CHARACTERS = 80;
const MOST_DEFINITION_CHARACTERS = 300;
const REASONS: Readonly<Record<BinaryDiff['reason'], string>> = {
  binary: '',
  secret: 'a secret; --show-secrets shows it',
  'too large': 'too large to compare',
  'too different': 'too different to compare line by line',
  'too complex': 'too complex to compare by content',
};

/** Returns the lines that say how a file differs. */
export function* describeDiff(output: Styler, file: ComparedFile, diff: SemanticDiff): Iterable<string> {
  const name = displayPath(file.path);
  if (file.from !== undefined) yield* [`rename from ${displayPath(file.from)}`, `rename to ${name}`];
  if (file.modes !== undefined) yield* [`old mode ${file.modes.before}`, `new mode ${file.modes.after}`];
  if (diff.kind === 'text') yield* describeText(output, file, diff);
  else if (diff.kind === 'config') yield* describeConfig(output, diff);
  else if (diff.kind === 'conversation')
    yield* [
      ...diff.conversations.flatMap((one) => [...describeConversation(output, one)]),
      ...moreOf(diff.more, 'conversation'),
    ];
  else if (diff.kind === 'database') yield* describeDatabase(output, diff);
  else if (diff.kind === 'binary') yield describeBinary(diff);
}

/** A path in one line of a unified diff. */
function pathIn(prefix: string, path: string): string {
  return `${prefix}/${displayPath(path)}`.replaceAll('\n', '^J').replaceAll('\t', '^I');
}

function* describeText(output: Styler, file: ComparedFile, { hunks }: TextDiffResult): Iterable<string> {
  yield `--- ${file.change === 'added' ? '/dev/null' : pathIn('a', file.from ?? file.path)}`;
  yield `+++ ${file.change === 'removed' ? '/dev/null' : pathIn('b', file.path)}`;
  for (const { section, beforeStart, beforeLines, afterStart, afterLines, lines } of hunks) {
    const range = `@@ -${rangeOf(beforeStart, beforeLines)} +${rangeOf(afterStart, afterLines)} @@`;
    yield [output.style('cyan', range), ...(section.length > 0 ? [section.join(' > ')] : [])].join(' ');
    for (const line of lines) {
      yield describeLine(output, line);
      if (line.noNewline === true) yield '\\ No newline at end of file';
    }
  }
}

function rangeOf(start: number, count: number): string {
  return count === 1 ? String(start) : `${start},${count}`;
}

function describeLine(output: Styler, { change, parts }: TextLine): string {
  if (change === 'same') return ` ${parts.map(({ text }) => text).join('')}`;
  const [mark, style] = MARKS[change];
  const words = parts.map(({ text, changed }) => {
    if (!changed) return text;
    // As `git diff --word-diff` writes them.
    if (!output.mode.colour) return change === 'added' ? `{+${text}+}` : `[-${text}-]`;
    return output.style('bold', text);
  });
  return output.style(style, mark + words.join(''));
}

function* describeConfig(output: Styler, { changes, more }: ConfigDiff): Iterable<string> {
  if (changes.length === 0) yield 'only its layout, its comments or the order of its keys changed';
  for (const { path, change, before, after, secret } of changes) {
    const [mark, style] = MARKS[change];
    const note = secret === true ? output.style('dim', '  (secret)') : '';
    yield `${output.style(style, mark)} ${path === '' ? '(all of it)' : path}: ${values(output, before, after)}${note}`;
  }
  yield* moreOf(more, 'change');
}

/** `old -> new`, or the one that there is. */
function values(output: Styler, before: string | undefined, after: string | undefined): string {
  const shown = [
    ...(before === undefined ? [] : [output.style('red', oneLine(before))]),
    ...(after === undefined ? [] : [output.style('green', oneLine(after))]),
  ];
  return shown.join(' -> ');
}

function oneLine(text: string): string {
  return text.replaceAll('\r', '\\r').replaceAll('\n', '\\n');
}

function moreOf(count: number, noun: string): string[] {
  return count === 0 ? [] : [`… and ${formatCount(count, `more ${noun}`)}`];
}

function* describeConversation(output: Styler, conversation: ConversationChange): Iterable<string> {
  const { name, change, removed, added, moreRemoved, moreAdded } = conversation;
  const counts = [
    ...(added.length + moreAdded > 0 ? [`+${formatCount(added.length + moreAdded, 'turn')}`] : []),
    ...(removed.length + moreRemoved > 0 ? [`-${formatCount(removed.length + moreRemoved, 'turn')}`] : []),
  ];
  yield `${output.style('cyan', `conversation ${name}`)} ${change}: ${counts.join(', ')}`;
  for (const [of, turns, more] of [
    ['removed', removed, moreRemoved],
    ['added', added, moreAdded],
  ] as const) {
    if (more > 0) yield `… ${formatCount(more, `earlier ${of} turn`)}`;
    for (const turn of turns) yield* describeTurn(output, turn, of);
  }
}

function* describeTurn(output: Styler, { role, text, tools }: Turn, change: 'added' | 'removed'): Iterable<string> {
  const [mark, style] = MARKS[change];
  const lines = [
    ...(text === '' ? [] : text.split('\n')),
    ...tools.map((tool) => `calls ${tool.name}(${tool.arguments})`),
  ];
  const [first = '', ...rest] = lines;
  yield `${output.style(style, mark)} ${output.style('bold', `${role}:`)} ${first}`;
  for (const line of rest) yield `${output.style(style, mark)}   ${line}`;
}

function* describeDatabase(output: Styler, diff: DatabaseDiff): Iterable<string> {
  if (diff.tables.length + diff.conversations.length === 0 && diff.incomplete === undefined)
    yield 'no row differs: only how the database is stored';
  for (const conversation of diff.conversations) yield* describeConversation(output, conversation);
  yield* moreOf(diff.moreConversations, 'conversation');
  for (const table of diff.tables) yield* describeTable(output, table);
  yield* moreOf(diff.moreTables, 'table');
  if (diff.incomplete !== undefined) yield output.style('yellow', `not compared to the end: ${diff.incomplete}`);
}

function* describeTable(output: Styler, table: TableDiff): Iterable<string> {
  const { name, change, added, removed, changed, rows, unlisted, definition } = table;
  const counts = (['added', 'removed', 'changed'] as const).flatMap((of) => {
    const count = { added, removed, changed }[of];
    return count === 0 ? [] : [`${MARKS[of][0]}${count}`];
  });
  const remarks = [
    ...(change === 'changed' ? [] : [change]),
    ...(counts.length > 0 ? [`${counts.join(' ')} rows`] : []),
    ...(change === 'changed' && definition !== undefined ? ['another definition'] : []),
    ...(unlisted === 'derived' ? ['derived'] : []),
  ];
  yield `${output.style('cyan', `table ${name}`)} ${remarks.join(', ')}`;
  if (change === 'changed' && definition !== undefined) {
    const sides = [
      ['removed', definition.before],
      ['added', definition.after],
    ] as const;
    for (const [of, sql] of sides) {
      const text = (sql ?? '').replaceAll(/\s+/g, ' ');
      yield output.style(MARKS[of][1], `${MARKS[of][0]} ${cut(text, MOST_DEFINITION_CHARACTERS)}`);
    }
  }
  for (const row of rows.slice(0, MOST_ROWS)) yield describeRow(output, row);
  if (unlisted === undefined) yield* moreOf(added + removed + changed - Math.min(rows.length, MOST_ROWS), 'row');
}

function describeRow(output: Styler, { change, key, cells, more }: RowChange): string {
  const [mark, style] = MARKS[change];
  const name = key.map(({ column, value }) => `${column}=${cut(oneLine(value), MOST_CELL_CHARACTERS)}`).join(', ');
  const shown = cells.map((cell) => describeCell(output, cell));
  if (more > 0) shown.push(`… ${more} more`);
  return `${output.style(style, mark)} ${output.style('bold', name)}  ${shown.join(', ')}`.trimEnd();
}

function describeCell(output: Styler, { column, path, before, after }: CellChange): string {
  const place = path === undefined ? column : `${column}${path.startsWith('[') ? '' : '.'}${path}`;
  const short = (text: string | undefined): string | undefined => text && cut(oneLine(text), MOST_CELL_CHARACTERS);
  return `${place}: ${values(output, short(before), short(after))}`;
}

function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most)}…`;
}

function describeBinary({ before, after, reason }: BinaryDiff): string {
  const sides = [before, after].flatMap((side) =>
    side === undefined ? [] : [`${side.type}, ${formatSize(side.sizeBytes)}`],
  );
  return [sides.join(' -> '), REASONS[reason]].filter((text) => text !== '').join('; ');
}
