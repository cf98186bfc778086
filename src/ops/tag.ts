// Tags: names for moments. Each is an annotated tag of Git's, made and removed by one event of the log.

import type { CommitKind, RefMove } from '../format/segment.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { CommitId, GitId } from '../model/ids.ts';
import { findNearest } from '../model/nearest.ts';
import { formatJsonTime } from '../model/time-format.ts';
import { peelToCommit, readTag, writeTag } from '../repo/git.ts';
import type { Repository } from '../repo/repository.ts';
import type { OpsContext } from './context.ts';
import { readHistoryCommit } from './ancestry.ts';
import { openAgent } from './open.ts';
import { checkNewRefName, checkRefIsFree, listRefNames, refExists, refName } from './ref-name.ts';
import { resolveRevision } from './revision.ts';

/** A tag and the commit that it names. */
export interface TagSummary {
  readonly name: string;
  readonly commit: CommitId;
  /** When the commit was captured. */
  readonly time: string;
  readonly kind: CommitKind;
  /** The commit's. */
  readonly message: string;
  /** What was said of the tag itself; empty if nothing was. */
  readonly annotation: string;
}

/** Lists the tags of an agent's repository, by the time of their commits, newest first. */
export async function listTags(context: OpsContext, label: string | undefined): Promise<TagSummary[]> {
  await using open = await openAgent(context, label);
  const { repository } = open;
  const tags: TagSummary[] = [];
  for (const name of listRefNames(repository, 'tag')) {
    const id = repository.refs.get(refName('tag', name));
    // oxlint-disable-next-line no-await-in-loop -- neighbouring commits share blocks
    if (id !== undefined) tags.push(await summarizeTag(repository, name, id));
  }
  return tags.toSorted((a, b) => (a.time === b.time ? (a.name < b.name ? -1 : 1) : a.time < b.time ? 1 : -1));
}

async function summarizeTag(repository: Repository, name: string, id: GitId): Promise<TagSummary> {
  const found = await repository.objects.findGit(id);
  const tag = found?.type === 'tag' ? await readTag(repository, id) : undefined;
  const { commit, text } = await readHistoryCommit(repository, tag?.commit ?? (await peelToCommit(repository, id)));
  const said = tag?.message.trim() ?? '';
  return {
    name,
    commit: commit.id,
    time: formatJsonTime(text.timeMs),
    kind: text.kind,
    message: text.message,
    // A tag that nothing was said of carries its name, or that of a backup what the commit says.
    annotation: [name, text.message, `${text.kind} backup`].includes(said) ? '' : said,
  };
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
  await checkNewRefName(context, 'tag', tag.name);
  await using open = await openAgent(context, label);
  const { agent, repository } = open;
  const { name } = tag;
  checkRefIsFree(repository, 'tag', name);
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
  const { timeMs, kind, message } = text;
  return { name, commit, time: formatJsonTime(timeMs), kind, message, annotation: tag.message ?? '' };
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
  const id = repository.refs.get(refName('tag', name));
  if (id === undefined) {
    const nearest = findNearest(name, listRefNames(repository, 'tag'));
    throw new MoltError('NOT_FOUND', `there is no tag "${name}"`, {
      hint: nearest === undefined ? 'molt tag lists them' : `did you mean ${nearest}`,
    });
  }
  const commit = await peelToCommit(repository, id);
  const move: RefMove = { name: `refs/tags/${name}`, from: id, to: undefined };
  await repository.transact({ packs: false }, async (transaction) => transaction.publish([move], []));
  return { name, commit };
}

async function moveTag(publish: () => Promise<unknown>, name: string): Promise<void> {
  try {
    await publish();
  } catch (error) {
    if (isMoltError(error, 'CONFLICT')) throw refExists('tag', name, error);
    throw error;
  }
}
