// Holds: how they begin, end and travel.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { isMoltError } from '../../src/model/error.ts';
import type { CommitId } from '../../src/model/ids.ts';
import { exportBundle } from '../../src/ops/bundle.ts';
import { clone } from '../../src/ops/clone.ts';
import type { OpsContext } from '../../src/ops/context.ts';
import { exportGit } from '../../src/ops/export-git.ts';
import { fetchRemote } from '../../src/ops/fetch.ts';
import { addHold, findHold, holdRef, listHolds, readHolds, removeHold, writeHold } from '../../src/ops/hold.ts';
import { importBundle } from '../../src/ops/import.ts';
import { openAgent } from '../../src/ops/open.ts';
import { push } from '../../src/ops/push.ts';
import { addRemote } from '../../src/ops/remote.ts';
import { listTags } from '../../src/ops/tag.ts';
import { verifyAgent } from '../../src/ops/verify.ts';
import { makeEmptyContext, makeMachine, type Machine } from './machine.ts';

const add = (context: OpsContext, revision: string, reason?: string): ReturnType<typeof addHold> =>
  addHold(context, { agent: 'bot', words: [revision], reason });
const remove = (context: OpsContext, revision: string): ReturnType<typeof removeHold> =>
  removeHold(context, { agent: 'bot', words: [revision] });

async function heldOn(context: OpsContext): Promise<CommitId[]> {
  await using open = await openAgent(context, 'bot');
  return [...(await readHolds(open.repository)).keys()];
}

/** A machine and a clone of it at one remote. */
async function makeTwo(t: ExecutionContext): Promise<{ machine: Machine; here: OpsContext; there: OpsContext }> {
  const machine = await makeMachine(t);
  const here = machine.context;
  const url = `file://${join(here.cwd, 'remote')}`;
  await addRemote(here, 'bot', { name: 'origin', url, singleWriter: false });
  await push(here, 'bot');
  const there = makeEmptyContext(t, here.clock);
  await clone(there, { url, label: 'bot', name: 'origin' });
  return { machine, here, there };
}

async function exportTo(context: OpsContext, since?: string): Promise<string> {
  const parts: Buffer[] = [];
  await using open = await openAgent(context, 'bot');
  const write = async (bytes: Uint8Array): Promise<void> => void parts.push(Buffer.from(bytes));
  await exportBundle(context, open, { since, label: 'bundle', write });
  const path = join(context.cwd, 'bot.bundle');
  writeFileSync(path, Buffer.concat(parts));
  return path;
}

test('a hold begins, tells why, and ends; ending what is not held says so', async (t) => {
  const { context, at, commit } = await makeMachine(t);
  const { id } = await commit('2026-03-01T01:00:00Z', { message: 'one' });
  at('2026-03-02T00:00:00Z');
  const held = await add(context, id, 'as it was at the audit\n\nMolt-Hold: released\n');
  t.like(held, { commit: id, kind: 'incremental', message: 'one', time: '2026-03-01T01:00:00.000Z', unchanged: false });
  t.like(held, { reason: 'as it was at the audit\n\nMolt-Hold: released', heldBy: 'bot', setBy: 'person' });
  const { unchanged: _, ...summary } = held;
  t.deepEqual(await listHolds(context, 'bot'), [summary]);
  t.true((await add(context, 'latest')).unchanged);
  const other = await add(context, 'latest', 'another reason');
  t.like(other, { unchanged: false, reason: 'another reason' });
  t.is((await remove(context, id.slice(0, 8))).commit, id);
  t.deepEqual(await listHolds(context, 'bot'), []);
  const error = await t.throwsAsync(remove(context, 'latest'));
  t.true(isMoltError(error, 'NOT_FOUND'));
  t.regex(error?.message ?? '', /^"latest" is not held/);
  t.true(isMoltError(await t.throwsAsync(removeHold(context, { agent: 'bot', words: [] })), 'USAGE'));
  t.true(isMoltError(await t.throwsAsync(addHold(context, { agent: 'bot', words: ['HEAD', 'HEAD~1'] })), 'USAGE'));
  t.false((await add(context, 'latest')).unchanged);
  t.deepEqual((await verifyAgent(context, 'bot', { readShare: 1, repair: false })).problems, []);
});

test('a hold is no tag, no branch, and nothing that Git gets', async (t) => {
  const { context } = await makeMachine(t);
  const { commit } = await add(context, 'HEAD');
  t.false((await listTags(context, 'bot')).some(({ name }) => name.includes(commit)));
  await using open = await openAgent(context, 'bot');
  const { refs } = await exportGit(context, open, { dir: 'git' });
  t.false(refs.some((name) => name.startsWith('refs/molt/')));
});

test('a hold of the user and an alert on the same commit are two things', async (t) => {
  const machine = await makeMachine(t);
  const open = await machine.open();
  const commit = open.repository.refs.get('refs/heads/main') as CommitId;
  await writeHold(machine.context, open, { commit, isHeld: true, reason: 'a memory shrank', setBy: 'alert' });
  t.like(await listHolds(machine.context, 'bot'), [{ setBy: 'alert', reason: 'a memory shrank' }]);
  t.like(await add(machine.context, 'HEAD', 'mine'), { setBy: 'alert', unchanged: false });
  t.true((await add(machine.context, 'HEAD', 'mine')).unchanged);
  const again = await machine.open();
  t.like(await findHold(again.repository, commit), { setBy: 'alert', personReason: 'mine' });
  // The user's own goes, the alert stays.
  await remove(machine.context, 'HEAD');
  t.like(await listHolds(machine.context, 'bot'), [{ setBy: 'alert', reason: 'a memory shrank' }]);
  t.true(isMoltError(await t.throwsAsync(remove(machine.context, 'HEAD')), 'CONFLICT'));
});

test('holds and their ends go along with push and fetch, and a machine that was away brings none back', async (t) => {
  const { machine, here, there } = await makeTwo(t);
  const { commit } = await add(here, 'HEAD', 'keep');
  const pushed = await push(here, 'bot');
  t.deepEqual(
    pushed.refs.map(({ name }) => name),
    [holdRef(commit)],
  );
  await fetchRemote(there, 'bot');
  t.deepEqual(await heldOn(there), [commit]);
  // Ended there; here it is still held, and pushed again.
  machine.at('2026-03-02T00:00:00Z');
  await remove(there, commit);
  await push(there, 'bot');
  await machine.commit('2026-03-02T01:00:00Z');
  const again = await push(here, 'bot');
  t.deepEqual(
    again.refs.map(({ name }) => name),
    ['refs/heads/main'],
  );
  t.deepEqual(await heldOn(here), [commit]);
  await fetchRemote(here, 'bot');
  t.deepEqual(await heldOn(here), []);
  await fetchRemote(there, 'bot');
  t.deepEqual(await heldOn(there), []);
  // A clock that is years behind: what is said later is later.
  machine.at('2020-01-01T00:00:00Z');
  await add(here, commit, 'after all');
  await push(here, 'bot');
  await fetchRemote(there, 'bot');
  t.like(await listHolds(there, 'bot'), [{ commit, reason: 'after all' }]);
  for (const remote of [undefined, 'origin'])
    t.deepEqual((await verifyAgent(here, 'bot', { readShare: 1, repair: false, remote })).problems, []);
});

test('of two statements of one moment both machines choose the same', async (t) => {
  const { machine, here, there } = await makeTwo(t);
  const { commit } = await add(here, 'HEAD');
  await push(here, 'bot');
  await fetchRemote(there, 'bot');
  machine.at('2026-03-02T00:00:00Z');
  await remove(here, commit);
  await add(there, commit, 'other');
  for (const context of [here, there, here, there]) {
    await push(context, 'bot');
    await fetchRemote(context, 'bot');
  }
  t.deepEqual(await heldOn(here), await heldOn(there));
});

test('a clone, bundles and a fork keep what is held', async (t) => {
  const { machine, here, there } = await makeTwo(t);
  const first = await add(here, 'HEAD', 'the first');
  await machine.commit('2026-03-02T00:00:00Z');
  const since = await exportTo(here, first.commit);
  const { refs } = await importBundle(there, { from: since, name: 'bundle' });
  t.true(refs.some(({ name }) => name === holdRef(first.commit)));
  t.deepEqual(await heldOn(there), [first.commit]);
  const whole = await exportTo(here);
  const importing = { from: whole, name: 'bundle', label: 'bot' };
  const forked = makeEmptyContext(t, here.clock);
  const fork = { passphrase: async () => 'first', keepRecoveryKey: async () => {} };
  await importBundle(forked, { ...importing, fork });
  t.like(await listHolds(forked, 'bot'), [{ commit: first.commit, reason: 'the first' }]);
  await push(here, 'bot');
  const twin = makeEmptyContext(t, here.clock);
  await clone(twin, { url: `file://${join(here.cwd, 'remote')}`, label: 'bot', name: 'origin' });
  t.deepEqual(await heldOn(twin), [first.commit]);
});

test('what another process says of a hold meanwhile is followed, not lost', async (t) => {
  const machine = await makeMachine(t);
  const [mine, theirs] = [await machine.open(), await machine.open()];
  const commit = mine.repository.refs.get('refs/heads/main') as CommitId;
  await writeHold(machine.context, theirs, { commit, isHeld: true, reason: 'theirs', setBy: 'person' });
  await writeHold(machine.context, mine, { commit, isHeld: false, reason: '', setBy: 'person' });
  const open = await machine.open();
  const hold = await findHold(open.repository, commit);
  t.is(hold?.isHeld, false);
  t.is(hold?.timeMs, machine.context.clock.now() + 1);
});
