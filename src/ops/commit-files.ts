// The files of a commit, read back: tree and attributes joined into entries by path.

import { ATTRIBUTES_MAX_BYTES, parseAttributes } from '../format/attributes.ts';
import type { EntryAttributes, RestoreEntry } from '../model/entry.ts';
import { MoltError } from '../model/error.ts';
import { shortId, type BlobId, type CommitId, type TreeId } from '../model/ids.ts';
import { formatTime } from '../model/time-format.ts';
import { readCommit, type Commit } from '../repo/git.ts';
import type { Repository } from '../repo/repository.ts';
import { unlessDamaged } from '../repo/storage-failure.ts';
import { parseTree, TREE_MODES, type TreeEntry } from '../repo/trees.ts';

/** Caps on the two descriptive files of a commit, against bombs. */
const DESCRIPTION_MAX_BYTES = 16 << 20;

/** The names at the top of a commit tree that describe the agent; all else is the agent itself. */
export const AGENT_FILE = 'agent.json';
export const POD_FILE = 'pod.json';
export const ATTRIBUTES_FILE = 'attributes';

/** A commit with its root tree. */
export interface CommitView {
  readonly commit: Commit;
  /** The root tree's entries by name. */
  readonly top: ReadonlyMap<string, TreeEntry>;
}

/** A file of a commit. */
export interface CommitFile {
  /** Escaped path in the commit tree. */
  readonly path: string;
  readonly blob: BlobId;
  readonly mode: TreeEntry['mode'];
}

/** Reads a commit and its root tree. @throws {MoltError} EXPIRED when its content was pruned, DAMAGED */
export async function readCommitView(repository: Repository, id: CommitId): Promise<CommitView> {
  const commit = await readCommit(repository, id);
  if (await repository.isExpired(id)) throw expired(commit);
  const tree = parseTree(await repository.objects.readGit(commit.tree, 'tree'), commit.tree);
  return { commit, top: new Map(tree.map((entry) => [entry.name, entry])) };
}

function expired({ id, timestampS }: Commit): MoltError {
  return new MoltError(
    'EXPIRED',
    `commit ${shortId(id)} of ${formatTime(timestampS * 1000)} has expired: its content was pruned`,
    {
      hint: 'molt backup list shows what can be brought back; a remote may keep it longer: molt restore --from URL',
      details: { commit: id },
    },
  );
}

/** The commit that the next one follows, read only when it is needed. */
export class HeadCommit {
  readonly id: CommitId | undefined;
  readonly #repository: Repository;
  #view: Promise<CommitView | undefined> | undefined;

  constructor(repository: Repository, id: CommitId | undefined) {
    this.#repository = repository;
    this.id = id;
  }

  /** Returns the commit with its root tree, or undefined if there is none that can be read: a lost commit must not keep the next from being made. */
  async view(): Promise<CommitView | undefined> {
    if (this.id === undefined) return undefined;
    this.#view ??= unlessDamaged(readCommitView(this.#repository, this.id));
    return this.#view;
  }
}

/** Finds the trees of a commit by path, each folder read once. */
export class TreeFinder {
  readonly #repository: Repository;
  readonly #view: CommitView | undefined;
  readonly #folders = new Map<string, Promise<ReadonlyMap<string, TreeEntry> | undefined>>();

  constructor(repository: Repository, view: CommitView | undefined) {
    this.#repository = repository;
    this.#view = view;
  }

  /** Returns the id of the tree at a path (empty: the root), or undefined. */
  async find(path: string): Promise<TreeId | undefined> {
    if (path === '') return this.#view?.commit.tree;
    const entry = await this.findEntry(path);
    return entry?.mode === TREE_MODES.tree ? entry.id : undefined;
  }

  /** Returns the entry at a path, or undefined. */
  async findEntry(path: string): Promise<TreeEntry | undefined> {
    const slash = path.lastIndexOf('/');
    const folder = await this.#folder(path.slice(0, Math.max(slash, 0)));
    return folder?.get(path.slice(slash + 1));
  }

  #folder(path: string): Promise<ReadonlyMap<string, TreeEntry> | undefined> {
    const known = this.#folders.get(path) ?? this.#readFolder(path);
    this.#folders.set(path, known);
    return known;
  }

  async #readFolder(path: string): Promise<ReadonlyMap<string, TreeEntry> | undefined> {
    if (path === '') return this.#view?.top;
    const id = await this.find(path);
    if (id === undefined) return undefined;
    const entries = parseTree(await this.#repository.objects.readGit(id, 'tree'), id);
    return new Map(entries.map((entry) => [entry.name, entry]));
  }
}

/** Reads the attributes of a commit, by path. */
export async function readAttributes(repository: Repository, view: CommitView): Promise<Map<string, EntryAttributes>> {
  const bytes = await readTopFile(repository, view, ATTRIBUTES_FILE, ATTRIBUTES_MAX_BYTES);
  return new Map(parseAttributes(bytes).map((entry) => [entry.path, entry]));
}

/** Reads agent.json or pod.json of a commit. @throws {MoltError} DAMAGED */
export async function readDescription(
  repository: Repository,
  view: CommitView,
  name: typeof AGENT_FILE | typeof POD_FILE,
): Promise<Record<string, unknown>> {
  const bytes = await readTopFile(repository, view, name, DESCRIPTION_MAX_BYTES);
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch (cause) {
    throw new MoltError('DAMAGED', `${name} of commit ${view.commit.id} is not JSON`, { cause });
  }
  throw new MoltError('DAMAGED', `${name} of commit ${view.commit.id} is not an object`);
}

/** Reads which folders a commit was captured from, by where they stand in it; none for no commit. */
export async function readRoots(
  repository: Repository,
  view: CommitView | undefined,
): Promise<{ key: string; dir: string }[]> {
  if (view === undefined) return [];
  const { roots } = await readDescription(repository, view, AGENT_FILE);
  if (!Array.isArray(roots)) return [];
  return roots.filter(
    (root): root is { key: string; dir: string } => typeof root?.key === 'string' && typeof root?.dir === 'string',
  );
}

/** Lists the files below a tree, depth first in the tree's order. */
export async function* listFiles(repository: Repository, tree: TreeId, prefix: string): AsyncIterable<CommitFile> {
  for (const entry of parseTree(await repository.objects.readGit(tree, 'tree'), tree)) {
    const path = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
    if (entry.mode === TREE_MODES.tree) yield* listFiles(repository, entry.id, path);
    else yield { path, blob: entry.id, mode: entry.mode };
  }
}

/** Lists the agent's files in a commit: below `state` and `roots`. */
export async function* listAgentFiles(repository: Repository, view: CommitView): AsyncIterable<CommitFile> {
  for (const name of ['roots', 'state']) {
    const entry = view.top.get(name);
    if (entry !== undefined) yield* listFiles(repository, entry.id, name);
  }
}

/**
 * Returns everything that a restore of the commit writes, parents before what is in them.
 * @param known sizes of blobs that need not be looked up
 * @throws {MoltError} DAMAGED when tree and attributes don't agree
 */
export async function readRestoreEntries(
  repository: Repository,
  view: CommitView,
  known: ReadonlyMap<BlobId, number> = new Map(),
): Promise<RestoreEntry[]> {
  const attributes = await readAttributes(repository, view);
  const files = new Map<string, CommitFile>();
  for await (const file of listAgentFiles(repository, view)) files.set(file.path, file);
  const entries: RestoreEntry[] = [];
  for (const entry of attributes.values()) {
    if (entry.type === 'directory') {
      entries.push({ ...entry, blob: undefined, sizeBytes: 0 });
      continue;
    }
    const file = files.get(entry.path);
    if (file === undefined || (file.mode === TREE_MODES.symlink) !== (entry.type === 'symlink')) {
      throw new MoltError('DAMAGED', `${entry.path} has attributes but no file in commit ${view.commit.id}`);
    }
    files.delete(entry.path);
    const sizeBytes =
      known.get(file.blob) ??
      // oxlint-disable-next-line no-await-in-loop -- records of neighbouring files share a block
      (await repository.objects.readBlobRecord(file.blob)).sizeBytes;
    entries.push({ ...entry, blob: file.blob, sizeBytes });
  }
  const [orphan] = files.keys();
  if (orphan !== undefined) throw new MoltError('DAMAGED', `${orphan} has no attributes in commit ${view.commit.id}`);
  return entries;
}

async function readTopFile(repository: Repository, view: CommitView, name: string, maxBytes: number): Promise<Buffer> {
  const entry = view.top.get(name);
  if (entry === undefined) throw new MoltError('DAMAGED', `commit ${view.commit.id} has no ${name}`);
  return repository.objects.readBlobWhole(entry.id, maxBytes);
}
