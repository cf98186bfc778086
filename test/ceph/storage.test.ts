// S3 storage on a real Ceph gateway: the contract in a plain bucket and in one with versions and locks, where Ceph ignores conditional
// writes, and what the probe says about both.

import { DeleteObjectCommand, PutBucketLifecycleConfigurationCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import test from 'ava';
import { isMoltError } from '../../src/model/error.ts';
import { openRemoteStorage } from '../../src/storage/open-remote.ts';
import { probeRemote } from '../../src/storage/probe.ts';
import type { RemoteOptions } from '../../src/storage/remote.ts';
import { listed, storageContract } from '../storage/contract.ts';
import { type Cluster, startCluster } from './cluster.ts';

let cluster: Cluster;

test.before(async () => {
  cluster = await startCluster();
  await cluster.makeBucket('plain');
  await cluster.makeBucket('locked', { objectLock: true });
});

test.after.always(() => cluster?.stop());

const OLDEST: RemoteOptions = { rules: { createOnce: 'oldest-version', versioned: true } };
const LOCKED: RemoteOptions = { ...OLDEST, lock: { mode: 'governance', days: 1 } };

const DAY_MS = 86_400_000;

storageContract(test, 'ceph, plain bucket', async () => {
  const url = cluster.placeIn('plain');
  return async () => openRemoteStorage(url);
});

storageContract(test, 'ceph, versioned bucket with locks from birth', async () => {
  const url = cluster.placeIn('locked');
  return async () => openRemoteStorage(url, { ...LOCKED, bypassGovernance: true });
});

test('the probe takes a plain bucket by conditional writes', async (t) => {
  const url = cluster.placeIn('plain');
  const { findings, decision, leftBehind } = await probeRemote(url);
  t.is(findings.createOnce, 'enforced');
  t.is(findings.versioning, 'off');
  t.is(findings.objectLock, 'off');
  t.is(findings.expiry, 'none');
  t.true(findings.readAfterWrite && findings.rangeReads && findings.listing && findings.canDelete);
  t.deepEqual(decision, { verdict: 'ok', rules: { createOnce: 'conditional', versioned: false }, notes: [] });
  t.deepEqual(leftBehind, []);
  t.deepEqual(await listed(await openRemoteStorage(url), ''), []);
});

test('the probe finds that a versioned bucket ignores conditions, and takes it by its oldest versions, with locks', async (t) => {
  const { findings, decision, leftBehind } = await probeRemote(cluster.placeIn('locked'), {
    lock: { mode: 'compliance', days: 90 },
  });
  t.is(findings.createOnce, 'ignored');
  t.true(findings.oldestVersionWins);
  t.deepEqual(findings.locks, { fromBirth: true, holds: true, extends: true });
  t.is(decision.verdict, 'ok');
  t.deepEqual(decision.verdict === 'ok' && decision.rules, OLDEST.rules);
  t.is(leftBehind.length, 1);
});

test('the probe refuses locks in a bucket without them, and a bucket whose rules delete', async (t) => {
  const unlockable = await probeRemote(cluster.placeIn('plain'), { lock: { mode: 'governance', days: 90 } });
  t.is(unlockable.decision.verdict, 'refused');
  await cluster.makeBucket('expiring');
  await cluster.client.send(
    new PutBucketLifecycleConfigurationCommand({
      Bucket: 'expiring',
      LifecycleConfiguration: {
        Rules: [{ ID: 'old', Status: 'Enabled', Filter: { Prefix: '' }, Expiration: { Days: 30 } }],
      },
    }),
  );
  const expiring = await probeRemote(cluster.placeIn('expiring'));
  t.is(expiring.findings.expiry, 'objects');
  t.is(expiring.decision.verdict, 'refused');
});

test('eight writers in a versioned bucket get numbers of their own, and the oldest versions are theirs', async (t) => {
  const url = cluster.placeIn('locked');
  const writers = await Promise.all(Array.from({ length: 8 }, async () => openRemoteStorage(url, OLDEST)));
  const wins = new Map<string, string>();
  await Promise.all(
    writers.map(async (writer, id) => {
      for (let number = 1, left = 5; left > 0; number += 1) {
        const name = `log/${String(number).padStart(12, '0')}`;
        if (!(await writer.createOnce(name, [Buffer.from(`writer ${id}, ${left} left`)]))) continue;
        wins.set(name, `writer ${id}, ${left} left`);
        left -= 1;
      }
    }),
  );
  t.is(wins.size, 40);
  const reader = await openRemoteStorage(url, OLDEST);
  t.is((await listed(reader, 'log/')).length, 40);
  for (const [name, content] of wins) t.is((await reader.read(name))?.toString(), content);
});

test('a delete marker and a foreign version on top of an object are seen and read through', async (t) => {
  const url = cluster.placeIn('locked');
  const storage = await openRemoteStorage(url, LOCKED);
  t.true(await storage.createOnce('log/1', [Buffer.from('true')]));
  const at = { Bucket: 'locked', Key: `${new URL(url).pathname.slice(1)}/log/1` };
  await cluster.client.send(new PutObjectCommand({ ...at, Body: 'false' }));
  await cluster.client.send(new DeleteObjectCommand(at));
  const later = await openRemoteStorage(url, LOCKED);
  t.is((await later.read('log/1'))?.toString(), 'true');
  t.is((await later.stat('log/1'))?.sizeBytes, 4);
  t.deepEqual(await listed(later, ''), ['log/1']);
  t.false(await later.createOnce('log/1', [Buffer.from('again')]));
  const seen = await later.versions?.list('log/1');
  t.is(seen?.deleteMarkers, 1);
  t.true(seen?.isHidden);
  const contents = (seen?.versions ?? []).map(async ({ versionId }) => later.versions?.read('log/1', versionId));
  t.deepEqual((await Promise.all(contents)).map(String), ['true', 'false']);
});

test('a lock holds against deletion, is reported, can be extended and not shortened', async (t) => {
  const storage = await openRemoteStorage(cluster.placeIn('locked'), LOCKED);
  await storage.createOnce('packs/aa/1', [Buffer.from('kept')]);
  const versionId = (await storage.versions?.list('packs/aa/1'))?.versions[0]?.versionId ?? '';
  const born = await storage.versions?.findRetention('packs/aa/1', versionId);
  const bornMs = born?.untilMs ?? 0;
  t.is(born?.mode, 'governance');
  t.true(Math.abs(bornMs - (storage.nowMs() ?? 0) - DAY_MS) < 60 * 60_000);
  t.true(isMoltError(await t.throwsAsync(storage.delete('packs/aa/1')), 'REMOTE_REFUSED'));
  const later = { mode: 'governance', untilMs: bornMs + DAY_MS } as const;
  await storage.versions?.extendRetention('packs/aa/1', versionId, later);
  t.is((await storage.versions?.findRetention('packs/aa/1', versionId))?.untilMs, later.untilMs);
  const shorten = storage.versions?.extendRetention('packs/aa/1', versionId, { ...later, untilMs: bornMs });
  t.true(isMoltError(await t.throwsAsync(async () => shorten), 'REMOTE_REFUSED'));
  t.is((await storage.read('packs/aa/1'))?.toString(), 'kept');
});

test('wrong keys, a missing bucket and a missing server are told apart', async (t) => {
  const missing = await openRemoteStorage(`s3://nowhere/x?endpoint=${cluster.endpoint}`);
  for (const attempt of [missing.read('a'), missing.stat('a'), listed(missing, ''), missing.createOnce('a', [])]) {
    const error = await t.throwsAsync(attempt);
    t.true(isMoltError(error, 'REMOTE_REFUSED'));
    t.regex(error.message, /no such bucket/);
  }
  const dead = await openRemoteStorage('s3://plain/x?endpoint=http://127.0.0.1:1');
  t.true(isMoltError(await t.throwsAsync(dead.read('a')), 'REMOTE_UNREACHABLE'));
  for (const [profile, message] of [
    ['wrong', /the secret key is not/],
    ['unknown', /does not know the access key/],
  ] as const) {
    const storage = await openRemoteStorage(`${cluster.placeIn('plain')}&profile=${profile}`);
    const error = await t.throwsAsync(storage.createOnce('a', [Buffer.from('x')]));
    t.true(isMoltError(error, 'REMOTE_REFUSED'));
    t.regex(error.message, message);
  }
});
