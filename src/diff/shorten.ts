// Cuts long texts, so that what differs stays in sight.

/** What stands for what was cut. */
const CUT = '…';
/** So much of what both have in common is left before the first difference. */
const COMMON_CHARACTERS = 40;

/** Returns a text's beginning. */
export function shorten(text: string, maxCharacters: number): string {
  if (text.length <= maxCharacters) return text;
  // Not in the middle of a character of two.
  const last = text.charCodeAt(maxCharacters - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? maxCharacters - 1 : maxCharacters) + CUT;
}

/** Returns the parts of two texts around their first difference. */
export function shortenPair(
  before: string | undefined,
  after: string | undefined,
  maxCharacters: number,
): { readonly before: string | undefined; readonly after: string | undefined } {
  let from = 0;
  if (before !== undefined && after !== undefined && Math.max(before.length, after.length) > maxCharacters) {
    while (from < before.length && before[from] === after[from]) from += 1;
    from = from === before.length && from === after.length ? 0 : Math.max(0, from - COMMON_CHARACTERS);
    const first = before.charCodeAt(from);
    if (first >= 0xdc00 && first <= 0xdfff) from -= 1;
  }
  const cut = (text: string | undefined): string | undefined =>
    text === undefined ? undefined : shorten(from === 0 ? text : CUT + text.slice(from), maxCharacters);
  return { before: cut(before), after: cut(after) };
}
