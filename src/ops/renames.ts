// Finds files that moved and changed a little on their way: a removed and an added text that have most of their lines in common.

import type { Side } from './side.ts';
import type { FileChange } from './tree-diff.ts';

/** Git's own: at least half of the larger file must be in the other. */
const LEAST_SIMILARITY = 0.5;
/** Beyond these nothing is compared: larger files, and more of them than a person moves. */
const MAX_FILE_BYTES = 1 << 20;
const MAX_FILES = 100;

interface Text {
  readonly change: FileChange;
  readonly sizeBytes: number;
  /** How many bytes of each line there are, the line's end included. */
  readonly lines: ReadonlyMap<string, number>;
}

/** Makes one change of a removed file and an added one that are alike; the most alike first. */
export async function joinSimilar(
  changes: readonly FileChange[],
  sides: { readonly before: Side; readonly after: Side },
): Promise<FileChange[]> {
  const removed = changes.filter(({ change }) => change === 'removed');
  const added = changes.filter(({ change }) => change === 'added');
  if (removed.length === 0 || added.length === 0) return [...changes];
  if (removed.length > MAX_FILES || added.length > MAX_FILES) return [...changes];
  const [olds, nows] = [await readTexts(sides.before, removed), await readTexts(sides.after, added)];
  const pairs = olds
    .flatMap((old) => nows.map((now) => ({ old, now, similarity: similarityOf(old, now) })))
    .filter(({ similarity }) => similarity >= LEAST_SIMILARITY)
    .toSorted((a, b) => b.similarity - a.similarity);
  const gone = new Set<FileChange>();
  const renamed = new Map<FileChange, FileChange>();
  for (const { old, now } of pairs) {
    if (gone.has(old.change) || renamed.has(now.change)) continue;
    gone.add(old.change);
    renamed.set(now.change, {
      ...now.change,
      change: 'renamed',
      from: old.change.path,
      before: old.change.before,
    });
  }
  return changes.filter((change) => !gone.has(change)).map((change) => renamed.get(change) ?? change);
}

async function readTexts(side: Side, changes: readonly FileChange[]): Promise<Text[]> {
  const texts: Text[] = [];
  for (const change of changes) {
    const file = change.before ?? change.after;
    if (file === undefined) continue;
    // oxlint-disable-next-line no-await-in-loop -- records of neighbouring files share a block
    const { bytes } = await side.readBlob(file.blob, MAX_FILE_BYTES);
    // A NUL is in no text.
    if (bytes !== undefined && bytes.length > 0 && !bytes.includes(0)) texts.push(textOf(change, bytes));
  }
  return texts;
}

function textOf(change: FileChange, bytes: Buffer): Text {
  const lines = new Map<string, number>();
  for (const line of bytes.toString('latin1').split(/(?<=\n)/)) lines.set(line, (lines.get(line) ?? 0) + line.length);
  return { change, sizeBytes: bytes.length, lines };
}

/** Returns how much of the larger text is in the other one, from 0 to 1. */
function similarityOf(a: Text, b: Text): number {
  const most = Math.max(a.sizeBytes, b.sizeBytes);
  if (Math.min(a.sizeBytes, b.sizeBytes) < most * LEAST_SIMILARITY) return 0;
  if (a.change.before?.mode === '120000' || b.change.after?.mode === '120000') return 0;
  let commonBytes = 0;
  for (const [line, sizeBytes] of a.lines) commonBytes += Math.min(sizeBytes, b.lines.get(line) ?? 0);
  return commonBytes / most;
}
