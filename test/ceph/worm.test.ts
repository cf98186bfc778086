// Object Lock on a real Ceph: `--lock compliance --lock-days 90`. Nothing that molt offers deletes or overwrites what is locked, and all of
// it comes back although somebody with the bucket's keys wrote over every name there is and many that may come.

import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DeleteObjectCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
  PutObjectRetentionCommand,
} from '@aws-sdk/client-s3';
import test, { type ExecutionContext } from 'ava';
import { checkpointName } from '../../src/format/checkpoint.ts';
import { indexName } from '../../src/format/index-run.ts';
import { packName, segmentName } from '../../src/format/segment.ts';
import { isMoltError } from '../../src/model/error.ts';
import type { CommitId, PackId } from '../../src/model/ids.ts';
import { applyAgentRemoval, planAgentRemoval } from '../../src/ops/agent.ts';
import { backUp } from '../../src/ops/backup.ts';
import { clone } from '../../src/ops/clone.ts';
import type { OpsContext } from '../../src/ops/context.ts';
import { addKey } from '../../src/ops/key.ts';
import { rotateKeys } from '../../src/ops/key-rotate.ts';
import { openAgent, type OpenAgent } from '../../src/ops/open.ts';
import { openPlace } from '../../src/ops/open-place.ts';
import { prune, type PruneResult } from '../../src/ops/prune.ts';
import { push } from '../../src/ops/push.ts';
import { addRemote, removeRemote } from '../../src/ops/remote.ts';
import { applyRestore, planRestore } from '../../src/ops/restore.ts';
import { verifyAgent } from '../../src/ops/verify.ts';
import { keyringName } from '../../src/repo/keyrings.ts';
import { OldestStorage } from '../../src/repo/oldest.ts';
import { Repository } from '../../src/repo/repository.ts';
import { sweep } from '../../src/repo/sweep.ts';
import { deleteSwept } from '../../src/repo/sweep-delete.ts';
import { openRemoteStorage } from '../../src/storage/open-remote.ts';
import type { RemoteOptions } from '../../src/storage/remote.ts';
import { contextIn, makeMachine, type Machine } from '../ops/machine.ts';
import { type Cluster, startCluster } from './cluster.ts';

const DAY_MS = 86_400_000;
const LOCK = { mode: 'compliance', days: 90 } as const;
const LOCKED: RemoteOptions = { rules: { createOnce: 'oldest-version', versioned: true }, lock: LOCK };
const BUCKET = 'worm';

let cluster: Cluster;

test.before(async () => {
  cluster = await startCluster();
  await cluster.makeBucket(BUCKET, { objectLock: true });
});

test.after.always(() => cluster?.stop());

interface Saved {
  readonly id: CommitId;
  readonly text: string;
}

interface Guarded {
  readonly machine: Machine;
  readonly context: OpsContext;
  readonly url: string;
  /** The bucket's prefix. */
  readonly prefix: string;
  readonly saved: readonly Saved[];
}

/** An agent with ten days behind it, each pushed to a remote that locks for 90 days. */
async function makeGuarded(t: ExecutionContext): Promise<Guarded> {
  const startMs = Date.now() - 11 * DAY_MS;
  const machine = await makeMachine(t, new Date(startMs).toISOString());
  const { context } = machine;
  const url = cluster.placeIn(BUCKET);
  const { decision } = await addRemote(context, 'bot', { name: 'origin', url, lock: LOCK, singleWriter: false });
  t.is(decision.verdict, 'ok');
  const saved: Saved[] = [];
  for (let day = 1; day <= 10; day += 1) {
    machine.at(new Date(startMs + day * DAY_MS).toISOString());
    const text = randomBytes(20_000).toString('hex');
    machine.write('memory.md', text);
    const full = day % 3 === 1;
    const { id } = await backUp(context, 'bot', { kind: full ? 'full' : 'incremental', full, trigger: 'test' });
    saved.push({ id, text });
    if (day % 2 === 0) await push(context, 'bot');
  }
  machine.at(new Date().toISOString());
  return { machine, context, url, prefix: new URL(url).pathname.slice(1), saved };
}

interface Version {
  readonly key: string;
  readonly versionId: string;
  readonly etag: string;
}

async function listVersions(prefix: string): Promise<Version[]> {
  const all: Version[] = [];
  let marker: { KeyMarker?: string; VersionIdMarker?: string } = {};
  for (;;) {
    const page = await cluster.client.send(
      new ListObjectVersionsCommand({ Bucket: BUCKET, Prefix: `${prefix}/`, ...marker }),
    );
    for (const { Key = '', VersionId = '', ETag = '' } of page.Versions ?? [])
      all.push({ key: Key, versionId: VersionId, etag: ETag });
    if (page.IsTruncated !== true) return all;
    marker = { KeyMarker: page.NextKeyMarker ?? '', VersionIdMarker: page.NextVersionIdMarker ?? '' };
  }
}

/** The probe's object is locked for a minute only, to see whether locks hold. */
const isOurs = ({ key }: Version): boolean => !key.includes('/probe');

async function checkAllThere(t: ExecutionContext, { prefix }: Guarded, before: readonly Version[]): Promise<void> {
  const left = new Map((await listVersions(prefix)).map(({ versionId, key, etag }) => [`${key} ${versionId}`, etag]));
  for (const { key, versionId, etag } of before) t.is(left.get(`${key} ${versionId}`), etag, key);
}

function tempDir(t: ExecutionContext): string {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'molt-worm-')));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

async function restoreMemory(t: ExecutionContext, context: OpsContext, open: OpenAgent, id: CommitId): Promise<string> {
  const dir = join(tempDir(t), 'back');
  const plan = await planRestore(context, open, { revision: id, timestamp: undefined, dir });
  await applyRestore(context, open, plan);
  return readFileSync(join(dir, 'state/memory.md'), 'utf8');
}

/** Restores every backup straight from the bucket, and from a clone, on machines with nothing on them. */
async function checkComesBack(t: ExecutionContext, { url, context: { clock }, saved }: Guarded): Promise<void> {
  const bare = contextIn(tempDir(t), clock);
  {
    await using place = await openPlace(bare, url);
    for (const { id, text } of saved) t.is(await restoreMemory(t, bare, place, id), text);
  }
  const twin = contextIn(tempDir(t), clock);
  await clone(twin, { url, label: 'twin', name: 'origin' });
  {
    await using open = await openAgent(twin, 'twin');
    t.deepEqual(open.repository.problems, []);
    for (const { id, text } of saved) t.is(await restoreMemory(t, twin, open, id), text);
  }
  const { problems, commits } = await verifyAgent(twin, 'twin', { readShare: 1, repair: false });
  t.deepEqual([problems, commits.hurt], [[], []]);
}

const LAST = { keep: { keepLast: 1 }, isDryRun: false, isLocal: false };

test.serial(
  'nothing that molt offers deletes or overwrites a locked object, and what stays is told with its date',
  async (t) => {
    const guarded = await makeGuarded(t);
    const { context, machine, url, prefix, saved } = guarded;
    const before = (await listVersions(prefix)).filter(isOurs);
    t.true(before.length > 10);
    const storage = await openRemoteStorage(url, { ...LOCKED, bypassGovernance: true });
    const { versions } = storage;
    if (versions === undefined) throw new Error('the bucket keeps no versions');
    const ends = new Map<string, number>();
    for (const { key, versionId } of before) {
      const name = key.slice(prefix.length + 1);
      const lock = await versions.findRetention(name, versionId);
      t.is(lock?.mode, 'compliance', name);
      t.true((lock?.untilMs ?? 0) > Date.now() + 89 * DAY_MS, name);
      ends.set(name, lock?.untilMs ?? 0);
    }

    // Pruning that would keep one backup keeps all that is locked, and says until when.
    const first = await prune(context, 'bot', LAST);
    checkTold(t, first);
    const [origin] = first.remotes;
    t.is(origin?.kept, 11);
    t.is(origin?.expired, 0);
    t.true((origin?.keptByLock?.backups ?? 0) >= 8);
    t.true(Math.abs(Date.parse(origin?.keptByLock?.until ?? '') - Math.max(...ends.values())) < 3_600_000);
    const dry = await prune(context, 'bot', { ...LAST, isDryRun: true });
    t.deepEqual(dry.remotes[0]?.keptByLock, origin?.keptByLock);

    // A machine that knows nothing of the lock asks the bucket before it lets anything go.
    const twin = contextIn(tempDir(t), context.clock);
    await clone(twin, { url, label: 'twin', name: 'origin' });
    const fromTwin = await prune(twin, 'twin', LAST);
    checkTold(t, fromTwin);
    t.is(fromTwin.remotes[0]?.expired, 0);
    const until = Date.parse(fromTwin.remotes[0]?.keptByLock?.until ?? '');
    t.true(
      [...ends].some(([name, end]) => name.startsWith('log/') && Math.abs(end - until) < 1000),
      'it is a date of the bucket’s own',
    );

    // A clock that is years ahead changes nothing.
    machine.at(new Date(Date.now() + 400 * DAY_MS).toISOString());
    checkTold(t, await prune(context, 'bot', LAST));
    machine.at(new Date().toISOString());

    // Everything else that writes or forgets.
    await addKey(context, 'bot', { type: 'recovery', keep: async () => {} });
    await push(context, 'bot', { forceCheck: true });
    await rotateKeys(context, 'bot', {
      passphrase: async () => 'first',
      agree: async () => true,
      keep: async () => {},
    });
    await push(context, 'bot', { forceCheck: true });
    await verifyAgent(context, 'bot', { readShare: 1, repair: true, remote: 'origin', extendLocks: true });
    await removeRemote(context, 'bot', 'origin');
    await applyAgentRemoval(twin, await planAgentRemoval(twin, 'twin', { repository: true }));

    // The storage itself, by name and by version, with the permission that governance yields to.
    for (const { key, versionId } of before) {
      const name = key.slice(prefix.length + 1);
      const error = await t.throwsAsync(storage.delete(name));
      const told = isMoltError(error, 'REMOTE_REFUSED') ? error.details['lockedUntilMs'] : error;
      t.is(told, ends.get(name));
      t.false(await storage.createOnce(name, [Buffer.from('other')]));
      const sooner = versions.extendRetention(name, versionId, { mode: 'compliance', untilMs: Date.now() + DAY_MS });
      t.true(isMoltError(await t.throwsAsync(sooner), 'REMOTE_REFUSED'));
      const lesser = versions.extendRetention(name, versionId, {
        mode: 'governance',
        untilMs: (ends.get(name) ?? 0) + 1000,
      });
      t.true(isMoltError(await t.throwsAsync(lesser), 'REMOTE_REFUSED'));
      // What whoever owns the bucket can do.
      for (const command of [
        new DeleteObjectCommand({ Bucket: BUCKET, Key: key, VersionId: versionId, BypassGovernanceRetention: true }),
        new PutObjectRetentionCommand({
          Bucket: BUCKET,
          Key: key,
          VersionId: versionId,
          BypassGovernanceRetention: true,
          Retention: { Mode: 'COMPLIANCE', RetainUntilDate: new Date(Date.now() + DAY_MS) },
        }),
      ])
        await t.throwsAsync(cluster.client.send(command), { name: 'AccessDenied' });
    }
    await checkAllThere(t, guarded, before);
    await checkComesBack(t, guarded);
    t.log(`${before.length} locked objects, ${saved.length} backups`);
  },
);

function checkTold(t: ExecutionContext, { remotes }: PruneResult): void {
  t.is(remotes.length, 1);
  t.is(remotes[0]?.error, undefined);
  t.truthy(remotes[0]?.keptByLock);
}

test.serial('a sweep that takes locked objects away deletes none, and tells of each until when it stays', async (t) => {
  const guarded = await makeGuarded(t);
  const { context, url, prefix, saved } = guarded;
  const before = (await listVersions(prefix)).filter(isOurs);
  const storage = await openRemoteStorage(url, LOCKED);
  await using open = await openAgent(context, 'bot');
  const { roots } = open.repository.keys;
  const keys = { roots, generation: open.repository.keyGeneration };
  const there = await Repository.open(new OldestStorage(storage), keys, context);
  const last = saved.at(-1)?.id;
  const decide = async () => {
    const commits = (await there.index.listCommits()).filter(({ isExpired }) => !isExpired);
    return {
      keep: commits.filter(({ id }) => id === last),
      expire: commits.filter(({ id }) => id !== last),
      dropRefs: [...there.tagged].flatMap(([name, id]) => (name.startsWith('refs/tags/') && id !== last ? [name] : [])),
    };
  };
  t.truthy(await sweep(there, decide, { orphanedBeforeMs: 0 }));
  const { begin } = there.log;
  t.true(begin.seq > 0 && begin.swept.length > 0);
  const deleted = await deleteSwept(there, { nowMs: Date.now() + 5 * DAY_MS, packGraceMs: 0 });
  t.is(deleted.objects, 0);
  // The packs, and of the log the first: none behind it goes before it.
  t.is(deleted.refused.length, begin.swept.length + 1);
  for (const { name, lockedUntilMs, error } of deleted.refused) {
    const real = await storage.versions?.findRetention(
      name,
      (await storage.versions.list(name)).versions[0]?.versionId,
    );
    t.is(lockedUntilMs, real?.untilMs);
    t.regex(
      error.message,
      new RegExp(`${name}.*is locked until ${new Date(real?.untilMs ?? 0).toISOString().slice(0, 10)}`),
    );
  }
  await checkAllThere(t, guarded, before);
  await checkComesBack(t, { ...guarded, saved: saved.slice(-1) });
});

/** What somebody does who has the bucket's keys, and not the repository's. */
async function intrude({ prefix }: Guarded, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const at = { Bucket: BUCKET, Key: `${prefix}/${name}` };
    await cluster.client.send(new PutObjectCommand({ ...at, Body: randomBytes(300) }));
    if (name.length % 2 === 0) continue;
    await cluster.client.send(new DeleteObjectCommand(at));
  }
}

function futureNames(tip: number): string[] {
  const hex = (): string => randomBytes(32).toString('hex');
  const numbers = Array.from({ length: 12 }, (_, index) => tip + 1 + index);
  return [
    ...numbers.map((seq) => segmentName(seq)),
    ...[tip + 40, tip + 1000, 999_999_999_999].map((seq) => segmentName(seq)),
    ...[...numbers, 999_999_999_999].map((seq) => checkpointName(seq, hex())),
    ...Array.from({ length: 6 }, () => indexName(hex())),
    ...Array.from({ length: 6 }, () => packName(hex() as PackId)),
    ...[2, 3, 7, 999_999].map((generation) => keyringName(generation)),
  ];
}

test.serial('all comes back although somebody wrote over every name, and many that may come', async (t) => {
  const guarded = await makeGuarded(t);
  const { context, machine, prefix, saved } = guarded;
  const before = (await listVersions(prefix)).filter(isOurs);
  const names = [...new Set(before.map(({ key }) => key.slice(prefix.length + 1)))];
  for (const folder of ['format.json', 'keys/', 'log/', 'packs/', 'index/', 'checkpoint/'])
    t.true(
      names.some((name) => name.startsWith(folder)),
      folder,
    );
  const tip = Math.max(...names.flatMap((name) => (name.startsWith('log/') ? [Number(name.slice(4))] : [])));
  const planted = futureNames(tip);
  await intrude(guarded, [...names, ...planted]);
  await intrude(
    guarded,
    names.filter((name) => name.length % 2 === 0),
  );
  await checkAllThere(t, guarded, before);
  await checkComesBack(t, guarded);

  // The agent goes on, over what was planted ahead of it, and what it saves now comes back too.
  const more: Saved[] = [];
  for (let tick = 0; tick < 3; tick += 1) {
    const text = randomBytes(20_000).toString('hex');
    machine.write('memory.md', text);
    const { id } = await backUp(context, 'bot', { kind: 'incremental', full: tick === 1, trigger: 'test' });
    more.push({ id, text });
    await push(context, 'bot', { forceCheck: true });
  }
  const checked = await verifyAgent(context, 'bot', { readShare: 1, repair: false, remote: 'origin' });
  // What was planted is told of; nothing of the agent's is hurt.
  t.deepEqual(checked.commits.hurt, []);
  t.deepEqual(
    checked.problems.filter(({ object }) => !planted.includes(object)),
    [],
  );
  for (const name of names)
    t.true(
      checked.notes.some(({ object, note }) => object === name && /hidden by a delete marker|on top/.test(note)),
      name,
    );
  await checkComesBack(t, { ...guarded, saved: [...saved, ...more] });

  // Pruning goes on as well, and takes nothing that is locked.
  const [origin] = (await prune(context, 'bot', LAST)).remotes;
  t.is(origin?.error, undefined);
  t.is(origin?.expired, 0);
  await checkAllThere(t, guarded, before);
  await checkComesBack(t, { ...guarded, saved: [...saved, ...more] });
});
