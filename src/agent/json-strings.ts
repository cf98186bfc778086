// Finds and replaces texts inside a JSON value, which may come from anywhere.

import { MoltError } from '../model/error.ts';

// Nothing that a person or a program writes is nested deeper; going through it is recursive.
const MAX_DEPTH = 500;

/**
 * Returns the value with those texts replaced for which `change` returns another one; the very same value if there are none.
 * @param isLeft says which fields are left as they are
 */
export function rewriteStrings(
  value: unknown,
  change: (text: string) => string | undefined,
  isLeft: (name: string) => boolean = () => false,
  depth = 0,
): unknown {
  checkDepth(depth);
  if (typeof value === 'string') return change(value) ?? value;
  if (typeof value !== 'object' || value === null) return value;
  let isChanged = false;
  const entries = Object.entries(value).map(([name, item]): [string, unknown] => {
    const changed = isLeft(name) ? item : rewriteStrings(item, change, isLeft, depth + 1);
    isChanged ||= changed !== item;
    return [name, changed];
  });
  if (!isChanged) return value;
  return Array.isArray(value) ? entries.map(([, item]) => item) : Object.fromEntries(entries);
}

/** Calls back for each text inside a JSON value, with the way to it. */
export function eachString(
  value: unknown,
  visit: (text: string, path: readonly string[]) => void,
  path: readonly string[] = [],
): void {
  checkDepth(path.length);
  if (typeof value === 'string') visit(value, path);
  else if (typeof value === 'object' && value !== null)
    for (const [name, item] of Object.entries(value)) eachString(item, visit, [...path, name]);
}

function checkDepth(depth: number): void {
  if (depth > MAX_DEPTH) throw new MoltError('HOSTILE', `a JSON value is nested more than ${MAX_DEPTH} levels deep`);
}
