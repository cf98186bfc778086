// SQLite's b-trees (sqlite.org/fileformat2.html, section 1.6): which pages a table has, in the order of its keys, and the cells of a
// page with what overflows it. Hostile databases end in a SqliteTrouble: every pointer is checked, and no page is entered twice.

import { SqliteTrouble, type SqliteFile } from './sqlite-file.ts';
import { readRowid, readVarint } from './sqlite-record.ts';

/** A table's rows lie in the leaves of one tree, or, WITHOUT ROWID, in all pages of an index. */
export type TreeKind = 'table' | 'index';

/** A row as it lies in a page. */
export interface Cell {
  /** Of a table only. */
  readonly rowid: bigint;
  /** How long the record is. */
  readonly sizeBytes: number;
  /** What of the record is in the page. */
  readonly local: Buffer;
  /** The first page of the rest; 0 if there is none. */
  readonly overflow: number;
}

/** The pages of a tree. */
export interface TreePages {
  /** Those that hold rows: the leaves of a table, all pages of an index. */
  readonly rows: readonly number[];
}

/** What inner pages lead to, as they were read last. */
export type InnerPages = Map<number, readonly number[]>;

const TYPE = { innerIndex: 2, innerTable: 5, leafIndex: 10, leafTable: 13 };
const MOST_LEVELS = 24;
/** SQLite's own default limit is 1 GB; no row that is compared is larger. */
const MOST_RECORD_BYTES = 64 << 20;

/**
 * Lists the pages of a tree that hold rows, of a table in the order of their keys. Only inner pages are read, and one leaf.
 * @param known what inner pages lead to that were read before; those that `isShared` are not read again
 * @throws {SqliteTrouble}
 */
export async function listTreePages(
  file: SqliteFile,
  root: number,
  kind: TreeKind,
  known: InnerPages,
  isShared: (page: number) => boolean,
): Promise<TreePages> {
  const levels = await countLevels(file, root, kind);
  const seen = new Set([root]);
  const rows: number[] = [];
  let pages: readonly number[] = [root];
  for (let level = 1; level < levels; level += 1) {
    if (kind === 'index') for (const page of pages) rows.push(page);
    // Neighbours in the file are compressed together: read in its order, each is decompressed once.
    for (const page of pages.toSorted((a, b) => a - b)) {
      // oxlint-disable-next-line no-await-in-loop -- in the order of the file
      if (!isShared(page) || !known.has(page)) known.set(page, await readChildren(file, page, kind));
    }
    const next = pages.flatMap((page) => known.get(page) ?? []);
    for (const page of next) {
      if (seen.has(page)) throw new SqliteTrouble(`page ${page} is in a tree twice`);
      seen.add(page);
    }
    pages = next;
  }
  for (const page of pages) rows.push(page);
  return { rows };
}

async function countLevels(file: SqliteFile, root: number, kind: TreeKind): Promise<number> {
  let page = root;
  for (let level = 1; level <= MOST_LEVELS; level += 1) {
    // oxlint-disable-next-line no-await-in-loop -- down the tree
    const bytes = await file.readPage(page);
    const type = bytes[headerOf(page)];
    if (type === (kind === 'table' ? TYPE.leafTable : TYPE.leafIndex)) return level;
    // oxlint-disable-next-line no-await-in-loop -- the same
    const [first] = await readChildren(file, page, kind);
    page = first ?? 0;
  }
  throw new SqliteTrouble('a tree in it is too deep');
}

function headerOf(page: number): number {
  return page === 1 ? 100 : 0;
}

async function readChildren(file: SqliteFile, page: number, kind: TreeKind): Promise<number[]> {
  const bytes = await file.readPage(page);
  const header = headerOf(page);
  if (bytes[header] !== (kind === 'table' ? TYPE.innerTable : TYPE.innerIndex))
    throw new SqliteTrouble(`page ${page} is not of the tree that leads to it`);
  const children = cellOffsets(bytes, page, 12).map((offset) => bytes.readUInt32BE(offset));
  children.push(bytes.readUInt32BE(header + 8));
  return children;
}

function cellOffsets(bytes: Buffer, page: number, headerBytes: number): number[] {
  const header = headerOf(page);
  const count = bytes.readUInt16BE(header + 3);
  const first = header + headerBytes;
  if (first + count * 2 > bytes.length) throw new SqliteTrouble(`page ${page} is damaged`);
  const offsets: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const offset = bytes.readUInt16BE(first + index * 2);
    if (offset < first || offset + 4 > bytes.length) throw new SqliteTrouble(`page ${page} is damaged`);
    offsets.push(offset);
  }
  return offsets;
}

/** Returns how many rows a page has. */
export async function countCells(file: SqliteFile, page: number, kind: TreeKind): Promise<number> {
  const bytes = await file.readPage(page);
  checkRows(bytes, page, kind);
  return bytes.readUInt16BE(headerOf(page) + 3);
}

/** Reads the rows of a page. @throws {SqliteTrouble} */
export async function readCells(file: SqliteFile, page: number, kind: TreeKind): Promise<Cell[]> {
  const bytes = await file.readPage(page);
  const type = checkRows(bytes, page, kind);
  const isInner = type === TYPE.innerIndex;
  return cellOffsets(bytes, page, isInner ? 12 : 8).map((offset) =>
    parseCell(file, bytes, isInner ? offset + 4 : offset, kind),
  );
}

function checkRows(bytes: Buffer, page: number, kind: TreeKind): number {
  const type = bytes[headerOf(page)] ?? 0;
  const isRight = kind === 'table' ? type === TYPE.leafTable : type === TYPE.leafIndex || type === TYPE.innerIndex;
  if (!isRight) throw new SqliteTrouble(`page ${page} is not of the tree that leads to it`);
  return type;
}

function parseCell(file: SqliteFile, bytes: Buffer, offset: number, kind: TreeKind): Cell {
  const size = readVarint(bytes, offset);
  const rowid = kind === 'table' ? readRowid(bytes, size.end) : { value: 0n, end: size.end };
  const localBytes = localSize(file.usableBytes, size.value, kind);
  const end = rowid.end + localBytes;
  const isWhole = localBytes === size.value;
  if (end + (isWhole ? 0 : 4) > bytes.length) throw new SqliteTrouble('a row of it is damaged');
  return {
    rowid: rowid.value,
    sizeBytes: size.value,
    local: bytes.subarray(rowid.end, end),
    overflow: isWhole ? 0 : bytes.readUInt32BE(end),
  };
}

/** Returns how many bytes of a record lie in the page itself. */
function localSize(usableBytes: number, sizeBytes: number, kind: TreeKind): number {
  const most = kind === 'table' ? usableBytes - 35 : Math.floor(((usableBytes - 12) * 64) / 255) - 23;
  if (sizeBytes <= most) return sizeBytes;
  const least = Math.floor(((usableBytes - 12) * 32) / 255) - 23;
  const wanted = least + ((sizeBytes - least) % (usableBytes - 4));
  return wanted <= most ? wanted : least;
}

/** Lists the pages that a cell overflows into. */
export async function* listOverflow(file: SqliteFile, cell: Cell): AsyncIterable<{ page: number; bytes: Buffer }> {
  let left = cell.sizeBytes - cell.local.length;
  const perPage = file.usableBytes - 4;
  for (let page = cell.overflow; left > 0;) {
    // oxlint-disable-next-line no-await-in-loop -- a chain
    const bytes = await file.readPage(page);
    yield { page, bytes: bytes.subarray(4, 4 + Math.min(left, perPage)) };
    left -= perPage;
    page = bytes.readUInt32BE(0);
  }
}

/**
 * Reads a whole record.
 * @param sawPage is told of each page that it overflows into
 * @throws {SqliteTrouble} also when it is larger than any that is compared
 */
export async function readPayload(file: SqliteFile, cell: Cell, sawPage: (page: number) => void): Promise<Buffer> {
  if (cell.overflow === 0) return cell.local;
  if (cell.sizeBytes > MOST_RECORD_BYTES) throw new SqliteTrouble('a row of it is too large to compare');
  const parts: Buffer[] = [cell.local];
  for await (const { page, bytes } of listOverflow(file, cell)) {
    sawPage(page);
    parts.push(bytes);
  }
  return Buffer.concat(parts);
}
