// The names of tags and branches that are to be made: what a revision could spell, what no other thing is called, and what Git could
// keep beside the names that are there.

import { MoltError } from '../model/error.ts';
import { isRevisionName } from '../policy/revision.ts';
import type { Repository } from '../repo/repository.ts';
import type { OpsContext } from './context.ts';

/** What a ref is. */
export type RefKind = 'branch' | 'tag';

const FOLDERS = { branch: 'refs/heads/', tag: 'refs/tags/' } as const;

/** Returns the whole name of a branch or tag. */
export function refName(kind: RefKind, name: string): string {
  return `${FOLDERS[kind]}${name}`;
}

/** Lists the names of all branches or tags, sorted. */
export function listRefNames({ refs }: Pick<Repository, 'refs'>, kind: RefKind): string[] {
  const folder = FOLDERS[kind];
  const names = [...refs.keys()].filter((ref) => ref.startsWith(folder)).map((ref) => ref.slice(folder.length));
  return names.toSorted();
}

/** Puts the names that people gave to moments before those of the newest backups. */
export function orderTags(tags: readonly string[]): string[] {
  const isAutomatic = (tag: string): boolean => /^(full|manual)\//.test(tag);
  return [...tags.filter((tag) => !isAutomatic(tag)), ...tags.filter(isAutomatic).toReversed()];
}

/**
 * Checks the name of a tag or branch that is to be made. A bare word is looked up as an agent first, so neither can be called like one.
 * @throws {MoltError} USAGE
 */
export async function checkNewRefName(context: OpsContext, kind: RefKind, name: string): Promise<void> {
  if (!isRevisionName(name) || /^(refs|heads|tags)\//.test(name)) {
    throw new MoltError('USAGE', `"${name}" can't be a ${kind}'s name`, {
      hint: 'use letters, digits, dots, dashes and slashes, as in before-upgrade',
    });
  }
  if ((await context.home.findAgent(name)) === undefined) return;
  throw new MoltError('USAGE', `"${name}" can't be a ${kind}'s name: it is that of an agent`, {
    hint: 'choose another name',
  });
}

/**
 * Checks that a name is free, and that Git could keep it: `a` and `a/b` can't both be there, since Git's refs are files in folders.
 * @throws {MoltError} EXISTS
 */
export function checkRefIsFree(repository: Pick<Repository, 'refs'>, kind: RefKind, name: string): void {
  const names = listRefNames(repository, kind);
  if (names.includes(name)) throw refExists(kind, name);
  const other = names.find((one) => one.startsWith(`${name}/`) || name.startsWith(`${one}/`));
  if (other === undefined) return;
  throw new MoltError('EXISTS', `there can't be a ${kind} "${name}" beside the ${kind} "${other}"`, {
    hint: 'choose another name: one may not be a folder of the other',
  });
}

/** Returns the error for a name that is taken. */
export function refExists(kind: RefKind, name: string, cause?: unknown): MoltError {
  return new MoltError('EXISTS', `there is a ${kind} "${name}" already`, {
    hint: `choose another name, or remove it: molt ${kind} -d ${name}`,
    cause,
  });
}
