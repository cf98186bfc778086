// Git's objects as the real git has them: same ids, and nothing that it complains about.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { CommitId, GitId, TreeId } from '../../src/model/ids.ts';
import { findMergeBases, peelToCommit, readCommit, readTag, writeCommit, writeTag } from '../../src/repo/git.ts';
import { gitIdOf, type GitType } from '../../src/repo/objects.ts';
import type { Repository } from '../../src/repo/repository.ts';
import { encodeTree, parseTree, TREE_MODES, type TreeEntry } from '../../src/repo/trees.ts';
import { commitFiles, listChain, MAIN, makeRepository, must, openRepository, TIME_MS } from './support.ts';

/** Makes a plain Git repository and returns a function that runs git in it. */
function makeGit(t: ExecutionContext): (args: readonly string[], input?: Buffer | string) => string {
  const dir = mkdtempSync(join(tmpdir(), 'molt-git-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const env = { PATH: process.env['PATH'], HOME: dir, GIT_CONFIG_NOSYSTEM: '1' };
  const git = (args: readonly string[], input: Buffer | string = ''): string =>
    execFileSync('git', args, { cwd: dir, env, input, stdio: ['pipe', 'pipe', 'pipe'] })
      .toString()
      .trim();
  git(['init', '-q', '--bare', '.']);
  return git;
}

async function giveToGit(repository: Repository, git: ReturnType<typeof makeGit>, id: GitId): Promise<GitType> {
  const found = must(await repository.objects.findGit(id));
  const theirs = git(['hash-object', '-w', '--stdin', '-t', found.type], found.content);
  if (theirs !== id) throw new Error(`git says ${theirs}, molt says ${id}`);
  return found.type;
}

const NAMES = [
  'a',
  'a.b',
  'a-b',
  'a0',
  'A',
  '\u{1f600} emoji',
  '\uff21 full width',
  '\uffee',
  'é',
  'z',
  ' leading',
  'tab-less',
  'a b',
  '0',
];

test('trees have the ids that git mktree gives, emoji beside full-width names included', (t) => {
  const git = makeGit(t);
  const blob = git(['hash-object', '-w', '--stdin'], 'content') as GitId;
  const empty = git(['hash-object', '-w', '-t', 'tree', '--stdin']) as TreeId;
  t.is(gitIdOf('tree', encodeTree([])), empty);
  const entries: TreeEntry[] = NAMES.flatMap((name, index): TreeEntry[] => [
    {
      name,
      mode: ([TREE_MODES.file, TREE_MODES.executable, TREE_MODES.symlink] as const)[index % 3] ?? TREE_MODES.file,
      id: blob,
    },
    { name: `${name}.d`, mode: TREE_MODES.tree, id: empty },
  ]);
  // A folder sorts as if its name ended with a slash: `same` the folder comes after `same.txt` the file.
  entries.push(
    { name: 'same', mode: TREE_MODES.tree, id: empty },
    { name: 'same.txt', mode: TREE_MODES.file, id: blob },
    { name: 'same0', mode: TREE_MODES.file, id: blob },
  );
  const lines = entries.map(
    ({ mode, name, id }) => `${mode.padStart(6, '0')} ${mode === TREE_MODES.tree ? 'tree' : 'blob'} ${id}\t${name}\0`,
  );
  const content = encodeTree(entries);
  const id = gitIdOf('tree', content) as TreeId;
  t.is(id, git(['mktree', '-z'], lines.join('')) as TreeId);
  t.deepEqual(
    parseTree(content, id)
      .map(({ name }) => name)
      .toSorted(),
    entries.map(({ name }) => name).toSorted(),
  );
});

test('commits and tags have the ids that git hash-object gives, and git fsck finds nothing wrong', async (t) => {
  const git = makeGit(t);
  const repository = await makeRepository();
  const ids: GitId[] = [];
  for (const message of [
    'one line\n',
    'no line end',
    'several\n\nlines — with ümlauts 😀\n\nMolt-Kind: full\n',
    'trailing   \n\n\n',
  ]) {
    ids.push(
      await commitFiles(repository, { 'a/b': message, c: 'c' }, { message, timeMs: TIME_MS + ids.length * 1000 }),
    );
  }
  const tag = await repository.transact({ packs: false }, async (transaction) => {
    const signature = { name: 'Ågent', email: 'agent@molt', timestampS: 1_772_676_000 };
    const id = await writeTag(transaction, {
      name: 'full/1',
      commit: must(ids[3]),
      signature,
      message: 'a tag\n',
    });
    await transaction.publish([{ name: 'refs/tags/full/1', from: undefined, to: id }], []);
    return id;
  });
  const again = await openRepository(repository.storage);
  for (const id of ids) {
    const { tree } = await readCommit(again, id);
    for (const entry of parseTree(await again.objects.readGit(tree, 'tree'), tree)) {
      if (entry.mode === TREE_MODES.tree) await giveToGit(again, git, entry.id);
    }
    await giveToGit(again, git, tree);
    t.is(await giveToGit(again, git, id), 'commit');
  }
  for (const text of [
    'one line\n',
    'no line end',
    'several\n\nlines — with ümlauts 😀\n\nMolt-Kind: full\n',
    'trailing   \n\n\n',
    'c',
  ])
    git(['hash-object', '-w', '--stdin'], text);
  t.is(await giveToGit(again, git, tag), 'tag');
  git(['update-ref', 'refs/heads/main', must(ids[3])]);
  git(['update-ref', 'refs/tags/full/1', tag]);
  t.is(git(['fsck', '--strict', '--no-dangling']), '');
  t.deepEqual(git(['rev-list', 'main']).split('\n'), await listChain(again));
  t.is((await readTag(again, tag)).commit, must(ids[3]));
  t.is((await readTag(again, tag)).name, 'full/1');
  t.is(await peelToCommit(again, tag), must(ids[3]));
  const commit = await readCommit(again, must(ids[2]));
  t.is(
    git(['log', '-1', '--format=%an|%ae|%at', commit.id]),
    `${commit.author.name}|${commit.author.email}|${commit.timestampS}`,
  );
  t.is(git(['log', '-1', '--format=%B', commit.id]), commit.message.trim());
});

test('an id that stands for another type, or for nothing, is damage and not a crash', async (t) => {
  const repository = await makeRepository();
  const id = await commitFiles(repository, { a: 'a' });
  const { tree } = await readCommit(repository, id);
  await t.throwsAsync(readCommit(repository, tree as GitId as CommitId), { code: 'DAMAGED' });
  await t.throwsAsync(readTag(repository, id), { code: 'DAMAGED' });
  await t.throwsAsync(peelToCommit(repository, tree), { code: 'DAMAGED' });
  await t.throwsAsync(readCommit(repository, 'f'.repeat(40) as CommitId), { code: 'DAMAGED' });
});

test('merge bases are those of git merge-base', async (t) => {
  const git = makeGit(t);
  const repository = await makeRepository();
  const commits = new Map<string, CommitId>();
  const graph: readonly (readonly [string, ...string[]])[] = [
    ['root'],
    ['a1', 'root'],
    ['b1', 'root'],
    ['a2', 'a1'],
    ['m', 'a2', 'b1'],
    ['b2', 'b1'],
    ['c', 'm'],
    ['d', 'b2', 'a1'],
    ['other root'],
  ];
  await repository.transact({ packs: false }, async (transaction) => {
    const tree = await transaction.writeGit('tree', encodeTree([]));
    git(['hash-object', '-w', '-t', 'tree', '--stdin']);
    for (const [name, ...parents] of graph) {
      const signature = { name: 'n', email: 'e', timestampS: 1_772_676_000 + commits.size };
      const ids = parents.map((parent) => must(commits.get(parent)));
      commits.set(name, await writeCommit(transaction, { tree, parents: ids, signature, message: `${name}\n` }));
    }
    const moves = [...commits].map(([name, to]) => ({
      name: `refs/heads/${name.replace(' ', '-')}`,
      from: undefined,
      to,
    }));
    await transaction.publish(moves, []);
  });
  const again = await openRepository(repository.storage);
  for (const id of commits.values()) await giveToGit(again, git, id);
  for (const a of commits.keys()) {
    for (const b of commits.keys()) {
      const [x, y] = [must(commits.get(a)), must(commits.get(b))];
      let expected: string[] = [];
      try {
        expected = git(['merge-base', '--all', x, y]).split('\n');
      } catch {
        // git says "none" with an exit status.
      }
      t.deepEqual((await findMergeBases(again, x, y)).toSorted(), expected.toSorted() as CommitId[], `${a} and ${b}`);
    }
  }
  t.is(again.refs.get(MAIN), undefined);
});
