// Blocks of sorted rows of one width, as index runs have them (FORMAT.md, "Index runs"). Stored by columns of bytes, so that zstd
// finds what neighbouring rows share; in memory they are rows again. Numbers in them are big-endian: rows sort as bytes.

import { zstdCompressSync } from 'node:zlib';
import { MoltError } from '../model/error.ts';
import type { EncodedBlock } from './container.ts';
import { ENCODING, type BlockType } from './layout.ts';

/** Rows of one block. */
export const ROWS_PER_BLOCK = 1024;

/** Encodes rows as a block. */
export function encodeRows(type: BlockType, rows: Buffer, width: number): EncodedBlock {
  const count = rows.length / width;
  const columns = Buffer.allocUnsafe(rows.length);
  for (let column = 0; column < width; column += 1) {
    for (let row = 0; row < count; row += 1) columns[column * count + row] = rows[row * width + column] ?? 0;
  }
  return { type, encoding: ENCODING.zstd, bytes: zstdCompressSync(columns), plainBytes: columns.length };
}

/**
 * Returns the rows of a decoded block.
 * @throws {MoltError} DAMAGED
 */
export function parseRows(columns: Buffer, width: number, name: string): Buffer {
  if (columns.length % width !== 0) throw new MoltError('DAMAGED', `${name} has a torn table`);
  const count = columns.length / width;
  const rows = Buffer.allocUnsafeSlow(columns.length);
  for (let column = 0; column < width; column += 1) {
    for (let row = 0; row < count; row += 1) rows[row * width + column] = columns[column * count + row] ?? 0;
  }
  return rows;
}

/** Returns the number of the first row that does not begin with less than `prefix`; it may be the number of rows. */
export function lowerBound(rows: Buffer, width: number, prefix: Buffer): number {
  // As numbers of up to six bytes: comparing buffers costs ten times as much, and a restore searches thousands of times.
  const bytes = Math.min(prefix.length, 6);
  const wanted = prefix.readUIntBE(0, bytes);
  let low = 0;
  let high = rows.length / width;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const at = middle * width;
    const found = rows.readUIntBE(at, bytes);
    const isLess = found === wanted ? prefix.compare(rows, at, at + prefix.length) > 0 : found < wanted;
    if (isLess) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Sorts rows by their first bytes. */
export function sortRows(rows: Buffer, width: number, keyBytes: number): Buffer {
  const order = Array.from({ length: rows.length / width }, (_, row) => row * width);
  order.sort((a, b) => rows.compare(rows, b, b + keyBytes, a, a + keyBytes));
  const sorted = Buffer.allocUnsafe(rows.length);
  for (const [row, at] of order.entries()) rows.copy(sorted, row * width, at, at + width);
  return sorted;
}

/** Merges sorted rows, ordered by their first bytes; of equal ones those of `older` come first. */
export function mergeRows(older: Buffer, newer: Buffer, width: number, keyBytes: number): Buffer {
  if (older.length === 0) return newer;
  if (newer.length === 0) return older;
  // Times and segments only grow, mostly.
  if (older.compare(newer, 0, keyBytes, older.length - width, older.length - width + keyBytes) <= 0)
    return Buffer.concat([older, newer]);
  const merged = Buffer.allocUnsafe(older.length + newer.length);
  let from = 0;
  let to = 0;
  for (let at = 0; at < newer.length; at += width) {
    const end = from + width * rowsUpTo(older, from, newer.subarray(at, at + keyBytes), width);
    to += older.copy(merged, to, from, end);
    to += newer.copy(merged, to, at, at + width);
    from = end;
  }
  older.copy(merged, to, from);
  return merged;
}

/** Counts the rows from a place on that don't begin with more than `prefix`: by doubling steps, since one side is mostly the larger. */
function rowsUpTo(rows: Buffer, from: number, prefix: Buffer, width: number): number {
  const count = (rows.length - from) / width;
  const isAfter = (row: number): boolean => {
    const at = from + row * width;
    return prefix.compare(rows, at, at + prefix.length) < 0;
  };
  let high = 1;
  while (high <= count && !isAfter(high - 1)) high *= 2;
  let low = high >>> 1;
  high = Math.min(high - 1, count);
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isAfter(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
