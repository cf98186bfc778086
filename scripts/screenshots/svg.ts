// A terminal's screen, with its colours as tmux gives them, as an SVG picture.

import stringWidth from 'string-width';

const CELL = { width: 8.4, height: 18 };
const MARGIN = 12;
const PAPER = '#1d1f21';
const INK = '#d4d6d8';
const COLOURS: Readonly<Record<number, string>> = {
  31: '#f07178',
  32: '#98c379',
  33: '#e5c07b',
  34: '#61afef',
  35: '#c678dd',
  36: '#56b6c2',
};

interface Style {
  readonly colour: string;
  readonly isBold: boolean;
  readonly isFaint: boolean;
  readonly isReversed: boolean;
}

const PLAIN: Style = { colour: INK, isBold: false, isFaint: false, isReversed: false };

/** Returns the picture of a screen. */
export function drawScreen(screen: string, columns: number): string {
  const rows = screen.replace(/\n$/, '').split('\n');
  const width = Math.ceil(columns * CELL.width + 2 * MARGIN);
  const height = rows.length * CELL.height + 2 * MARGIN;
  const body = rows.flatMap((row, index) => drawRow(row, MARGIN + index * CELL.height));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,DejaVu Sans Mono,monospace" font-size="14">`,
    `<rect width="${width}" height="${height}" rx="8" fill="${PAPER}"/>`,
    ...body,
    '</svg>\n',
  ].join('\n');
}

function drawRow(row: string, top: number): string[] {
  const parts: string[] = [];
  let column = 0;
  let style = PLAIN;
  // oxlint-disable-next-line no-control-regex -- what colours are made of
  for (const piece of row.split(/(\u001b\[[0-9;]*m)/)) {
    if (piece.startsWith('\u001b')) {
      style = restyle(style, piece.slice(2, -1));
      continue;
    }
    const cells = stringWidth(piece);
    if (piece.trim() !== '' || style.isReversed) parts.push(drawPiece(piece, { column, cells, top }, style));
    column += cells;
  }
  return parts;
}

function drawPiece(
  text: string,
  { column, cells, top }: { readonly column: number; readonly cells: number; readonly top: number },
  { colour, isBold, isFaint, isReversed }: Style,
): string {
  const [x, width] = [MARGIN + column * CELL.width, cells * CELL.width].map((value) => value.toFixed(1));
  const back = isReversed
    ? `<rect x="${x}" y="${top}" width="${width}" height="${CELL.height}" fill="${colour}"/>`
    : '';
  const look = [
    `fill="${isReversed ? PAPER : colour}"`,
    ...(isBold ? ['font-weight="bold"'] : []),
    ...(isFaint ? ['opacity="0.65"'] : []),
  ].join(' ');
  // The grid is the terminal's, whatever font the reader has.
  const fit = `textLength="${width}" lengthAdjust="spacingAndGlyphs" xml:space="preserve"`;
  return `${back}<text x="${x}" y="${top + 13}" ${fit} ${look}>${escapeText(text)}</text>`;
}

function restyle(style: Style, codes: string): Style {
  let next = style;
  for (const code of codes.split(';').map(Number)) {
    const colour = COLOURS[code];
    if (code === 0) next = PLAIN;
    else if (code === 1) next = { ...next, isBold: true };
    else if (code === 2) next = { ...next, isFaint: true };
    else if (code === 22) next = { ...next, isBold: false, isFaint: false };
    else if (code === 7) next = { ...next, isReversed: true };
    else if (code === 27) next = { ...next, isReversed: false };
    else if (code === 39) next = { ...next, colour: INK };
    else if (colour !== undefined) next = { ...next, colour };
  }
  return next;
}

function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
