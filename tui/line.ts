// One row of the screen: pieces of text with a meaning, fitted to a width and painted. Whatever an agent wrote is made safe here, so
// that no escape sequence of it ever reaches the terminal. Meaning is never in a colour alone: rows carry signs and words as well.

import stringWidth from 'string-width';
import { printable } from '../src/model/printable.ts';

/** What a piece of a row means. */
export type Tone =
  | 'plain'
  | 'strong'
  | 'faint'
  | 'added'
  | 'removed'
  | 'added-word'
  | 'removed-word'
  | 'changed'
  | 'title'
  | 'warning'
  | 'error';

/** A piece of a row. */
export interface Span {
  readonly text: string;
  readonly tone?: Tone | undefined;
}

/** A row before it has a width. */
export interface Line {
  readonly left: readonly Span[];
  /** Stands at the right end as long as there is room. */
  readonly right?: readonly Span[] | undefined;
  readonly selected?: boolean;
}

// Colours that a light and a dark background both show; none of them is white or black.
const CODES: Readonly<Record<Tone, readonly [string, string]>> = {
  plain: ['', ''],
  strong: ['1', '22'],
  faint: ['2', '22'],
  added: ['32', '39'],
  removed: ['31', '39'],
  'added-word': ['32;1;4', '39;22;24'],
  'removed-word': ['31;1;9', '39;22;29'],
  changed: ['33', '39'],
  title: ['36;1', '39;22'],
  warning: ['33;1', '39;22'],
  error: ['31;1', '39;22'],
};
// ASCII and the signs that the views draw with: each takes one column, and measuring them one by one would take most of a frame.
const NARROW = /^[\x20-\x7e·›▸▾…─│╭╮╰╯▁▂▃▄▅▆▇█░✓→←↑↓•▏]*$/;
/** A name or sign that is wider has nothing under it. */
const MOST_INDENT = 12;

/** Returns a piece of text. */
export function span(text: string, tone?: Tone): Span {
  return { text, tone };
}

/** Returns a row of one piece. */
export function line(text: string, tone?: Tone): Line {
  return { left: [span(text, tone)] };
}

/** Returns how many columns a text takes. */
export function widthOf(text: string): number {
  return NARROW.test(text) ? text.length : stringWidth(text);
}

let segmenter: Intl.Segmenter | undefined;

/** Returns the characters of a text, as people see them. */
export function characters(text: string): string[] {
  // Made when a text needs it: what it knows of all scripts takes longer to load than a frame to draw.
  segmenter ??= new Intl.Segmenter('en', { granularity: 'grapheme' });
  return Array.from(segmenter.segment(text), ({ segment }) => segment);
}

/** Returns a text that is safe to show on one row. */
export function clean(text: string): string {
  return NARROW.test(text) ? text : printable(text.replaceAll('\t', '    ').replace(/[\r\n]+/g, ' '));
}

/** Cuts a text to a number of columns; what is cut ends in `…`. Never cuts through a character. */
export function clip(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  if (columns <= 0) return '';
  if (NARROW.test(text)) return `${text.slice(0, columns - 1)}…`;
  let kept = '';
  let width = 0;
  for (const segment of characters(text)) {
    width += stringWidth(segment);
    if (width > columns - 1) break;
    kept += segment;
  }
  return `${kept}…`;
}

/** Returns a row of exactly so many columns, painted. */
export function paint({ left, right = [], selected = false }: Line, columns: number, colour: boolean): string {
  const tail = fit(right, Math.floor(columns / 2));
  const room = columns - tail.width - (tail.width > 0 ? 1 : 0);
  const head = fit(left, Math.max(0, room));
  const gap = ' '.repeat(Math.max(0, columns - head.width - tail.width));
  const spans = [...head.spans, span(gap), ...tail.spans];
  // Colours on a reversed row are hard to read.
  if (selected && colour) return `\u001b[7m${spans.map(({ text }) => text).join('')}\u001b[27m`;
  return spans.map((one) => paintSpan(one, colour)).join('');
}

function paintSpan({ text, tone = 'plain' }: Span, colour: boolean): string {
  const [on, off] = CODES[tone];
  return !colour || on === '' || text === '' ? text : `\u001b[${on}m${text}\u001b[${off}m`;
}

function fit(spans: readonly Span[], columns: number): { spans: Span[]; width: number } {
  const fitted: Span[] = [];
  let width = 0;
  for (const one of spans) {
    const text = clip(clean(one.text), columns - width);
    if (text === '') continue;
    fitted.push({ ...one, text });
    width += widthOf(text);
    if (width >= columns) break;
  }
  return { spans: fitted, width };
}

/** Returns a bar of ten steps: `████░░░░░░`. */
export function bar(share: number, columns: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * columns);
  return '█'.repeat(full) + '░'.repeat(columns - full);
}

const SPARKS = '▁▂▃▄▅▆▇█';

/** Returns a small chart of counts; nothing at all is a dot. */
export function sparkline(counts: readonly number[]): string {
  const most = Math.max(...counts, 1);
  return counts
    .map((count) => (count === 0 ? '·' : (SPARKS[Math.min(7, Math.ceil((count / most) * 8) - 1)] ?? '█')))
    .join('');
}

/** Breaks a row that is too long between its words; what goes on stands under what follows its sign or name. */
export function wrapLine(row: Line, columns: number): Line[] {
  const spans = row.left.map((one) => ({ ...one, text: clean(one.text) }));
  const [first] = spans;
  if (row.right !== undefined || spans.reduce((sum, { text }) => sum + widthOf(text), 0) <= columns) return [row];
  const firstWidth = spans.length > 1 && first !== undefined ? widthOf(first.text) : 0;
  const indent = firstWidth > 0 && firstWidth <= MOST_INDENT ? firstWidth : 2;
  const rows: Span[][] = [[]];
  let width = 0;
  const put = (text: string, tone: Tone | undefined): void => {
    if (width + widthOf(text) > columns && width > indent) {
      if (text.trim() === '') return;
      rows.push([span(' '.repeat(indent))]);
      width = indent;
    }
    rows.at(-1)?.push(span(text, tone));
    width += widthOf(text);
  };
  for (const { text, tone } of spans) {
    for (const [word] of text.matchAll(/\s+|\S+/g)) {
      // A word that fits into no row is broken wherever the row ends.
      if (widthOf(word) > columns - indent) for (const letter of characters(word)) put(letter, tone);
      else put(word, tone);
    }
  }
  return rows.map((left) => ({ ...row, left }));
}

/** Breaks a text into rows at its spaces. */
export function wrap(text: string, columns: number): string[] {
  const rows: string[] = [];
  for (const paragraph of text.split('\n')) {
    let row = '';
    for (const word of paragraph.split(' ')) {
      const longer = row === '' ? word : `${row} ${word}`;
      if (row !== '' && widthOf(longer) > columns) {
        rows.push(row);
        row = word;
      } else row = longer;
    }
    rows.push(row);
  }
  return rows;
}
