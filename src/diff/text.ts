// How two texts differ, line by line, by jsdiff. Its time and memory grow with the square of the number of changed lines, so what is
// equal at both ends is cut off first and the number of edits is capped: past it there are counts, but no hunks.

import { structuredPatch } from 'diff';
import type { TextHunk, TextLine } from '../model/semantic-diff.ts';
import { decodeText } from './kind.ts';

/** Why there are no hunks: a side is not text, a side is over the cap, or too many lines differ. */
export type DiffOmission = 'binary' | 'too large' | 'too different';

/** The result of comparing two texts. */
export interface LineDiff {
  /**
   * Lines that were added and removed. Where lines are `too different` both are upper bounds (all lines between the equal ends);
   * otherwise they are 0 without hunks.
   */
  readonly added: number;
  readonly removed: number;
  readonly omitted: DiffOmission | undefined;
  readonly hunks: readonly TextHunk[];
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

/**
 * Returns how two blobs differ, line by line if both are text. Lines are as they are: neither printable nor masked.
 * @param before undefined where there are too many bytes to compare
 */
export function diffText(before: Buffer | undefined, after: Buffer | undefined, limits: DiffLimits = {}): LineDiff {
  if (before === undefined || after === undefined) return omission('too large');
  if (before.equals(after)) return { added: 0, removed: 0, omitted: undefined, hunks: [] };
  if (Math.max(before.length, after.length) > (limits.maxBytes ?? MAX_BYTES)) return omission('too large');
  const oldText = decodeText(before);
  const newText = decodeText(after);
  if (oldText === undefined || newText === undefined) return omission('binary');
  return diffLines(oldText, newText, limits);
}

function diffLines(oldText: string, newText: string, limits: DiffLimits): LineDiff {
  const contextLines = limits.contextLines ?? CONTEXT_LINES;
  const ends = equalEnds(oldText, newText, contextLines);
  const oldMiddle = oldText.slice(ends.start, oldText.length - ends.tail);
  const newMiddle = newText.slice(ends.start, newText.length - ends.tail);
  const patch = structuredPatch('', '', oldMiddle, newMiddle, undefined, undefined, {
    context: contextLines,
    maxEditLength: limits.maxEdits ?? MAX_EDITS,
    timeout: TIMEOUT_MS,
  });
  if (patch === undefined)
    return { added: countLines(newMiddle), removed: countLines(oldMiddle), omitted: 'too different', hunks: [] };
  const skipped = countLines(oldText.slice(0, ends.start));
  const hunks = patch.hunks.map((hunk) => ({
    section: [],
    // An empty range is named by the line before it, as POSIX diff does.
    beforeStart: hunk.oldStart + skipped - (hunk.oldLines === 0 ? 1 : 0),
    beforeLines: hunk.oldLines,
    afterStart: hunk.newStart + skipped - (hunk.newLines === 0 ? 1 : 0),
    afterLines: hunk.newLines,
    lines: toLines(hunk.lines),
  }));
  const count = (change: TextLine['change']): number =>
    hunks.reduce((sum, { lines }) => sum + lines.filter((line) => line.change === change).length, 0);
  return { added: count('added'), removed: count('removed'), omitted: undefined, hunks };
}

function toLines(lines: readonly string[]): TextLine[] {
  const out: TextLine[] = [];
  for (const line of lines) {
    const last = out.at(-1);
    // A remark of the format itself: no newline at the end of the file.
    if (line.startsWith('\\') && last !== undefined) out[out.length - 1] = { ...last, noNewline: true };
    else {
      const change = line.startsWith('+') ? 'added' : line.startsWith('-') ? 'removed' : 'same';
      out.push({ change, parts: [{ text: line.slice(1), changed: false }] });
    }
  }
  return out;
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

function omission(omitted: DiffOmission): LineDiff {
  return { added: 0, removed: 0, omitted, hunks: [] };
}

function countLines(text: string): number {
  let lines = 0;
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) lines += 1;
  return text === '' || text.endsWith('\n') ? lines : lines + 1;
}
