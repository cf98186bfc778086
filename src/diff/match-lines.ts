// Which lines of a text are those of an earlier one. jsdiff's time and memory grow with the square of the number of changes, so what is
// equal at both ends is cut off first, and past a bound the lines between are told apart by what they say alone.

import { diffArrays } from 'diff';

const MOST_EDITS = 2000;
const TIMEOUT_MS = 5000;

/** Splits a text into lines without their ends; a newline at its end begins no further one. */
export function splitLines(text: string): string[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/** Returns for each line of the newer text that is in the older one too, by place from 0, its place there. */
export function matchLines(older: readonly string[], newer: readonly string[]): Map<number, number> {
  const kept = new Map<number, number>();
  const shorter = Math.min(older.length, newer.length);
  let head = 0;
  while (head < shorter && older[head] === newer[head]) {
    kept.set(head, head);
    head += 1;
  }
  let tail = 0;
  while (tail < shorter - head && older.at(-1 - tail) === newer.at(-1 - tail)) {
    tail += 1;
    kept.set(newer.length - tail, older.length - tail);
  }
  const [oldMiddle, newMiddle] = [older.slice(head, older.length - tail), newer.slice(head, newer.length - tail)];
  if (oldMiddle.length === 0 || newMiddle.length === 0) return kept;
  const parts = diffArrays(oldMiddle, newMiddle, { maxEditLength: MOST_EDITS, timeout: TIMEOUT_MS });
  if (parts === undefined) return matchByText(kept, head, oldMiddle, newMiddle);
  let [oldAt, newAt] = [head, head];
  for (const { added, removed, count } of parts) {
    if (!added && !removed) for (let step = 0; step < count; step += 1) kept.set(newAt + step, oldAt + step);
    if (!added) oldAt += count;
    if (!removed) newAt += count;
  }
  return kept;
}

/** Takes lines for the same that say the same, in their order. */
function matchByText(
  kept: Map<number, number>,
  offset: number,
  older: readonly string[],
  newer: readonly string[],
): Map<number, number> {
  const places = new Map<string, number[]>();
  for (const [at, line] of older.entries()) places.set(line, [...(places.get(line) ?? []), at]);
  for (const [at, line] of newer.entries()) {
    const place = places.get(line)?.shift();
    if (place !== undefined) kept.set(offset + at, offset + place);
  }
  return kept;
}
