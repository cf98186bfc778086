// Commits, tags and merge bases through isomorphic-git, over the repository as its .git folder.

import git, { type CommitObject, type TagObject } from 'isomorphic-git';
import { MoltError } from '../model/error.ts';
import type { CommitId, GitId, TagId, TreeId } from '../model/ids.ts';
import { createGitFs, GIT_DIR } from './git-fs.ts';
import type { Repository } from './repository.ts';
import type { Transaction } from './transaction.ts';

/** A commit as Git has it. */
export interface Commit {
  readonly id: CommitId;
  readonly tree: TreeId;
  readonly parents: readonly CommitId[];
  /** Name and address of who made it. */
  readonly author: { readonly name: string; readonly email: string };
  /** Seconds since the Unix epoch. */
  readonly timestampS: number;
  readonly message: string;
}

/** An annotated tag as Git has it. */
export interface Tag {
  readonly id: TagId;
  readonly name: string;
  readonly commit: CommitId;
  readonly timestampS: number;
  readonly message: string;
}

/** Who signs a commit or tag, and when. */
export interface Signature {
  readonly name: string;
  readonly email: string;
  readonly timestampS: number;
}

/** Writes a commit object. */
export async function writeCommit(
  transaction: Transaction,
  repository: Repository,
  commit: { tree: TreeId; parents: readonly CommitId[]; signature: Signature; message: string },
): Promise<CommitId> {
  const person = gitPerson(commit.signature);
  const object: CommitObject = {
    tree: commit.tree,
    parent: [...commit.parents],
    author: person,
    committer: person,
    message: commit.message,
  };
  const fs = createGitFs(repository, transaction);
  return (await git.writeCommit({ fs, gitdir: GIT_DIR, commit: object })) as CommitId;
}

/** Writes an annotated tag object. */
export async function writeTag(
  transaction: Transaction,
  repository: Repository,
  tag: { name: string; commit: CommitId; signature: Signature; message: string },
): Promise<TagId> {
  const object: TagObject = {
    object: tag.commit,
    type: 'commit',
    tag: tag.name,
    tagger: gitPerson(tag.signature),
    message: tag.message,
  };
  const fs = createGitFs(repository, transaction);
  return (await git.writeTag({ fs, gitdir: GIT_DIR, tag: object })) as TagId;
}

/**
 * Reads a commit.
 * @throws {MoltError} DAMAGED when it is missing or no commit
 */
export async function readCommit(repository: Repository, id: CommitId): Promise<Commit> {
  const { commit } = await orDamaged(`commit ${id}`, git.readCommit({ fs: createGitFs(repository, undefined), gitdir: GIT_DIR, oid: id }));
  return {
    id,
    tree: commit.tree as TreeId,
    parents: commit.parent as CommitId[],
    author: { name: commit.author.name, email: commit.author.email },
    timestampS: commit.author.timestamp,
    message: commit.message,
  };
}

/**
 * Reads an annotated tag.
 * @throws {MoltError} DAMAGED when it is missing or no tag
 */
export async function readTag(repository: Repository, id: TagId): Promise<Tag> {
  const { tag } = await orDamaged(`tag ${id}`, git.readTag({ fs: createGitFs(repository, undefined), gitdir: GIT_DIR, oid: id }));
  return {
    id,
    name: tag.tag,
    commit: tag.object as CommitId,
    timestampS: tag.tagger?.timestamp ?? 0,
    message: tag.message,
  };
}

/** Finds the best common ancestors of two commits. */
export async function findMergeBases(repository: Repository, a: CommitId, b: CommitId): Promise<CommitId[]> {
  const fs = createGitFs(repository, undefined);
  return (await git.findMergeBase({ fs, gitdir: GIT_DIR, oids: [a, b] })) as CommitId[];
}

function gitPerson({ name, email, timestampS }: Signature): { name: string; email: string; timestamp: number; timezoneOffset: number } {
  return { name, email, timestamp: timestampS, timezoneOffset: 0 };
}

async function orDamaged<T>(what: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    if (cause instanceof MoltError) throw cause;
    throw new MoltError('DAMAGED', `${what} can't be read`, { cause, hint: 'run molt verify' });
  }
}

/** A Git id that may name a tag or a commit, peeled to the commit. */
export async function peelToCommit(repository: Repository, id: GitId): Promise<CommitId> {
  const found = await repository.objects.findGit(id);
  if (found?.type === 'tag') return (await readTag(repository, id)).commit;
  if (found?.type === 'commit') return id;
  throw new MoltError('DAMAGED', `${id} is missing`, { hint: 'run molt verify' });
}
