// The rule for object names, the same on every storage: what one storage takes, every other takes too, and no name can lead out of
// the folder or prefix that it lives under.

import { MoltError } from '../model/error.ts';

/** The top-level folder that a directory storage keeps for its own scratch files; no object's name begins with it. */
export const SCRATCH_FOLDER = 'tmp';

/** The most characters that a name may have: what fits a file name on every file system, with room for a mark before it. */
export const MAX_NAME_LENGTH = 200;

const PART = /^[a-z0-9_-][a-z0-9._-]*$/;
const NAME = /^[a-z0-9_-][a-z0-9._-]*(?:\/[a-z0-9_-][a-z0-9._-]*)*$/;
const PREFIX = /^(?:[a-z0-9_-][a-z0-9._-]*\/)*(?:[a-z0-9_-][a-z0-9._-]*)?$/;

/** Says whether a text is one part of a name, as it stands between slashes. */
export function isNamePart(text: string): boolean {
  return PART.test(text);
}

/**
 * Accepts an object's name.
 * @throws {MoltError} HOSTILE for anything that `Storage` does not call a name
 */
export function checkName(name: string): void {
  const reserved = name === SCRATCH_FOLDER || name.startsWith(`${SCRATCH_FOLDER}/`);
  if (name.length > MAX_NAME_LENGTH || reserved || !NAME.test(name)) throw refusal('name', name);
}

/**
 * Accepts the beginning of a name, as `list` takes it: empty, or cut anywhere in a name.
 * @throws {MoltError} HOSTILE for what no name can begin with
 */
export function checkPrefix(prefix: string): void {
  if (prefix.length > MAX_NAME_LENGTH || !PREFIX.test(prefix)) throw refusal('prefix', prefix);
}

function refusal(what: string, text: string): MoltError {
  const shown = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  return new MoltError('HOSTILE', `${JSON.stringify(shown)} is not an object ${what}`, { details: { [what]: shown } });
}
