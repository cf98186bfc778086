// What a shell may complete a word to: the names in an agent's repository, and the files of its commits. Nothing is ever asked for:
// a repository that this machine's key does not open has no names here.

import { displayPath } from '../model/name.ts';
import type { OpsContext } from './context.ts';
import { openAgent } from './open.ts';
import { listRefNames, orderTags } from './ref-name.ts';
import { openShown } from './show.ts';

/** The names of a repository. */
export interface RefNames {
  readonly branches: readonly string[];
  /** Those that people gave first, then those that backups got by themselves, newest first. */
  readonly tags: readonly string[];
}

/** Lists the branches and tags of an agent's repository. */
export async function listNames(context: OpsContext, label: string | undefined): Promise<RefNames> {
  await using open = await openAgent(context, label);
  return { branches: listRefNames(open.repository, 'branch'), tags: orderTags(listRefNames(open.repository, 'tag')) };
}

/** Lists what a folder of a commit holds, as a user writes it; the names of folders end in a slash. */
export async function listFolderNames(
  context: OpsContext,
  label: string | undefined,
  revision: string,
  folder: string,
): Promise<string[]> {
  // Paths count from the state folder.
  const place = folder === '' ? 'state' : folder;
  await using opened = await openShown(context, label, [`${revision}:${place}`]);
  const { shown } = opened;
  if (shown.type !== 'folder') return [];
  return shown.entries.map(({ name, type }) => `${displayPath(name)}${type === 'folder' ? '/' : ''}`);
}
