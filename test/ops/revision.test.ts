// What revisions stand for in a repository.

import test from 'ava';
import { isMoltError } from '../../src/model/error.ts';
import type { CommitId } from '../../src/model/ids.ts';
import { backUp } from '../../src/ops/backup.ts';
import type { OpsContext } from '../../src/ops/context.ts';
import { listLog } from '../../src/ops/log.ts';
import type { OpenAgent } from '../../src/ops/open.ts';
import { resolveRevision, resolveTimestamp } from '../../src/ops/revision.ts';
import { createTag } from '../../src/ops/tag.ts';
import { makeMachine, type Machine } from './machine.ts';

async function makeHistory(machine: Machine, times: readonly string[]): Promise<CommitId[]> {
  const ids: CommitId[] = [];
  for await (const { id } of listLog(machine.context, { agent: 'bot', words: [], paths: [] })) ids.push(id);
  for (const time of times) ids.push((await machine.commit(time)).id);
  return ids;
}

function resolverOf(context: OpsContext, open: OpenAgent): (text: string) => Promise<CommitId | undefined> {
  return (text) => resolveRevision(context, open, text);
}

test('HEAD, latest, branch, agent, tag, whole and short ids and steps stand for commits', async (t) => {
  const machine = await makeMachine(t);
  const [first, second, third] = await makeHistory(machine, ['2026-03-01T00:05:00Z', '2026-03-01T00:10:00Z']);
  await createTag(machine.context, 'bot', { name: 'v1', revision: 'HEAD~1' });
  const open = await machine.open();
  const resolve = resolverOf(machine.context, open);
  for (const text of ['HEAD', '@', 'latest', 'main', 'bot', 'heads/main', 'refs/heads/main', third ?? ''])
    t.is(await resolve(text), third, text);
  for (const text of ['HEAD~1', 'HEAD^', 'v1', 'tags/v1', 'refs/tags/v1', 'v1~0', 'v1^0', (second ?? '').slice(0, 12)])
    t.is(await resolve(text), second, text);
  for (const text of ['HEAD~2', 'v1^1', 'HEAD~~', (first ?? '').toUpperCase()]) t.is(await resolve(text), first, text);
});

const fails = test.macro({
  async exec(t, text: string, code: 'NOT_FOUND' | 'USAGE', message: RegExp) {
    const machine = await makeMachine(t);
    await createTag(machine.context, 'bot', { name: 'v1', revision: 'HEAD' });
    const open = await machine.open();
    const error = await t.throwsAsync(resolveRevision(machine.context, open, text));
    t.true(isMoltError(error, code));
    t.regex(error?.message ?? '', message);
  },
  title: (_, text: string) => `"${text}" stands for nothing, and the error says what there is`,
});

test(
  fails,
  'nothing',
  'NOT_FOUND',
  /^"nothing" is no commit, tag, branch or agent here; there are tags v1, full\/2026/,
);
test(fails, 'HEAD~9', 'NOT_FOUND', /^"HEAD~9" goes back past the first commit, [0-9a-f]{10}, which is 0 steps away$/);
test(fails, 'HEAD^1', 'NOT_FOUND', /is the first commit$/);
test(fails, 'ffffffffffffffffffffffffffffffffffffffff', 'NOT_FOUND', /is no commit/);
test(
  fails,
  'bot@{2026-02-01}',
  'NOT_FOUND',
  /had been saved by 2026-02-01T23:59:59Z; its first backup is of 2026-03-01T00:00:00Z$/,
);
test(fails, 'bot@{some day}', 'USAGE', /^'some day' is not a time$/);
test(
  fails,
  'stranger@{yesterday}',
  'NOT_FOUND',
  /^"stranger" is no agent or branch here; there are agents bot; branches main$/,
);

test('a word that is nearly a name is answered with that name', async (t) => {
  const machine = await makeMachine(t);
  await createTag(machine.context, 'bot', { name: 'before-upgrade', revision: 'HEAD' });
  const open = await machine.open();
  for (const [text, nearest] of [
    ['before-upgrad', 'before-upgrade'],
    ['HAED', 'HEAD'],
    ['latets', 'latest'],
    ['mian@{now}', 'main'],
  ] as const) {
    const error = await t.throwsAsync(resolveRevision(machine.context, open, text));
    t.is(isMoltError(error, 'NOT_FOUND') ? error.hint : '', `did you mean ${nearest}`);
  }
});

test('a time stands for the newest commit at or before its end', async (t) => {
  const machine = await makeMachine(t);
  const [first, second, third] = await makeHistory(machine, ['2026-03-01T12:00:00Z', '2026-03-02T09:00:00Z']);
  machine.at('2026-03-03T12:00:00Z');
  const open = await machine.open();
  const resolve = resolverOf(machine.context, open);
  t.is(await resolve('bot@{2026-03-01T11:59:59Z}'), first);
  t.is(await resolve('bot@{2026-03-01T12:00:00Z}'), second);
  t.is(await resolve('@{2026-03-01}'), second);
  t.is(await resolve('main@{yesterday}'), third);
  t.is(await resolve('bot@{2 days ago}~1'), first);
  t.is(await resolve('bot@{now}'), third);
  const found: CommitId | undefined = await resolveTimestamp(machine.context, open, '1772366400');
  t.is<CommitId | undefined, CommitId | undefined>(found, second);
});

test('a time is read in the zone of the context', async (t) => {
  const machine = await makeMachine(t);
  const [first, second] = await makeHistory(machine, ['2026-03-01T18:00:00Z']);
  const open = await machine.open();
  t.is(await resolverOf({ ...machine.context, zone: 'Asia/Jakarta' }, open)('bot@{2026-03-01}'), first);
  t.is(await resolverOf(machine.context, open)('bot@{2026-03-01}'), second);
});

test('another branch’s commits are not found by time', async (t) => {
  const machine = await makeMachine(t);
  const [first] = await makeHistory(machine, []);
  const { home } = machine.context;
  const bot = await home.findAgent('bot');
  t.truthy(bot);
  if (bot === undefined) return;
  const open = await machine.open();
  // A second agent of the same repository, whose branch begins at the first commit.
  await home.addAgent({ ...bot, label: 'twin', branch: 'twin' });
  await open.repository.transact({ packs: false }, async (transaction) =>
    transaction.publish([{ name: 'refs/heads/twin', from: undefined, to: first }], []),
  );
  const { id: ours } = await machine.commit('2026-03-02T00:00:00Z');
  machine.at('2026-03-03T00:00:00Z');
  machine.write('other', 'x\n');
  const { id: theirs } = await backUp(machine.context, 'twin', { kind: 'manual', trigger: 'test' });
  await machine.commit('2026-03-04T00:00:00Z');
  const fresh = await machine.open();
  const resolve = resolverOf(machine.context, fresh);
  t.is(await resolve('bot@{2026-03-03T12:00:00Z}'), ours);
  t.is(await resolve('twin@{2026-03-03T12:00:00Z}'), theirs);
  t.is(await resolve('twin'), theirs);
  t.is(await resolve('twin~1'), first);
  // The branch goes; the index still knows its commits.
  await fresh.repository.transact({ packs: false }, async (transaction) =>
    transaction.publish([{ name: 'refs/heads/twin', from: theirs, to: undefined }], []),
  );
  t.is(await resolve('bot@{2026-03-03T12:00:00Z}'), ours);
});

test('a word with several meanings is refused, listing them, until it is made plain', async (t) => {
  const machine = await makeMachine(t);
  const [first, second] = await makeHistory(machine, ['2026-03-01T12:00:00Z']);
  const word = (second ?? '').slice(0, 6);
  await createTag(machine.context, 'bot', { name: word, revision: 'HEAD~1' });
  await createTag(machine.context, 'bot', { name: 'main', revision: 'HEAD' });
  const open = await machine.open();
  const error = await t.throwsAsync(resolveRevision(machine.context, open, word));
  t.true(isMoltError(error, 'AMBIGUOUS'));
  t.is(
    error?.message,
    `"${word}" has several meanings: tag "${word}" ${first?.slice(0, 10)} of 2026-03-01T00:00:00Z, ` +
      `commit ${second?.slice(0, 10)} of 2026-03-01T12:00:00Z`,
  );
  t.is(isMoltError(error) ? error.hint : '', `write tags/${word} or more digits of the id`);
  t.is(await resolverOf(machine.context, open)(`tags/${word}`), first);
  t.is(await resolverOf(machine.context, open)('main'), second, 'both meanings are one commit');
});
