// How two trees differ.

import test from 'ava';
import type { GitId, TreeId } from '../../src/model/ids.ts';
import { listChanges, type TreeSource } from '../../src/ops/tree-diff.ts';
import { gitIdOf } from '../../src/repo/objects.ts';
import { parseTree, TREE_MODES, writeTrees } from '../../src/repo/trees.ts';

/** Makes a tree of files with these contents, and counts what is read of it. */
async function treeOf(files: Readonly<Record<string, string>>): Promise<TreeSource & { reads: number }> {
  const trees = new Map<TreeId, Buffer>();
  const blobs = Object.entries(files)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([path, text]) => [path, { mode: TREE_MODES.file, blob: gitIdOf('blob', Buffer.from(text)) }] as const);
  const root = await writeTrees(blobs, async (content) => {
    const id = gitIdOf('tree', content);
    trees.set(id, content);
    return id;
  });
  const source = {
    root,
    reads: 0,
    async readTree(id: GitId) {
      source.reads += 1;
      return parseTree(trees.get(id) ?? Buffer.alloc(0), id);
    },
  };
  return source;
}

const changesOf = async (before: Record<string, string>, after: Record<string, string>, paths?: string[]) =>
  (await listChanges(await treeOf(before), await treeOf(after), paths)).map(({ change, path, from }) =>
    from === undefined ? `${change} ${path}` : `${change} ${from} ${path}`,
  );

test('files are added, modified and removed, in the order of their paths', async (t) => {
  t.deepEqual(
    await changesOf(
      { 'state/a': '1', 'state/d/b': '2', 'state/same': '3' },
      { 'state/a': '9', 'state/d/c': '8', 'state/same': '3' },
    ),
    ['modified state/a', 'removed state/d/b', 'added state/d/c'],
  );
});

test('a file that only moved is one change, an empty or a copied one is not', async (t) => {
  t.deepEqual(await changesOf({ 'state/a': 'x', 'state/e': '' }, { 'state/z/a': 'x', 'state/f': '' }), [
    'removed state/e',
    'added state/f',
    'renamed state/a state/z/a',
  ]);
  t.deepEqual(await changesOf({ 'state/a': 'x' }, { 'state/a': 'x', 'state/b': 'x' }), ['added state/b']);
  t.deepEqual(await changesOf({ 'state/a': 'x' }, { 'state/b': 'x', 'state/c': 'x' }), [
    'renamed state/a state/b',
    'added state/c',
  ]);
});

test('a file that became a folder is a removal and additions', async (t) => {
  t.deepEqual(await changesOf({ 'state/a': 'x' }, { 'state/a/b': 'y' }), ['removed state/a', 'added state/a/b']);
});

test('what describes the commit is no change, what describes the pod is', async (t) => {
  const before = { 'agent.json': '1', attributes: '1', 'pod.json': '1', 'state/a': 'x' };
  t.deepEqual(await changesOf(before, { ...before, 'agent.json': '2', attributes: '2', 'pod.json': '2' }), [
    'modified pod.json',
  ]);
});

test('paths pick files and folders, and nothing that merely begins alike', async (t) => {
  const before = { 'state/a/b': '1', 'state/ab': '1', 'state/c': '1' };
  const after = { 'state/a/b': '2', 'state/ab': '2', 'state/c': '2' };
  t.deepEqual(await changesOf(before, after, ['state/a']), ['modified state/a/b']);
  t.deepEqual(await changesOf(before, after, ['state/a/b', 'state/c']), ['modified state/a/b', 'modified state/c']);
  t.deepEqual(await changesOf(before, after, ['']), ['modified state/a/b', 'modified state/ab', 'modified state/c']);
  t.deepEqual(await changesOf(before, after, ['other']), []);
});

test('equal trees are not entered', async (t) => {
  const before = await treeOf({ 'state/a/deep/x': '1', 'state/b': '1' });
  const after = await treeOf({ 'state/a/deep/x': '1', 'state/b': '2' });
  await listChanges(before, after);
  t.is(before.reads, 2);
  t.is(after.reads, 2);
});
