// Commits, tags and merge bases. isomorphic-git finds merge bases, over the repository as its .git folder, and is loaded only then:
// a log reads thousands of commits, and loading it to write one takes a tenth of a tick.

import { MoltError } from '../model/error.ts';
import { isGitId, type CommitId, type GitId, type TagId, type TreeId, type SegmentSeq } from '../model/ids.ts';
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

/** Writes a commit object. Its message loses carriage returns and empty lines around it, as with git. */
export async function writeCommit(
  transaction: Transaction,
  commit: { tree: TreeId; parents: readonly CommitId[]; signature: Signature; message: string },
): Promise<CommitId> {
  const person = formatPerson(commit.signature);
  const headers = [
    `tree ${commit.tree}`,
    ...commit.parents.map((parent) => `parent ${parent}`),
    `author ${person}`,
    `committer ${person}`,
  ];
  return transaction.writeGit('commit', encodeObject(headers, commit.message));
}

/** Writes an annotated tag object, its message treated as a commit's. */
export async function writeTag(
  transaction: Transaction,
  tag: { name: string; commit: CommitId; signature: Signature; message: string },
): Promise<TagId> {
  const headers = [`object ${tag.commit}`, 'type commit', `tag ${tag.name}`, `tagger ${formatPerson(tag.signature)}`];
  return transaction.writeGit('tag', encodeObject(headers, tag.message));
}

/**
 * Reads a commit.
 * @param seq the segment that brought it, if that is known
 * @throws {MoltError} DAMAGED when it is missing or no commit
 */
export async function readCommit(repository: Repository, id: CommitId, seq?: SegmentSeq): Promise<Commit> {
  const { headers, message } = parseHeaders(await repository.objects.readGit(id, 'commit', seq));
  const [tree] = headers.get('tree') ?? [];
  const person = parsePerson(headers.get('author')?.[0]);
  const parents = headers.get('parent') ?? [];
  if (tree === undefined || !isGitId(tree) || !parents.every(isGitId) || person === undefined)
    throw torn(`commit ${id}`);
  const { name, email, timestampS } = person;
  return { id, tree, parents, author: { name, email }, timestampS, message };
}

/**
 * Reads an annotated tag.
 * @throws {MoltError} DAMAGED when it is missing or no tag
 */
export async function readTag(repository: Repository, id: TagId): Promise<Tag> {
  const { headers, message } = parseHeaders(await repository.objects.readGit(id, 'tag'));
  const [commit] = headers.get('object') ?? [];
  const [name] = headers.get('tag') ?? [];
  if (commit === undefined || !isGitId(commit) || name === undefined) throw torn(`tag ${id}`);
  return { id, name, commit, timestampS: parsePerson(headers.get('tagger')?.[0])?.timestampS ?? 0, message };
}

/** Finds the best common ancestors of two commits. */
export async function findMergeBases(repository: Repository, a: CommitId, b: CommitId): Promise<CommitId[]> {
  const { findMergeBase } = await import('./isomorphic-git.ts');
  const fs = createGitFs(repository);
  return (await findMergeBase({ fs, gitdir: GIT_DIR, oids: [a, b] })) as CommitId[];
}

function encodeObject(headers: readonly string[], message: string): Buffer {
  const text = message.replaceAll('\r', '').replace(/^\n+/, '').replace(/\n+$/, '');
  return Buffer.from(`${headers.join('\n')}\n\n${text}\n`, 'utf8');
}

/** Returns `Name <address> seconds +0000`. What would end the name early is left out, as git does. */
function formatPerson({ name, email, timestampS }: Signature): string {
  return `${name.replaceAll(/[<>\n\0]/g, '')} <${email}> ${timestampS} +0000`;
}

/** A Git id that may name a tag or a commit, peeled to the commit. */
export async function peelToCommit(repository: Repository, id: GitId): Promise<CommitId> {
  const found = await repository.objects.findGit(id);
  if (found?.type === 'tag') return (await readTag(repository, id)).commit;
  if (found?.type === 'commit') return id;
  throw new MoltError('DAMAGED', `${id} is missing`, { hint: 'run molt verify' });
}

/** Splits a commit's or tag's content into its headers, in order by name, and its message. */
function parseHeaders(content: Buffer): { headers: ReadonlyMap<string, readonly string[]>; message: string } {
  const text = content.toString('utf8');
  const end = text.indexOf('\n\n');
  const headers = new Map<string, string[]>();
  for (const line of text.slice(0, end === -1 ? text.length : end).split('\n')) {
    // A signature's lines begin with a space.
    const space = line.indexOf(' ');
    if (space <= 0) continue;
    const name = line.slice(0, space);
    headers.set(name, [...(headers.get(name) ?? []), line.slice(space + 1)]);
  }
  return { headers, message: end === -1 ? '' : text.slice(end + 2) };
}

/** Reads `Name <address> seconds zone`. */
function parsePerson(text: string | undefined): Signature | undefined {
  const match = /^(.*?) ?<([^>]*)> (-?\d+) [+-]\d+$/.exec(text ?? '');
  return match === null ? undefined : { name: match[1] ?? '', email: match[2] ?? '', timestampS: Number(match[3]) };
}

function torn(what: string): MoltError {
  return new MoltError('DAMAGED', `${what} can't be read`, { hint: 'run molt verify' });
}
