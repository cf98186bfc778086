// A folder that can't be read for a while. On its own, because root reads everything and gives that up for the whole process.

import { execFileSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'ava';
import { readCommitView, readRestoreEntries } from '../../src/ops/commit-files.ts';
import type { CommitId } from '../../src/model/ids.ts';
import { makeMachine } from './machine.ts';

const NOBODY = 65_534;

test.serial('what a folder held stays in the commit while the folder cannot be read, and is reported', async (t) => {
  const machine = await makeMachine(t);
  machine.write('memory/a.md', 'a');
  machine.write('memory/deep/b.md', 'b');
  machine.write('memory.md', 'beside it in the order of bytes');
  const before = (await machine.commit()).id;
  if (process.getuid?.() === 0) {
    execFileSync('chown', ['-R', String(NOBODY), dirname(machine.stateDir)]);
    process.seteuid?.(NOBODY);
    t.teardown(() => process.seteuid?.(0));
  }
  const folder = join(machine.stateDir, 'memory');
  chmodSync(folder, 0);
  t.teardown(() => chmodSync(folder, 0o700));
  const { id, skipped, files } = await machine.commit();
  t.deepEqual(
    skipped.map(({ path, kept }) => ({ path, kept })),
    [{ path: 'state/memory', kept: true }],
  );
  t.is(files.removed, 0);
  const { repository } = await machine.open();
  const list = async (commit: CommitId) => {
    const entries = await readRestoreEntries(repository, await readCommitView(repository, commit));
    return entries
      .filter(({ path }) => path.startsWith('state/memory'))
      .map(({ path, blob }) => `${path} ${blob ?? ''}`);
  };
  const kept = await list(id);
  t.is(kept.length, 5);
  t.deepEqual(kept, await list(before));
});

test.serial(
  'files that may not be read are reported: a new one is not in the commit, an old one as it was',
  async (t) => {
    const machine = await makeMachine(t);
    machine.write('old', 'before');
    await machine.commit();
    machine.write('old', 'after');
    machine.write('new', 'secret');
    if (process.getuid?.() === 0) {
      execFileSync('chown', ['-R', String(NOBODY), dirname(machine.stateDir)]);
      process.seteuid?.(NOBODY);
      t.teardown(() => process.seteuid?.(0));
    }
    for (const name of ['new', 'old']) chmodSync(join(machine.stateDir, name), 0);
    const { id, skipped } = await machine.commit();
    t.deepEqual(skipped, [
      { path: 'state/new', reason: 'it may not be read', kept: false },
      { path: 'state/old', reason: 'it may not be read', kept: true },
    ]);
    const { repository } = await machine.open();
    const entries = await readRestoreEntries(repository, await readCommitView(repository, id));
    t.deepEqual(
      entries.filter(({ path }) => /old|new/.test(path)).map(({ path, sizeBytes }) => [path, sizeBytes]),
      [['state/old', 'before'.length]],
    );
  },
);
