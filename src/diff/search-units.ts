// What is searched of a text: its lines, and of a conversation's file the turns, each a unit that a phrase is found in or not.

import type { Turn } from '../model/semantic-diff.ts';
import { parseTurn } from './conversation.ts';
import { foldText, type FoldOptions } from './fold.ts';

const CONVERSATION = /\.jsonl$/i;
/** Records of conversations, as OpenClaw writes them and others do, have one of these. */
const ROLE = /"(?:role|sender|author|from)"\s*:/;

/** Returns the turn that a record of a conversation is, whole and unmasked; undefined if it is none. */
export function parseWholeTurn(json: string): Turn | undefined {
  return ROLE.test(json) ? parseTurn(json, { showSecrets: true, isWhole: true }) : undefined;
}

/** Returns all that a turn says, tools and their arguments included, as search looks at it. */
export function turnText({ text, tools }: Pick<Turn, 'text' | 'tools'>): string {
  return [text, ...tools.map((tool) => `${tool.name} ${tool.arguments}`)].filter((part) => part !== '').join('\n');
}

/** Says whether a path is a file of conversations, a record on each line. */
export function isConversationFile(path: string): boolean {
  return CONVERSATION.test(path);
}

/** Returns what of a line is searched: the line, and if it is a turn what was said as it was said, not as JSON writes it. */
export function searchedText(path: string, line: string): string {
  const turn = isConversationFile(path) ? parseWholeTurn(line) : undefined;
  return turn === undefined ? line : `${turnText(turn)}\n${line}`;
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
