// Leaves out of an index run what a sweep took away.

import { sweepCommitRows } from '../format/commit-rows.ts';
import { ENTRY_ROW_BYTES, parseEntry, PATH_ROW_BYTES, type RunContent } from '../format/index-run.ts';
import { PATH_HASH_BYTES } from '../format/path-note.ts';
import { isSwept, type Swept } from './object-index.ts';

/** Returns what of a run is left after a sweep; its commits stay, those whose content is gone marked so. */
export function leaveOut(content: RunContent, swept: Swept | undefined, name: string): RunContent {
  if (swept === undefined) return content;
  const { packs } = content;
  return {
    entries: keepRows(
      content.entries,
      ENTRY_ROW_BYTES,
      (rows, at) => !isSwept(parseEntry(rows, at / ENTRY_ROW_BYTES, packs, name).container, swept),
    ),
    commits: sweepCommitRows(content.commits, swept),
    paths: keepRows(
      content.paths,
      PATH_ROW_BYTES,
      (rows, at) => rows.readUInt32BE(at + PATH_HASH_BYTES) > swept.throughSeq,
    ),
    packs,
  };
}

function keepRows(rows: Buffer, width: number, isKept: (rows: Buffer, at: number) => boolean): Buffer {
  const kept = Buffer.allocUnsafe(rows.length);
  let to = 0;
  for (let at = 0; at < rows.length; at += width) if (isKept(rows, at)) to += rows.copy(kept, to, at, at + width);
  return kept.subarray(0, to);
}
