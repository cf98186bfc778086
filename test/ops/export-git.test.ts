// What molt exports, judged by the real git.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { exportGit } from '../../src/ops/export-git.ts';
import { makeOneAgent } from './one-agent.ts';

function git(dir: string, ...words: string[]): Buffer {
  return execFileSync('git', ['-C', dir, ...words], {
    stdio: 'pipe',
    env: { PATH: process.env['PATH'], HOME: dir, GIT_CONFIG_NOSYSTEM: '1' },
    maxBuffer: 1 << 28,
  });
}

test('git finds nothing wrong, and the same ids, files and modes', async (t) => {
  const agent = await makeOneAgent(t);
  writeFileSync(join(agent.stateDir, 'a.b'), 'changed\n');
  const head = await agent.commit();
  const { file, refs, commits } = await exportGit(agent.context, agent.open, { dir: 'out.git' });
  t.is(git(file, 'fsck', '--strict', '--no-dangling').toString(), '');
  t.is(git(file, 'rev-parse', 'HEAD').toString().trim(), head);
  t.is(commits, 2);
  t.is(git(file, 'log', '--format=%H').toString().trim().split('\n').length, 2);
  for (const [name, id] of agent.open.repository.refs) t.is(git(file, 'rev-parse', name).toString().trim(), id);
  t.deepEqual(refs.toSorted(), [...agent.open.repository.refs.keys()].toSorted());
  t.is(git(file, 'diff', '--name-only', 'HEAD~1', 'HEAD', '--', 'state').toString(), 'state/a.b\n');
  const modes = git(file, 'ls-tree', '-r', '--format=%(objectmode) %(path)', '-z', 'HEAD').toString().split('\0');
  t.true(modes.includes('100755 state/a-dir/run.sh'));
  t.true(modes.includes('120000 state/a-dir/link'));
  for (const path of ['large.bin', 'a/nothing', 'a.b', '\u{1f600}', '\uff21']) {
    t.deepEqual(git(file, 'cat-file', 'blob', `HEAD:state/${path}`), readFileSync(join(agent.stateDir, path)), path);
  }
  t.is(git(file, 'cat-file', 'blob', 'HEAD:state/workspace/%2Egit/config').toString(), '[core]\n');
});

test('git orders the names of a folder as molt does', async (t) => {
  const agent = await makeOneAgent(t);
  const { file } = await exportGit(agent.context, agent.open, { dir: 'out.git' });
  const tree = git(file, 'ls-tree', '-z', 'HEAD:state');
  const made = execFileSync('git', ['-C', file, 'mktree', '-z'], { input: tree, stdio: 'pipe' }).toString().trim();
  t.is(made, git(file, 'rev-parse', 'HEAD:state').toString().trim());
});

test('a clone of the export holds the files', async (t) => {
  const agent = await makeOneAgent(t);
  const { file } = await exportGit(agent.context, agent.open, { dir: 'out.git' });
  const clone = join(agent.dir, 'clone');
  execFileSync('git', ['clone', '-q', file, clone], { stdio: 'pipe' });
  const hash = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');
  t.is(hash(join(clone, 'state/large.bin')), hash(join(agent.stateDir, 'large.bin')));
});

test('an expired parent is where git’s history begins', async (t) => {
  const agent = await makeOneAgent(t);
  const first = agent.open.repository.refs.get('refs/heads/main');
  if (first === undefined) throw new Error('there is no first commit');
  for (const [name, id] of agent.open.repository.refs) {
    if (name.startsWith('refs/tags/'))
      await agent.open.repository.transact({ packs: false }, (transaction) =>
        transaction.publish([{ name, from: id, to: undefined }], []),
      );
  }
  writeFileSync(join(agent.stateDir, 'a.b'), 'changed\n');
  const head = await agent.commit();
  const { file } = await exportGit(agent.context, agent.open, { dir: 'out.git', expired: new Set([first]) });
  t.is(git(file, 'fsck', '--strict', '--no-dangling').toString(), '');
  t.is(git(file, 'log', '--format=%H').toString().trim(), head);
});

test('an export that fails leaves nothing', async (t) => {
  const agent = await makeOneAgent(t);
  const controller = new AbortController();
  const reporter = { ...agent.context.reporter, progress: () => controller.abort(new Error('stop')) };
  await t.throwsAsync(
    exportGit({ ...agent.context, reporter, signal: controller.signal }, agent.open, { dir: 'out.git' }),
    { message: 'stop' },
  );
  t.false(existsSync(join(agent.dir, 'out.git')));
  t.deepEqual(
    readdirSync(agent.dir).filter((name) => name.includes('molt-tmp')),
    [],
  );
});
