// How the command line writes tables.

import { columnsOf } from '../model/text.ts';

export { columnsOf, formatCount, formatDuration, formatSize } from '../model/text.ts';

/**
 * Returns rows as lines with aligned columns, two spaces apart. Line breaks and tabs within a cell become spaces.
 * @param right the columns, from 0, that are aligned at their right end
 */
export function formatTable(rows: readonly (readonly string[])[], right: readonly number[] = []): string[] {
  const cells = rows.map((row) => row.map((cell) => cell.replace(/[\r\n\t]+/g, ' ')));
  const widths: number[] = [];
  for (const row of cells) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, columnsOf(cell));
  }
  return cells.map((row) =>
    row
      .map((cell, column) => {
        const padding = ' '.repeat((widths[column] ?? 0) - columnsOf(cell));
        return right.includes(column) ? padding + cell : cell + padding;
      })
      .join('  ')
      .trimEnd(),
  );
}
