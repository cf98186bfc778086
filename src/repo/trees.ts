// Git trees, read and written here and not by isomorphic-git: it orders names by UTF-16, Git by bytes, so a tree with an emoji beside
// a full-width letter would fail fsck; and a restore reads thousands of trees.

import { MoltError } from '../model/error.ts';
import type { BlobId, GitId, TreeId } from '../model/ids.ts';

/** The modes that molt's trees use. */
export const TREE_MODES = { file: '100644', executable: '100755', symlink: '120000', tree: '40000' } as const;
export type TreeMode = (typeof TREE_MODES)[keyof typeof TREE_MODES];

/** An entry of a tree. */
export interface TreeEntry {
  readonly mode: TreeMode;
  /** Escaped name. */
  readonly name: string;
  readonly id: GitId;
}

const MODES = new Set<string>(Object.values(TREE_MODES));

/** Encodes a tree's content; entries may come in any order. */
export function encodeTree(entries: readonly TreeEntry[]): Buffer {
  const sorted = entries
    .map((entry) => ({
      entry,
      key: Buffer.from(entry.mode === TREE_MODES.tree ? `${entry.name}/` : entry.name, 'utf8'),
    }))
    .toSorted((a, b) => a.key.compare(b.key));
  return Buffer.concat(
    sorted.flatMap(({ entry }) => [Buffer.from(`${entry.mode} ${entry.name}\0`, 'utf8'), Buffer.from(entry.id, 'hex')]),
  );
}

/**
 * Parses a tree's content.
 * @throws {MoltError} DAMAGED when it is no tree, HOSTILE for a name that could escape its folder or a mode that molt never writes
 */
export function parseTree(content: Buffer, id: TreeId): TreeEntry[] {
  const entries: TreeEntry[] = [];
  const names = new Set<string>();
  let at = 0;
  while (at < content.length) {
    const space = content.indexOf(0x20, at);
    const end = content.indexOf(0, space);
    if (space < 0 || end < 0 || end + 21 > content.length) throw new MoltError('DAMAGED', `tree ${id} is torn`);
    const mode = content.toString('latin1', at, space);
    const name = content.toString('utf8', space + 1, end);
    if (!MODES.has(mode))
      throw new MoltError('HOSTILE', `tree ${id} has an entry of mode ${JSON.stringify(mode.slice(0, 20))}`);
    if (name === '' || name === '.' || name === '..' || name.includes('/') || names.has(name)) {
      throw new MoltError(
        'HOSTILE',
        `tree ${id} has the name ${JSON.stringify(name.slice(0, 255))}, which no molt writes`,
      );
    }
    // Two names that aren't text could read the same, and neither could be written back.
    if (name.includes('\ufffd') && !Buffer.from(name, 'utf8').equals(content.subarray(space + 1, end))) {
      throw new MoltError('HOSTILE', `tree ${id} has a name that is not UTF-8, which no molt writes`);
    }
    names.add(name);
    entries.push({ mode: mode as TreeMode, name, id: content.toString('hex', end + 1, end + 21) as GitId });
    at = end + 21;
  }
  return entries;
}

/** A file of a commit tree, by path. */
export interface TreeFile {
  readonly mode: TreeMode;
  readonly blob: BlobId;
}

/** A tree on its way to being written: files by name, folders by name. */
interface Folder {
  readonly files: Map<string, TreeFile>;
  readonly folders: Map<string, Folder>;
}

/** Writes trees for a flat list of files and returns the root's id. */
export async function writeTrees(
  files: Iterable<readonly [path: string, file: TreeFile]>,
  write: (content: Buffer, path: string) => Promise<TreeId>,
): Promise<TreeId> {
  const root: Folder = { files: new Map(), folders: new Map() };
  let parent = root;
  let parentPath = '';
  for (const [path, file] of files) {
    const slash = path.lastIndexOf('/');
    const folderPath = path.slice(0, Math.max(slash, 0));
    if (folderPath !== parentPath) {
      parent = folderAt(root, folderPath);
      parentPath = folderPath;
    }
    parent.files.set(path.slice(slash + 1), file);
  }
  return writeFolder(root, '', write);
}

function folderAt(root: Folder, path: string): Folder {
  let folder = root;
  for (const name of path === '' ? [] : path.split('/')) {
    const next = folder.folders.get(name) ?? { files: new Map(), folders: new Map() };
    folder.folders.set(name, next);
    folder = next;
  }
  return folder;
}

async function writeFolder(
  folder: Folder,
  path: string,
  write: (content: Buffer, path: string) => Promise<TreeId>,
): Promise<TreeId> {
  const entries: TreeEntry[] = [];
  for (const [name, file] of folder.files) entries.push({ mode: file.mode, name, id: file.blob });
  for (const [name, child] of folder.folders) {
    // oxlint-disable-next-line no-await-in-loop -- children before parents, one after the other
    const id = await writeFolder(child, path === '' ? name : `${path}/${name}`, write);
    entries.push({ mode: TREE_MODES.tree, name, id });
  }
  return write(encodeTree(entries), path);
}
