// A long history costs no more than a short one: counted in reads, by a storage that counts them, on what 300 commits leave behind.

import test from 'ava';
import { listLog } from '../../src/ops/log.ts';
import { openAgent, type OpenAgent } from '../../src/ops/open.ts';
import { commitAgent } from '../../src/ops/commit.ts';
import { findNewestAt, walkHistory } from '../../src/ops/ancestry.ts';
import { readNewestTimeline, readTimeline, type Timeline } from '../../src/ops/timeline.ts';
import { hashPath } from '../../src/format/path-note.ts';
import type { CommitId } from '../../src/model/ids.ts';
import type { Machine } from './machine.ts';
import { makeMachine } from './machine.ts';

const TICK_MS = 300_000;
const START_MS = Date.parse('2026-03-01T00:00:00Z');
const COMMITS = 300;
const at = (tick: number): string => new Date(START_MS + tick * TICK_MS).toISOString();

interface Reads {
  readonly names: Set<string>;
  bytes: number;
}

/** Counts what is read from now on. */
function countReads({ repository: { storage } }: OpenAgent): Reads {
  const reads: Reads = { names: new Set(), bytes: 0 };
  const read = storage.read.bind(storage);
  storage.read = async (name, range) => {
    const bytes = await read(name, range);
    reads.names.add(name);
    reads.bytes += bytes?.length ?? 0;
    return bytes;
  };
  return reads;
}

const segmentsOf = (reads: Reads): string[] => [...reads.names].filter((name) => name.startsWith('log/'));

/** Makes a history in which `deep/er/rare.md` changes every 60 commits, and appears in a folder that is removed at last. */
async function makeLong(machine: Machine): Promise<{ ids: CommitId[]; rare: CommitId[] }> {
  const open = await openAgent(machine.context, 'bot');
  const ids: CommitId[] = [];
  const rare: CommitId[] = [];
  for (let tick = 1; tick <= COMMITS; tick += 1) {
    machine.at(at(tick));
    machine.write('counter', `${tick}\n`);
    if (tick % 60 === 0) machine.write('deep/er/rare.md', `change ${tick}\n`);
    const { id } = await commitAgent(machine.context, open.agent, open.repository, {
      kind: tick % 100 === 0 ? 'full' : 'incremental',
      trigger: 'test',
      full: tick % 100 === 0,
    });
    ids.push(id);
    if (tick % 60 === 0) rare.unshift(id);
  }
  await open[Symbol.asyncDispose]();
  return { ids, rare };
}

test('the history of a path, a moment, a few commits and an opening read what they show, not what there is', async (t) => {
  const machine = await makeMachine(t);
  const { ids, rare } = await makeLong(machine);

  const open = await machine.open();
  const { repository } = open;
  const tip = ids.at(-1);
  if (tip === undefined) throw new Error('there is no commit');
  t.true(repository.index.runs.length <= 12, `${repository.index.runs.length} runs`);
  const opening = countReads(open);
  await repository.index.rebuild(true);
  t.true(segmentsOf(opening).length <= 16 + 6, 'the checkpoint and what came after it, and a look behind the end');
  t.true(opening.bytes < 64 << 10, `${opening.bytes} bytes`);

  const whole = await readTimeline(open);
  t.is(whole.count, COMMITS + 1);
  for (const least of [10, 100, COMMITS]) {
    const newest = await readNewestTimeline(open, least);
    t.is(newest?.isWhole, false);
    t.true((newest?.count ?? 0) >= least - 2, `${newest?.count} of ${least}`);
    const rowsOf = (timeline: Timeline | undefined) =>
      Array.from({ length: newest?.count ?? 0 }, (_, row) => [
        timeline?.id(row),
        timeline?.times[row],
        timeline?.kind(row),
        timeline?.seq(row),
      ]);
    t.deepEqual(rowsOf(newest), rowsOf(whole));
  }
  t.is(await readNewestTimeline(open, COMMITS + 2), undefined);

  const short = await machine.open();
  const few = countReads(short);
  const shown: CommitId[] = [];
  for await (const { commit } of walkHistory(short.repository, tip, { few: true }))
    if (shown.push(commit.id) === 20) break;
  t.deepEqual(shown, ids.slice(-20).toReversed());
  t.true(segmentsOf(few).length <= 21, `${segmentsOf(few).length} segments for 20 commits`);

  const moment = await machine.open();
  const one = countReads(moment);
  const found = await findNewestAt(moment.repository, tip, Date.parse(at(123)) + 1);
  t.is(found?.commit.id, ids[122]);
  t.is(segmentsOf(one).length, 1);

  const byPath = await machine.open();
  const candidates = await byPath.repository.index.findSegmentsByPath(hashPath('state/deep/er/rare.md'));
  t.is(candidates.size, rare.length);
  for (const path of ['deep/er/rare.md', 'deep/er', 'deep']) {
    const listed: CommitId[] = [];
    for await (const { id } of listLog(machine.context, { agent: 'bot', words: [], paths: [path] })) listed.push(id);
    t.deepEqual(listed, rare, path);
  }
});

test('a commit whose segment does not note its paths is found by its trees, and one that only shares a hash is not shown', async (t) => {
  const machine = await makeMachine(t);
  machine.write('a/one.md', '1\n');
  const first = await machine.commit(at(1));
  const open = await machine.open();
  const { repository, agent } = open;
  machine.at(at(2));
  machine.write('a/one.md', '2\n');
  // What an imported commit has: no note. Publishing goes through the same transaction, with the notes left out.
  const begin = repository.begin.bind(repository);
  repository.begin = (options) => {
    const transaction = begin(options);
    const publish = transaction.publish.bind(transaction);
    transaction.publish = (moves, commits) =>
      publish(
        moves,
        commits.map(({ id, timeMs, kind }) => ({ id, timeMs, kind })),
      );
    return transaction;
  };
  const bare = await commitAgent(machine.context, agent, repository, { kind: 'incremental', trigger: 'test' });
  // A note that claims a path which did not change stands for two paths with one hash.
  const claimed = Buffer.alloc(4);
  claimed.writeUInt32BE(hashPath('state/a/one.md'));
  repository.begin = (options) => {
    const transaction = begin(options);
    const publish = transaction.publish.bind(transaction);
    transaction.publish = (moves, commits) =>
      publish(
        moves,
        commits.map((commit) => ({ ...commit, paths: claimed })),
      );
    return transaction;
  };
  machine.at(at(3));
  machine.write('b.md', '3\n');
  await commitAgent(machine.context, agent, repository, { kind: 'incremental', trigger: 'test' });
  const log = async (): Promise<CommitId[]> => {
    const listed: CommitId[] = [];
    for await (const { id } of listLog(machine.context, { agent: 'bot', words: [], paths: ['a/one.md'] }))
      listed.push(id);
    return listed;
  };
  t.deepEqual(await log(), [bare.id, first.id]);
  repository.begin = begin;
  for (let tick = 4; tick < 24; tick += 1) await machine.commit(at(tick));
  t.deepEqual(await log(), [bare.id, first.id], 'from the runs as from the tail');
});

test('the history of a path on one branch does not show the commits of another', async (t) => {
  const machine = await makeMachine(t);
  machine.write('a/one.md', '1\n');
  const first = await machine.commit(at(1));
  const open = await machine.open();
  const { repository } = open;
  await repository.transact({ packs: false }, (transaction) =>
    transaction.publish([{ name: 'refs/heads/other', from: undefined, to: first.id }], []),
  );
  machine.write('a/one.md', '2\n');
  const second = await machine.commit(at(2));
  const list = async (words: readonly string[]): Promise<CommitId[]> => {
    const listed: CommitId[] = [];
    for await (const { id } of listLog(machine.context, { agent: 'bot', words, paths: ['a/one.md'] })) listed.push(id);
    return listed;
  };
  t.deepEqual(await list([]), [second.id, first.id]);
  t.deepEqual(await list(['heads/other']), [first.id]);
});
