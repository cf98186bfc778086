// A moment as a pod of its own: what it gets, what is left alone, what may not be run, and what a drill leaves.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { MoltError } from '../../src/model/error.ts';
import { adoptPod } from '../../src/ops/adopt-pod.ts';
import { createBranch } from '../../src/ops/branch.ts';
import { Home } from '../../src/ops/home.ts';
import { drill } from '../../src/ops/drill.ts';
import { openAgent } from '../../src/ops/open.ts';
import { openPlace } from '../../src/ops/open-place.ts';
import { push } from '../../src/ops/push.ts';
import { addRemote } from '../../src/ops/remote.ts';
import { findMoment } from '../../src/ops/restore.ts';
import { applyPodRestore, planPodRestore } from '../../src/ops/restore-pod.ts';
import { getPod } from '../../src/ops/pod-look.ts';
import { checkPod, listPods, makePod, startPod } from '../../src/ops/pods.ts';
import { identify } from '../../src/pod/process-id.ts';
import { parsePodSpec } from '../../src/pod/spec.ts';
import { notesSpec, script, until } from '../pod/agent.ts';
import {
  askNotes,
  commitOf,
  killPod,
  makePodded,
  pathsOf,
  podFolders,
  readNotes,
  tellNote,
  tipOf,
  writeNote,
  yes,
} from './podded.ts';

test('a moment comes back as a pod, agent and branch of its own, and the original goes on', async (t) => {
  const machine = await makePodded(t);
  const { context, stateDir, home } = machine;
  writeNote(stateDir, 'two');
  const newest = await machine.commit();
  writeNote(stateDir, 'three');
  const done = await machine.target('old', 'HEAD~1');
  t.like(done.pod, { name: 'old', agent: 'old', state: 'running', healthy: true, generation: 1 });
  t.deepEqual(done.problems, []);
  t.deepEqual(await askNotes(done.pod?.endpoint), ['one']);
  t.deepEqual(readNotes(stateDir), ['one', 'two', 'three']);
  const agent = await machine.agent('old');
  t.like(agent, { branch: 'old', stateDir: join(home, 'pods/old/gen-1/state'), profile: 'generic' });
  t.is(readFileSync(join(agent.stateDir, 'notes.md'), 'utf8'), 'remember\n');
  t.false(existsSync(join(home, 'pods/old/restore.json')));
  const record = await getPod(context, 'old');
  await tellNote(done.pod?.endpoint, 'of the copy');
  const made = await commitOf(context, 'old');
  const open = await machine.open();
  t.is(tipOf(open, 'old'), made);
  t.is(tipOf(open, 'main'), newest.id);
  t.is(open.repository.refs.has(`refs/heads/old`), true);
  t.not(record.commit, newest.id);
  const next = await machine.commit();
  t.is(tipOf(await machine.open(), 'main'), next.id);
  t.deepEqual(await askNotes(done.pod?.endpoint), ['one', 'of the copy']);
});

test('a root outside the state folder keeps its number in the pod and in its first commit', async (t) => {
  const machine = await makePodded(t);
  const { context, stateDir } = machine;
  const outside = join(context.cwd, 'elsewhere');
  mkdirSync(outside);
  writeFileSync(join(outside, 'MEMORY.md'), 'far\n');
  const config = { agents: { defaults: { workspace: outside } } };
  writeFileSync(join(stateDir, 'openclaw.json'), JSON.stringify(config));
  await context.home.updateAgent({ ...(await machine.agent()), profile: 'openclaw', pod: undefined });
  await machine.commit();
  await machine.target('copy', undefined, { isStartWanted: false });
  const generation = join(machine.home, 'pods/copy/gen-1');
  const memory = join(generation, 'roots/1/MEMORY.md');
  t.is(readFileSync(memory, 'utf8'), 'far\n');
  t.like(JSON.parse(readFileSync(join(generation, 'state/openclaw.json'), 'utf8')), {
    agents: { defaults: { workspace: join(generation, 'roots/1') } },
  });
  writeFileSync(memory, 'of the copy\n');
  const id = await commitOf(context, 'copy');
  const paths = await pathsOf(await machine.open(), id);
  t.true(paths.includes('roots/1/MEMORY.md'), paths.join(' '));
  t.false(paths.some((path) => path.startsWith('roots/2')));
  t.is(readFileSync(join(outside, 'MEMORY.md'), 'utf8'), 'far\n');
  // From there into a third, and what is brought back is the copy's.
  await using copy = await openAgent(context, 'copy');
  const moment = await findMoment(context, copy, { revision: undefined, timestamp: undefined });
  const plan = await planPodRestore(context, copy, moment, 'third');
  await applyPodRestore(context, copy, plan, { ask: yes, isStartWanted: false });
  t.is(readFileSync(join(machine.home, 'pods/third/gen-1/roots/1/MEMORY.md'), 'utf8'), 'of the copy\n');
});

test('a name that an agent, a pod or a branch has is taken, and nothing of it is touched', async (t) => {
  const machine = await makePodded(t);
  const { context, home } = machine;
  await t.throwsAsync(machine.target('bot'), { code: 'EXISTS', message: 'there is an agent "bot" already' });
  const spec = parsePodSpec(notesSpec(machine.port), { profile: 'generic' });
  await makePod(context, { name: 'pod', agent: 'bot', spec, stateDir: machine.stateDir, generation: 1 });
  await t.throwsAsync(machine.target('pod'), { code: 'EXISTS', message: 'there is a pod "pod" already' });
  await machine.commit();
  await createBranch(context, 'bot', { name: 'line', revision: 'HEAD~1' });
  await t.throwsAsync(machine.target('line'), { code: 'EXISTS', message: /branch.*line/ });
  await t.throwsAsync(machine.target('../up'), { code: 'USAGE' });
  t.deepEqual(podFolders(home), ['pod']);
  t.deepEqual(
    (await context.home.listAgents()).map(({ label }) => label),
    ['bot'],
  );
});

test('a pod that is not started is there whole, and starts later', async (t) => {
  const machine = await makePodded(t);
  const done = await machine.target('later', undefined, { isStartWanted: false });
  t.is(done.pod, undefined);
  t.like((await listPods(machine.context))[0], { name: 'later', state: 'stopped' });
  const pod = await startPod(machine.context, await getPod(machine.context, 'later'));
  t.deepEqual(await askNotes(pod.endpoint), ['one']);
});

test('what a repository asks to run is not run unless it is agreed to', async (t) => {
  const machine = await makePodded(t);
  const { context, home } = machine;
  // The commit says it, and no agent of this machine does.
  await context.home.updateAgent({ ...(await machine.agent()), pod: undefined });
  const asked: string[] = [];
  const no = async (question: string): Promise<boolean> => {
    asked.push(question);
    return false;
  };
  await t.throwsAsync(machine.target('copy', undefined, { ask: no }), { code: 'INTERRUPTED' });
  t.is(asked.length, 1);
  t.regex(asked[0] ?? '', /agent\.mjs/);
  t.deepEqual(podFolders(home), []);
  t.is(await context.home.findAgent('copy'), undefined);
  const done = await machine.target('copy');
  t.deepEqual(await askNotes(done.pod?.endpoint), ['one']);
});

test('a pod straight from a remote runs first; then its history comes, and it has a branch', async (t) => {
  const machine = await makePodded(t);
  const dir = join(machine.context.cwd, 'remote');
  mkdirSync(dir);
  const url = `file://${dir}`;
  await addRemote(machine.context, 'bot', { name: 'origin', url, lock: undefined, singleWriter: false });
  await push(machine.context, 'bot', {});
  const context = { ...machine.context, home: new Home(join(machine.context.cwd, 'other')) };
  killPod(t, context, 'copy');
  const restore = async (): Promise<string | undefined> => {
    await using open = await openPlace(context, url);
    const moment = await findMoment(context, open, { revision: undefined, timestamp: undefined });
    const plan = await planPodRestore(context, open, moment, 'copy');
    return (await applyPodRestore(context, open, plan, { ask: yes })).pod?.endpoint;
  };
  const endpoint = await restore();
  t.deepEqual(await askNotes(endpoint), ['one']);
  t.is(await context.home.findAgent('copy'), undefined);
  // As if molt was killed before the history came: the same again goes on from there.
  t.is(await restore(), endpoint);
  await adoptPod(context, url, 'copy');
  t.like(await context.home.findAgent('copy'), {
    branch: 'copy',
    stateDir: join(context.home.dir, 'pods/copy/gen-1/state'),
  });
  const id = await commitOf(context, 'copy');
  await using open = await openAgent(context, 'copy');
  t.is(tipOf(open, 'copy'), id);
  t.deepEqual(await askNotes(endpoint), ['one']);
  await t.throwsAsync(restore(), { code: 'EXISTS' });
});

for (const how of ['well', 'never healthy', 'dead at once', 'interrupted'] as const)
  test(`a drill that ends ${how} leaves nothing`, async (t) => {
    const stop = new AbortController();
    const pids = new Set<number>();
    const command =
      how === 'never healthy' || how === 'interrupted'
        ? script('console.log("pid", process.pid); setInterval(() => {}, 1000)')
        : script('process.exit(3)');
    const health = { http: { path: '/healthz' }, intervalMs: 20, timeoutMs: how === 'never healthy' ? 500 : 60_000 };
    const machine = await makePodded(t, how === 'well' ? {} : { command, health });
    const context = {
      ...machine.context,
      signal: stop.signal,
      reporter: {
        ...machine.context.reporter,
        progress: ({ phase }: { phase: string }) => {
          if (phase !== 'start the pod') return;
          const file = join(machine.home, 'pods', podFolders(machine.home)[0] ?? '', 'supervisor.json');
          void until(() => existsSync(file)).then(() => {
            const note = JSON.parse(readFileSync(file, 'utf8')) as { readonly supervisor: { readonly pid: number } };
            pids.add(note.supervisor.pid);
            if (how === 'interrupted') stop.abort(new MoltError('INTERRUPTED', 'interrupted'));
          });
        },
      },
    };
    const open = await machine.open();
    const refs = [...open.repository.refs.keys()];
    const moment = await findMoment(context, open, { revision: undefined, timestamp: undefined });
    const drilling = drill(context, open, moment, { ask: yes });
    if (how === 'well') {
      const { restored } = await drilling;
      t.deepEqual([restored.pod?.healthy, restored.problems], [true, []]);
    } else await t.throwsAsync(drilling, { code: how === 'interrupted' ? 'INTERRUPTED' : 'UNHEALTHY' });
    t.deepEqual(podFolders(machine.home), []);
    t.deepEqual([...(await machine.open()).repository.refs.keys()], refs);
    t.deepEqual(
      (await context.home.listAgents()).map(({ label }) => label),
      ['bot'],
    );
    // Its supervisor has answered, and ends by itself.
    for (const pid of pids) await until(() => identify(pid) === undefined);
    t.deepEqual(readdirSync(join(machine.home, 'pods')), []);
  });

test('an agent that dies or never answers leaves a stopped pod with its files, and the same again ends it', async (t) => {
  const machine = await makePodded(t);
  const ready = join(machine.context.cwd, 'ready');
  const agent = join(import.meta.dirname, '../../examples/notes-agent/agent.mjs');
  const command = [
    process.execPath,
    '-e',
    `if (!require('node:fs').existsSync(${JSON.stringify(ready)})) process.exit(4); import(${JSON.stringify(agent)})`,
    '--',
    '--port',
    '{port:http}',
  ];
  await machine.context.home.updateAgent({ ...(await machine.agent()), pod: notesSpec(machine.port, { command }) });
  await machine.commit();
  const error = await t.throwsAsync(machine.target('copy'), { code: 'UNHEALTHY', message: /status 4/ });
  t.regex(error.message, /; the restored state is whole in ".*pods\/copy\/gen-1\/state"$/);
  t.regex((error as MoltError).hint ?? '', /molt pod start copy tries again, molt pod remove copy gives it up/);
  t.like((await listPods(machine.context))[0], { name: 'copy', state: 'stopped' });
  writeFileSync(ready, '');
  const done = await machine.target('copy');
  t.deepEqual(await askNotes(done.pod?.endpoint), ['one']);
  t.deepEqual(readNotes(machine.stateDir), ['one']);
});

test('without its program nothing is made', async (t) => {
  const machine = await makePodded(t, { command: ['no-such-agent-at-all'] });
  await t.throwsAsync(machine.target('copy'), { code: 'NOT_FOUND', message: /no-such-agent-at-all/ });
  t.deepEqual(podFolders(machine.home), []);
  t.is(await machine.context.home.findAgent('copy'), undefined);
  const done = await machine.target('copy', undefined, { isStartWanted: false });
  t.is(done.pod, undefined);
  t.deepEqual(readNotes(done.record.stateDir), ['one']);
});

test('of two restores into one target at once one wins, and the other changes nothing', async (t) => {
  const machine = await makePodded(t);
  const both = await Promise.allSettled([machine.target('copy'), machine.target('copy')]);
  t.deepEqual(both.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected']);
  for (const one of both)
    if (one.status === 'rejected')
      t.true(['LOCKED', 'EXISTS'].includes((one.reason as MoltError).code), String(one.reason));
  const [pod] = await listPods(machine.context);
  t.like(pod, { name: 'copy', state: 'running', healthy: true });
  t.deepEqual(await askNotes(pod?.endpoint), ['one']);
});

test('a pod that was started although its restore was cut off is taken as it runs', async (t) => {
  const machine = await makePodded(t);
  const first = await machine.target('copy');
  const { commit } = first.record;
  // What a molt that is killed between the start and its end leaves.
  const note = { molt: 'pod-restore', version: 1, commit, generation: 1, expectations: {} };
  writeFileSync(join(machine.home, 'pods/copy/restore.json'), JSON.stringify(note));
  await tellNote(first.pod?.endpoint, 'since');
  const again = await machine.target('copy');
  t.is(again.pod?.pid, first.pod?.pid);
  t.deepEqual(await askNotes(again.pod?.endpoint), ['one', 'since']);
  t.false(existsSync(join(machine.home, 'pods/copy/restore.json')));
  t.like(await checkPod(machine.context, again.record), { healthy: true });
  rmSync(join(machine.home, 'pods/copy/restore.json'), { force: true });
});
