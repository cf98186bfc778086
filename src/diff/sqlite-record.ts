// SQLite's records: the values of one row (sqlite.org/fileformat2.html, sections 1.6 and 2.1).

import { SqliteTrouble } from './sqlite-file.ts';

/** A value as it is stored. Integers beyond 2^53 are bigint. */
export type SqlValue = null | number | bigint | string | Buffer;

/** A variable-length integer and where it ends. */
export interface Varint {
  readonly value: number;
  readonly end: number;
}

/** The most columns that SQLite can be built for. */
const MOST_COLUMNS = 32_767;

/** Reads a variable-length integer; one beyond 2^53 loses its last digits. @throws {SqliteTrouble} when it is cut off */
export function readVarint(bytes: Buffer, at: number): Varint {
  let value = 0;
  for (let index = 0; index < 9; index += 1) {
    const byte = bytes[at + index];
    if (byte === undefined) throw new SqliteTrouble('a number in it is cut off');
    if (index === 8) return { value: value * 256 + byte, end: at + 9 };
    value = value * 128 + (byte & 0x7f);
    if (byte < 0x80) return { value, end: at + index + 1 };
  }
  throw new SqliteTrouble('a number in it has no end');
}

/** Reads a row's id: a varint of 64 bits with a sign. */
export function readRowid(bytes: Buffer, at: number): { readonly value: bigint; readonly end: number } {
  const small = readVarint(bytes, at);
  if (small.end - at < 8) return { value: BigInt(small.value), end: small.end };
  let value = 0n;
  for (let index = at; index < small.end; index += 1) {
    const byte = BigInt(bytes[index] ?? 0);
    value = index - at === 8 ? (value << 8n) | byte : (value << 7n) | (byte & 0x7fn);
  }
  return { value: BigInt.asIntN(64, value), end: small.end };
}

/** One value of a record: its serial type, and where in the record it lies. */
interface StoredValue {
  readonly type: number;
  readonly start: number;
  readonly end: number;
}

type Encoding = 'utf8' | 'utf16le' | 'utf16be';

/** Lists where the values of a record lie. @throws {SqliteTrouble} when it is damaged */
function locateValues(payload: Buffer, sizeBytes: number): StoredValue[] {
  const header = readVarint(payload, 0);
  if (header.value > payload.length) throw new SqliteTrouble('a row of it is damaged');
  const values: StoredValue[] = [];
  let start = header.value;
  for (let next = header.end; next < header.value;) {
    const type = readVarint(payload, next);
    next = type.end;
    const end = start + sizeOf(type.value);
    if (end > sizeBytes || values.length >= MOST_COLUMNS) throw new SqliteTrouble('a row of it is damaged');
    values.push({ type: type.value, start, end });
    start = end;
  }
  return values;
}

/** Reads the values of a record. @throws {SqliteTrouble} when it is damaged */
export function parseRecord(payload: Buffer, encoding: Encoding): SqlValue[] {
  return locateValues(payload, payload.length).map(({ type, start }) => readValue(payload, start, type, encoding));
}

/** Says whether two values are the same to SQLite. */
export function isSameValue(a: SqlValue | undefined, b: SqlValue | undefined): boolean {
  if (Buffer.isBuffer(a) && Buffer.isBuffer(b)) return a.equals(b);
  return Object.is(a, b);
}

/**
 * Compares two records of the same size by how each begins, where the rest of both is the same.
 * @param old how one begins
 * @param now how the other begins, as many bytes
 * @returns for each value whether both have the same, undefined where that can't be told; undefined if nothing can
 * @throws {SqliteTrouble} when one is damaged
 */
export function compareBeginnings(
  old: Buffer,
  now: Buffer,
  sizeBytes: number,
  encoding: Encoding,
): (boolean | undefined)[] | undefined {
  if (readVarint(old, 0).value > old.length || readVarint(now, 0).value > now.length) return undefined;
  const [olds, nows] = [locateValues(old, sizeBytes), locateValues(now, sizeBytes)];
  if (olds.length !== nows.length) return undefined;
  const isHere = ({ start, end }: StoredValue): boolean => start === end || end <= now.length;
  return nows.map((value, index) => {
    const other = olds[index] as StoredValue;
    if (isHere(value) && isHere(other))
      return isSameValue(
        readValue(old, other.start, other.type, encoding),
        readValue(now, value.start, value.type, encoding),
      );
    if (value.type !== other.type || value.start !== other.start) return undefined;
    return value.start >= now.length || old.compare(now, value.start, now.length, value.start, now.length) === 0
      ? true
      : undefined;
  });
}

const INTEGER_BYTES = [0, 1, 2, 3, 4, 6, 8, 8, 0, 0];

function sizeOf(type: number): number {
  return type < 12 ? (INTEGER_BYTES[type] ?? 0) : Math.floor((type - 12) / 2);
}

function readValue(bytes: Buffer, at: number, type: number, encoding: Encoding): SqlValue {
  if (type === 0) return null;
  if (type <= 5) return bytes.readIntBE(at, sizeOf(type));
  if (type === 6) {
    const value = bytes.readBigInt64BE(at);
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
  }
  if (type === 7) return bytes.readDoubleBE(at);
  if (type < 12) return type === 9 ? 1 : 0;
  const value = bytes.subarray(at, at + sizeOf(type));
  if (type % 2 === 0) return value;
  if (encoding === 'utf8') return value.toString('utf8');
  return (encoding === 'utf16le' ? value : Buffer.from(value.subarray(0, value.length & ~1)).swap16()).toString(
    'utf16le',
  );
}
