// What users' paths may stand for.

import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { isMoltError } from '../../src/model/error.ts';
import { listPathForms, type PathContext } from '../../src/ops/commit-path.ts';

function makeFolders(t: ExecutionContext): { dir: string; context: PathContext } {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'molt-paths-')));
  t.teardown(() => rmSync(dir, { recursive: true }));
  for (const folder of ['agent/work', 'side', 'elsewhere']) mkdirSync(join(dir, folder), { recursive: true });
  symlinkSync(join(dir, 'agent'), join(dir, 'link'));
  const roots = [
    { key: 'state', dir: join(dir, 'agent') },
    { key: 'roots/1', dir: join(dir, 'side') },
  ];
  return { dir, context: { roots, cwd: join(dir, 'elsewhere'), first: 'cwd' } };
}

test('outside of the agent’s folders a path is one of the commit or counts from the state folder', async (t) => {
  const { context } = makeFolders(t);
  t.deepEqual(await listPathForms('work/a.md', context), ['work/a.md', 'state/work/a.md']);
  t.deepEqual(await listPathForms('./work//a.md/', context), ['work/a.md', 'state/work/a.md']);
  t.deepEqual(await listPathForms('.', context), ['', 'state']);
});

test('inside one of them it may count from the current folder, and there comes first for a path alone', async (t) => {
  const { dir, context } = makeFolders(t);
  const here = { ...context, cwd: join(dir, 'agent/work') };
  t.deepEqual(await listPathForms('a.md', here), ['state/work/a.md', 'a.md', 'state/a.md']);
  t.deepEqual(await listPathForms('a.md', { ...here, first: 'commit' }), ['a.md', 'state/a.md', 'state/work/a.md']);
  t.deepEqual(await listPathForms('../b.md', here), ['state/b.md']);
  t.deepEqual(await listPathForms('b.md', { ...context, cwd: join(dir, 'side') }), [
    'roots/1/b.md',
    'b.md',
    'state/b.md',
  ]);
  t.deepEqual(await listPathForms('b.md', { ...context, cwd: join(dir, 'link') }), ['state/b.md', 'b.md']);
});

test('an absolute path is found in its root, also by way of a symlink', async (t) => {
  const { dir, context } = makeFolders(t);
  t.deepEqual(await listPathForms(join(dir, 'side/x/y.md'), context), ['roots/1/x/y.md']);
  t.deepEqual(await listPathForms(join(dir, 'link/work/z.md'), context), ['state/work/z.md']);
  t.deepEqual(await listPathForms(join(dir, 'agent'), context), ['state']);
});

test('names that Git refuses are escaped, and an escaped one is taken as it is', async (t) => {
  const { context } = makeFolders(t);
  t.deepEqual(await listPathForms('work/.git/config', context), [
    'work/%2Egit/config',
    'work/.git/config',
    'state/work/%2Egit/config',
    'state/work/.git/config',
  ]);
  t.true((await listPathForms('state/%2Egit', context)).includes('state/%2Egit'));
});

const refused = test.macro({
  async exec(t, path: (dir: string) => string) {
    const { dir, context } = makeFolders(t);
    const error = await t.throwsAsync(listPathForms(path(dir), context));
    t.true(isMoltError(error, 'USAGE'));
  },
  title: (name) => `${name} is refused`,
});

test('an absolute path outside of the agent', refused, () => '/etc/passwd');
test('a folder whose name only begins like the agent’s', refused, (dir) => join(dir, 'agent-2/a.md'));
test('a relative path that leaves the agent', refused, () => '../a.md');
test('a path with a NUL', refused, () => 'a\0b');
