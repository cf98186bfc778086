// A real agent that people talk to all the time: saved while it runs, brought back beside itself and in place.

import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { askAll, takeTurn, type Answers } from './ask.ts';
import { checkDatabases, readTranscripts } from './databases.ts';
import { findFreePort, Gateway, hashFile } from './gateway.ts';
import { Lab } from './lab.ts';
import { Load, type Turn } from './load.ts';
import { unpackRecorded } from './recorded.ts';

const TOKEN = 'token-of-the-original';
const MEMORY = 'workspace/MEMORY.md';

let lab: Lab;
let original: Gateway;
/** What the original knew before anything was done to it, and its memory. */
let before: Answers;
let memory: string;
let load: Load;
/** What had been answered when the second commit began. */
let answered: readonly Turn[];

test.before('a recorded agent runs again', async (t) => {
  t.timeout(600_000);
  lab = await Lab.make(test);
  const port = await findFreePort();
  const stateDir = path.join(lab.dir, 'original');
  await unpackRecorded('2026.9.6', { stateDir, port, token: TOKEN, modelPort: lab.model.port });
  const options = { openclaw: lab.openclaw, stateDir, port, token: TOKEN, home: lab.home };
  original = await Gateway.start({ ...options, env: { OPENCLAW_SKIP_CRON: '1' } });
  // The recorded index was made for a model at another port.
  await original.command('memory', 'index', '--force', '--agent', 'main');
  await takeTurn(original, 'agent:main:main', 'good morning');
  before = await askAll(original);
  memory = await hashFile(stateDir, MEMORY);
  t.log(
    `openclaw ${lab.openclaw.version} installed in ${seconds(lab.openclaw.installMs)}, ready in ${seconds(original.readyMs)}`,
  );
});

test.after.always('the original stops', async () => {
  await load?.stop().catch(() => {});
  await original?.stop();
});

test.serial('the recorded agent is all there before anything is done to it', async (t) => {
  t.is(before.sessions.length, 4);
  t.true(['morning-brief', 'run-once-now', 'tea-reminder'].every((name) => before.cronJobs.includes(name)));
  t.deepEqual(before.workspaces, [
    path.join(original.stateDir, 'workspace'),
    path.join(original.stateDir, 'workspace-research'),
  ]);
  t.true(before.memory.includes('MEMORY.md'), before.memory.join());
});

test.serial(
  'a live agent is saved while it is talked to: all that was answered before is in the commit, and every database is sound',
  async (t) => {
    t.timeout(600_000);
    load = new Load(original, 'talk', 4);
    await load.more(8);
    const pod = await lab.writePod('claw', original);
    const atInit = [...load.turns];
    const init = await lab.json(
      t,
      'init',
      'claw',
      '--state',
      original.stateDir,
      '--pod',
      pod,
      '--recovery-key-file',
      path.join(lab.dir, 'recovery-key'),
    );
    await load.more(8);
    answered = [...load.turns];
    const commit = await lab.json(t, 'commit', 'claw', '-m', 'under load');
    await load.more(4);
    t.is(init.profile, 'openclaw');
    t.deepEqual([init.skipped, commit.skipped], [[], []]);
    await checkSaved(t, init.commit, atInit);
    await checkSaved(t, commit.id, answered);
  },
);

/** Restores a commit into a folder and looks into it without molt and OpenClaw. */
async function checkSaved(t: ExecutionContext, commit: string, turns: readonly Turn[]): Promise<void> {
  const dir = path.join(lab.dir, `saved-${commit.slice(0, 10)}`);
  const restored = await lab.json(t, 'restore', 'claw', commit, '--to', dir);
  const state = path.join(dir, 'state');
  const checks = checkDatabases(state);
  t.true(Object.keys(checks).includes('agents/main/agent/openclaw-agent.sqlite'));
  t.deepEqual(new Set(Object.values(checks)), new Set(['ok']), JSON.stringify(checks));
  const events = [...readTranscripts(state, 'main').values()].flat().join('\n');
  for (const { said, answer } of turns) {
    t.true(events.includes(said), `lost: ${said}`);
    t.true(events.includes(answer), `lost: ${answer}`);
  }
  t.is(await hashFile(state, MEMORY), memory);
  t.log(`${turns.length} turns answered before the commit, all in it; restored in ${seconds(sum(restored.phases))}`);
}

test.serial('the agent that was saved goes on as before', async (t) => {
  t.timeout(300_000);
  await load.stop();
  t.true(original.isRunning);
  const now = await askAll(original);
  t.deepEqual(missing(before.sessions, now.sessions), []);
  t.deepEqual({ ...now, sessions: [] }, { ...before, sessions: [] });
  t.is(await hashFile(original.stateDir, MEMORY), memory);
  t.regex(await takeTurn(original, 'agent:main:main', 'are you still there?'), /^Understood/);
});

function missing(expected: readonly string[], found: readonly string[]): string[] {
  return expected.filter((one) => !found.includes(one));
}

function sum(phases: readonly { readonly durationMs: number }[]): number {
  return phases.reduce((total, { durationMs }) => total + durationMs, 0);
}

function seconds(durationMs: number | undefined): string {
  return durationMs === undefined ? 'no time' : `${(durationMs / 1000).toFixed(1)} s`;
}
