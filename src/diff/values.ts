// How two trees of values differ, by key path. Elements of a list are told by what identifies them (`id`, `name`, `key`), else by their
// place; a list whose elements moved is a list of which some went and some came.

import { diffArrays } from 'diff';
import type { ItemChange } from '../model/semantic-diff.ts';

/** One step down a tree: into an object, or into a list by an element's place and perhaps what identifies it. */
export type Step =
  | { readonly key: string }
  | { readonly index: number; readonly field?: string; readonly identity?: string };

/** One difference. Places in a list are those of the newer side, of what was removed those of the older. */
export interface ValueChange {
  readonly path: readonly Step[];
  readonly change: ItemChange;
  readonly before?: unknown;
  readonly after?: unknown;
}

/** A document that is nested too deeply, or has too much in it, to be compared by its values. */
export class TooComplex extends Error {}

const MOST_LEVELS = 200;
const MOST_VALUES = 500_000;
const MOST_LIST_EDITS = 500;
const IDENTITIES = ['id', 'name', 'key'] as const;

type Tree = Readonly<Record<string, unknown>>;

/**
 * Returns how two trees of plain objects, lists and scalars differ, in the order of the newer one. What came or went is told value by
 * value; empty objects and lists are values too.
 * @throws {TooComplex}
 */
export function diffValues(before: unknown, after: unknown): ValueChange[] {
  const walk = new Walk();
  walk.compare(before, after, []);
  return walk.changes;
}

class Walk {
  readonly changes: ValueChange[] = [];
  #left = MOST_VALUES;

  compare(before: unknown, after: unknown, path: readonly Step[]): void {
    this.#count(path);
    // What is told value by value could not be told from the container's own going or coming.
    const isEmptied = path.length > 0 && isEmpty(before) !== isEmpty(after);
    if (isEmptied) this.changes.push({ path, change: 'changed', before, after });
    else if (isTree(before) && isTree(after)) this.#compareTrees(before, after, path);
    else if (Array.isArray(before) && Array.isArray(after)) this.#compareLists(before, after, path);
    else if (!isContainer(before) && !isContainer(after)) {
      if (!isSameScalar(before, after)) this.changes.push({ path, change: 'changed', before, after });
    } else this.changes.push({ path, change: 'changed', before, after });
  }

  #compareTrees(before: Tree, after: Tree, path: readonly Step[]): void {
    const [olds, nows] = [Object.keys(before), Object.keys(after)];
    for (const key of nows) {
      if (Object.hasOwn(before, key)) this.compare(before[key], after[key], [...path, { key }]);
      else this.#list('added', after[key], [...path, { key }]);
    }
    for (const key of olds) if (!Object.hasOwn(after, key)) this.#list('removed', before[key], [...path, { key }]);
  }

  #compareLists(before: readonly unknown[], after: readonly unknown[], path: readonly Step[]): void {
    const field = identityField(before, after);
    const [olds, nows] = [before, after].map((list) => list.map((value) => this.#nameOf(value, field)));
    const parts = diffArrays(olds ?? [], nows ?? [], { maxEditLength: MOST_LIST_EDITS });
    if (parts === undefined) {
      this.changes.push({ path, change: 'changed', before, after });
      return;
    }
    const step = (list: readonly unknown[], index: number): Step =>
      field === undefined ? { index } : { index, field, identity: String((list[index] as Tree)[field]) };
    for (let [old, now, part] = [0, 0, 0]; part < parts.length; part += 1) {
      const { value, added = false, removed = false } = parts[part] ?? { value: [] };
      if (!added && !removed) {
        for (let count = 0; count < value.length; count += 1, old += 1, now += 1)
          if (field !== undefined) this.compare(before[old], after[now], [...path, step(after, now)]);
        continue;
      }
      const next = parts[part + 1];
      const other = next !== undefined && (added ? next.removed : next.added) ? next.value.length : 0;
      if (other > 0) part += 1;
      const [gone, come] = removed ? [value.length, other] : [other, value.length];
      // What stands in place of another is that one changed, unless it is known to be something else.
      const pairs = field === undefined ? Math.min(gone, come) : 0;
      for (let count = 0; count < pairs; count += 1)
        this.compare(before[old + count], after[now + count], [...path, step(after, now + count)]);
      for (let count = pairs; count < gone; count += 1)
        this.#list('removed', before[old + count], [...path, step(before, old + count)]);
      for (let count = pairs; count < come; count += 1)
        this.#list('added', after[now + count], [...path, step(after, now + count)]);
      old += gone;
      now += come;
    }
  }

  /** Returns a text that only equal elements, or those with the same identity, have. */
  #nameOf(value: unknown, field: string | undefined): string {
    if (field !== undefined) return String((value as Tree)[field]);
    return encodeValue(value, (depth) => {
      if (depth > MOST_LEVELS || (this.#left -= 1) < 0) throw new TooComplex();
    });
  }

  #list(change: 'added' | 'removed', value: unknown, path: readonly Step[]): void {
    this.#count(path);
    const inner = isTree(value)
      ? Object.entries(value).map(([key, one]): [Step, unknown] => [{ key }, one])
      : Array.isArray(value)
        ? value.map((one, index): [Step, unknown] => [{ index }, one])
        : [];
    for (const [step, one] of inner) this.#list(change, one, [...path, step]);
    if (inner.length === 0) this.changes.push({ path, change, [change === 'added' ? 'after' : 'before']: value });
  }

  #count(path: readonly Step[]): void {
    this.#left -= 1;
    if (this.#left < 0 || path.length > MOST_LEVELS) throw new TooComplex();
  }
}

function identityField(...lists: readonly (readonly unknown[])[]): string | undefined {
  return IDENTITIES.find((field) =>
    lists.every((list) => {
      if (list.length === 0) return false;
      const names = list.map((value) => (isTree(value) && Object.hasOwn(value, field) ? value[field] : undefined));
      const isNamed = names.every((name) => typeof name === 'string' || typeof name === 'number');
      return isNamed && new Set(names.map(String)).size === names.length;
    }),
  );
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
}

function isContainer(value: unknown): boolean {
  return isTree(value) || Array.isArray(value);
}

function isEmpty(value: unknown): boolean {
  return isContainer(value) && Object.keys(value as object).length === 0;
}

function isSameScalar(a: unknown, b: unknown): boolean {
  if (ArrayBuffer.isView(a) && ArrayBuffer.isView(b)) return encodeValue(a) === encodeValue(b);
  return Object.is(a, b);
}

/** Writes a value as JSON, with its keys as they are ordered; what JSON lacks (large integers, NaN, bytes) as people would write it. */
export function encodeValue(value: unknown, enter: (depth: number) => void = () => {}, depth = 0): string {
  enter(depth);
  if (Array.isArray(value)) return `[${value.map((one) => encodeValue(one, enter, depth + 1)).join(',')}]`;
  if (ArrayBuffer.isView(value))
    return `<${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}>`;
  if (isTree(value)) {
    const entries = Object.entries(value).map(
      ([key, one]) => `${JSON.stringify(key)}:${encodeValue(one, enter, depth + 1)}`,
    );
    return `{${entries.join(',')}}`;
  }
  if (typeof value === 'bigint' || Number.isNaN(value) || value === Infinity || value === -Infinity)
    return String(value);
  return Object.is(value, -0) ? '-0' : (JSON.stringify(value) ?? 'null');
}

const PLAIN_KEY = /^[\p{L}_$][\p{L}\p{N}_$-]*$/u;

/** Writes a path as people do: `skills.entries.tea-timer.enabled`, `agents[id=main]`, `list[2]`, `models["fake/fake-1"]`. */
export function formatPath(path: readonly Step[]): string {
  let text = '';
  for (const step of path) {
    if ('key' in step) {
      if (!PLAIN_KEY.test(step.key)) text += `[${JSON.stringify(step.key)}]`;
      else text += text === '' ? step.key : `.${step.key}`;
    } else if (step.field === undefined || step.identity === undefined) text += `[${step.index}]`;
    else text += `[${step.field}=${PLAIN_VALUE.test(step.identity) ? step.identity : JSON.stringify(step.identity)}]`;
  }
  return text;
}

const PLAIN_VALUE = /^[^\s"\]=]+$/u;

/** Returns the names on a path, for those who look for secrets: an element of a list has none. */
export function namesOf(path: readonly Step[]): string[] {
  return path.flatMap((step) => ('key' in step ? [step.key] : []));
}
