// Agents that stop answering: one that hangs is started again, one that works or says no is not.

import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { readActivity } from '../../src/pod/activity.ts';
import { processProvider } from '../../src/pod/process.ts';
import type { PodStatus } from '../../src/pod/provider.ts';
import { supervise } from '../../src/pod/supervisor.ts';
import { makePod, script, until, type TestPod } from './agent.ts';

/** Answers; works without an answer until a file is there; or says no from then on. */
const AGENT = `const { createServer } = require('node:http');
  const { existsSync } = require('node:fs');
  let [status, asked] = [200, 0];
  createServer((request, response) => {
    if (request.url === '/work') while (!existsSync('done'));
    if (request.url === '/sick') status = 503;
    if (request.url === '/healthz') asked += 1;
    response.statusCode = request.url === '/healthz' ? status : 200;
    response.end(String(asked));
    if (request.url === '/healthz' && process.env.HANGS) setImmediate(() => process.kill(process.pid, 'SIGSTOP'));
  }).listen(Number(process.env.PORT), '127.0.0.1')`;

interface Liveness {
  readonly failures: number;
  readonly timeoutMs?: number;
  readonly busy?: 'spare' | 'restart';
}

async function makeAgent(t: ExecutionContext, liveness: Liveness, env: Record<string, string> = {}): Promise<TestPod> {
  return makePod(t, (port) => ({
    command: script(AGENT),
    env: { PORT: '{port:http}', ...env },
    ports: [{ name: 'http', port }],
    health: {
      http: { path: '/healthz' },
      intervalMs: 20,
      timeoutMs: 60_000,
      liveness: { intervalMs: 20, timeoutMs: 100, ...liveness },
    },
    stop: { graceMs: 50 },
  }));
}

async function ask(url: string): Promise<string> {
  return (await fetch(url, { headers: { connection: 'close' } })).text();
}

async function statusOf({ place }: TestPod): Promise<PodStatus> {
  return processProvider.inspect(place);
}

test('an agent that hangs is started again, and its log and its status say so', async (t) => {
  // Long enough that on a busy machine the next one is not taken for one that hangs.
  const made = await makeAgent(t, { failures: 3, timeoutMs: 1000 });
  await processProvider.start(made.place, made.pod);
  const { pid = 0 } = await statusOf(made);
  process.kill(pid, 'SIGSTOP');
  await until(async () => (await statusOf(made)).problem?.startsWith('it gave no answer'));
  const status = await until(async () => {
    const now = await statusOf(made);
    return now.state === 'running' && now.restarts === 1 && now;
  });
  t.not(status.pid, pid);
  t.is(status.problem, undefined);
  // Once more if it was still at work when it was stopped.
  const why = status.lastRestart ?? '';
  t.regex(why, /^it hangs: it gave no answer [3-9] times in a row: GET \/healthz did not answer within 1000 ms$/);
  t.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
  t.regex(await ask(`${made.url}/`), /^[0-9]+$/);
  const lines: string[] = [];
  for await (const line of processProvider.logs(made.place, {})) lines.push(line);
  t.true(
    lines.some((line) => line.startsWith('molt, ') && line.endsWith(why)),
    lines.join('\n'),
  );
});

test('an agent that hangs again and again is started after longer and longer pauses', async (t) => {
  const { place, pod } = await makeAgent(t, { failures: 1 }, { HANGS: 'yes' });
  const problems = new Set<string>();
  const supervised = await supervise({
    place,
    pod,
    surroundings: process.env,
    output: 'log',
    onStatus: ({ problem }) => problem?.includes('started again in') && problems.add(problem),
  });
  await supervised.healthy;
  await until(() => problems.size >= 3);
  await supervised.stop();
  const pauses = [...problems].slice(0, 3).map((problem) => Number(/in ([0-9.]+) s$/.exec(problem)?.[1]));
  t.true(
    [...problems].every((problem) => problem.startsWith('it hangs: ')),
    [...problems].join('\n'),
  );
  t.deepEqual(
    pauses,
    pauses.toSorted((one, other) => one - other),
  );
  t.is(new Set(pauses).size, 3, pauses.join(' '));
});

const isKnown = readActivity(process.pid) !== undefined;
(isKnown ? test : test.skip)('an agent that works and does not answer is left alone, and goes on', async (t) => {
  const made = await makeAgent(t, { failures: 20 });
  await processProvider.start(made.place, made.pod);
  const { pid } = await statusOf(made);
  const working = ask(`${made.url}/work`);
  const { problem } = await until(async () => {
    const now = await statusOf(made);
    return Number(/([0-9]+) times in a row/.exec(now.problem ?? '')?.[1]) > 25 && now;
  });
  t.regex(problem ?? '', /^it gave no answer [0-9]+ times in a row: .*; it is busy$/);
  writeFileSync(join(made.pod.stateDir, 'done'), '');
  await working;
  const after = await until(async () => {
    const now = await statusOf(made);
    return now.problem === undefined && now;
  });
  t.like(after, { state: 'running', pid, restarts: 0 });
});

test('where its pod.json says so, one that works without an end is started again too', async (t) => {
  const made = await makeAgent(t, { failures: 3, busy: 'restart' });
  await processProvider.start(made.place, made.pod);
  const { pid } = await statusOf(made);
  await t.throwsAsync(ask(`${made.url}/work`));
  const after = await until(async () => {
    const now = await statusOf(made);
    return now.state === 'running' && now.restarts === 1 && now;
  });
  t.not(after.pid, pid);
});

test('an agent that says no is alive, and left alone', async (t) => {
  const made = await makeAgent(t, { failures: 2 });
  await processProvider.start(made.place, made.pod);
  await ask(`${made.url}/sick`);
  const asked = Number(await ask(`${made.url}/`));
  await until(async () => Number(await ask(`${made.url}/`)) > asked + 5);
  t.like(await statusOf(made), { state: 'running', restarts: 0 });
  t.is((await statusOf(made)).problem, undefined);
});

test('what a group of processes does is seen', async (t) => {
  const child = spawn(process.execPath, ['-e', 'for (;;);'], { detached: true, stdio: 'ignore' });
  t.teardown(() => child.kill('SIGKILL'));
  const { pid = 0 } = child;
  const before = readActivity(pid);
  if (before === undefined) return t.pass('not on this system');
  await until(() => (readActivity(pid)?.cpuMs ?? 0) > before.cpuMs);
  t.deepEqual(readActivity(1 << 30), { cpuMs: 0, ioBytes: 0 });
});
