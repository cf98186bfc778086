// Changes single values of a JSON or JSON5 text and leaves its comments and its form alone. Where that can't be done safely, the text
// is written anew as JSON.

import { isDeepStrictEqual } from 'node:util';
import { parseJson } from './parse-json.ts';
import { type Span, findSpans } from './json5-spans.ts';

/** A value to set. */
export interface Edit {
  /** Names of fields and numbers of items, from the top. What is missing on the way is made, as objects. */
  readonly path: readonly string[];
  readonly value: unknown;
}

type Fields = Record<string, unknown>;

/** Returns the value at a path; undefined if it isn't there. */
export function valueAt(value: unknown, path: readonly string[]): unknown {
  let at = value;
  for (const name of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, name)) return undefined;
    at = (at as Fields)[name];
  }
  return at;
}

/**
 * Sets a value in place.
 * @returns false when a value on the way is neither an object nor an array
 */
export function setAt(root: unknown, { path, value }: Edit): boolean {
  let at = root;
  for (const [index, name] of path.entries()) {
    if (typeof at !== 'object' || at === null) return false;
    if (Array.isArray(at) && !Object.hasOwn(at, name)) return false;
    const fields = at as Fields;
    if (index === path.length - 1) define(fields, name, value);
    else if (!Object.hasOwn(fields, name)) define(fields, name, {});
    at = fields[name];
  }
  return path.length > 0;
}

/** Returns the text with the edits made. They are such as setAt takes, one after the other. */
export async function editJson(text: string, edits: readonly Edit[]): Promise<string> {
  const wanted = await parseJson(text);
  for (const edit of edits) setAt(wanted, edit);
  let edited: string | undefined = text;
  for (const edit of edits) edited = edited === undefined ? undefined : editOne(edited, edit);
  if (edited !== undefined) {
    const got = await parseJson(edited).catch(() => undefined);
    if (isDeepStrictEqual(got, wanted)) return edited;
  }
  return `${JSON.stringify(wanted, undefined, 2)}\n`;
}

function define(fields: Fields, name: string, value: unknown): void {
  Object.defineProperty(fields, name, { value, writable: true, enumerable: true, configurable: true });
}

function editOne(text: string, { path, value }: Edit): string | undefined {
  let span = findSpans(text);
  for (const [index, name] of path.entries()) {
    if (span === undefined) return undefined;
    const next: Span | undefined = span.fields?.get(name) ?? span.items?.[Number(name)];
    if (next === undefined) return span.fields === undefined ? undefined : insert(text, span, path.slice(index), value);
    span = next;
  }
  return span === undefined ? undefined : text.slice(0, span.start) + JSON.stringify(value) + text.slice(span.end);
}

/** Puts a new field first into an object: there it needs no look at trailing commas and comments. */
function insert(text: string, span: Span, path: readonly string[], value: unknown): string {
  const [name = '', ...below] = path;
  const whole = below.reduceRight((inner: unknown, key) => ({ [key]: inner }), value);
  const field = `${JSON.stringify(name)}: ${JSON.stringify(whole)}`;
  const start = span.start + 1;
  if (span.firstStart === undefined) return `${text.slice(0, start)} ${field} ${text.slice(start)}`;
  const gap = text.slice(start, span.firstStart);
  const indent = /^\s*$/.test(gap) ? gap : ' ';
  return `${text.slice(0, start)}${indent}${field},${text.slice(start)}`;
}
