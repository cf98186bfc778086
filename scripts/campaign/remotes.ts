// Remotes: eight machines that push to one place at once, and pushes, pulls and clones that are cut at every single request, by a
// broken network and by an answer that is lost. After each, the same command again goes on and ends right.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMoltError } from '../../src/model/error.ts';
import { silentReporter } from '../../src/model/ports.ts';
import { backUp } from '../../src/ops/backup.ts';
import { clone } from '../../src/ops/clone.ts';
import type { OpsContext } from '../../src/ops/context.ts';
import { Home } from '../../src/ops/home.ts';
import { initAgent } from '../../src/ops/init.ts';
import { openAgent } from '../../src/ops/open.ts';
import { pull } from '../../src/ops/pull.ts';
import { push } from '../../src/ops/push.ts';
import { addRemote } from '../../src/ops/remote.ts';
import { verifyAgent } from '../../src/ops/verify.ts';
import { seededRandom } from '../../test/crypto/random.ts';
import { racePushes } from '../../test/ops/pushing.ts';
import { S3Server, type S3Fault } from '../../test/storage/s3-server.ts';
import type { CampaignRun, Tally } from './campaign.ts';

const PROCESSES = 8;
/** Commits of one process in the whole campaign. */
const COMMITS = 50;
const CUTS: Readonly<Record<string, (nth: number) => S3Fault | undefined>> = {
  'the network gone': () => ({ kind: 'reset' }),
  'an answer lost, then the network gone': (nth) => (nth === 0 ? { kind: 'lost-answer' } : { kind: 'reset' }),
  'one answer lost': (nth) => (nth === 0 ? { kind: 'lost-answer' } : undefined),
};

/** The campaign. */
export async function campaign(run: CampaignRun, tally: Tally): Promise<void> {
  process.env['AWS_ACCESS_KEY_ID'] = 'testaccess';
  process.env['AWS_SECRET_ACCESS_KEY'] = 'testsecret';
  for (const shared of [false, true])
    await race(run, tally, shared).catch((error: unknown) => tally.fail('race', error));
  for (const act of ['push', 'clone', 'pull'] as const) {
    for (const [what, fault] of Object.entries(CUTS)) {
      await cut(run, tally, { act, what, fault }).catch((error: unknown) =>
        tally.fail(`${run.seed}: ${act}, ${what}`, error),
      );
    }
  }
}

async function race({ base, share, seed }: CampaignRun, tally: Tally, shared: boolean): Promise<void> {
  const dir = join(base, `race-${shared}`);
  mkdirSync(dir);
  const server = await startServer();
  try {
    const commits = Math.max(2, Math.round(COMMITS * share));
    const found = await racePushes({ dir, url: server.url, processes: PROCESSES, commits, shared });
    if (found.lost.length > 0 || found.problems.length > 0) throw new Error(JSON.stringify({ seed, ...found }));
    tally.add(
      `commits pushed by ${PROCESSES} processes to ${shared ? 'one branch' : 'branches of their own'}, none lost`,
      found.made,
    );
  } finally {
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Cuts an act at each of its requests in turn, or at a share of them. */
async function cut(
  { base, share, seed }: CampaignRun,
  tally: Tally,
  {
    act,
    what,
    fault,
  }: {
    readonly act: 'push' | 'clone' | 'pull';
    readonly what: string;
    readonly fault: (nth: number) => S3Fault | undefined;
  },
): Promise<void> {
  const step = Math.max(1, Math.round(1 / share));
  for (let at = seededRandom(`${seed} ${act} ${what}`).bytes(1).readUInt8() % step; ; at += step) {
    const dir = join(base, `${act}-${at}`);
    const server = await startServer();
    try {
      const isCut = await cutOnce(dir, server, { act, at, fault });
      tally.add(`cuts of a ${act}: ${what}`, isCut ? 1 : 0);
      if (!isCut) return;
    } catch (error) {
      tally.fail(`${seed}: ${act} cut at request ${at}, ${what}`, error);
    } finally {
      await server.stop();
      rmSync(dir, { recursive: true, force: true });
    }
  }
}

/** Runs one act that is cut, and again without; throws if anything is not as it should be. Says whether it was cut. */
async function cutOnce(
  dir: string,
  server: S3Server,
  {
    act,
    at,
    fault,
  }: {
    readonly act: 'push' | 'clone' | 'pull';
    readonly at: number;
    readonly fault: (nth: number) => S3Fault | undefined;
  },
): Promise<boolean> {
  const context = contextIn(join(dir, 'one'));
  const twin = contextIn(join(dir, 'two'));
  await makeAgent(context);
  await addRemote(context, 'bot', { name: 'origin', url: server.url, singleWriter: false });
  if (act !== 'push') await push(context, 'bot');
  if (act === 'pull') {
    await clone(twin, { url: server.url, label: 'twin', name: 'origin' });
    await commit(context);
    await push(context, 'bot');
  }
  const run = async (): Promise<void> => {
    if (act === 'push') await push(context, 'bot');
    else if (act === 'clone') await clone(twin, { url: server.url, label: 'twin', name: 'origin' });
    else await pull(twin, 'twin');
  };
  const start = server.requests.length;
  let isCut = false;
  server.fault = (_, index) => {
    const found = index - start >= at ? fault(index - start - at) : undefined;
    isCut ||= found !== undefined;
    return found;
  };
  const isDone = await run().then(
    () => true,
    (error: unknown) => {
      if (!isMoltError(error, 'REMOTE_UNREACHABLE')) throw error;
      return false;
    },
  );
  server.fault = () => undefined;
  if (!isDone && act === 'clone' && (await twin.home.listAgents()).length > 0) throw new Error('half a clone was left');
  if (!isDone || act !== 'clone') await run();
  if (act === 'push') await clone(twin, { url: server.url, label: 'twin', name: 'origin' });
  if ((await headOf(twin, 'twin')) !== (await headOf(context, 'bot'))) throw new Error('the tips differ');
  for (const { problems } of [
    await verifyAgent(context, 'bot', { readShare: 1, repair: false, remote: 'origin' }),
    await verifyAgent(twin, 'twin', { readShare: 1, repair: false }),
  ]) {
    if (problems.length > 0) throw new Error(JSON.stringify(problems));
  }
  return isCut;
}

async function makeAgent(context: OpsContext): Promise<void> {
  const stateDir = join(context.cwd, 'state');
  mkdirSync(stateDir, { recursive: true });
  writeFileSync(join(stateDir, 'large'), seededRandom('large').bytes(300_000));
  await initAgent(context, {
    label: 'bot',
    stateDir,
    profile: 'generic',
    include: [],
    exclude: [],
    passphrase: async () => 'first',
    keepRecoveryKey: async () => {},
  });
  await commit(context);
}

async function commit(context: OpsContext): Promise<void> {
  writeFileSync(join(context.cwd, 'state', 'counter'), String(context.random.bytes(8).readBigUInt64LE()));
  await backUp(context, 'bot', { kind: 'incremental', trigger: 'test' });
}

async function headOf(context: OpsContext, label: string): Promise<string | undefined> {
  await using open = await openAgent(context, label);
  return open.repository.refs.get('refs/heads/main');
}

async function startServer(): Promise<S3Server> {
  const server = new S3Server({});
  await server.start();
  return server;
}

function contextIn(dir: string): OpsContext {
  mkdirSync(dir, { recursive: true });
  return {
    home: new Home(join(dir, 'home')),
    clock: { now: () => Date.now() },
    random: seededRandom(dir),
    reporter: silentReporter,
    cwd: dir,
    userHome: dir,
    unlock: async () => ({ type: 'passphrase', passphrase: 'first' }),
    argon2: { memoryKiB: 64, passes: 1, lanes: 1 },
    remoteOptions: { timing: { pause: async () => {}, random: () => 0.5, idleMs: 3000 } },
  };
}
