// What is searched of a text: its lines, and of a conversation's file the turns, each a unit that a phrase is found in or not.

import { foldText, type FoldOptions } from './fold.ts';
import { parseTurnEvent, turnText } from './turn-event.ts';

const CONVERSATION = /\.jsonl$/i;

/** Returns what of a line is searched: what was said, if it is a turn, else the line itself. */
export function searchedText(path: string, line: string): string {
  const turn = CONVERSATION.test(path) ? parseTurnEvent(line) : undefined;
  return turn === undefined ? line : turnText(turn);
}

/** Finds the first line that has a folded phrase, from 0; undefined if none has. */
export function findPhrase(
  path: string,
  text: string,
  phrase: string,
  options: FoldOptions,
): { readonly line: number; readonly text: string } | undefined {
  for (const [line, raw] of text.split('\n').entries()) {
    const searched = searchedText(path, raw);
    if (foldText(searched, options).includes(phrase)) return { line, text: raw };
  }
  return undefined;
}
