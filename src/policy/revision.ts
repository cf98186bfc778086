// REV as users write it, to a tree of plain values. Only the grammar is decided here; what a name or an id stands for is
// looked up by whoever holds the refs.

import { MoltError } from '../model/error.ts';

/** Where a revision starts from, before its steps. */
export type RevisionBase =
  | { readonly kind: 'head' }
  /** The newest commit of the branch, whatever made it. */
  | { readonly kind: 'latest' }
  /**
   * A tag, a branch or an agent; or a commit, by the start of its id, if the word can be one.
   * `idPrefix` is then 4 to 40 lower-case hex digits.
   */
  | { readonly kind: 'name'; readonly name: string; readonly idPrefix?: string }
  /** What an agent or branch was at a time; the time is the text of a TIME, and without a name the present branch is meant. */
  | { readonly kind: 'at'; readonly name?: string; readonly time: string };

/** One step away from a base: to the n-th ancestor along first parents (`~n`), or to the n-th parent (`^n`, from 1; 0 stays). */
export type RevisionStep = { readonly kind: 'ancestor' | 'parent'; readonly n: number };

/** A revision, as it was written. */
export interface Revision {
  readonly text: string;
  readonly base: RevisionBase;
  readonly steps: readonly RevisionStep[];
}

/** A path within a revision; '' is the whole tree. */
export interface RevisionPath {
  readonly revision: Revision;
  readonly path: string;
}

const MAX_LENGTH = 1024;
const ID_PREFIX = /^[0-9a-f]{4,40}$/i;
const STEPS = /^(?:[~^]\d*)*$/;
const STEP = /([~^])(\d*)/g;
const MAX_STEPS = 1_000_000_000;
// What git check-ref-format refuses, and what a shell or a reader would trip over.
// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const BAD_NAME = /[\u0000- \u007f-\u009f~^:?*[\\]|\.\.|@\{|\/\/|\/\.|^\.|^\/|\/$|\.$|\.lock(?:\/|$)|^-|^@$/;

/**
 * Returns the parts of a revision: a commit id or the start of one, a tag, a branch, `HEAD`, `latest`, `NAME@{TIME}` or
 * `@{TIME}`, each with any number of `~n` and `^n` behind it.
 * @throws {MoltError} USAGE when the text is not a revision
 */
export function parseRevision(text: string): Revision {
  const { base, rest } = splitBase(text);
  if (rest.startsWith(':')) throw revisionError(text, 'it has a path, and a revision alone is asked for');
  return { text, base, steps: parseSteps(rest, text) };
}

/**
 * Returns the parts of `REV:PATH`.
 * @throws {MoltError} USAGE when the text is not a revision with a path inside the tree
 */
export function parseRevisionPath(text: string): RevisionPath {
  const parsed = findRevisionPath(text);
  if (parsed === undefined) throw revisionError(text, 'a path is missing, as in HEAD:state/MEMORY.md');
  return parsed;
}

/**
 * Returns the parts of `REV:PATH`, or undefined where there is no path but may be a revision.
 * @throws {MoltError} USAGE when the text is neither
 */
export function findRevisionPath(text: string): RevisionPath | undefined {
  const { base, rest } = splitBase(text);
  const colon = rest.indexOf(':');
  const steps = parseSteps(colon === -1 ? rest : rest.slice(0, colon), text);
  if (colon === -1) return undefined;
  const revision = { text: text.slice(0, text.length - rest.length + colon), base, steps };
  return { revision, path: parsePath(rest.slice(colon + 1), text) };
}

/** Says whether a text can be the name of a tag or branch (git check-ref-format, and not a word that means something else). */
export function isRevisionName(text: string): boolean {
  return text !== '' && !BAD_NAME.test(text) && text !== 'HEAD' && text !== 'latest';
}

/** Splits a text where its steps or its path begin. A time in braces may hold `:` and `~` of its own. */
function splitBase(text: string): { base: RevisionBase; rest: string } {
  if (text === '') throw new MoltError('USAGE', 'the revision is empty', { hint: 'molt log shows the commits' });
  if (text.length > MAX_LENGTH) throw revisionError(`${text.slice(0, 40)}…`, 'it is too long');
  const at = /^([^~^:]*?)@\{([^}]*)\}/.exec(text);
  if (at !== null) {
    const [whole, name = '', time = ''] = at;
    if (time.trim() === '') throw revisionError(text, 'the time in its braces is empty');
    if (name !== '' && BAD_NAME.test(name)) throw revisionError(text, `'${name}' can't be a name`);
    return {
      base: { kind: 'at', ...(name === '' ? {} : { name }), time: time.trim() },
      rest: text.slice(whole.length),
    };
  }
  const end = text.search(/[~^:]/);
  const word = end === -1 ? text : text.slice(0, end);
  return { base: parseWord(word, text), rest: end === -1 ? '' : text.slice(end) };
}

function parseWord(word: string, text: string): RevisionBase {
  if (word === 'HEAD' || word === '@') return { kind: 'head' };
  if (word === 'latest') return { kind: 'latest' };
  if (word === '') throw revisionError(text, 'nothing stands before its first step or path');
  if (word.includes('@{')) throw revisionError(text, 'its brace is not closed');
  if (word.includes('..'))
    throw revisionError(text, 'a range is not understood; name two revisions, as in molt diff A B');
  if (BAD_NAME.test(word)) throw revisionError(text, `'${word}' can't be a name`);
  return { kind: 'name', name: word, ...(ID_PREFIX.test(word) ? { idPrefix: word.toLowerCase() } : {}) };
}

function parseSteps(rest: string, text: string): RevisionStep[] {
  if (!STEPS.test(rest)) throw revisionError(text, `'${rest}' is not understood; steps are written ~2 or ^`);
  return [...rest.matchAll(STEP)].map(([, sign, digits = '']) => {
    const n = digits === '' ? 1 : Number(digits);
    if (n > MAX_STEPS) throw revisionError(text, `${digits} steps are more than any history has`);
    return { kind: sign === '~' ? 'ancestor' : 'parent', n };
  });
}

function parsePath(path: string, text: string): string {
  if (path.includes('\0')) throw revisionError(text, 'its path holds a NUL');
  if (path.startsWith('/'))
    throw revisionError(text, 'its path begins with a slash; paths count from the top of the tree');
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw revisionError(text, "its path leaves the tree by '..'");
  return parts.join('/');
}

function revisionError(text: string, why: string): MoltError {
  return new MoltError('USAGE', `'${text}' is not a revision: ${why}`, {
    hint: 'write a commit id, a tag, a branch, HEAD~3, latest or AGENT@{yesterday}',
    details: { revision: text },
  });
}
