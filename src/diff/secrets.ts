// What is a secret, by its name or its look: in configuration, in rows, and in text. A secret is shown as MASK, which says nothing
// about it. What a profile knows beyond that comes as hints.

import type { SecretHints } from '../model/diff-hints.ts';
import { MASK } from '../model/semantic-diff.ts';

// Names that hold a secret whatever type its value has, and names that do so when it is a text: a `maxTokens` of 4096 is none.
const ALWAYS = new Set(['password', 'passwd', 'passphrase', 'passcode', 'pin', 'pwd']);
const AS_TEXT = new Set(
  'token tokens secret secrets credential credentials apikey apikeys authtoken accesstoken refreshtoken privatekey bearer cookie cookies authorization jwt mnemonic'.split(
    ' ',
  ),
);
const KEY_OF = new Set(
  'api private secret access signing encryption hmac auth master root shared client license bot'.split(' '),
);

/** Says whether a key, column or variable of this name holds a secret, if its value is of this type. */
export function isSecretName(name: string, type: 'text' | 'number' | 'other' = 'text'): boolean {
  const words = wordsOf(name);
  if (words.some((word) => ALWAYS.has(word))) return type !== 'other';
  if (type !== 'text') return false;
  return words.some((word, index) => {
    if (AS_TEXT.has(word)) return true;
    const before = words[index - 1];
    return (word === 'key' || word === 'keys') && before !== undefined && KEY_OF.has(before);
  });
}

function wordsOf(name: string): string[] {
  return name
    .replace(/([a-z\d])([A-Z])/g, '$1 $2')
    .replace(/([A-Z])([A-Z][a-z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z\d]+/);
}

// Forms of secrets that are known by their beginning. Each part is bounded, so that no text makes them slow.
const SHAPES =
  /\b(?:sk-[\w-]{8,200}|sk_(?:live|test)_\w{8,100}|gh[pousr]_\w{20,255}|github_pat_\w{20,255}|glpat-[\w-]{16,64}|xox[abeoprs]-[\w-]{8,255}|xapp-[\w-]{8,255}|AKIA[A-Z\d]{12,124}|ASIA[A-Z\d]{12,124}|AIza[\w-]{30,60}|ya29\.[\w-]{20,1000}|hf_[A-Za-z\d]{20,100}|npm_[A-Za-z\d]{30,60}|eyJ[\w-]{8,4000}\.eyJ[\w-]{8,8000}(?:\.[\w-]{0,4000})?|\d{8,12}:AA[\w-]{30,40}|age-secret-key-1[\da-z]{40,80})(?![\w-])/gi;
const PRIVATE_KEY = /-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----/;
const PRIVATE_KEY_BLOCK =
  /-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\s\S]{0,20000}?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|$)/g;
/** A line of the inside of a key file. */
const KEY_LINE = /^[A-Za-z\d+/]{60,76}={0,2}$/;
const BEARER = /\b(Bearer|Basic)\s+([\w.~+/=-]{12,4000})/gi;
/** `name: value` and `name=value`, also inside of JSON that is itself in a text of JSON (`\"name\":\"value\"`). */
const ASSIGNMENT =
  /(\\{0,3}["']?)([A-Za-z][\w.-]{1,63})\1(\s{0,4}[:=]\s{0,4})("(?:[^"\\\n]|\\.){1,2000}"|'(?:[^'\\\n]|\\.){1,2000}'|\\{1,3}"[^"\\]{1,2000}\\{1,3}"|[^\s"',;)}\]\\]{6,2000})/g;
/** Longer texts are not searched but masked whole, if they have to be. */
const MOST_SEARCHED = 1 << 20;

/** Says whether a text looks like a secret as a whole or has a private key in it. */
export function looksSecret(text: string): boolean {
  if (text.length > MOST_SEARCHED) return PRIVATE_KEY.test(text.slice(0, 4096));
  return PRIVATE_KEY.test(text) || text.replace(SHAPES, '').trim() === '' ? text.trim() !== '' : false;
}

/** Returns a text with the secrets in it masked: those of known forms, and the values beside names of secrets. */
export function maskText(text: string): string {
  if (text.length > MOST_SEARCHED) return maskText(text.slice(0, MOST_SEARCHED)) + MASK;
  if (KEY_LINE.test(text)) return MASK;
  return text
    .replace(PRIVATE_KEY_BLOCK, MASK)
    .replace(SHAPES, MASK)
    .replace(BEARER, `$1 ${MASK}`)
    .replace(ASSIGNMENT, maskAssignment(MOST_LEVELS));
}

/** What is no secret may hold one: `url=x&password=hunter2`, or JSON in a text of JSON; so deep is looked. */
const MOST_LEVELS = 4;

function maskAssignment(levels: number) {
  return (whole: string, quote: string, name: string, between: string, value: string): string => {
    const mark = /^\\*["']/.exec(value)?.[0] ?? '';
    // `password: required` is prose; `password: hunter2` is not.
    if (isSecretName(name) && !value.includes(MASK) && (mark !== '' || /\d/.test(value)))
      return `${quote}${name}${quote}${between}${mark}${MASK}${mark}`;
    if (levels === 0) return whole;
    const inner = value.slice(mark.length, value.length - mark.length);
    return `${quote}${name}${quote}${between}${mark}${inner.replace(ASSIGNMENT, maskAssignment(levels - 1))}${mark}`;
  };
}

/** Says whether the value at a key path is a secret. @param path the names on the way, outermost first */
export function isSecretAt(path: readonly string[], value: unknown, hints: SecretHints): boolean {
  const type =
    typeof value === 'string' ? 'text' : typeof value === 'number' || typeof value === 'bigint' ? 'number' : 'other';
  if (type === 'other') return false;
  if (hints.all === true) return true;
  if (type === 'text' && looksSecret(String(value))) return true;
  if (path.some((name) => isSecretName(name, type))) return true;
  return type === 'text' && (hints.paths ?? []).some((pattern) => matches(pattern, path));
}

function matches(pattern: readonly string[], path: readonly string[]): boolean {
  return pattern.length <= path.length && pattern.every((name, index) => name === '*' || name === path[index]);
}
