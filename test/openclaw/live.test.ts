// A real agent that people talk to all the time: saved while it runs, brought back beside itself, rehearsed, and put back in place.

import { existsSync } from 'node:fs';
import { appendFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { askAll, takeTurn, type Answers } from './ask.ts';
import { checkDatabases, readTranscripts } from './databases.ts';
import { findFreePort, Gateway, hashFile, isReady } from './gateway.ts';
import { Lab, type RestoredPod } from './lab.ts';
import { Load, type Turn } from './load.ts';
import { unpackRecorded } from './recorded.ts';
import { logPhases, missing, seconds, sum } from './report.ts';

const TOKEN = 'token-of-the-original';
const MEMORY = 'workspace/MEMORY.md';
const MAIN = 'agent:main:main';

let lab: Lab;
let original: Gateway;
/** What the original knew before anything was done to it, and its memory. */
let before: Answers;
let memory: string;
let load: Load;
/** The first backup, and a commit after it. */
let first: string;
let second: string;
/** The original, brought back beside it. */
let twin: RestoredPod;

test.before('a recorded agent runs again', async (t) => {
  t.timeout(1_800_000);
  lab = await Lab.make();
  const port = await findFreePort();
  const stateDir = path.join(lab.dir, 'original');
  await unpackRecorded('2026.9.6', { stateDir, port, token: TOKEN, modelPort: lab.model.port });
  original = await Gateway.start({
    openclaw: lab.openclaw,
    stateDir,
    port,
    token: TOKEN,
    home: lab.home,
    // Jobs that have been due since the recording would talk into the conversations that are compared.
    env: { OPENCLAW_SKIP_CRON: '1' },
  });
  // The recorded index was made by a model at another port.
  await original.command('memory', 'index', '--force', '--agent', 'main');
  await takeTurn(original, MAIN, 'good morning');
  before = await askAll(original);
  memory = await hashFile(stateDir, MEMORY);
  const { version, installMs } = lab.openclaw;
  t.log(`openclaw ${version}${installMs === undefined ? '' : `, installed in ${seconds(installMs)}`}`);
  t.log(
    `OpenClaw's own start, to /readyz: ${seconds(original.readyMs)}, ${seconds(original.readyCpuMs)} of computing time`,
  );
});

test.after.always('everything stops', async () => {
  await load?.stop().catch(() => {});
  await original?.stop();
  await lab?.remove();
});

test.serial('the recorded agent is all there before anything is done to it', (t) => {
  t.is(before.sessions.length, 4);
  t.deepEqual(missing(['morning-brief', 'run-once-now', 'tea-reminder'], before.cronJobs), []);
  t.deepEqual(before.agents, ['main', 'research']);
  t.deepEqual(
    before.workspaces,
    ['workspace', 'workspace-research'].map((name) => path.join(original.stateDir, name)),
  );
  t.true(before.memory.includes('MEMORY.md'), before.memory.join());
});

test.serial(
  'an agent is saved while it is talked to: all that was answered is in the commit, and every database whole',
  async (t) => {
    t.timeout(1_200_000);
    load = new Load(original, 'talk', 4);
    await load.more(8);
    const turns = [load.turns.length];
    const init = await lab.json(
      t,
      'init',
      'claw',
      '--state',
      original.stateDir,
      '--pod',
      await lab.writePod('claw', original),
      '--recovery-key-file',
      path.join(lab.dir, 'recovery-key'),
    );
    // Nothing that people say to an agent looks like a loss, however its databases move meanwhile.
    for (let tick = 0; tick < 4; tick += 1) {
      await load.more(2);
      const { unchanged, suspicion } = await lab.json(t, 'commit', 'claw');
      t.deepEqual([unchanged, suspicion], [false, undefined]);
    }
    turns.push(load.turns.length);
    const commit = await lab.json(t, 'commit', 'claw', '-m', 'under load');
    t.is(commit.suspicion, undefined);
    await load.more(4);
    t.is(init.profile, 'openclaw');
    t.deepEqual([init.skipped, commit.skipped], [[], []]);
    [first, second] = [init.commit, commit.id];
    t.log(
      `first backup under load: ${seconds(init.durationMs)}; a commit after ${turns[1]} turns: ${seconds(commit.durationMs)}, ${commit.bytes.stored} bytes`,
    );
    await checkSaved(t, first, load.turns.slice(0, turns[0]));
    await checkSaved(t, second, load.turns.slice(0, turns[1]));
  },
);

/** Restores a commit into a folder and looks into it without molt and OpenClaw. */
async function checkSaved(t: ExecutionContext, commit: string, turns: readonly Turn[]): Promise<void> {
  const dir = path.join(lab.dir, `saved-${commit.slice(0, 10)}`);
  const restored = await lab.json(t, 'restore', 'claw', commit, '--to', dir);
  const state = path.join(dir, 'state');
  const checks = checkDatabases(state);
  t.deepEqual(
    missing(
      [
        'state/openclaw.sqlite',
        'agents/main/agent/openclaw-agent.sqlite',
        'agents/research/agent/openclaw-agent.sqlite',
      ],
      Object.keys(checks),
    ),
    [],
  );
  t.deepEqual([...new Set(Object.values(checks))], ['ok'], JSON.stringify(checks));
  const events = [...readTranscripts(state, 'main').values()].flat().join('\n');
  t.deepEqual(
    missing(
      turns.flatMap(({ said, answer }) => [said, answer]),
      (one) => events.includes(one),
    ),
    [],
  );
  t.is(await hashFile(state, MEMORY), memory);
  t.log(`${turns.length} turns in ${commit.slice(0, 10)}; its files restored in ${seconds(sum(restored.phases))}`);
}

test.serial('what a restore would set off is told beforehand, and nothing is made', async (t) => {
  const plan = await lab.json(t, 'restore', 'claw', '--target', 'planned', '--dry-run');
  t.like(plan, { target: 'planned', dryRun: true, commit: second });
  const hazards: string = plan.hazards.join('\n');
  t.regex(hazards, new RegExp(`port ${original.port}`));
  t.regex(hazards, /whatsapp/i);
  t.regex(hazards, /tea-reminder/);
  t.deepEqual(await lab.json(t, 'pod', 'list'), []);
});

test.serial(
  'a commit comes back as a healthy pod at another path, port and token, while the original goes on',
  async (t) => {
    t.timeout(1_800_000);
    const config = await hashFile(original.stateDir, 'openclaw.json');
    const result = await lab.json(t, 'restore', 'claw', second, '--target', 'twin');
    twin = await lab.findPod(t, 'twin');
    t.like(result, { target: 'twin', commit: second, pod: { name: 'twin', healthy: true } });
    t.is(result.pod.endpoint, `http://127.0.0.1:${twin.port}`);
    t.not(twin.port, original.port);
    t.not(twin.token, TOKEN);
    t.false(twin.stateDir.startsWith(original.stateDir));
    logPhases(t, 'restore --target', result, original.readyMs);
    await checkTwin(t);
    // The original was talked to all the time; a conversation that failed would be thrown here.
    await load.stop();
    t.true(original.isRunning);
    t.regex(await takeTurn(original, MAIN, 'are you still there?'), /^Understood/);
    const now = await askAll(original);
    t.deepEqual(missing(before.sessions, now.sessions), []);
    t.deepEqual({ ...now, sessions: [] }, { ...before, sessions: [] });
    t.is(await hashFile(original.stateDir, MEMORY), memory);
    t.is(await hashFile(original.stateDir, 'openclaw.json'), config);
    // What one of them is told the other does not hear.
    t.false(textOf(original.stateDir).includes('hello, twin'));
    t.false(textOf(twin.stateDir).includes('are you still there?'));
  },
);

/** Asks the twin for everything that the commit holds. */
async function checkTwin(t: ExecutionContext): Promise<void> {
  t.true(await isReady(twin.port));
  const [known, there] = await Promise.all([askAll(original), askAll(twin)]);
  // The original has gone on in the same conversations; the twin's own jobs may have begun new ones.
  t.deepEqual(missing(known.sessions, there.sessions), []);
  t.deepEqual(there.cronJobs, before.cronJobs);
  t.deepEqual(there.agents, before.agents);
  t.deepEqual(
    there.workspaces,
    ['workspace', 'workspace-research'].map((name) => path.join(twin.stateDir, name)),
  );
  t.deepEqual(
    there.workspaces.filter((dir) => !existsSync(dir)),
    [],
  );
  t.deepEqual(there.memory, before.memory);
  t.is(await hashFile(twin.stateDir, MEMORY), memory);
  t.regex(await takeTurn(twin, MAIN, 'hello, twin'), /^Understood/);
  t.regex(await takeTurn(twin, 'agent:main:talk-1', 'hello, twin'), /^Understood/);
  t.true(textOf(twin.stateDir).includes('hello, twin'));
}

function textOf(stateDir: string): string {
  return [...readTranscripts(stateDir, 'main').values()].flat().join('\n');
}

test.serial('a restore in place over a gateway that molt can’t stop is refused, and nothing is touched', async (t) => {
  const { status, stderr } = await lab.run('restore', 'claw', first, '--in-place');
  t.is(status, 11, stderr);
  t.true(original.isRunning && (await isReady(original.port)));
  t.is(await hashFile(original.stateDir, MEMORY), memory);
  t.deepEqual(missing(before.sessions, (await askAll(original)).sessions), []);
});

test.serial(
  'a restore in place over a pod of molt stops it, puts it back and starts it at the same place',
  async (t) => {
    t.timeout(1_800_000);
    await appendFile(path.join(twin.stateDir, MEMORY), '- A mistake.\n');
    const later = await lab.json(t, 'commit', 'twin');
    t.deepEqual([later.unchanged, later.suspicion], [false, undefined]);
    const result = await lab.json(t, 'restore', 'twin', second, '--in-place');
    t.like(result, { commit: second, pod: { name: 'twin', healthy: true } });
    logPhases(t, 'restore --in-place', result, original.readyMs);
    const { port, token } = twin;
    twin = await lab.findPod(t, 'twin');
    t.is(twin.port, port);
    t.false(textOf(twin.stateDir).includes('hello, twin'));
    await checkTwin(t);
    // Neither may it lock out its clients, nor open to what opens the original.
    t.is(twin.token, token);
  },
);

test.serial('a pod is stopped, and goes forth again in place without being started', async (t) => {
  await lab.json(t, 'pod', 'stop', 'twin');
  t.false(await isReady(twin.port));
  const [pod] = (await lab.json(t, 'pod', 'list')).filter(({ name }: { name: string }) => name === 'twin');
  t.like(pod, { name: 'twin', state: 'stopped' });
  await lab.json(t, 'restore', 'twin', '--undo', '--no-start');
  const { stateDir } = await lab.findPod(t, 'twin');
  t.not(await hashFile(stateDir, MEMORY), memory);
  t.true(textOf(stateDir).includes('hello, twin'));
  t.deepEqual([...new Set(Object.values(checkDatabases(stateDir)))], ['ok']);
});

test.serial('an earlier time comes back as a pod that is not started', async (t) => {
  const commits = await lab.json(t, 'log', 'claw');
  const { time } = commits.find(({ id }: { id: string }) => id === first);
  const result = await lab.json(t, 'restore', 'claw', '--timestamp', time, '--target', 'earlier', '--no-start');
  t.like(result, { target: 'earlier', commit: first, requestedTime: time });
  const [pod] = (await lab.json(t, 'pod', 'list')).filter(({ name }: { name: string }) => name === 'earlier');
  t.like(pod, { name: 'earlier', state: 'stopped' });
  t.is(await hashFile(pod.dir, MEMORY), memory);
});

test.serial('a drill starts a quiet copy, measures it, and leaves nothing', async (t) => {
  t.timeout(1_800_000);
  const pods = await lab.json(t, 'pod', 'list');
  const agents = await lab.json(t, 'agents');
  const result = await lab.json(t, 'restore', 'claw', '--drill');
  t.is(result.commit, second);
  logPhases(t, 'restore --drill', result, original.readyMs);
  t.log(JSON.stringify({ ...result, phases: undefined }));
  t.deepEqual(await lab.json(t, 'pod', 'list'), pods);
  t.deepEqual(await lab.json(t, 'agents'), agents);
  t.deepEqual((await readdir(path.join(lab.home, '.molt/pods'))).toSorted(), ['earlier', 'twin']);
  t.true(original.isRunning && (await isReady(original.port)));
});
