// A diff by meaning, as rows: what changed has a sign as well as a colour, and secrets are masked before they get here.

import { formatCount, formatSize } from '../../src/model/text.ts';
import type {
  BinaryDiff,
  ConversationChange,
  ItemChange,
  RowChange,
  SemanticDiff,
  TableDiff,
  TextDiffResult,
  Turn,
} from '../../src/model/semantic-diff.ts';
import { line, span, type Line, type Span, type Tone } from '../line.ts';

const MARKS: Readonly<Record<ItemChange, readonly [string, Tone]>> = {
  added: ['+ ', 'added'],
  removed: ['- ', 'removed'],
  changed: ['~ ', 'changed'],
};
const REASONS: Readonly<Record<BinaryDiff['reason'], string>> = {
  binary: 'no text',
  secret: 'its content is a secret, and is not shown',
  'too large': 'too large to compare',
  'too different': 'too different to compare line by line',
  'too complex': 'too complex to compare by content',
};

/** Returns the rows of a diff. */
export function rowsOfDiff(diff: SemanticDiff): Line[] {
  switch (diff.kind) {
    case 'same':
      return [line('the content is the same', 'faint')];
    case 'text':
      return textRows(diff);
    case 'config':
      return diff.changes.length === 0
        ? [line('only its layout, its comments or the order of its keys changed', 'faint')]
        : [
            ...diff.changes.map(({ path, ...value }) => valueRow(path === '' ? '(all of it)' : path, value)),
            ...more(diff.more, 'change'),
          ];
    case 'conversation':
      return [...diff.conversations.flatMap(conversationRows), ...more(diff.more, 'conversation')];
    case 'database':
      return [
        ...(diff.tables.length + diff.conversations.length === 0 && diff.incomplete === undefined
          ? [line('no row differs: only how the database is stored', 'faint')]
          : []),
        ...diff.conversations.flatMap(conversationRows),
        ...more(diff.moreConversations, 'conversation'),
        ...diff.tables.flatMap(tableRows),
        ...more(diff.moreTables, 'table'),
        ...(diff.incomplete === undefined ? [] : [line(`not compared to the end: ${diff.incomplete}`, 'warning')]),
      ];
    case 'binary':
      return binaryRows(diff);
  }
}

function textRows({ hunks }: TextDiffResult): Line[] {
  return hunks.flatMap(({ section, beforeStart, afterStart, lines }) => [
    line(section.length > 0 ? `@ ${section.join(' › ')}` : `@ line ${Math.max(beforeStart, afterStart)}`, 'title'),
    ...lines.map(({ change, parts }): Line => {
      if (change === 'same') return line(`  ${parts.map(({ text }) => text).join('')}`);
      const [mark, tone] = MARKS[change];
      const word: Tone = change === 'added' ? 'added-word' : 'removed-word';
      return { left: [span(mark, tone), ...parts.map(({ text, changed }) => span(text, changed ? word : tone))] };
    }),
  ]);
}

function valueRow(
  name: string,
  { change, before, after, secret }: { change: ItemChange; before?: string; after?: string; secret?: true },
): Line {
  const [mark, tone] = MARKS[change];
  return {
    left: [
      span(mark, tone),
      span(`${name}: `, 'strong'),
      ...sides(before, after),
      ...(secret === true ? [span('  (secret)', 'faint')] : []),
    ],
  };
}

function sides(before: string | undefined, after: string | undefined): Span[] {
  return [
    ...(before === undefined ? [] : [span(oneLine(before), 'removed')]),
    ...(before === undefined || after === undefined ? [] : [span(' → ')]),
    ...(after === undefined ? [] : [span(oneLine(after), 'added')]),
  ];
}

function conversationRows({ name, change, removed, added, moreRemoved, moreAdded }: ConversationChange): Line[] {
  return [
    { left: [span(`conversation ${name}`, 'title'), span(` ${change}`)] },
    ...more(moreRemoved, 'earlier turn that went'),
    ...removed.flatMap((turn) => turnRows(turn, 'removed')),
    ...more(moreAdded, 'earlier new turn'),
    ...added.flatMap((turn) => turnRows(turn, 'added')),
  ];
}

function turnRows({ role, text, tools }: Turn, change: 'added' | 'removed'): Line[] {
  const [mark, tone] = MARKS[change];
  const said = [
    ...(text === '' ? [] : text.split('\n')),
    ...tools.map((tool) => `calls ${tool.name}(${tool.arguments})`),
  ];
  const [first = '', ...rest] = said;
  return [
    { left: [span(mark, tone), span(`${role}: `, 'strong'), span(first)] },
    ...rest.map((one) => ({ left: [span(mark, tone), span(`  ${one}`)] })),
  ];
}

function tableRows(table: TableDiff): Line[] {
  const { name, change, added, removed, changed, rows, unlisted } = table;
  const counts = [
    ...(added > 0 ? [`+${added}`] : []),
    ...(removed > 0 ? [`-${removed}`] : []),
    ...(changed > 0 ? [`~${changed}`] : []),
  ];
  const said = [...(change === 'changed' ? [] : [change]), ...(counts.length > 0 ? [`${counts.join(' ')} rows`] : [])];
  return [
    { left: [span(`table ${name}`, 'title'), span(` ${said.join(', ')}`)] },
    ...rows.map(rowRow),
    ...(unlisted === undefined ? more(added + removed + changed - rows.length, 'row') : []),
  ];
}

function rowRow({ change, key, cells, more: unlisted }: RowChange): Line {
  const [mark, tone] = MARKS[change];
  const name = key.map(({ column, value }) => `${column}=${oneLine(value)}`).join(', ');
  return {
    left: [
      span(mark, tone),
      span(`${name}  `, 'strong'),
      ...cells.flatMap(({ column, path, before, after }, at) => [
        span(`${at === 0 ? '' : ', '}${column}${path === undefined ? '' : `.${path}`}: `),
        ...sides(before, after),
      ]),
      ...(unlisted > 0 ? [span(`, … ${unlisted} more`, 'faint')] : []),
    ],
  };
}

function binaryRows({ before, after, reason }: BinaryDiff): Line[] {
  const said = [before, after].flatMap((side) =>
    side === undefined ? [] : [`${side.type}, ${formatSize(side.sizeBytes)}`],
  );
  return [line(said.join(' → ')), line(REASONS[reason], 'faint')];
}

function more(count: number, noun: string): Line[] {
  return count <= 0 ? [] : [line(`… and ${formatCount(count, `more ${noun}`)}`, 'faint')];
}

function oneLine(text: string): string {
  return text.replaceAll('\r', '\\r').replaceAll('\n', '\\n');
}
