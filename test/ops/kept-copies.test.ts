// Copies of what a commit captures: each is, byte for byte, the blob that the commit has, or there is none.

import { randomBytes } from 'node:crypto';
import { appendFileSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import test, { type ExecutionContext } from 'ava';
import type { BlobId, CommitId } from '../../src/model/ids.ts';
import type { CaptureWitness } from '../../src/ops/capture-agent.ts';
import { commitCaptured } from '../../src/ops/commit.ts';
import { readCommitView, TreeFinder } from '../../src/ops/commit-files.ts';
import { dirsOf } from '../../src/ops/in-place-plan.ts';
import { type CopyRules, KeptCopies } from '../../src/ops/kept-copies.ts';
import { gitIdOf } from '../../src/repo/objects.ts';
import { makeOneAgent, type OneAgent } from './one-agent.ts';

/** Makes an agent with a large file, a database that somebody has open, and a small file, and its first moment. */
async function makeAgent(t: ExecutionContext) {
  const agent = await makeOneAgent(t);
  const database = new DatabaseSync(join(agent.stateDir, 'memory.sqlite'));
  t.teardown(() => database.close());
  database.exec('PRAGMA journal_mode = WAL; CREATE TABLE t(b BLOB); INSERT INTO t VALUES (randomblob(900000))');
  writeFileSync(join(agent.stateDir, 'big'), randomBytes(2_500_000));
  writeFileSync(join(agent.stateDir, 'small'), 'small');
  const first = await agent.commit();
  database.exec('UPDATE t SET b = randomblob(800000)');
  for (const name of ['big', 'small']) appendFileSync(join(agent.stateDir, name), 'more');
  writeFileSync(join(agent.stateDir, 'new'), randomBytes(500_000));
  return { agent, first };
}

async function commitWith({ context, open }: OneAgent, witness: CaptureWitness) {
  const options = { kind: 'safety', trigger: 'test', witness } as const;
  return (await commitCaptured(context, open.agent, open.repository, options)).captured;
}

async function makeCopies({ context, open }: OneAgent, wanted: CommitId, rules: Partial<CopyRules> = {}) {
  const { to: dirs } = await dirsOf(context, open, wanted);
  const finder = new TreeFinder(open.repository, await readCommitView(open.repository, wanted));
  return new KeptCopies({ dirs, wanted: finder, components: undefined, isStaged: () => false, ...rules });
}

test('of what is large and is to be replaced a copy is kept, and it is what was captured', async (t) => {
  const { agent, first } = await makeAgent(t);
  const copies = await makeCopies(agent, first);
  const captured = await commitWith(agent, copies);
  for (const path of ['state/big', 'state/memory.sqlite']) {
    const copy = copies.find(path);
    t.is(copy?.blob, captured.files.get(path)?.blob);
    t.is(gitIdOf('blob', readFileSync(copy?.native ?? '')), copy?.blob as BlobId);
  }
  // The moment doesn't have the one; the other is read as quickly.
  for (const path of ['state/new', 'state/small']) t.is(copies.find(path), undefined);
  t.is(readdirSync(join(agent.stateDir, '.molt-restore/copies')).length, 2);
});

test('of what is staged already, or not to be restored, no copy is kept', async (t) => {
  const { agent, first } = await makeAgent(t);
  const copies = await makeCopies(agent, first, { isStaged: (path) => path === 'state/big' });
  await commitWith(agent, copies);
  t.is(copies.find('state/big'), undefined);
  t.not(copies.find('state/memory.sqlite'), undefined);
  appendFileSync(join(agent.stateDir, 'big'), 'still more');
  const others = await makeCopies(agent, first, { components: ['skills'] });
  await commitWith(agent, others);
  t.is(others.find('state/big'), undefined);
});

test('of a file that changes while it is read the copy is what was captured in the end', async (t) => {
  const { agent, first } = await makeAgent(t);
  const copies = await makeCopies(agent, first);
  const path = join(agent.stateDir, 'big');
  let changes = 0;
  const captured = await commitWith(agent, {
    watch(entry, sizeBytes, writer) {
      const inner = copies.watch(entry, sizeBytes, writer);
      if (entry.path !== 'state/big') return inner;
      return {
        finish: () => inner.finish(),
        abort: () => inner.abort(),
        async write(bytes) {
          await inner.write(bytes);
          if ((changes += 1) === 1) truncateSync(path, 2_000_000);
        },
      };
    },
  });
  const copy = copies.find('state/big');
  t.true(readFileSync(copy?.native ?? '').equals(readFileSync(path)));
  t.is(copy?.blob, captured.files.get('state/big')?.blob);
  t.is(readdirSync(join(agent.stateDir, '.molt-restore/copies')).length, 2);
});
