// Push, fetch, pull and clone between two machines and an S3 server that counts and fails; and what they do when something is wrong there.

import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { containerName } from '../../src/format/index-run.ts';
import { OBJECT } from '../../src/format/layout.ts';
import { isMoltError, type MoltError } from '../../src/model/error.ts';
import type { SegmentSeq } from '../../src/model/ids.ts';
import { silentReporter } from '../../src/model/ports.ts';
import { clone } from '../../src/ops/clone.ts';
import type { OpsContext } from '../../src/ops/context.ts';
import { fetchRemote } from '../../src/ops/fetch.ts';
import { backUp } from '../../src/ops/backup.ts';
import { rotateKeys } from '../../src/ops/key-rotate.ts';
import { openAgent } from '../../src/ops/open.ts';
import { openPlace } from '../../src/ops/open-place.ts';
import { prune } from '../../src/ops/prune.ts';
import { pull } from '../../src/ops/pull.ts';
import { push, pushAll } from '../../src/ops/push.ts';
import { addRemote, removeRemote } from '../../src/ops/remote.ts';
import { applyRestore, planRestore } from '../../src/ops/restore.ts';
import { verifyAgent } from '../../src/ops/verify.ts';
import { readFormat } from '../../src/repo/repository.ts';
import { checkStorage } from '../../src/repo/verify.ts';
import { openRemoteStorage } from '../../src/storage/open-remote.ts';
import { startS3Server, type BucketSetup, type S3Fault, type S3Request, type S3Server } from '../storage/s3-server.ts';
import { racePushes } from './pushing.ts';
import { makeEmptyContext, makeMachine, QUICK, type Machine } from './machine.ts';

process.env['AWS_ACCESS_KEY_ID'] = 'testaccess';
process.env['AWS_SECRET_ACCESS_KEY'] = 'testsecret';

interface Pair {
  readonly machine: Machine;
  readonly context: OpsContext;
  readonly server: S3Server;
  /** Requests since the last call, by kind. */
  asked(): Record<string, number>;
}

/** Makes a machine whose agent has a remote on a server, to which nothing was pushed yet. */
async function makePair(t: ExecutionContext, setup: BucketSetup = {}): Promise<Pair> {
  const server = await startS3Server(t, setup);
  const machine = await makeMachine(t);
  const context = { ...machine.context, remoteOptions: QUICK };
  const { decision } = await addRemote(context, 'bot', { name: 'origin', url: server.url, singleWriter: false });
  t.is(decision.verdict, 'ok');
  let from = server.requests.length;
  const asked = (): Record<string, number> => {
    const counts: Record<string, number> = {};
    for (const request of server.requests.slice(from)) counts[kindOf(request)] = (counts[kindOf(request)] ?? 0) + 1;
    from = server.requests.length;
    return counts;
  };
  return { machine, context, server, asked };
}

function kindOf({ method, query }: S3Request): string {
  return method === 'GET' && query.has('list-type') ? 'LIST' : method;
}

/** Makes a machine with nothing on it. */
function makeEmpty(t: ExecutionContext, clock: OpsContext['clock']): OpsContext {
  return { ...makeEmptyContext(t, clock), remoteOptions: QUICK };
}

/** Clones the server's agent to another machine, with a folder that holds its files. */
async function makeTwin(t: ExecutionContext, { context, server }: Pair): Promise<OpsContext & { stateDir: string }> {
  const twin = makeEmpty(t, context.clock);
  const { agent, stateDir } = await clone(twin, { url: server.url, label: 'twin', name: 'origin' });
  t.is(agent, 'twin');
  await restoreTo(twin, 'twin', stateDir);
  // A restore beside makes `state/…`; the agent lives in its state folder.
  renameSync(join(stateDir, 'state'), `${stateDir}.files`);
  rmSync(stateDir, { recursive: true });
  renameSync(`${stateDir}.files`, stateDir);
  return { ...twin, stateDir };
}

async function restoreTo(context: OpsContext, label: string, dir: string): Promise<void> {
  await using open = await openAgent(context, label);
  await applyRestore(
    context,
    open,
    await planRestore(context, open, { revision: undefined, timestamp: undefined, dir }),
  );
}

async function commit(context: OpsContext, label: string): Promise<string> {
  return (await backUp(context, label, { kind: 'incremental', trigger: 'test' })).id;
}

async function headOf(context: OpsContext, label: string): Promise<string | undefined> {
  await using open = await openAgent(context, label);
  return open.repository.refs.get('refs/heads/main');
}

/** Checks everything that the server holds, by the keys of a machine. */
async function checkServer(t: ExecutionContext, { context, server }: Pair): Promise<void> {
  await using open = await openAgent(context, 'bot');
  const storage = await openRemoteStorage(server.url);
  const { report, hurt } = await checkStorage(
    { storage, ...(await readFormat(storage)), keys: open.repository.keys },
    { readShare: 1, random: () => 0 },
  );
  t.deepEqual(report.problems, []);
  t.deepEqual(hurt, []);
  await storage.close();
}

test('a tick is one request to push, and nothing new is none', async (t) => {
  const pair = await makePair(t);
  const { machine, context, asked } = pair;
  await push(context, 'bot');
  t.true((asked()['PUT'] ?? 0) > 3);
  await machine.commit();
  const pushed = await push(context, 'bot');
  t.deepEqual(asked(), { PUT: 1 });
  t.deepEqual(pushed.requests, { put: 1, get: 0, list: 0, head: 0, delete: 0 });
  t.true(pushed.bytes < 10_000);
  t.deepEqual((await push(context, 'bot')).refs, []);
  t.deepEqual(asked(), {});
  await push(context, 'bot', { forceCheck: true });
  t.true((asked()['LIST'] ?? 0) > 0);
});

/** Lets an agent write most of a file anew on eight days, and prunes all that is older than three, here and on the remote. */
async function makePruned(t: ExecutionContext): Promise<Pair & { tick(day: number, text: string): Promise<void> }> {
  const pair = await makePair(t);
  const { machine, context } = pair;
  const startMs = Date.now();
  const tick = async (day: number, text: string): Promise<void> => {
    machine.at(new Date(startMs + day * 86_400_000).toISOString());
    machine.write('transcript.txt', text);
    const full = day % 3 === 0;
    await backUp(context, 'bot', { kind: full ? 'full' : 'incremental', full, trigger: 'test' });
  };
  let transcript = randomBytes(400_000).toString('hex');
  for (let day = 1; day <= 8; day += 1) {
    transcript += randomBytes(2000).toString('hex');
    await tick(day, transcript);
    await push(context, 'bot');
  }
  const { remotes } = await prune(context, 'bot', { retention: '3d', isDryRun: false, isLocal: false });
  t.is(remotes[0]?.error, undefined);
  t.true((remotes[0]?.expired ?? 0) > 0);
  return { ...pair, tick: async (day, more) => tick(day, transcript + more) };
}

test('a tick is one PUT to push also after a prune, and asks nothing of what it shares with its parent', async (t) => {
  const { context, asked, tick } = await makePruned(t);
  await tick(9.01, 'one more line');
  await push(context, 'bot');
  await tick(9.02, 'one more line and another');
  asked();
  t.like((await push(context, 'bot')).requests, { put: 1, list: 0, head: 0, delete: 0 });
  const { PUT, GET = 0, ...others } = asked();
  t.is(PUT, 1);
  t.true(GET <= 1, 'but for a look at where this machine saw its end');
  t.deepEqual(others, {});
});

test('after a prune a damaged version of a file keeps no later one from being pushed', async (t) => {
  const { machine, context, server, tick } = await makePruned(t);
  const save = async (day: number): Promise<string> => {
    machine.write('note.md', randomBytes(20_000).toString('hex'));
    await tick(day, '');
    return (await headOf(context, 'bot')) ?? '';
  };
  await save(9.01);
  // What the damage is done to has the note and nothing that is in use later.
  await save(9.02);
  await push(context, 'bot');
  const last = await save(9.03);
  const { agent, repository } = await machine.open();
  const seq = (repository.log.tip.seq - 1) as SegmentSeq;
  const segment = join(context.home.repositoryDir(agent.repository), containerName({ seq }));
  const bytes = readFileSync(segment);
  const { objects, blocks } = await repository.containers.readFooter({ seq });
  // Of what chunks the note was, and nothing that says which commits there are.
  for (const { type, block } of objects)
    if (type === OBJECT.blob) bytes.fill(0, blocks[block]?.offsetBytes, (blocks[block]?.offsetBytes ?? 0) + 64);
  writeFileSync(segment, bytes);
  await push(context, 'bot');
  const twin = makeEmpty(t, context.clock);
  await clone(twin, { url: server.url, label: 'twin', name: 'origin' });
  t.is(await headOf(twin, 'twin'), last);
  await restoreTo(twin, 'twin', 'there');
  const arrived = readFileSync(join(twin.cwd, 'there/state/note.md'), 'utf8');
  t.is(arrived, readFileSync(join(machine.stateDir, 'note.md'), 'utf8'));
});

test('many ticks that were made offline go in one request', async (t) => {
  const { machine, context, server, asked } = await makePair(t);
  await push(context, 'bot');
  for (let tick = 0; tick < 40; tick += 1) await machine.commit();
  asked();
  await push(context, 'bot');
  t.deepEqual(asked(), { PUT: 1 });
  // What was sent is forgotten, and found by the commits that are there.
  await removeRemote(context, 'bot', 'origin');
  await addRemote(context, 'bot', { name: 'origin', url: server.url, singleWriter: false });
  asked();
  const { segments, packs } = await push(context, 'bot');
  t.deepEqual([segments, packs], [0, 0]);
  t.true((asked()['GET'] ?? 0) < 12);
});

test('a clone has the whole history and restores the same files, and both sides go on', async (t) => {
  const pair = await makePair(t);
  const { machine, context, server } = pair;
  machine.write('deep/er/file', 'content\n'.repeat(10_000));
  await machine.commit('2026-03-01T01:00:00Z');
  await push(context, 'bot');
  const twin = await makeTwin(t, pair);
  t.is(readFileSync(join(twin.stateDir, 'counter'), 'utf8'), '1\n');
  t.is(await headOf(twin, 'twin'), await headOf(context, 'bot'));
  machine.at('2026-03-01T02:00:00Z');
  writeFileSync(join(twin.stateDir, 'from-twin'), 'hello\n');
  const made = await commit(twin, 'twin');
  await push(twin, 'twin');
  const pulled = await pull(context, 'bot');
  t.is(pulled.outcome, 'forward');
  t.is(await headOf(context, 'bot'), made);
  t.is(server.versionsOf('log/000000000002').length, 1);
});

test('an agent comes back from a place directly, and only what its moment needs is read', async (t) => {
  const pair = await makePair(t);
  const { machine, context, server, asked } = pair;
  machine.write('large', randomBytes(600_000).toString('base64'));
  await backUp(context, 'bot', { kind: 'full', full: true, trigger: 'test' });
  machine.write('large', randomBytes(600_000).toString('base64'));
  await machine.commit();
  await backUp(context, 'bot', { kind: 'full', full: true, trigger: 'test' });
  await push(context, 'bot');
  const before = readFileSync(join(machine.stateDir, 'large'));
  const elsewhere = makeEmpty(t, context.clock);
  asked();
  await using open = await openPlace(elsewhere, server.url);
  const dir = join(elsewhere.cwd, 'back');
  const plan = await planRestore(elsewhere, open, { revision: undefined, timestamp: undefined, dir });
  const { bytes } = await applyRestore(elsewhere, open, plan);
  t.true(readFileSync(join(dir, 'state/large')).equals(before));
  const all = server.everything().reduce((sum, [, object]) => sum + object.length, 0);
  t.true(bytes.fetched > 600_000 && bytes.fetched < all * 0.75, `${bytes.fetched} of ${all} bytes`);
  t.deepEqual(Object.keys(asked()).toSorted(), ['GET', 'HEAD', 'LIST']);
  t.deepEqual(await elsewhere.home.listAgents(), []);
  await t.throwsAsync(open.repository.transact({ packs: false }, async () => undefined));
});

test('what both sides changed is kept side by side and named, what one side changed is taken', async (t) => {
  const pair = await makePair(t);
  const { machine, context } = pair;
  machine.write('both', 'before\n');
  machine.write('mine', 'before\n');
  machine.write('theirs', 'before\n');
  await machine.commit('2026-03-01T01:00:00Z');
  await push(context, 'bot');
  const twin = await makeTwin(t, pair);
  machine.at('2026-03-01T02:00:00Z');
  const bytes = Buffer.from([0xff, 0xfe, 0, 1, 2]);
  writeFileSync(join(twin.stateDir, 'both'), bytes);
  writeFileSync(join(twin.stateDir, 'theirs'), 'after\n');
  const theirs = await commit(twin, 'twin');
  await push(twin, 'twin');
  machine.write('both', 'other\n');
  machine.write('mine', 'after\n');
  await machine.commit('2026-03-01T03:00:00Z');
  const error = (await t.throwsAsync(push(context, 'bot'))) as MoltError;
  t.is(error.code, 'CONFLICT');
  t.regex(error.hint ?? '', /molt pull/);
  const pulled = await pull(context, 'bot');
  t.is(pulled.outcome, 'merged');
  const suffix = `theirs-${theirs.slice(0, 10)}`;
  t.deepEqual(
    pulled.conflicts.map(({ path, theirs: beside }) => [path, beside]),
    [
      ['state/both', `state/both.${suffix}`],
      ['state/counter', undefined],
    ].filter(([path]) => pulled.conflicts.some((conflict) => conflict.path === path)),
  );
  const dir = join(context.cwd, 'merged');
  await restoreTo(context, 'bot', dir);
  t.is(readFileSync(join(dir, 'state/both'), 'utf8'), 'other\n');
  t.true(readFileSync(join(dir, `state/both.${suffix}`)).equals(bytes));
  t.is(readFileSync(join(dir, 'state/mine'), 'utf8'), 'after\n');
  t.is(readFileSync(join(dir, 'state/theirs'), 'utf8'), 'after\n');
  await push(context, 'bot');
  t.is((await pull(twin, 'twin')).outcome, 'forward');
});

type Cut = (request: S3Request, nth: number, at: number) => S3Fault | undefined;

/** Kinds of cuts, each with where it begins. */
const CUTS: Readonly<Record<string, readonly [first: number, fault: Cut]>> = {
  'the network gone from': [0, () => ({ kind: 'reset' })],
  'the answer lost, and the network gone, from': [
    1,
    (_, nth, at) => (nth === at ? { kind: 'lost-answer' } : { kind: 'reset' }),
  ],
  'one answer lost at': [2, (_, nth, at) => (nth === at ? { kind: 'lost-answer' } : undefined)],
};
const STEP = 3;

/**
 * Runs an act with a fault from the n-th request on, until the act gets through untouched; returns how many requests it has. A third of
 * the places is enough here, another one for each kind of fault: the campaign goes through all.
 */
async function cutEverywhere(
  server: S3Server,
  [first, fault]: (typeof CUTS)[string],
  act: (at: number, isCut: () => boolean) => Promise<void>,
  prepare: () => Promise<void> = async () => {},
): Promise<number> {
  for (let at = first; ; at += STEP) {
    server.fault = () => undefined;
    await prepare();
    const start = server.requests.length;
    let cut = false;
    server.fault = (request, index) => {
      const found = index - start >= at ? fault(request, index - start, at) : undefined;
      cut ||= found !== undefined;
      return found;
    };
    await act(at, () => cut);
    server.fault = () => undefined;
    if (!cut) return at;
  }
}

for (const [what, cut] of Object.entries(CUTS)) {
  test(`pushes with ${what} their request goes on where it was, and ends right`, async (t) => {
    const pair = await makePair(t);
    const { machine, context, server } = pair;
    machine.write('large', randomBytes(300_000).toString('base64'));
    const requests = await cutEverywhere(server, cut, async (_, isCut) => {
      await machine.commit();
      await push(context, 'bot').catch((error: unknown) => {
        if (!isMoltError(error, 'REMOTE_UNREACHABLE')) throw error;
      });
      if (!isCut()) return;
      server.fault = () => undefined;
      await push(context, 'bot');
      t.is((await push(context, 'bot')).segments, 0);
    });
    // The first push alone has a dozen; later ones are one request each, cut once.
    t.true(requests >= 1);
    await checkServer(t, pair);
    const twin = makeEmpty(t, context.clock);
    await clone(twin, { url: server.url, label: 'twin', name: 'origin' });
    t.is(await headOf(twin, 'twin'), await headOf(context, 'bot'));
  });

  test(`a first push with ${what} a request after the other goes on where it was, and ends right`, async (t) => {
    const machine = await makeMachine(t);
    const context = { ...machine.context, remoteOptions: QUICK };
    machine.write('large', randomBytes(300_000).toString('base64'));
    await machine.commit();
    const [first, fault] = cut;
    for (let at = first, wasCut = true; wasCut; at += STEP) {
      const server = await startS3Server(t);
      await addRemote(context, 'bot', { name: 'origin', url: server.url, singleWriter: false });
      const start = server.requests.length;
      wasCut = false;
      server.fault = (request, index) => {
        const found = index - start >= at ? fault(request, index - start, at) : undefined;
        wasCut ||= found !== undefined;
        return found;
      };
      await push(context, 'bot').catch((error: unknown) => {
        if (!isMoltError(error, 'REMOTE_UNREACHABLE')) throw error;
      });
      server.fault = () => undefined;
      await push(context, 'bot');
      await checkServer(t, { machine, context, server, asked: () => ({}) });
      const twin = makeEmpty(t, context.clock);
      await clone(twin, { url: server.url, label: 'twin', name: 'origin' });
      t.is(await headOf(twin, 'twin'), await headOf(context, 'bot'));
      await removeRemote(context, 'bot', 'origin');
      await server.stop();
      if (!wasCut) t.true(at > 8);
    }
  });

  test(`a clone and a pull with ${what} a request after the other leave nothing half, and end right`, async (t) => {
    const pair = await makePair(t);
    const { machine, context, server } = pair;
    machine.write('large', randomBytes(300_000).toString('base64'));
    await machine.commit();
    await push(context, 'bot');
    let twin = makeEmpty(t, context.clock);
    const requests = await cutEverywhere(server, cut, async (_, isCut) => {
      twin = makeEmpty(t, context.clock);
      const isDone = await clone(twin, { url: server.url, label: 'twin', name: 'origin' }).then(
        () => true,
        (error: unknown) => {
          if (!isMoltError(error, 'REMOTE_UNREACHABLE')) throw error;
          return false;
        },
      );
      if (isDone || !isCut()) return;
      server.fault = () => undefined;
      t.deepEqual(await twin.home.listAgents(), []);
      await clone(twin, { url: server.url, label: 'twin', name: 'origin' });
      t.is(await headOf(twin, 'twin'), await headOf(context, 'bot'));
    });
    t.true(requests > 8);
    const prepare = async (): Promise<void> => {
      await machine.commit();
      await push(context, 'bot');
    };
    await cutEverywhere(
      server,
      cut,
      async (_, isCut) => {
        await pull(twin, 'twin').catch((error: unknown) => {
          if (!isMoltError(error, 'REMOTE_UNREACHABLE')) throw error;
        });
        if (!isCut()) return;
        server.fault = () => undefined;
        await pull(twin, 'twin');
        t.is(await headOf(twin, 'twin'), await headOf(context, 'bot'));
      },
      prepare,
    );
  });
}

test('a machine that slept for days looks at the remote before it writes there', async (t) => {
  const { machine, context, asked } = await makePair(t);
  await push(context, 'bot');
  await machine.commit('2026-03-04T00:00:00Z');
  asked();
  await push(context, 'bot');
  const counts = asked();
  t.true((counts['LIST'] ?? 0) > 0);
  t.is(counts['PUT'], 1);
  await machine.commit('2026-03-03T00:00:00Z');
  await push(context, 'bot');
  t.true((asked()['LIST'] ?? 0) > 0, 'and one whose clock was set back');
});

test('a remote that lost its newest segment, or was set back, is told from one that never had it', async (t) => {
  const pair = await makePair(t);
  const { machine, context, server } = pair;
  await push(context, 'bot');
  await machine.commit();
  await push(context, 'bot');
  await (await openRemoteStorage(server.url)).delete('log/000000000002');
  await machine.commit();
  for (const act of [push(context, 'bot', { forceCheck: true }), fetchRemote(context, 'bot')]) {
    const error = (await t.throwsAsync(act)) as MoltError;
    t.is(error.code, 'DAMAGED');
    t.regex(error.message, /lost what it had: log\/000000000002/);
    t.regex(error.hint ?? '', /what is here is safe/);
  }
});

test('a remote that holds another repository by now is refused, and nothing is written to it', async (t) => {
  const pair = await makePair(t);
  const other = await makePair(t);
  await push(pair.context, 'bot');
  const bytes = other.server.versionsOf('format.json')[0]?.bytes;
  t.is(bytes, undefined);
  await push(other.context, 'bot');
  const foreign = other.server.versionsOf('format.json')[0]?.bytes;
  await (await openRemoteStorage(pair.server.url)).delete('format.json');
  pair.server.plant('format.json', foreign);
  const error = (await t.throwsAsync(push(pair.context, 'bot', { forceCheck: true }))) as MoltError;
  t.is(error.code, 'WRONG_REPOSITORY');
  await removeRemote(pair.context, 'bot', 'origin');
  await addRemote(pair.context, 'bot', { name: 'origin', url: pair.server.url, singleWriter: false });
  const again = (await t.throwsAsync(push(pair.context, 'bot'))) as MoltError;
  t.is(again.code, 'WRONG_REPOSITORY');
});

test('a squatted number stops nobody, and clones go on past it', async (t) => {
  const pair = await makePair(t);
  const { machine, context, server } = pair;
  await push(context, 'bot');
  server.plant('log/000000000002', randomBytes(500));
  server.plant('log/000000000077', randomBytes(500));
  await machine.commit();
  await push(context, 'bot');
  await machine.commit();
  await push(context, 'bot');
  const twin = makeEmpty(t, context.clock);
  await clone(twin, { url: server.url, label: 'twin', name: 'origin' });
  t.is(await headOf(twin, 'twin'), await headOf(context, 'bot'));
});

test('a push to all remotes brings the others up to date when one does not answer, and says which lags', async (t) => {
  const pair = await makePair(t);
  const second = await startS3Server(t);
  await addRemote(pair.context, 'bot', { name: 'second', url: second.url, singleWriter: false });
  second.fault = () => ({ kind: 'reset' });
  const first = await pushAll(pair.context, 'bot');
  t.is(first.copies, 1);
  t.deepEqual(
    first.results.map((result) => ['error' in result, result.remote]),
    [
      [false, 'origin'],
      [true, 'second'],
    ],
  );
  second.fault = () => undefined;
  t.is((await pushAll(pair.context, 'bot')).copies, 2);
  await checkServer(t, { ...pair, server: second });
});

test('where versions are kept, a delete marker and a foreign version on top of an object are read through', async (t) => {
  const pair = await makePair(t, { versioned: true });
  const { machine, context, server } = pair;
  await push(context, 'bot');
  await machine.commit();
  await push(context, 'bot');
  server.plant('log/000000000001', randomBytes(700));
  server.plant('log/000000000002', undefined);
  server.plant('format.json', Buffer.from('{}'));
  await machine.commit();
  await push(context, 'bot', { forceCheck: true });
  const twin = makeEmpty(t, context.clock);
  await clone(twin, { url: server.url, label: 'twin', name: 'origin' });
  t.is(await headOf(twin, 'twin'), await headOf(context, 'bot'));
});

for (const [what, content] of Object.entries({
  'a foreign version': randomBytes(90_000),
  'a delete marker': undefined,
})) {
  test(`where versions are kept, ${what} on top of packs and segments is read through by all that read, and named`, async (t) => {
    const pair = await makePair(t, { versioned: true });
    const { machine, context, server } = pair;
    await push(context, 'bot');
    const twin = makeEmpty(t, context.clock);
    await clone(twin, { url: server.url, label: 'twin', name: 'origin' });
    const text = randomBytes(300_000).toString('base64');
    machine.write('large', text);
    await backUp(context, 'bot', { kind: 'full', full: true, trigger: 'test' });
    await push(context, 'bot');
    const names = server.everything().flatMap(([key]) => /(?:packs|log)\/.*$/.exec(key)?.[0] ?? []);
    t.true(names.some((name) => name.startsWith('packs/')));
    for (const name of names) server.plant(name, content);
    const check = async (label: string, machineContext: OpsContext): Promise<void> => {
      const { problems, commits } = await verifyAgent(machineContext, label, { readShare: 1, repair: false });
      t.deepEqual([problems, commits.hurt], [[], []]);
    };
    await pull(twin, 'twin');
    t.is(await headOf(twin, 'twin'), await headOf(context, 'bot'));
    await check('twin', twin);
    const third = makeEmpty(t, context.clock);
    await clone(third, { url: server.url, label: 'third', name: 'origin' });
    await check('third', third);
    const back = join(third.cwd, 'back');
    {
      const fourth = makeEmpty(t, context.clock);
      await using place = await openPlace(fourth, server.url);
      const plan = await planRestore(fourth, place, { revision: undefined, timestamp: undefined, dir: back });
      await applyRestore(fourth, place, plan);
    }
    t.is(readFileSync(join(back, 'state/large'), 'utf8'), text);
    const found = await verifyAgent(context, 'bot', { readShare: 1, repair: false, remote: 'origin' });
    t.deepEqual(found.problems, []);
    const note = content === undefined ? /hidden by a delete marker/ : /has 1 other version on top/;
    for (const name of names) {
      t.regex(found.notes.find(({ object, note: text }) => object === name && note.test(text))?.note ?? '', note, name);
    }
  });
}

for (const shared of [false, true]) {
  test(`processes that push at once ${shared ? 'to one branch' : 'to branches of their own'} lose nothing`, async (t) => {
    const server = await startS3Server(t);
    const dir = realpathSync(mkdtempSync(join(tmpdir(), 'molt-race-')));
    t.teardown(() => rmSync(dir, { recursive: true, force: true }));
    const race = await racePushes({ dir, url: server.url, processes: 4, commits: 3, shared });
    t.deepEqual(race, { made: 12, lost: [], problems: [] });
  });
}

test('a push to all remotes brings those together that went apart, by one merge', async (t) => {
  const pair = await makePair(t);
  const { machine, context } = pair;
  const second = await startS3Server(t);
  await addRemote(context, 'bot', { name: 'second', url: second.url, singleWriter: false });
  await pushAll(context, 'bot');
  const twin = await makeTwin(t, { ...pair, server: second });
  machine.at('2026-03-01T02:00:00Z');
  writeFileSync(join(twin.stateDir, 'from-twin'), 'hello\n');
  await commit(twin, 'twin');
  await push(twin, 'twin');
  await machine.commit('2026-03-01T03:00:00Z');
  await push(context, 'bot', { remote: 'origin' });
  const { copies, merged } = await pushAll(context, 'bot');
  t.is(copies, 2);
  t.deepEqual(
    merged.map(({ remote, outcome }) => [remote, outcome]),
    [['second', 'merged']],
  );
  const head = await headOf(context, 'bot');
  for (const remote of ['origin', 'second']) {
    const { remoteRefs } = await fetchRemote(context, 'bot', remote);
    t.is<string | undefined, string | undefined>(remoteRefs.get('refs/heads/main'), head);
  }
});

test('locks are told of, and extended when most of their time has passed', async (t) => {
  const server = await startS3Server(t, { versioned: true, objectLock: true });
  const machine = await makeMachine(t, new Date().toISOString());
  const context = { ...machine.context, remoteOptions: QUICK };
  const lock = { mode: 'governance', days: 30 } as const;
  await addRemote(context, 'bot', { name: 'origin', url: server.url, lock, singleWriter: false });
  await push(context, 'bot');
  const verify = async (extendLocks: boolean): Promise<string> => {
    const { notes } = await verifyAgent(context, 'bot', { readShare: 0, repair: false, remote: 'origin', extendLocks });
    return notes.find(({ object }) => object === 'origin')?.note ?? '';
  };
  t.regex(await verify(true), /^locks (\d+) of \1 objects, the first until [^;]*$/);
  server.skewMs = 25 * 86_400_000;
  t.regex(await verify(true), /^locks (\d+) of \1 objects, the first until .*; \1 were extended$/);
  t.regex(await verify(true), /^locks (\d+) of \1 objects, the first until [^;]*$/);
});

test('a clone of a bucket with locks says that what it pushes is not locked', async (t) => {
  const pair = await makePair(t, { versioned: true, objectLock: true });
  await push(pair.context, 'bot');
  const twin = makeEmpty(t, pair.context.clock);
  await clone(twin, { url: pair.server.url, label: 'twin', name: 'origin' });
  const warnings: string[] = [];
  const reporter = { ...silentReporter, warn: (text: string) => void warnings.push(text) };
  await push({ ...twin, reporter }, 'twin');
  t.regex(
    warnings.join('\n'),
    /not locked: molt remote remove origin, then molt remote add origin '.*' --lock governance/,
  );
});

test('a changed keyring is pushed although no commit is new, and after a rotation nothing goes out under the old keys', async (t) => {
  const pair = await makePair(t);
  const { machine, context, server } = pair;
  await push(context, 'bot');
  const twin = await makeTwin(t, pair);
  await push(twin, 'twin');
  t.is(server.versionsOf('keys/000002').length, 1);
  await fetchRemote(context, 'bot');
  await rotateKeys(twin, 'twin', {
    passphrase: async () => 'first',
    agree: async () => true,
    keep: async () => {},
  });
  await push(twin, 'twin');
  const objects = server.everything().length;
  await machine.commit();
  const error = (await t.throwsAsync(push(context, 'bot'))) as MoltError;
  t.is(error.code, 'WRONG_KEY');
  t.is(server.everything().length, objects);
  await fetchRemote(context, 'bot');
  await push(context, 'bot');
  await pull(twin, 'twin');
  t.is(await headOf(twin, 'twin'), await headOf(context, 'bot'));
});

test('after a rotation here the remotes that have the old keys are still fetched from, and all get the new ones', async (t) => {
  const pair = await makePair(t);
  const { machine, context } = pair;
  const second = await startS3Server(t);
  await addRemote(context, 'bot', { name: 'second', url: second.url, singleWriter: false });
  await pushAll(context, 'bot');
  await rotateKeys(context, 'bot', { passphrase: async () => 'first', agree: async () => true, keep: async () => {} });
  await machine.commit();
  t.is((await pull(context, 'bot', 'origin')).outcome, 'up-to-date');
  // What is sent anew must open by a keyring that is there.
  await (await openRemoteStorage(second.url)).delete('log/000000000001');
  const healed = await verifyAgent(context, 'bot', { readShare: 1, repair: true, remote: 'second' });
  t.deepEqual(healed.commits.hurt, []);
  const fresh = makeEmpty(t, context.clock);
  await clone(fresh, { url: second.url, label: 'fresh', name: 'origin' });
  t.is(await headOf(fresh, 'fresh'), await headOf(context, 'bot'));
  t.is((await pushAll(context, 'bot')).copies, 2);
  // A remote that was added after the rotation never had the keys that the other machine knows.
  const twin = makeEmpty(t, context.clock);
  await clone(twin, { url: pair.server.url, label: 'twin', name: 'origin' });
  await push(twin, 'twin');
  await fetchRemote(context, 'bot', 'origin');
  await rotateKeys(context, 'bot', { passphrase: async () => 'first', agree: async () => true, keep: async () => {} });
  const third = await startS3Server(t);
  await addRemote(context, 'bot', { name: 'third', url: third.url, singleWriter: false });
  await machine.commit();
  await push(context, 'bot', { remote: 'third' });
  await addRemote(twin, 'twin', { name: 'third', url: third.url, singleWriter: false });
  t.is((await pull(twin, 'twin', 'third')).outcome, 'forward');
  t.is(await headOf(twin, 'twin'), await headOf(context, 'bot'));
  await checkServer(t, { ...pair, server: third });
});

test('whoever owns the bucket learns no content, no name and no size of a single file', async (t) => {
  const pair = await makePair(t);
  const { machine, context, server } = pair;
  const sizeBytes = 123_457;
  machine.write('workspace/diary-of-nobody.md', 'the treasure lies under the old oak\n'.repeat(10));
  machine.write('sized.bin', 'x'.repeat(sizeBytes));
  await machine.commit(undefined, { message: 'a telling message' });
  await push(context, 'bot');
  await machine.commit();
  await push(context, 'bot');
  // Words so long that none stands in random bytes by chance.
  const words = ['treasure', 'old oak', 'diary-of', 'nobody', 'telling', 'notes.md', 'refs/heads', 'workspace'];
  let objects = 0;
  for (const [key, bytes] of server.everything()) {
    objects += 1;
    const text = `${key}\n${bytes.toString('latin1')}`;
    for (const word of words) t.false(text.includes(word), `${key} holds ${word}`);
    for (const compressed of [Buffer.from(String(sizeBytes)), u32(sizeBytes)])
      t.false(bytes.includes(compressed), `${key} holds the size`);
  }
  t.true(objects > 5);
});

test('what a remote lost is found, and sent anew from here', async (t) => {
  const pair = await makePair(t);
  const { machine, context, server } = pair;
  machine.write('large', randomBytes(300_000).toString('base64'));
  await machine.commit();
  await backUp(context, 'bot', { kind: 'full', full: true, trigger: 'test' });
  await push(context, 'bot');
  for (let tick = 0; tick < 3; tick += 1) {
    await machine.commit();
    await push(context, 'bot');
  }
  const sound = await verifyAgent(context, 'bot', { readShare: 1, repair: false, remote: 'origin' });
  t.deepEqual(sound.problems, []);
  const storage = await openRemoteStorage(server.url);
  const packs = server.everything().filter(([key]) => key.includes('packs/'));
  const [pack] = packs.toSorted(([, a], [, b]) => b.length - a.length);
  if (pack === undefined) throw new Error('there is no pack');
  const name = pack[0].slice(pack[0].indexOf('packs/'));
  const damaged = Buffer.from(pack[1]);
  damaged.writeUInt8(damaged.readUInt8(500) ^ 1, 500);
  server.plant(name, damaged);
  await storage.delete('log/000000000003');
  const found = await verifyAgent(context, 'bot', { readShare: 1, repair: false, remote: 'origin' });
  t.true(found.commits.hurt.length > 0);
  t.true(found.problems.some(({ object }) => object === name));
  const repaired = await verifyAgent(context, 'bot', { readShare: 1, repair: true, remote: 'origin' });
  t.deepEqual(repaired.commits.hurt, []);
  t.true(repaired.problems.some(({ object, repaired: isRepaired }) => object === name && isRepaired));
  const twin = makeEmpty(t, context.clock);
  await clone(twin, { url: server.url, label: 'twin', name: 'origin' });
  t.is(await headOf(twin, 'twin'), await headOf(context, 'bot'));
  t.deepEqual((await verifyAgent(twin, 'twin', { readShare: 1, repair: false })).commits.hurt, []);
  await machine.commit();
  await push(context, 'bot');
});

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
