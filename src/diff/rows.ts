// Rows as people are shown them: what identifies a row, and the cells that changed, with what is inside of JSON by key path.

import type { DiffHints } from '../model/diff-hints.ts';
import { MASK, type CellChange, type RowChange } from '../model/semantic-diff.ts';
import { describeChange } from './config.ts';
import { isSecretName, looksSecret, maskText } from './secrets.ts';
import { shorten, shortenPair } from './shorten.ts';
import type { RawRow } from './sqlite-collector.ts';
import { isSameValue, type SqlValue } from './sqlite-record.ts';
import type { NamedRow, TableShape } from './sqlite-schema.ts';
import { diffValues, TooComplex, type ValueChange } from './values.ts';

/** How to show rows. */
export interface RowOptions {
  readonly showSecrets: boolean;
  readonly hints: DiffHints;
}

const MOST_CELLS = 60;
const MOST_CHARACTERS = 300;
const MOST_KEY_CHARACTERS = 120;
const MOST_JSON_CHARACTERS = 256 << 10;

/** Returns a row as it is shown. */
export function describeRow(table: string, shape: TableShape, row: RawRow, options: RowOptions): RowChange {
  const change = row.before === undefined ? 'added' : row.after === undefined ? 'removed' : 'changed';
  const values: NamedRow = row.after ?? row.before ?? new Map();
  const show = new CellWriter(table, row, options);
  const keyColumns = shape.key.filter((column) => values.has(column));
  const key =
    keyColumns.length === 0
      ? [{ column: 'rowid', value: String(row.rowid) }]
      : keyColumns.map((column) => {
          const { text } = show.value(column, values.get(column) ?? null, true);
          return { column, value: shorten(text, MOST_KEY_CHARACTERS) };
        });
  const cells: CellChange[] = [];
  for (const column of values.keys()) {
    if (keyColumns.includes(column)) continue;
    const [before, after] = [row.before?.get(column), row.after?.get(column)];
    const isListed = change === 'changed' ? !isSameValue(before, after) : (after ?? before ?? null) !== null;
    if (isListed) cells.push(...show.cell(column, { before, after }));
  }
  return { change, key, cells: cells.slice(0, MOST_CELLS), more: Math.max(0, cells.length - MOST_CELLS) };
}

interface CellSides {
  readonly before: SqlValue | undefined;
  readonly after: SqlValue | undefined;
}

/** Writes the cells of one row. */
class CellWriter {
  readonly #table: string;
  readonly #row: RawRow;
  readonly #options: RowOptions;

  constructor(table: string, row: RawRow, options: RowOptions) {
    this.#table = table;
    this.#row = row;
    this.#options = options;
  }

  /** Returns a cell, or what differs in it where it holds JSON on both sides. */
  cell(column: string, sides: CellSides): CellChange[] {
    const inside = this.#inJson(column, sides);
    if (inside !== undefined) return inside;
    const before = sides.before === undefined ? undefined : this.value(column, sides.before);
    const after = sides.after === undefined ? undefined : this.value(column, sides.after);
    const cut = shortenPair(before?.text, after?.text, MOST_CHARACTERS);
    const isSecret = before?.isMasked === true || after?.isMasked === true;
    return [
      {
        column,
        ...(cut.before !== undefined && { before: cut.before }),
        ...(cut.after !== undefined && { after: cut.after }),
        ...(isSecret && { secret: true as const }),
      },
    ];
  }

  value(column: string, value: SqlValue, isKey = false): { readonly text: string; readonly isMasked: boolean } {
    const plain = formatValue(value);
    const { showSecrets, hints } = this.#options;
    if (showSecrets || value === null) return { text: plain, isMasked: false };
    const type = typeof value === 'string' || Buffer.isBuffer(value) ? 'text' : 'number';
    // All of a secret table but its key and its numbers (times, versions) is masked.
    const isMarked = hints.secrets?.all === true || (type === 'text' && !isKey && this.#isMarked(column));
    if (isMarked || isSecretName(column, type) || (typeof value === 'string' && looksSecret(value)))
      return { text: MASK, isMasked: true };
    if (typeof value !== 'string') return { text: plain, isMasked: false };
    const masked = formatValue(maskText(value));
    return { text: masked, isMasked: masked !== plain };
  }

  /** Says whether the profile knows the column to hold secrets in this row. */
  #isMarked(column: string): boolean {
    const { secretColumns = [] } = this.#options.hints;
    const { before, after } = this.#row;
    return secretColumns.some((one) => {
      if ((one.column !== '*' && one.column !== column) || !one.table.test(this.#table)) return false;
      const { where } = one;
      if (where === undefined) return true;
      return [before, after].some((values) => where.value.test(String(values?.get(where.column) ?? '')));
    });
  }

  #inJson(column: string, { before, after }: CellSides): CellChange[] | undefined {
    const [old, now] = [parseJson(before), parseJson(after)];
    // A cell that is no JSON on one side is shown as it is on both.
    if ((before !== undefined && old === undefined) || (after !== undefined && now === undefined)) return undefined;
    const isBoth = old !== undefined && now !== undefined;
    const { showSecrets, hints } = this.#options;
    const options = {
      showSecrets,
      secrets: { ...hints.secrets, all: this.#isMarked(column) || hints.secrets?.all === true },
    };
    try {
      const changes: readonly ValueChange[] = isBoth
        ? diffValues(old.value, now.value)
        : [{ path: [], change: 'changed', before: old?.value, after: now?.value }];
      // Only spaces or the order of keys changed.
      if (changes.length === 0) return undefined;
      return changes.map((one): CellChange => {
        const { path, change: _, ...shown } = describeChange(one, options, [column]);
        return { column, ...(path !== '' && { path }), ...shown };
      });
    } catch (error) {
      if (error instanceof TooComplex || error instanceof RangeError) return undefined;
      throw error;
    }
  }
}

function parseJson(value: SqlValue | undefined): { readonly value: unknown } | undefined {
  if (typeof value !== 'string' || value.length > MOST_JSON_CHARACTERS || !/^\s*[[{]/.test(value)) return undefined;
  try {
    return { value: JSON.parse(value) };
  } catch {
    return undefined;
  }
}

function formatValue(value: SqlValue): string {
  if (value === null) return 'NULL';
  if (Buffer.isBuffer(value)) return `<blob of ${value.length} bytes>`;
  return typeof value === 'string' ? `'${value.replaceAll("'", "''")}'` : String(value);
}
