// What was captured, put into the order and the words of a commit.

import { COMPONENTS, type ComponentSize } from '../model/component.ts';
import type { EntryAttributes } from '../model/entry.ts';
import { TREE_MODES, type TreeFile } from '../repo/trees.ts';

/** Puts what was kept where Git's trees have it: by bytes, a folder before what is in it. */
export function inTreeOrder(attributes: readonly EntryAttributes[]): EntryAttributes[] {
  return attributes
    .map((entry) => ({ entry, key: Buffer.from(entry.type === 'directory' ? `${entry.path}/` : entry.path, 'utf8') }))
    .toSorted((a, b) => a.key.compare(b.key))
    .map(({ entry }) => entry);
}

/** Returns the mode of an entry in a Git tree. */
export function treeMode(attributes: EntryAttributes): TreeFile['mode'] {
  if (attributes.type === 'symlink') return TREE_MODES.symlink;
  return (attributes.mode & 0o100) === 0 ? TREE_MODES.file : TREE_MODES.executable;
}

/** Returns how much each component is. */
export function componentSizes(
  attributes: Iterable<EntryAttributes>,
  files: ReadonlyMap<string, { readonly sizeBytes: number }>,
): ComponentSize[] {
  const sizes = new Map(COMPONENTS.map((name) => [name, { name, files: 0, sizeBytes: 0 }]));
  for (const { path, component } of attributes) {
    const size = sizes.get(component);
    const file = files.get(path);
    if (size === undefined || file === undefined) continue;
    size.files += 1;
    size.sizeBytes += file.sizeBytes;
  }
  return [...sizes.values()];
}
