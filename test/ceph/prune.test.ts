// Sweeps and what follows them on a real Ceph, in a plain bucket and in one that keeps versions: what was swept is gone, with all of its
// versions and markers, what stays is whole, and machines that were away go on.

import { randomBytes } from 'node:crypto';
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeleteObjectCommand, ListObjectVersionsCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import test, { type ExecutionContext } from 'ava';
import { packName, parseSegmentName, segmentName } from '../../src/format/segment.ts';
import type { CommitId } from '../../src/model/ids.ts';
import { backUp } from '../../src/ops/backup.ts';
import { clone } from '../../src/ops/clone.ts';
import type { OpsContext } from '../../src/ops/context.ts';
import { fetchRemote } from '../../src/ops/fetch.ts';
import { openAgent } from '../../src/ops/open.ts';
import { prune } from '../../src/ops/prune.ts';
import { pull } from '../../src/ops/pull.ts';
import { push } from '../../src/ops/push.ts';
import { addRemote } from '../../src/ops/remote.ts';
import { applyRestore, planRestore } from '../../src/ops/restore.ts';
import { verifyAgent } from '../../src/ops/verify.ts';
import { OldestStorage } from '../../src/repo/oldest.ts';
import { Repository } from '../../src/repo/repository.ts';
import { sweep, type SweepOrder } from '../../src/repo/sweep.ts';
import { deleteSwept, LOG_GRACE_MS } from '../../src/repo/sweep-delete.ts';
import { openRemoteStorage } from '../../src/storage/open-remote.ts';
import type { RemoteOptions } from '../../src/storage/remote.ts';
import { contextIn, makeMachine, type Machine } from '../ops/machine.ts';
import { commitFiles, readFiles } from '../repo/support.ts';
import { type Cluster, startCluster } from './cluster.ts';

const DAY_MS = 86_400_000;

let cluster: Cluster;

test.before(async () => {
  cluster = await startCluster();
  await cluster.makeBucket('plain');
  // Locks are what turns versions on here; nothing is locked.
  await cluster.makeBucket('versions', { objectLock: true });
});

test.after.always(() => cluster?.stop());

const BUCKETS: readonly (readonly [what: string, bucket: string, options: RemoteOptions])[] = [
  ['a plain bucket', 'plain', { rules: { createOnce: 'conditional', versioned: false } }],
  ['a bucket with versions', 'versions', { rules: { createOnce: 'oldest-version', versioned: true } }],
];

function tempDir(t: ExecutionContext): string {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'molt-ceph-')));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** An agent with ten days behind it that end today, pushed every second day. */
async function makeHistory(t: ExecutionContext, url: string): Promise<{ machine: Machine; ids: CommitId[] }> {
  const startMs = Date.now() - 11 * DAY_MS;
  const machine = await makeMachine(t, new Date(startMs).toISOString());
  const { context } = machine;
  await addRemote(context, 'bot', { name: 'origin', url, singleWriter: false });
  const ids: CommitId[] = [];
  for (let day = 1; day <= 10; day += 1) {
    machine.at(new Date(startMs + day * DAY_MS).toISOString());
    machine.write('memory.md', randomBytes(40_000).toString('hex'));
    const full = day % 3 === 1;
    ids.push((await backUp(context, 'bot', { kind: full ? 'full' : 'incremental', full, trigger: 'test' })).id);
    if (day % 2 === 0) await push(context, 'bot');
  }
  machine.at(new Date().toISOString());
  return { machine, ids };
}

/** Opens the remote's repository as pruning does, with the keys of a machine. */
async function openThere(context: OpsContext, label: string, url: string, options: RemoteOptions): Promise<Repository> {
  await using open = await openAgent(context, label);
  const storage = new OldestStorage(await openRemoteStorage(url, options));
  const keys = { roots: open.repository.keys.roots, generation: open.repository.keyGeneration };
  return await Repository.open(storage, keys, context);
}

function keeping(there: Repository, kept: readonly CommitId[]): () => Promise<SweepOrder> {
  return async () => {
    const commits = (await there.index.listCommits()).filter(({ isExpired }) => !isExpired);
    const isKept = (id: CommitId): boolean => kept.includes(id) || [...there.refs.values()].includes(id);
    const gone = new Set(commits.flatMap(({ id }) => (isKept(id) ? [] : [id])));
    return {
      keep: commits.filter(({ id }) => !gone.has(id)),
      expire: commits.filter(({ id }) => gone.has(id)),
      dropRefs: [...there.tagged].flatMap(([name, id]) => (gone.has(id) ? [name] : [])),
    };
  };
}

/** Everything that the bucket keeps under a prefix, versions and markers alike, by molt's names. */
async function listRaw(bucket: string, url: string): Promise<Map<string, number>> {
  const prefix = `${new URL(url).pathname.slice(1)}/`;
  const counts = new Map<string, number>();
  const page = await cluster.client.send(new ListObjectVersionsCommand({ Bucket: bucket, Prefix: prefix }));
  if (page.IsTruncated === true) throw new Error('there is more than one page');
  for (const { Key = '' } of [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])]) {
    const name = Key.slice(prefix.length);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

async function restores(
  t: ExecutionContext,
  context: OpsContext,
  label: string,
  ids: readonly CommitId[],
): Promise<void> {
  await using open = await openAgent(context, label);
  for (const id of ids) {
    const plan = await planRestore(context, open, { revision: id, timestamp: undefined, dir: join(tempDir(t), 'out') });
    t.true((await applyRestore(context, open, plan)).files.written > 0);
  }
}

for (const [what, bucket, options] of BUCKETS) {
  test.serial(
    `in ${what} what was swept goes with all that lies on top of it, and a machine that was away goes on`,
    async (t) => {
      const url = cluster.placeIn(bucket);
      const { machine, ids } = await makeHistory(t, url);
      const { context } = machine;
      // Two machines that saw the remote as it is now, and are away from here on.
      const [away, pulling] = [contextIn(tempDir(t), context.clock), contextIn(tempDir(t), context.clock)];
      await clone(away, { url, label: 'away', name: 'origin', stateDir: tempDir(t) });
      await clone(pulling, { url, label: 'pulling', name: 'origin' });
      const lines = await makeLine(away);
      await push(away, 'away');

      const there = await openThere(context, 'bot', url, options);
      const kept = ids.slice(-3);
      t.truthy(await sweep(there, keeping(there, kept), { orphanedBeforeMs: 0 }));
      const { begin } = there.log;
      t.true(begin.seq > 0 && begin.swept.length > 0);
      const goes = [
        ...begin.swept.map((id) => packName(id)),
        ...Array.from({ length: begin.seq }, (_, at) => segmentName(at + 1)),
      ];
      const prefix = new URL(url).pathname.slice(1);
      if (bucket === 'versions') {
        for (const [at, name] of goes.entries()) {
          const key = { Bucket: bucket, Key: `${prefix}/${name}` };
          if (at % 3 !== 1) await cluster.client.send(new PutObjectCommand({ ...key, Body: 'garbage' }));
          if (at % 3 !== 0) await cluster.client.send(new DeleteObjectCommand(key));
        }
        const counts = await listRaw(bucket, url);
        t.true(goes.every((name) => (counts.get(name) ?? 0) > 1));
      }
      // Not before its time, and no pack while somebody may read it.
      t.is((await deleteSwept(there, { nowMs: Date.now(), packGraceMs: DAY_MS })).objects, 0);
      const nowMs = Date.now() + LOG_GRACE_MS + DAY_MS;
      const deleted = await deleteSwept(there, { nowMs, packGraceMs: DAY_MS });
      t.deepEqual(deleted.refused, []);
      t.is(deleted.objects, goes.length);
      await there.close();
      const left = await listRaw(bucket, url);
      for (const name of goes) t.is(left.get(name), undefined, name);
      // Whoever may write there fills the numbers that are free now.
      for (const name of goes.filter((one) => one.startsWith('log/')))
        await cluster.client.send(new PutObjectCommand({ Bucket: bucket, Key: `${prefix}/${name}`, Body: 'garbage' }));
      const { problems } = await verifyAgent(context, 'bot', { readShare: 1, repair: false, remote: 'origin' });
      t.deepEqual(problems, []);

      // Who was away for two days looks first, and finds that what it saw last was pruned.
      machine.at(new Date(Date.now() + 2 * DAY_MS).toISOString());
      const late = await makeLine(away);
      const pushed = await push(away, 'away');
      t.is(pushed.refs.find(({ name }) => name === 'refs/heads/main')?.to, late);
      await fetchRemote(pulling, 'pulling');
      t.is((await pull(pulling, 'pulling')).outcome, 'forward');
      await restores(t, pulling, 'pulling', [lines, late]);
      await pull(context, 'bot');
      await restores(t, context, 'bot', [...kept, lines, late]);
      const again = await verifyAgent(context, 'bot', { readShare: 1, repair: false, remote: 'origin' });
      t.deepEqual([again.problems, again.commits.hurt], [[], []]);
      const fresh = contextIn(tempDir(t), context.clock);
      await clone(fresh, { url, label: 'fresh', name: 'origin' });
      await restores(t, fresh, 'fresh', [...kept, lines, late]);
      t.log(`${deleted.objects} objects went, ${left.size} names stay`);
    },
  );

  test.serial(
    `in ${what} a writer that loses its number to a sweep, or writes into a pruned one, does its work anew`,
    async (t) => {
      const url = cluster.placeIn(bucket);
      const { machine, ids } = await makeHistory(t, url);
      const { context } = machine;
      const slow = await openThere(context, 'bot', url, options);
      const slower = await openThere(context, 'bot', url, options);
      const sweeper = await openThere(context, 'bot', url, options);
      const kept = ids.slice(-2);
      t.truthy(await sweep(sweeper, keeping(sweeper, kept), { orphanedBeforeMs: 0 }));
      const sweepSeq = sweeper.log.tip.seq;
      // It takes all of this for stored, and most of it is swept by then.
      const [old] = ids;
      if (old === undefined) throw new Error('there is no history');
      const files = await readFiles(slow, old);
      const anew = await commitFiles(slow, Object.fromEntries(files), { ref: 'refs/heads/slow' });
      t.true(slow.log.tip.seq > sweepSeq);

      // The log grows, is swept up to beyond what the slowest saw last, and that is deleted.
      for (let at = 0; at < 8; at += 1)
        await commitFiles(sweeper, { note: randomBytes(100_000) }, { ref: 'refs/heads/later' });
      const heads = [...sweeper.refs.values()] as CommitId[];
      await sweep(sweeper, keeping(sweeper, [...kept, ...heads]), { orphanedBeforeMs: 0 });
      const { begin } = sweeper.log;
      t.true(begin.seq > slower.log.tip.seq, 'what the slowest saw last is swept');
      await deleteSwept(sweeper, { nowMs: Date.now() + LOG_GRACE_MS + DAY_MS, packGraceMs: DAY_MS });
      t.is(await sweeper.storage.stat(segmentName(slower.log.tip.seq)), undefined);
      const late = await commitFiles(slower, { 'state/memory.md': 'at last' }, { ref: 'refs/heads/slower' });
      t.true(slower.log.tip.seq > begin.seq);
      const names = [...(await listRaw(bucket, url)).keys()];
      t.true(
        names.every((name) => (parseSegmentName(name) ?? Infinity) > begin.seq),
        'nothing is left in a pruned number',
      );

      const reader = await openThere(context, 'bot', url, options);
      t.deepEqual(reader.problems, []);
      for (const id of [...kept, anew, late]) t.true((await readFiles(reader, id)).size > 0);
      const found = await readFiles(reader, anew);
      for (const [path, bytes] of files) t.deepEqual(found.get(path), bytes, path);
      const { problems, commits } = await verifyAgent(context, 'bot', {
        readShare: 1,
        repair: false,
        remote: 'origin',
      });
      t.deepEqual([problems, commits.hurt], [[], []]);
      for (const one of [slow, slower, sweeper, reader]) await one.close();
    },
  );
}

test.serial('molt prune frees a bucket, and a machine that never wrote there tries it out first', async (t) => {
  const url = cluster.placeIn('versions');
  const { machine, ids } = await makeHistory(t, url);
  const twin = contextIn(tempDir(t), machine.context.clock);
  await clone(twin, { url, label: 'twin', name: 'origin' });
  const [told] = (await prune(twin, 'twin', { keep: { keepLast: 2 }, isDryRun: false, isLocal: false })).remotes;
  t.is(told?.error, undefined);
  t.true((told?.expired ?? 0) > 4);
  t.is(told?.keptByLock, undefined);
  t.true((told?.storage?.freedBytes ?? 0) > 0);
  const { problems } = await verifyAgent(machine.context, 'bot', { readShare: 1, repair: false, remote: 'origin' });
  t.deepEqual(problems, []);
  await machine.commit();
  await push(machine.context, 'bot', { forceCheck: true });
  await restores(t, machine.context, 'bot', ids);
});

/** Saves something new on a machine whose agent has no files yet but these. */
async function makeLine(context: OpsContext): Promise<CommitId> {
  const { stateDir } = (await context.home.findAgent('away')) ?? { stateDir: '' };
  writeFileSync(join(stateDir, `line-${randomBytes(4).toString('hex')}`), randomBytes(3000));
  return (await backUp(context, 'away', { kind: 'incremental', trigger: 'test' })).id;
}
