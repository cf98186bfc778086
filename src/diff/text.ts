// The unified diff of two blobs, by jsdiff. Its time and memory grow with the square of the number of changed lines, so what is
// equal at both ends is cut off first and the number of edits is capped: past it there are counts, but no hunks.

import { structuredPatch } from 'diff';
import { printable } from '../model/printable.ts';
import { decodeText } from './kind.ts';

/** One side of a comparison. */
export interface DiffSide {
  /** The path as it is shown; undefined means that the file is not there on this side. */
  readonly path: string | undefined;
  /** Undefined where there are too many to compare. */
  readonly bytes: Uint8Array | undefined;
  /** The number of bytes; only needed without them. */
  readonly sizeBytes?: number;
}

/** Why there are no hunks: a side is not text, a side is over the cap, or too many lines differ. */
export type DiffOmission = 'binary' | 'too large' | 'too different';

/** The result of comparing two texts. */
export interface TextDiff {
  /**
   * Lines that were added and removed. Where lines are `too different` both are upper bounds (all lines between the equal ends);
   * otherwise they are 0 without hunks.
   */
  readonly added: number;
  readonly removed: number;
  readonly omitted: DiffOmission | undefined;
  /** Unified diff lines without line ends, headers included, safe for a terminal; empty when nothing differs. */
  readonly lines: readonly string[];
}

/** Limits of one comparison. */
export interface DiffLimits {
  /** The largest side that is compared by lines. */
  readonly maxBytes?: number;
  /** The most line edits that are looked for. */
  readonly maxEdits?: number;
  /** Unchanged lines around each change. */
  readonly contextLines?: number;
}

const MAX_BYTES = 8 * 1024 * 1024;
// 2,000 edits between two texts without a line in common take 0.4 s and 20 MB; 5,000 take 1.9 s.
const MAX_EDITS = 2000;
// A second bound for texts with many near-equal lines; only a machine under load should ever meet it.
const TIMEOUT_MS = 10_000;
const CONTEXT_LINES = 3;

/** Returns how two blobs differ, line by line if both are text. */
export function diffText(before: DiffSide, after: DiffSide, limits: DiffLimits = {}): TextDiff {
  const headers = headerLines(before, after);
  if (before.bytes === undefined || after.bytes === undefined) return omission('too large', headers, before, after);
  if (Buffer.compare(before.bytes, after.bytes) === 0) {
    // An empty file that comes or goes has no hunk, but it is a change.
    const same = before.path !== undefined && after.path !== undefined;
    return { added: 0, removed: 0, omitted: undefined, lines: same ? [] : headers };
  }
  const maxBytes = limits.maxBytes ?? MAX_BYTES;
  if (Math.max(before.bytes.length, after.bytes.length) > maxBytes)
    return omission('too large', headers, before, after);
  const oldText = decodeText(before.bytes);
  const newText = decodeText(after.bytes);
  if (oldText === undefined || newText === undefined) return omission('binary', headers, before, after);
  return diffLines(oldText, newText, headers, limits);
}

function diffLines(oldText: string, newText: string, headers: string[], limits: DiffLimits): TextDiff {
  const contextLines = limits.contextLines ?? CONTEXT_LINES;
  const ends = equalEnds(oldText, newText, contextLines);
  const oldMiddle = oldText.slice(ends.start, oldText.length - ends.tail);
  const newMiddle = newText.slice(ends.start, newText.length - ends.tail);
  const patch = structuredPatch('', '', oldMiddle, newMiddle, undefined, undefined, {
    context: contextLines,
    maxEditLength: limits.maxEdits ?? MAX_EDITS,
    timeout: TIMEOUT_MS,
  });
  if (patch === undefined) {
    const [removed, added] = [countLines(oldMiddle), countLines(newMiddle)];
    return {
      added,
      removed,
      omitted: 'too different',
      lines: [...headers, `Texts are too different: up to +${added} -${removed} lines`],
    };
  }
  const skipped = countLines(oldText.slice(0, ends.start));
  const lines = [...headers];
  let added = 0;
  let removed = 0;
  for (const hunk of patch.hunks) {
    lines.push(
      `@@ -${range(hunk.oldStart + skipped, hunk.oldLines)} +${range(hunk.newStart + skipped, hunk.newLines)} @@`,
    );
    for (const line of hunk.lines) {
      if (line.startsWith('+')) added += 1;
      if (line.startsWith('-')) removed += 1;
      lines.push(printable(line));
    }
  }
  return { added, removed, omitted: undefined, lines };
}

/**
 * Finds how much both texts share at their start and end, in whole lines, leaving enough of it for the context.
 * Nothing is taken from the end unless it ends in a newline on both sides, so that a missing one is still seen.
 */
function equalEnds(oldText: string, newText: string, contextLines: number): { start: number; tail: number } {
  const shorter = Math.min(oldText.length, newText.length);
  let start = 0;
  while (start < shorter && oldText.charCodeAt(start) === newText.charCodeAt(start)) start += 1;
  for (let line = 0; line <= contextLines && start > 0; line++) start = oldText.lastIndexOf('\n', start - 2) + 1;
  let tail = 0;
  if (oldText.endsWith('\n') && newText.endsWith('\n')) {
    while (
      tail < shorter - start &&
      oldText.charCodeAt(oldText.length - 1 - tail) === newText.charCodeAt(newText.length - 1 - tail)
    ) {
      tail += 1;
    }
    for (let line = 0; line <= contextLines && tail > 0; line++) {
      const next = oldText.indexOf('\n', oldText.length - tail);
      tail = next === -1 ? 0 : oldText.length - next - 1;
    }
  }
  return { start, tail };
}

function headerLines(before: DiffSide, after: DiffSide): string[] {
  const name = (side: DiffSide, prefix: string): string =>
    side.path === undefined
      ? '/dev/null'
      : printable(`${prefix}/${side.path}`).replaceAll('\n', '^J').replaceAll('\t', '^I');
  return [`--- ${name(before, 'a')}`, `+++ ${name(after, 'b')}`];
}

function omission(omitted: DiffOmission, headers: string[], before: DiffSide, after: DiffSide): TextDiff {
  const what = omitted === 'binary' ? 'Binary files differ' : 'Files are too large to compare';
  return {
    added: 0,
    removed: 0,
    omitted,
    lines: [...headers, `${what}: ${sizeOf(before)} -> ${sizeOf(after)} bytes`],
  };
}

function sizeOf({ bytes, sizeBytes }: DiffSide): number {
  return bytes?.length ?? sizeBytes ?? 0;
}

/** Writes a hunk's range as POSIX diff does: an empty one names the line before it. */
function range(start: number, count: number): string {
  if (count === 0) return `${start - 1},0`;
  return count === 1 ? String(start) : `${start},${count}`;
}

function countLines(text: string): number {
  let lines = 0;
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) lines += 1;
  return text === '' || text.endsWith('\n') ? lines : lines + 1;
}
