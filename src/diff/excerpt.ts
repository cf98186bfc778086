// A few words around a phrase, for a list: on one line, without secrets, safe for a terminal.

import { printable } from '../model/printable.ts';
import { foldText } from './fold.ts';
import { maskText } from './secrets.ts';

const AROUND_CHARACTERS = 60;

/** Returns the part of a text around a folded phrase, or its beginning where the phrase is a masked secret. */
export function excerptOf(text: string, phrase: string): string {
  const plain = foldText(maskText(text), { isExact: true });
  const at = Math.max(foldText(plain).indexOf(foldText(phrase)), 0);
  const start = at <= AROUND_CHARACTERS ? 0 : plain.indexOf(' ', at - AROUND_CHARACTERS) + 1 || at - AROUND_CHARACTERS;
  const from = Math.min(start, at);
  const end = at + phrase.length + AROUND_CHARACTERS;
  // A pair of surrogates is not cut in two.
  const cut = plain.slice(from, end).replaceAll(/^[\uDC00-\uDFFF]|[\uD800-\uDBFF]$/g, '');
  return printable(`${from > 0 ? '…' : ''}${cut}${end < plain.length ? '…' : ''}`);
}
