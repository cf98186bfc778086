// Opens what a revision, with or without a path, stands for: a commit, a folder of one, or a file.

import type { Component } from '../model/component.ts';
import { MoltError } from '../model/error.ts';
import type { BlobId, CommitId } from '../model/ids.ts';
import { findRevisionPath } from '../policy/revision.ts';
import { parseTree, TREE_MODES, type TreeMode } from '../repo/trees.ts';
import { readAttributes, readCommitView, type CommitView } from './commit-files.ts';
import { findPath } from './commit-path.ts';
import type { OpsContext } from './context.ts';
import { readComponents } from './diff.ts';
import { readHistoryCommit } from './ancestry.ts';
import { readTagsByCommit, summarize, type CommitSummary } from './history.ts';
import type { OpenAgent } from './open.ts';
import { openForWords } from './open-words.ts';
import { joinSimilar } from './renames.ts';
import { getHead, resolveParsed, resolveRevision } from './revision.ts';
import { commitSide } from './side.ts';
import type { ChangedPath } from './status.ts';
import { listChanges } from './tree-diff.ts';

/** A commit with what it changed. */
export interface ShownCommit extends CommitSummary {
  readonly type: 'commit';
  /** The agent that made it. */
  readonly agent: string;
  /** Against its first parent; all its files where it has none, or none that has its content. Undefined where its own content was pruned. */
  readonly changed: readonly ChangedPath[] | undefined;
}

/** One entry of a folder. */
export interface ShownEntry {
  /** Escaped. */
  readonly name: string;
  readonly type: 'folder' | 'file' | 'symlink';
  readonly executable: boolean;
  /** Of a file; undefined for a folder. */
  readonly sizeBytes: number | undefined;
  /** When it was last modified, ISO 8601; undefined where the commit does not say. */
  readonly modified: string | undefined;
  readonly component: Component | undefined;
}

/** A folder of a commit. */
export interface ShownFolder {
  readonly type: 'folder';
  readonly commit: CommitId;
  /** Escaped; empty for the whole tree. */
  readonly path: string;
  readonly entries: readonly ShownEntry[];
}

/** A file of a commit, or the target of a symlink. */
export interface ShownFile {
  readonly type: 'file' | 'symlink';
  readonly commit: CommitId;
  readonly path: string;
  readonly blob: BlobId;
  readonly sizeBytes: number;
  /** Reads the content, checked, in order. */
  read(): AsyncIterable<Buffer>;
}

/** What is shown; the repository stays open until it is disposed of. */
export interface Shown extends AsyncDisposable {
  readonly shown: ShownCommit | ShownFolder | ShownFile;
}

/**
 * Opens what words stand for: an agent, `REV` or `REV:PATH`, or an agent and one of these.
 * @throws {MoltError} USAGE, NOT_FOUND or AMBIGUOUS
 */
export async function openShown(
  context: OpsContext,
  label: string | undefined,
  words: readonly string[],
): Promise<Shown> {
  const opened = await openForWords(context, label, words);
  try {
    if (opened.words.length > 1)
      throw new MoltError('USAGE', `one revision is shown at a time, not ${opened.words.length}`, {
        hint: 'molt show REV:PATH shows a file',
      });
    const shown = await show(context, opened.open, opened.words[0]);
    return { shown, [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose]() };
  } catch (error) {
    await opened[Symbol.asyncDispose]();
    throw error;
  }
}

async function show(context: OpsContext, open: OpenAgent, word: string | undefined): Promise<Shown['shown']> {
  const withPath = word === undefined ? undefined : findRevisionPath(word);
  if (withPath === undefined) {
    return showCommit(open, word === undefined ? getHead(open) : await resolveRevision(context, open, word));
  }
  const commit = await resolveParsed(context, open, withPath.revision);
  const view = await readCommitView(open.repository, commit);
  const { path, entry } = await findPath(context, open, view, withPath.path);
  if (entry.mode === TREE_MODES.tree)
    return { type: 'folder', commit, path, entries: await listFolder(open, view, path, entry.id) };
  const { objects } = open.repository;
  const { sizeBytes } = await objects.readBlobRecord(entry.id);
  const type = entry.mode === TREE_MODES.symlink ? 'symlink' : 'file';
  return { type, commit, path, blob: entry.id, sizeBytes, read: () => objects.readBlob(entry.id) };
}

async function showCommit({ repository }: OpenAgent, id: CommitId): Promise<ShownCommit> {
  const entry = await readHistoryCommit(repository, id);
  const summary = { ...summarize(entry, await readTagsByCommit(repository)), agent: entry.commit.author.name };
  // All that is left of it is what it said.
  if (entry.isExpired) return { type: 'commit', ...summary, changed: undefined };
  const [first] = entry.commit.parents;
  const parent = first === undefined || (await repository.isExpired(first)) ? undefined : first;
  const after = await commitSide(repository, id);
  const before = parent === undefined ? undefined : await commitSide(repository, parent);
  const listed = await listChanges(before, after);
  const changes = before === undefined ? listed : await joinSimilar(listed, { before, after });
  const componentOf = await readComponents(before ?? after, after);
  const changed = changes.map(({ path, change, from }) => ({
    path,
    component: componentOf(path),
    change,
    ...(from !== undefined && { from }),
  }));
  return { type: 'commit', ...summary, changed };
}

async function listFolder(
  { repository }: OpenAgent,
  view: CommitView,
  path: string,
  id: BlobId,
): Promise<ShownEntry[]> {
  const attributes = await readAttributes(repository, view);
  const { objects } = repository;
  const entries: ShownEntry[] = [];
  for (const entry of parseTree(await objects.readGit(id, 'tree'), id)) {
    const known = attributes.get(path === '' ? entry.name : `${path}/${entry.name}`);
    // oxlint-disable-next-line no-await-in-loop -- records of neighbouring files share a block
    const sizeBytes = entry.mode === TREE_MODES.tree ? undefined : (await objects.readBlobRecord(entry.id)).sizeBytes;
    entries.push({
      name: entry.name,
      type: typeOf(entry.mode),
      executable: entry.mode === TREE_MODES.executable,
      sizeBytes,
      modified: known === undefined ? undefined : new Date(Number(known.mtimeNs / 1_000_000n)).toISOString(),
      component: known?.component,
    });
  }
  return entries;
}

function typeOf(mode: TreeMode): ShownEntry['type'] {
  if (mode === TREE_MODES.tree) return 'folder';
  return mode === TREE_MODES.symlink ? 'symlink' : 'file';
}
