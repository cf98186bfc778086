// Marks the words that changed in a text's changed lines, and tells under which headings of a Markdown document they stand.

import { diffWordsWithSpace } from 'diff';
import type { TextDiffResult, TextHunk, TextLine, TextPart } from '../model/semantic-diff.ts';
import { maskText } from './secrets.ts';
import type { LineDiff } from './text.ts';

/** How to show a text's differences. */
export interface TextOptions {
  readonly format: 'markdown' | 'text';
  readonly showSecrets: boolean;
  /** The newer text, to find headings in. */
  readonly after: string;
  /** Lines are cut at so many characters; 4,000 unless given. */
  readonly maxLineCharacters?: number;
}

const MOST_LINE_CHARACTERS = 4000;
/** Lines are matched with each other only in blocks up to so many, and words only in lines up to so long. */
const MOST_BLOCK_LINES = 60;
const MOST_WORD_CHARACTERS = 4000;
const MOST_WORD_EDITS = 400;
/** Of one file so many characters are compared by words; a person reads less. */
const MOST_COMPARED_CHARACTERS = 200_000;
/** Less of a line in common than this, and it is another line. */
const LEAST_COMMON = 0.4;

const HEADING = /^ {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*$/;
const FENCE = /^ {0,3}(`{3,}|~{3,})/;

/** Returns a comparison by lines as one with words and sections. */
export function markWords(diff: LineDiff, options: TextOptions): TextDiffResult {
  const sections = options.format === 'markdown' ? findSections(options.after, diff.hunks) : [];
  const budget: Budget = { leftCharacters: MOST_COMPARED_CHARACTERS };
  const hunks = diff.hunks.map((hunk, index) => ({
    ...hunk,
    section: sections[index] ?? [],
    lines: markHunk(hunk.lines, budget).map((line) => finish(line, options)),
  }));
  return { kind: 'text', format: options.format, addedLines: diff.added, removedLines: diff.removed, hunks };
}

/** What may still be compared by words. */
interface Budget {
  leftCharacters: number;
}

function markHunk(lines: readonly TextLine[], budget: Budget): TextLine[] {
  const out: TextLine[] = [];
  for (let at = 0; at < lines.length;) {
    const removed = takeWhile(lines, at, 'removed');
    const added = takeWhile(lines, at + removed.length, 'added');
    if (removed.length + added.length === 0) {
      const [line] = lines.slice(at, at + 1);
      if (line !== undefined) out.push(line);
      at += 1;
      continue;
    }
    out.push(...markBlock(removed, added, budget));
    at += removed.length + added.length;
  }
  return out;
}

function takeWhile(lines: readonly TextLine[], from: number, change: TextLine['change']): TextLine[] {
  let end = from;
  while (lines[end]?.change === change) end += 1;
  return lines.slice(from, end);
}

function markBlock(removed: readonly TextLine[], added: readonly TextLine[], budget: Budget): TextLine[] {
  budget.leftCharacters -= [...removed, ...added].reduce((sum, line) => sum + textOf(line).length, 0);
  if (Math.max(removed.length, added.length) > MOST_BLOCK_LINES || budget.leftCharacters < 0)
    return [...removed, ...added];
  const olds = [...removed];
  const nows = [...added];
  for (const { before, after } of matchLines(removed.map(textOf), added.map(textOf))) {
    const [old, now] = [olds[before], nows[after]];
    if (old === undefined || now === undefined) continue;
    const words = compareWords(textOf(old), textOf(now));
    if (words === undefined) continue;
    olds[before] = { ...old, parts: words.before };
    nows[after] = { ...now, parts: words.after };
  }
  return [...olds, ...nows];
}

function textOf(line: TextLine): string {
  return line.parts.map(({ text }) => text).join('');
}

/** Finds which old line became which new one, in order, so that as much as possible is common. */
function matchLines(olds: readonly string[], nows: readonly string[]): { before: number; after: number }[] {
  const bags = { olds: olds.map(bagOf), nows: nows.map(bagOf) };
  const width = nows.length + 1;
  const best = new Float64Array((olds.length + 1) * width);
  const likeness = new Float64Array(olds.length * nows.length);
  for (let old = olds.length - 1; old >= 0; old -= 1) {
    for (let now = nows.length - 1; now >= 0; now -= 1) {
      const common = commonShare(bags.olds[old], bags.nows[now]);
      likeness[old * nows.length + now] = common;
      const matched = common < LEAST_COMMON ? 0 : common + (best[(old + 1) * width + now + 1] ?? 0);
      best[old * width + now] = Math.max(matched, best[(old + 1) * width + now] ?? 0, best[old * width + now + 1] ?? 0);
    }
  }
  const pairs: { before: number; after: number }[] = [];
  for (let old = 0, now = 0; old < olds.length && now < nows.length;) {
    const here = best[old * width + now] ?? 0;
    const common = likeness[old * nows.length + now] ?? 0;
    if (common >= LEAST_COMMON && here === common + (best[(old + 1) * width + now + 1] ?? 0)) {
      pairs.push({ before: old, after: now });
      old += 1;
      now += 1;
    } else if (here === (best[(old + 1) * width + now] ?? 0)) old += 1;
    else now += 1;
  }
  return pairs;
}

type Bag = ReadonlyMap<string, number>;

function bagOf(line: string): Bag {
  const bag = new Map<string, number>();
  for (const word of line.slice(0, MOST_WORD_CHARACTERS).match(/[\p{L}\p{N}]+|[^\s\p{L}\p{N}]/gu) ?? [])
    bag.set(word, (bag.get(word) ?? 0) + word.length);
  return bag;
}

function commonShare(a: Bag | undefined, b: Bag | undefined): number {
  if (a === undefined || b === undefined) return 0;
  const sum = (bag: Bag): number => [...bag.values()].reduce((total, count) => total + count, 0);
  let common = 0;
  for (const [word, count] of a) common += Math.min(count, b.get(word) ?? 0);
  return common / Math.max(1, sum(a), sum(b));
}

function compareWords(old: string, now: string): { before: TextPart[]; after: TextPart[] } | undefined {
  if (Math.max(old.length, now.length) > MOST_WORD_CHARACTERS) return undefined;
  const changes = diffWordsWithSpace(old, now, { maxEditLength: MOST_WORD_EDITS });
  if (changes === undefined) return undefined;
  const before: TextPart[] = [];
  const after: TextPart[] = [];
  for (const { value, added, removed } of changes) {
    if (!added) push(before, { text: value, changed: removed });
    if (!removed) push(after, { text: value, changed: added });
  }
  return { before, after };
}

function push(parts: TextPart[], part: TextPart): void {
  const last = parts.at(-1);
  if (last !== undefined && last.changed === part.changed)
    parts[parts.length - 1] = { ...last, text: last.text + part.text };
  else parts.push(part);
}

/** Masks what is secret in a line, and cuts it where it is too long. */
function finish(line: TextLine, { showSecrets, maxLineCharacters = MOST_LINE_CHARACTERS }: TextOptions): TextLine {
  const text = textOf(line);
  const masked = showSecrets ? text : maskText(text);
  // Where something is masked the marked words would tell where in it, and how much of it, changed.
  const parts = masked === text ? line.parts : [{ text: masked, changed: false }];
  if (masked.length <= maxLineCharacters) return { ...line, parts };
  let left = maxLineCharacters;
  const cut: TextPart[] = [];
  for (const part of parts) {
    if (left <= 0) break;
    cut.push({ ...part, text: part.text.slice(0, left) });
    left -= part.text.length;
  }
  return { ...line, parts: [...cut, { text: '…', changed: false }] };
}

/** Finds the headings that the first change of each hunk stands under. */
function findSections(text: string, hunks: readonly TextHunk[]): string[][] {
  const sections: string[][] = [];
  const path: { level: number; title: string }[] = [];
  let fence: string | undefined;
  let at = 1;
  let hunk = 0;
  const changeAt = (index: number): number | undefined => {
    const one = hunks[index];
    if (one === undefined) return undefined;
    const first = one.lines.findIndex(({ change }) => change !== 'same');
    // The line itself may be the heading that changed: then it stands under those above it.
    return (one.afterLines === 0 ? one.afterStart + 1 : one.afterStart) + Math.max(first, 0);
  };
  for (const line of text.split('\n')) {
    for (let next = changeAt(hunk); next !== undefined && at >= next; next = changeAt(hunk)) {
      sections.push(path.map(({ title }) => title));
      hunk += 1;
    }
    if (hunk >= hunks.length) break;
    const mark = FENCE.exec(line)?.[1];
    if (mark !== undefined) fence = fence === undefined ? mark[0] : mark.startsWith(fence) ? undefined : fence;
    const heading = fence === undefined && mark === undefined ? HEADING.exec(line) : null;
    if (heading !== null) {
      const level = heading[1]?.length ?? 1;
      while ((path.at(-1)?.level ?? 0) >= level) path.pop();
      path.push({ level, title: heading[2] ?? '' });
    }
    at += 1;
  }
  while (sections.length < hunks.length) sections.push(path.map(({ title }) => title));
  return sections;
}
