// Which pages of two versions of a database differ.

import type { SqliteFile } from './sqlite-file.ts';

/** Bytes of a file, from and up to. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** The pages that differ between two versions of a database. */
export interface ChangedPages {
  /** Undefined where no page can be taken to be the same, because pages have another size. */
  readonly pages: ReadonlySet<number> | undefined;
  /** Those that may hold what overflows a page, on both sides. */
  readonly maybeOverflow: readonly number[];
}

/** Finds the pages that differ. @param differing where the files may; everywhere if undefined */
export async function findChangedPages(
  before: SqliteFile,
  after: SqliteFile,
  differing: readonly ByteRange[] | undefined,
): Promise<ChangedPages> {
  if (before.pageBytes !== after.pageBytes || before.usableBytes !== after.usableBytes)
    return { pages: undefined, maybeOverflow: [] };
  const { pageBytes } = before;
  const shared = Math.min(before.pageCount, after.pageCount) * pageBytes;
  const pages = new Set<number>();
  const maybeOverflow: number[] = [];
  for (const piece of pieces(differing ?? [{ start: 0, end: shared }], pageBytes, shared)) {
    const lengthBytes = piece.end - piece.start;
    // oxlint-disable-next-line no-await-in-loop -- in order, so that memory stays flat
    const [a, b] = [await before.read(piece.start, lengthBytes), await after.read(piece.start, lengthBytes)];
    for (let at = 0; at < lengthBytes; at += pageBytes) {
      if (a.compare(b, at, at + pageBytes, at, at + pageBytes) === 0) continue;
      const page = (piece.start + at) / pageBytes + 1;
      pages.add(page);
      before.keepPage(page, a.subarray(at, at + pageBytes));
      after.keepPage(page, b.subarray(at, at + pageBytes));
      // A page of a tree begins with its type; one that holds the rest of a row with the number of the next, which is not so large.
      if (a[at] === 0 && b[at] === 0) maybeOverflow.push(page);
    }
  }
  return { pages, maybeOverflow };
}

const PIECE_BYTES = 1 << 20;

/** Cuts ranges into pieces of whole pages. */
function* pieces(ranges: readonly ByteRange[], pageBytes: number, most: number): Iterable<ByteRange> {
  let done = 0;
  for (const range of ranges) {
    const first = Math.max(done, Math.floor(range.start / pageBytes) * pageBytes);
    const end = Math.min(most, Math.ceil(range.end / pageBytes) * pageBytes);
    for (let start = first; start < end; start += PIECE_BYTES) yield { start, end: Math.min(end, start + PIECE_BYTES) };
    done = Math.max(done, end);
  }
}
