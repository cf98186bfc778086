// After damage in the middle of history: what stays usable around it: log and restore go on.

import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { CommitId } from '../../src/model/ids.ts';
import { listLog } from '../../src/ops/log.ts';
import { openAgent } from '../../src/ops/open.ts';
import { applyRestore, planRestore } from '../../src/ops/restore.ts';
import { verifyAgent, verifyFailure } from '../../src/ops/verify.ts';
import { makeMachine, type Machine } from './machine.ts';

const NOTE = randomBytes(30_000).toString('hex');
const CHECK = { readShare: 1, repair: false };

/** A machine with four commits, of which the second's own data is damaged: the note that the third and fourth need as well. */
async function makeDamaged(t: Parameters<typeof makeMachine>[0]): Promise<{ machine: Machine; ids: CommitId[] }> {
  const machine = await makeMachine(t);
  const ids: CommitId[] = [];
  for (const [day, files] of [
    ['02', { 'before.md': 'before\n' }],
    ['03', { 'note.md': NOTE }],
    ['04', { 'after.md': 'after\n' }],
    ['05', { 'later.md': 'later\n' }],
  ] as const) {
    for (const [name, text] of Object.entries(files)) machine.write(name, text);
    ids.push((await machine.commit(`2026-03-${day}T00:00:00Z`)).id);
  }
  await using open = await openAgent(machine.context, 'bot');
  const place = join(machine.context.home.repositoryDir(open.agent.repository), 'log/000000000003');
  const bytes = readFileSync(place);
  bytes.fill(0, 400, 20_000);
  writeFileSync(place, bytes, { flag: 'r+' });
  return { machine, ids };
}

async function restore(machine: Machine, revision: CommitId, dir: string): Promise<string> {
  await using open = await openAgent(machine.context, 'bot');
  const plan = await planRestore(machine.context, open, { revision, timestamp: undefined, dir });
  await applyRestore(machine.context, open, plan);
  return join(plan.dir, 'state');
}

test('a damaged segment hurts the commits that need its data and no other; log and restore go on', async (t) => {
  const { machine, ids } = await makeDamaged(t);
  const found = await verifyAgent(machine.context, 'bot', CHECK);
  t.deepEqual(
    found.commits.hurt.map(({ id }) => id),
    ids.slice(1),
  );
  t.true(found.problems.some(({ object }) => object === 'log/000000000003'));
  t.regex(verifyFailure(found, 'bot')?.message ?? '', /3 of 5 commits can't be brought back whole/);
  let listed = 0;
  for await (const { id } of listLog(machine.context, { agent: 'bot', words: [], paths: [] }))
    listed += id === '' ? 0 : 1;
  t.true(listed >= ids.length);
  const [first = '' as CommitId, second = '' as CommitId] = ids;
  t.is(readFileSync(join(await restore(machine, first, 'first'), 'before.md'), 'utf8'), 'before\n');
  await t.throwsAsync(restore(machine, second, 'second'), { code: 'DAMAGED' });
});
