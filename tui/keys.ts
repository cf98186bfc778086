// Keys as the keymap names them, from what ink makes of the terminal's bytes.

import type { Key } from 'ink';
import { characters } from './line.ts';

const NAMED = [
  ['upArrow', 'up'],
  ['downArrow', 'down'],
  ['leftArrow', 'left'],
  ['rightArrow', 'right'],
  ['pageDown', 'pagedown'],
  ['pageUp', 'pageup'],
  ['home', 'home'],
  ['end', 'end'],
  ['return', 'enter'],
  ['escape', 'esc'],
  ['tab', 'tab'],
  ['backspace', 'backspace'],
  ['delete', 'backspace'],
] as const;

/** Of keys that come among others in one piece, as held ones do. */
const NAMED_LETTERS: Readonly<Record<string, string>> = {
  ' ': 'space',
  '\r': 'enter',
  '\n': 'enter',
  '\t': 'tab',
  '\b': 'backspace',
  '\u007f': 'backspace',
};

/**
 * Returns the keys that were pressed; what comes in one piece, as a fast typist's letters do, is several. A terminal sends Alt with a
 * key as Escape and that key, so a key that comes right behind Escape looks the same, over a slow line above all. No key of the keymap
 * has Alt: it is always Escape and the key, but for Alt+Backspace, which people know from their shells and is a Backspace.
 */
export function keyNames(input: string, key: Partial<Key>): string[] {
  const names = withoutAlt(input, key);
  return key.meta === true && names[0] !== 'backspace' ? ['esc', ...names] : names;
}

function withoutAlt(input: string, key: Partial<Key>): string[] {
  const named = NAMED.find(([name]) => key[name] === true);
  if (named !== undefined) return [named[1]];
  if (key.ctrl === true) return input === '' ? [] : [`ctrl+${input}`];
  return characters(input.replaceAll('\r\n', '\n')).map((letter) => NAMED_LETTERS[letter] ?? letter);
}
