// What a version of a text file has that the one before had not: whole lines, as search looks at them. Of large files only the chunks
// that differ are read.

import { detectKind, KIND_HEAD_BYTES } from '../diff/kind.ts';
import type { BlobId } from '../model/ids.ts';
import { findMiddles, type BlobReader, type ByteRange, type ChunkReader } from '../repo/blob-reader.ts';

/** Larger files are not searched, and blobs are looked at whole up to here. */
export const SEARCHED_MAX_BYTES = 64 << 20;
/** How far the line is looked for that a difference begins or ends in the middle of. */
const LINE_REACH_BYTES = 256 << 10;

/** Opens a blob if it is a text that is searched, else undefined. */
export async function openText(chunks: ChunkReader, blob: BlobId, path: string): Promise<BlobReader | undefined> {
  const text = await chunks.open(blob);
  if (text.sizeBytes > SEARCHED_MAX_BYTES) return undefined;
  return detectKind(await text.readUpTo(0, KIND_HEAD_BYTES), path) === 'text' ? text : undefined;
}

/** Lists the lines of a version that the one before lacks, or has fewer of. */
export async function listAddedLines(before: BlobReader | undefined, after: BlobReader): Promise<string[]> {
  if (before === undefined) return linesOf(after, { start: 0, end: after.sizeBytes });
  const [old, now] = findMiddles(before, after);
  const counts = new Map<string, number>();
  for (const line of await linesOf(before, old)) counts.set(line, (counts.get(line) ?? 0) + 1);
  const added: string[] = [];
  for (const line of await linesOf(after, now)) {
    const count = counts.get(line) ?? 0;
    if (count > 0) counts.set(line, count - 1);
    else added.push(line);
  }
  return added;
}

/** Returns the lines that a range touches; of one that is longer than is looked for, a part that holds the range. */
async function linesOf(text: BlobReader, range: ByteRange): Promise<string[]> {
  const head = await text.readUpTo(
    Math.max(range.start - LINE_REACH_BYTES, 0),
    Math.min(range.start, LINE_REACH_BYTES),
  );
  const tail = await text.readUpTo(range.end, LINE_REACH_BYTES);
  const lineStart = head.lastIndexOf(0x0a) + 1;
  const lineEnd = tail.indexOf(0x0a);
  const lines = Buffer.concat([
    head.subarray(lineStart),
    await text.read(range.start, range.end - range.start),
    lineEnd < 0 ? tail : tail.subarray(0, lineEnd),
  ]).toString('utf8');
  return lines === '' ? [] : lines.split('\n');
}
