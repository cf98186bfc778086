// Push, clone and verify against a real Ceph gateway: many processes at once in a plain bucket and in one with versions and locks.

import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { addRemote } from '../../src/ops/remote.ts';
import { clone } from '../../src/ops/clone.ts';
import { push } from '../../src/ops/push.ts';
import { verifyAgent } from '../../src/ops/verify.ts';
import { makeMachine } from '../ops/machine.ts';
import { racePushes } from '../ops/pushing.ts';
import { type Cluster, startCluster } from './cluster.ts';

let cluster: Cluster;

test.before(async () => {
  cluster = await startCluster();
  await cluster.makeBucket('plain');
  await cluster.makeBucket('locked', { objectLock: true });
});

test.after.always(() => cluster?.stop());

function makeDir(t: ExecutionContext): string {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'molt-ceph-')));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

for (const [what, bucket] of [
  ['a plain bucket', 'plain'],
  ['a bucket with versions, whose conditions Ceph ignores', 'locked'],
] as const) {
  for (const shared of [false, true]) {
    test.serial(
      `eight processes push to ${shared ? 'one branch' : 'eight branches'} in ${what}, and nothing is lost`,
      async (t) => {
        const url = cluster.placeIn(bucket);
        const race = await racePushes({ dir: makeDir(t), url, processes: 8, commits: 3, shared });
        t.deepEqual(race, { made: 24, lost: [], problems: [] });
      },
    );
  }
}

test.serial('a tick is one request to a plain bucket, and a clone has everything', async (t) => {
  const { context, commit } = await makeMachine(t);
  const url = cluster.placeIn('plain');
  await addRemote(context, 'bot', { name: 'origin', url, singleWriter: false });
  await push(context, 'bot');
  const { id } = await commit();
  t.deepEqual((await push(context, 'bot')).requests, { put: 1, get: 0, list: 0, head: 0, delete: 0 });
  const dir = makeDir(t);
  const { Home } = await import('../../src/ops/home.ts');
  const twin = { ...context, home: new Home(join(dir, 'home')), cwd: dir };
  t.is((await clone(twin, { url, label: 'twin', name: 'origin' })).commit, id);
});

test.serial('in a bucket with locks every object is locked from birth, and pushing goes on', async (t) => {
  const { context, commit } = await makeMachine(t);
  const url = cluster.placeIn('locked');
  const report = await addRemote(context, 'bot', {
    name: 'origin',
    url,
    lock: { mode: 'governance', days: 1 },
    singleWriter: false,
  });
  t.is(report.decision.verdict, 'ok');
  await push(context, 'bot');
  await commit();
  await push(context, 'bot');
  const verified = await verifyAgent(context, 'bot', { readShare: 1, repair: false, remote: 'origin' });
  t.deepEqual(verified.problems, []);
  const told = (notes: typeof verified.notes): string => notes.find(({ object }) => object === 'origin')?.note ?? '';
  t.regex(told(verified.notes), /^locks (\d+) of \1 objects, the first until \d{4}-/);
});
