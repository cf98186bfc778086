// Sets values in a YAML file and keeps its comments. On its own, because the YAML parser is large and few pods need it.

import { parseDocument } from 'yaml';
import type { Edit } from './json-edit.ts';

/**
 * Returns the text with the edits made.
 * @throws {Error} when it isn't YAML of one document, or a value on the way is neither a mapping nor a list
 */
export function editYaml(text: string, edits: readonly Edit[]): string {
  const document = parseDocument(text);
  const [problem] = document.errors;
  if (problem !== undefined) throw problem;
  for (const { path, value } of edits) document.setIn(path, value);
  return document.toString();
}

/** Returns the plain value at a path, if it is a text, a number or a truth value. */
export function readYaml(text: string, path: readonly string[]): unknown {
  return parseDocument(text).getIn(path);
}
