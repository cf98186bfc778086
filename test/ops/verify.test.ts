// Verify on an agent's own repository: repair rebuilds what is derived, and what the agent still has can be stored anew.

import { readdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { commitAgent } from '../../src/ops/commit.ts';
import { openAgent } from '../../src/ops/open.ts';
import { problemsLeft, verifyAgent, verifyFailure } from '../../src/ops/verify.ts';
import { makeOneAgent, type OneAgent } from './one-agent.ts';

function storageDir({ context, open }: OneAgent): string {
  return context.home.repositoryDir(open.agent.repository);
}

function onlyFile(dir: string): string {
  const [name] = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  if (name === undefined) throw new Error(`${dir} holds no file`);
  return join(name.parentPath, name.name);
}

test('repair rebuilds a damaged index run and its checkpoint, and touches nothing else', async (t) => {
  const agent = await makeOneAgent(t);
  const dir = storageDir(agent);
  const run = onlyFile(join(dir, 'index'));
  const bytes = readFileSync(run);
  writeFileSync(run, bytes.fill(0, 200, 300));
  const packs = readdirSync(join(dir, 'packs'), { recursive: true });
  const found = await verifyAgent(agent.context, 'it', { readShare: 0, repair: false });
  t.is(problemsLeft(found).length, 1);
  t.regex(verifyFailure(found, 'it')?.hint ?? '', /--repair/);
  const repaired = await verifyAgent(agent.context, 'it', { readShare: 0, repair: true });
  t.deepEqual(problemsLeft(repaired), []);
  t.true(repaired.problems[0]?.repaired);
  t.is(verifyFailure(repaired, 'it'), undefined);
  const again = await verifyAgent(agent.context, 'it', { readShare: 1, repair: false });
  t.deepEqual(again.problems, []);
  t.is(readdirSync(join(dir, 'checkpoint')).length, 1);
  t.deepEqual(readdirSync(join(dir, 'packs'), { recursive: true }), packs);
});

test('without index and checkpoints everything is still found, and repair writes them anew', async (t) => {
  const agent = await makeOneAgent(t);
  rmSync(join(storageDir(agent), 'index'), { recursive: true });
  const found = await verifyAgent(agent.context, 'it', { readShare: 1, repair: true });
  t.true(found.problems.length > 0);
  t.deepEqual(problemsLeft(found), []);
  t.deepEqual(found.commits.hurt, []);
  await using opened = await openAgent(agent.context, 'it');
  t.is(opened.repository.index.runs.length, 1);
});

test('after the loss of a pack, repair and a full backup bring back what the agent still has', async (t) => {
  const agent = await makeOneAgent(t);
  unlinkSync(onlyFile(join(storageDir(agent), 'packs')));
  const found = await verifyAgent(agent.context, 'it', { readShare: 0, repair: true });
  t.is(found.commits.hurt.length, 1);
  t.true(problemsLeft(found).length > 0);
  await using opened = await openAgent(agent.context, 'it');
  await commitAgent(agent.context, opened.agent, opened.repository, {
    kind: 'full',
    full: true,
    trigger: 'test',
    name: 'healed',
  });
  const healed = await verifyAgent(agent.context, 'it', { readShare: 1, repair: false });
  t.false(
    healed.commits.hurt.some(({ tags }) => tags.includes('healed')),
    JSON.stringify(healed),
  );
});
