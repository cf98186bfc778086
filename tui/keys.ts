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

/** Returns the keys that were pressed; what comes in one piece, as a fast typist's letters do, is several. */
export function keyNames(input: string, key: Partial<Key>): string[] {
  const named = NAMED.find(([name]) => key[name] === true);
  if (named !== undefined) return [named[1]];
  if (key.ctrl === true) return input === '' ? [] : [`ctrl+${input}`];
  if (key.meta === true) return [];
  return characters(input.replaceAll('\r\n', '\n')).map((letter) => NAMED_LETTERS[letter] ?? letter);
}
