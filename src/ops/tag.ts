// Tags: names for moments. Each is an annotated tag of Git's, made and removed by one event of the log.

import type { CommitKind, RefMove } from '../format/segment.ts';
import { MoltError } from '../model/error.ts';
import type { CommitId } from '../model/ids.ts';
import { formatJsonTime } from '../model/time-format.ts';
import { isRevisionName } from '../policy/revision.ts';
import { peelToCommit, writeTag } from '../repo/git.ts';
import type { OpsContext } from './context.ts';
import { readHistoryCommit } from './ancestry.ts';
import { openAgent } from './open.ts';
import { resolveRevision } from './revision.ts';

/** A tag and the commit that it names. */
export interface TagSummary {
  readonly name: string;
  readonly commit: CommitId;
  /** When the commit was captured. */
  readonly time: string;
  readonly kind: CommitKind;
  readonly message: string;
}

/**
 * Checks the name of a tag or branch.
 * @throws {MoltError} USAGE
 */
function checkTagName(name: string): void {
  if (isRevisionName(name) && !/^(refs|heads|tags)\//.test(name)) return;
  throw new MoltError('USAGE', `"${name}" can't be a tag's name`, {
    hint: 'use letters, digits, dots, dashes and slashes, as in before-upgrade',
  });
}

/**
 * Checks the name of a tag that is to be made. A bare word is looked up as an agent first, so a tag can't be called like one.
 * @throws {MoltError} USAGE
 */
export async function checkNewTagName(context: OpsContext, name: string): Promise<void> {
  checkTagName(name);
  if ((await context.home.findAgent(name)) === undefined) return;
  throw new MoltError('USAGE', `"${name}" can't be a tag's name: it is that of an agent`, {
    hint: 'choose another name',
  });
}

/** Lists the tags of an agent's repository, by the time of their commits, newest first. */
export async function listTags(context: OpsContext, label: string | undefined): Promise<TagSummary[]> {
  await using open = await openAgent(context, label);
  const { repository } = open;
  const tags: TagSummary[] = [];
  for (const [ref, id] of repository.refs) {
    if (!ref.startsWith('refs/tags/')) continue;
    // oxlint-disable-next-line no-await-in-loop -- neighbouring commits share blocks
    const { commit, text } = await readHistoryCommit(repository, await peelToCommit(repository, id));
    tags.push({
      name: ref.slice('refs/tags/'.length),
      commit: commit.id,
      time: formatJsonTime(text.timeMs),
      kind: text.kind,
      message: text.message,
    });
  }
  return tags.toSorted((a, b) => (a.time === b.time ? (a.name < b.name ? -1 : 1) : a.time < b.time ? 1 : -1));
}

/**
 * Names a commit.
 * @throws {MoltError} EXISTS when the name is taken, USAGE when it can't be one, and what looking up the revision throws
 */
export async function createTag(
  context: OpsContext,
  label: string | undefined,
  tag: { readonly name: string; readonly revision: string; readonly message?: string | undefined },
): Promise<TagSummary> {
  await checkNewTagName(context, tag.name);
  await using open = await openAgent(context, label);
  const { agent, repository } = open;
  const { name } = tag;
  const commit = await resolveRevision(context, open, tag.revision);
  const { text } = await readHistoryCommit(repository, commit);
  const signature = { name: agent.label, email: 'agent@molt', timestampS: Math.floor(context.clock.now() / 1000) };
  await repository.transact({ packs: false }, async (transaction) => {
    const id = await writeTag(transaction, {
      name,
      commit,
      signature,
      message: `${tag.message ?? name}\n`,
    });
    await moveTag(
      () => transaction.publish([{ name: `refs/tags/${name}`, from: undefined, to: id, commit }], []),
      name,
    );
  });
  return { name, commit, time: formatJsonTime(text.timeMs), kind: text.kind, message: text.message };
}

/**
 * Removes a tag; what it names stays.
 * @throws {MoltError} NOT_FOUND
 */
export async function removeTag(
  context: OpsContext,
  label: string | undefined,
  name: string,
): Promise<{ name: string; commit: CommitId }> {
  await using open = await openAgent(context, label);
  const { repository } = open;
  const id = repository.refs.get(`refs/tags/${name}`);
  if (id === undefined) throw new MoltError('NOT_FOUND', `there is no tag "${name}"`, { hint: 'molt tag lists them' });
  const commit = await peelToCommit(repository, id);
  const move: RefMove = { name: `refs/tags/${name}`, from: id, to: undefined };
  await repository.transact({ packs: false }, async (transaction) => transaction.publish([move], []));
  return { name, commit };
}

async function moveTag(publish: () => Promise<unknown>, name: string): Promise<void> {
  try {
    await publish();
  } catch (error) {
    if (!(error instanceof MoltError) || error.code !== 'CONFLICT') throw error;
    throw new MoltError('EXISTS', `there is a tag "${name}" already`, {
      hint: `choose another name, or remove it: molt tag -d ${name}`,
      cause: error,
    });
  }
}
