// Who may push a branch that was restored: the machine that restored it. An older one that comes back is refused and keeps its work.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { isMoltError, type MoltError } from '../../src/model/error.ts';
import { walkHistory } from '../../src/ops/ancestry.ts';
import { backUp } from '../../src/ops/backup.ts';
import { switchBranch } from '../../src/ops/branch.ts';
import { exportBundle } from '../../src/ops/bundle.ts';
import { clone } from '../../src/ops/clone.ts';
import type { OpsContext } from '../../src/ops/context.ts';
import { exportGit } from '../../src/ops/export-git.ts';
import { fetchRemote } from '../../src/ops/fetch.ts';
import { importBundle } from '../../src/ops/import.ts';
import { restoreInPlace } from '../../src/ops/in-place.ts';
import { findKnownFence, ownNumber, raiseIncarnation, readIncarnation } from '../../src/ops/incarnation.ts';
import { openAgent } from '../../src/ops/open.ts';
import { pull } from '../../src/ops/pull.ts';
import { push, pushAll } from '../../src/ops/push.ts';
import { addRemote } from '../../src/ops/remote.ts';
import { findMoment } from '../../src/ops/restore.ts';
import { readStatus } from '../../src/ops/status.ts';
import { listTags } from '../../src/ops/tag.ts';
import { verifyAgent } from '../../src/ops/verify.ts';
import { startS3Server } from '../storage/s3-server.ts';
import { makeEmptyContext, makeMachine, QUICK, type Machine } from './machine.ts';

process.env['AWS_ACCESS_KEY_ID'] = 'testaccess';
process.env['AWS_SECRET_ACCESS_KEY'] = 'testsecret';

/** The machine that was there first, and one that its agent was cloned to; both have pushed all they have. */
interface Two {
  readonly machine: Machine;
  readonly old: OpsContext;
  readonly fresh: OpsContext;
  /** Requests to the remote since the last call; none are seen of a folder. */
  asked(): string[];
}

type Place = 'folder' | 's3';

async function makeTwo(t: ExecutionContext, place: Place): Promise<Two> {
  const machine = await makeMachine(t);
  const server = place === 's3' ? await startS3Server(t, {}) : undefined;
  const url = server?.url ?? `file://${join(machine.context.cwd, 'remote')}`;
  const old = { ...machine.context, remoteOptions: QUICK };
  await addRemote(old, 'bot', { name: 'origin', url, singleWriter: false });
  await push(old, 'bot');
  const fresh = makeEmpty(t, old.clock);
  await clone(fresh, { url, label: 'bot', name: 'origin' });
  await push(fresh, 'bot');
  await push(old, 'bot', { forceCheck: true });
  let from = server?.requests.length ?? 0;
  const asked = (): string[] => {
    const methods = server?.requests.slice(from).map(({ method }) => method) ?? [];
    from = server?.requests.length ?? 0;
    return methods;
  };
  return { machine, old, fresh, asked };
}

function makeEmpty(t: ExecutionContext, clock: OpsContext['clock']): OpsContext {
  return { ...makeEmptyContext(t, clock), remoteOptions: QUICK };
}

/** Restores an agent where it lives. */
async function restore(context: OpsContext, revision = 'latest'): Promise<void> {
  await using open = await openAgent(context, 'bot');
  const { commit } = await findMoment(context, open, { revision, timestamp: undefined });
  await restoreInPlace(context, open, commit);
}

let count = 0;
/** Changes the agent's files and commits. */
async function commit(context: OpsContext): Promise<string> {
  const { stateDir } = (await context.home.findAgent('bot')) ?? { stateDir: '' };
  mkdirSync(stateDir, { recursive: true });
  count += 1;
  writeFileSync(join(stateDir, 'counter'), `${count}\n`);
  return (await backUp(context, 'bot', { kind: 'incremental', trigger: 'test' })).id;
}

async function numberOf(context: OpsContext): Promise<number> {
  const agent = await context.home.findAgent('bot');
  return agent === undefined ? 0 : ownNumber(agent);
}

async function refsOf(context: OpsContext): Promise<ReadonlyMap<string, string>> {
  await using open = await openAgent(context, 'bot');
  return new Map(open.repository.refs);
}

async function isFenced(t: ExecutionContext, working: Promise<unknown>): Promise<MoltError | undefined> {
  const error = await t.throwsAsync(working);
  t.true(isMoltError(error, 'FENCED'), String(error));
  return isMoltError(error) ? error : undefined;
}

const comesBack = test.macro({
  async exec(t, place: Place) {
    const { machine, old, fresh, asked } = await makeTwo(t, place);
    machine.at('2026-03-02T10:00:00Z');
    await restore(fresh);
    t.is(await numberOf(fresh), 2);
    await push(fresh, 'bot');
    const ours = await commit(old);
    asked();
    const error = await isFenced(t, push(old, 'bot'));
    t.regex(
      error?.message ?? '',
      /^branch main was restored elsewhere since bot was \(incarnation 2, by a restore in place, 2026-03-02T10:00:00Z.*\): nothing was sent$/,
    );
    t.deepEqual(error?.details, {
      branch: 'main',
      incarnation: 2,
      why: 'in-place',
      time: '2026-03-02T10:00:00.000Z',
    });
    asked();
    // What is known needs no request.
    await isFenced(t, push(old, 'bot'));
    t.deepEqual(asked(), []);
    await isFenced(t, push(old, 'bot', { forceCheck: true }));
    // It goes on committing, and none of it is there.
    const later = await commit(old);
    await fetchRemote(fresh, 'bot');
    t.false((await refsOf(fresh)).get('refs/heads/main') === ours);
    t.is((await readStatus(old, 'bot')).fencedBy?.number, 2);
    // What the hint says works: its work goes to a branch of its own.
    await switchBranch(old, 'bot', { name: 'kept', create: 'HEAD' });
    const pushed = await push(old, 'bot');
    t.deepEqual(
      pushed.refs.map(({ name }) => name),
      ['refs/heads/kept'],
    );
    t.deepEqual(pushed.left, [{ name: 'refs/heads/main', why: 'it was restored elsewhere since' }]);
    const after = await fetchRemote(fresh, 'bot');
    t.is(after.remoteRefs.get('refs/heads/kept'), later as never);
    t.not(after.remoteRefs.get('refs/heads/main'), later as never);
    t.deepEqual((await verifyAgent(fresh, 'bot', { readShare: 1, repair: false, remote: 'origin' })).problems, []);
  },
  title: (_, place) => `an older incarnation that comes back is refused, and keeps its work on a branch: ${place}`,
});
test(comesBack, 'folder');
test(comesBack, 's3');

test('the machine that comes back takes over by a pull and a restore, and fences the other one off', async (t) => {
  const { old, fresh } = await makeTwo(t, 'folder');
  await restore(fresh);
  const theirs = await commit(fresh);
  await push(fresh, 'bot');
  // Nothing was saved here since: the branch goes forward, and pushes are refused until it is restored.
  t.is((await pull(old, 'bot')).outcome, 'forward');
  t.is((await refsOf(old)).get('refs/heads/main'), theirs);
  await isFenced(t, push(old, 'bot'));
  await restore(old);
  t.is(await numberOf(old), 3);
  await push(old, 'bot');
  await commit(fresh);
  await isFenced(t, push(fresh, 'bot'));
  t.is((await readStatus(old, 'bot')).fencedBy, undefined);
});

test('a pull does not merge into a restored branch what an older incarnation saved, before it is on a branch of its own', async (t) => {
  const { old, fresh } = await makeTwo(t, 'folder');
  await restore(fresh);
  const theirs = await commit(fresh);
  await push(fresh, 'bot');
  const ours = await commit(old);
  const error = await isFenced(t, pull(old, 'bot'));
  t.regex(error?.message ?? '', /what was saved here since is not merged into it$/);
  t.is((await refsOf(old)).get('refs/heads/main'), ours);
  await switchBranch(old, 'bot', { name: 'kept', create: 'HEAD' });
  await switchBranch(old, 'bot', { name: 'main' });
  const pulled = await pull(old, 'bot');
  t.is(pulled.outcome, 'replaced');
  t.is((await refsOf(old)).get('refs/heads/main'), theirs);
  t.is((await refsOf(old)).get('refs/heads/kept'), ours);
  // Going away and back makes nobody current.
  await isFenced(t, push(old, 'bot'));
  await restore(old);
  const pushed = await push(old, 'bot');
  t.true(pushed.refs.some(({ name }) => name === 'refs/heads/kept'));
  await using open = await openAgent(old, 'bot');
  const ids: string[] = [];
  for await (const { commit: one } of walkHistory(open.repository, theirs as never)) ids.push(one.id);
  t.false(ids.includes(ours));
});

test('of two machines that restore at once one wins, and the other one does by restoring again', async (t) => {
  const { old, fresh } = await makeTwo(t, 'folder');
  await restore(old);
  await restore(fresh);
  t.deepEqual([await numberOf(old), await numberOf(fresh)], [2, 2]);
  await push(old, 'bot');
  await isFenced(t, push(fresh, 'bot'));
  await commit(fresh);
  await isFenced(t, pull(fresh, 'bot'));
  await switchBranch(fresh, 'bot', { name: 'kept', create: 'HEAD' });
  await switchBranch(fresh, 'bot', { name: 'main' });
  await pull(fresh, 'bot');
  await restore(fresh);
  t.is(await numberOf(fresh), 3);
  await push(fresh, 'bot');
  await commit(old);
  await isFenced(t, push(old, 'bot'));
});

test('an incarnation that was raised alone stops a push that was under way', async (t) => {
  const { old, fresh, asked } = await makeTwo(t, 's3');
  // Whose index runs were read once asks for nothing but the number.
  await commit(fresh);
  await push(fresh, 'bot');
  await pull(old, 'bot');
  await using open = await openAgent(fresh, 'bot');
  const tip = open.repository.refs.get('refs/heads/main');
  asked();
  await raiseIncarnation(fresh, open, { commit: tip as never, why: 'deploy' });
  const raised = await push(fresh, 'bot');
  t.deepEqual(
    raised.refs.map(({ name }) => name),
    ['refs/molt/incarnations/main'],
  );
  t.deepEqual(asked(), ['PUT']);
  // The branch stands where the old machine last saw it: only the number that is taken tells.
  await commit(old);
  const error = await isFenced(t, push(old, 'bot'));
  t.regex(error?.message ?? '', /incarnation 2, on deploy/);
  const { remoteRefs } = await fetchRemote(fresh, 'bot');
  t.is(remoteRefs.get('refs/heads/main'), tip);
});

test('a tick of a restored agent is one request to push, and nothing new is none', async (t) => {
  const { old, fresh, asked } = await makeTwo(t, 's3');
  await restore(fresh);
  await push(fresh, 'bot');
  await commit(fresh);
  asked();
  const { refs } = await push(fresh, 'bot');
  t.deepEqual(asked(), ['PUT']);
  t.deepEqual(
    refs.map(({ name }) => name),
    ['refs/heads/main'],
  );
  await push(fresh, 'bot');
  t.deepEqual(asked(), []);
  await commit(old);
  await isFenced(t, push(old, 'bot'));
});

test('pushing to all remotes merges nothing into a branch that was restored elsewhere', async (t) => {
  const { machine, old, fresh } = await makeTwo(t, 'folder');
  const url = `file://${join(machine.context.cwd, 'second')}`;
  await addRemote(old, 'bot', { name: 'second', url, singleWriter: false });
  await restore(fresh);
  await commit(fresh);
  await push(fresh, 'bot');
  const ours = await commit(old);
  const { results, copies, merged } = await pushAll(old, 'bot');
  t.is(copies, 0);
  t.deepEqual(merged, []);
  // The second remote was never told, but this machine knows.
  t.deepEqual(
    results.map((result) => 'error' in result && result.error.code),
    ['FENCED', 'FENCED'],
  );
  t.is((await refsOf(old)).get('refs/heads/main'), ours);
});

test('a clone and an import live in the incarnation that is there, and a fork begins anew', async (t) => {
  const { old, machine } = await makeTwo(t, 'folder');
  await restore(old);
  await restore(old);
  await push(old, 'bot');
  const twin = makeEmpty(t, old.clock);
  await clone(twin, { url: `file://${join(machine.context.cwd, 'remote')}`, label: 'bot', name: 'origin' });
  t.is(await numberOf(twin), 3);
  await push(twin, 'bot');
  t.is(await numberOf(old), 3);
  const bundle = await exportTo(old, undefined);
  const importing = { from: bundle, name: 'bundle', label: 'bot' };
  const imported = makeEmpty(t, old.clock);
  await importBundle(imported, importing);
  t.is(await numberOf(imported), 3);
  await commit(imported);
  const forked = makeEmpty(t, old.clock);
  const fork = { passphrase: async () => 'first', keepRecoveryKey: async () => {} };
  await importBundle(forked, { ...importing, fork });
  t.is(await numberOf(forked), 1);
  t.false([...(await refsOf(forked)).keys()].some((name) => name.startsWith('refs/molt/')));
  await commit(forked);
});

test('a bundle of what follows a commit tells of the incarnation', async (t) => {
  const { old, fresh } = await makeTwo(t, 'folder');
  await restore(fresh);
  const since = (await refsOf(old)).get('refs/heads/main');
  await commit(fresh);
  const bundle = await exportTo(fresh, since);
  const { refs } = await importBundle(old, { from: bundle, name: 'bundle' });
  t.true(refs.some(({ name }) => name === 'refs/molt/incarnations/main'));
  await using open = await openAgent(old, 'bot');
  t.is((await findKnownFence(open))?.number, 2);
  t.deepEqual((await verifyAgent(old, 'bot', { readShare: 1, repair: false })).problems, []);
});

async function exportTo(context: OpsContext, since: string | undefined): Promise<string> {
  const parts: Buffer[] = [];
  await using open = await openAgent(context, 'bot');
  await exportBundle(context, open, {
    since,
    label: 'bundle',
    write: async (bytes) => void parts.push(Buffer.from(bytes)),
  });
  const path = join(context.cwd, 'bot.bundle');
  writeFileSync(path, Buffer.concat(parts));
  return path;
}

test('an incarnation is no tag, no branch, and nothing that Git gets', async (t) => {
  const { old } = await makeTwo(t, 'folder');
  await restore(old);
  t.false((await listTags(old, 'bot')).some(({ name }) => name.includes('incarnation')));
  await using open = await openAgent(old, 'bot');
  t.is((await readIncarnation(open.repository, 'main'))?.number, 2);
  const { refs } = await exportGit(old, open, { dir: 'git' });
  t.false(refs.some((name) => name.startsWith('refs/molt/')));
  t.false(readFileSync(join(old.cwd, 'git/packed-refs'), 'utf8').includes('incarnation'));
});

test('another agent of this machine that was restored on the same branch fences commits off too', async (t) => {
  const { old } = await makeTwo(t, 'folder');
  const agent = await old.home.findAgent('bot');
  if (agent === undefined) return t.fail();
  const stateDir = join(old.cwd, 'other');
  mkdirSync(stateDir);
  // No command lets two agents onto one branch; a rename that was killed in the middle does.
  await old.home.addAgent({ ...agent, label: 'other', stateDir });
  await using open = await openAgent(old, 'other');
  await raiseIncarnation(old, open, { commit: open.repository.refs.get('refs/heads/main') as never, why: 'in-place' });
  const error = await isFenced(t, commit(old));
  t.regex(error?.message ?? '', /nothing was saved$/);
  await switchBranch(old, 'bot', { name: 'kept', create: 'HEAD' });
  await t.notThrowsAsync(commit(old));
});

test('a restore that was cut off before its incarnation was published fences nobody off', async (t) => {
  const { old, fresh } = await makeTwo(t, 'folder');
  await using open = await openAgent(old, 'bot');
  const tip = open.repository.refs.get('refs/heads/main') as never;
  const { append } = open.repository.log;
  open.repository.log.append = () => Promise.reject(new Error('the disk is full'));
  await t.throwsAsync(raiseIncarnation(old, open, { commit: tip, why: 'in-place' }), { message: 'the disk is full' });
  open.repository.log.append = append;
  t.is(await numberOf(old), 2);
  await commit(old);
  await push(old, 'bot');
  await raiseIncarnation(old, open, { commit: tip, why: 'in-place' });
  t.is(await numberOf(old), 3);
  await push(old, 'bot');
  await commit(fresh);
  await isFenced(t, push(fresh, 'bot'));
});
