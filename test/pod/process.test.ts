// A pod as a supervised process: started, watched, replaced and stopped, whatever is killed meanwhile.

import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { isMoltError } from '../../src/model/error.ts';
import { pauseMs } from '../../src/pod/keeper.ts';
import { LogWriter, readLog } from '../../src/pod/log-file.ts';
import { readNote, writeNote } from '../../src/pod/note.ts';
import { identify, isRunning } from '../../src/pod/process-id.ts';
import { processProvider } from '../../src/pod/process.ts';
import type { PodPlace } from '../../src/pod/provider.ts';
import { supervise } from '../../src/pod/supervisor.ts';
import { makeFolder, makePod, notesSpec, script, takePort, until } from './agent.ts';

async function collect(lines: AsyncIterable<string>): Promise<string[]> {
  const all: string[] = [];
  for await (const line of lines) all.push(line);
  return all;
}

// oxlint-disable-next-line typescript/no-explicit-any -- what the agent answers is what the tests find out
async function ask(url: string): Promise<any> {
  return (await fetch(url)).json();
}

async function linesOf(place: PodPlace, lines?: number): Promise<string[]> {
  return collect(processProvider.logs(place, { lines }));
}

test('a pod is started, answers on its public port, and is stopped by its signal', async (t) => {
  const { place, pod, url } = await makePod(t);
  t.deepEqual(await processProvider.inspect(place), { state: 'stopped', restarts: 0 });
  await processProvider.check(pod);
  await processProvider.start(place, pod);
  const status = await processProvider.inspect(place);
  t.is(status.state, 'running');
  const answer = await ask(`${url}/healthz`);
  t.is(answer.pid, status.pid);
  await processProvider.stop(place, pod.stop);
  t.deepEqual(await processProvider.inspect(place), { state: 'stopped', restarts: 0 });
  t.is(identify(status.pid ?? 0), undefined);
  t.deepEqual(await linesOf(place), [`listening on port ${pod.ports['http']?.private}`, 'ending']);
  t.deepEqual(await linesOf(place, 1), ['ending']);
  t.is(statSync(join(place.dir, 'log')).mode & 0o777, 0o600);
  await t.throwsAsync(fetch(url));
});

test('an agent sees what its spec allows and sets, and nothing else', async (t) => {
  process.env['POD_TEST_SECRET'] = 'surroundings';
  const { place, pod } = await makePod(t, () => ({
    command: script('console.log(JSON.stringify(process.env)); setInterval(() => {}, 1000)'),
    env: { MINE: '{name}' },
    envAllow: ['PATH'],
  }));
  await processProvider.start(place, pod);
  const line = await until(async () => (await linesOf(place))[0]);
  const { PATH, ...others } = JSON.parse(line);
  t.is(PATH, process.env['PATH']);
  t.deepEqual(others, { MINE: 'notes' });
});

test('one of two starts at once wins', async (t) => {
  const { place, pod, url } = await makePod(t);
  const starts = await Promise.allSettled([processProvider.start(place, pod), processProvider.start(place, pod)]);
  const failures = starts.filter((one) => one.status === 'rejected').map((one) => one.reason);
  t.is(failures.length, 1);
  t.true(isMoltError(failures[0], 'RUNNING'), String(failures[0]));
  t.is((await fetch(`${url}/healthz`)).status, 200);
});

test('an agent that dies is started again, and its clients wait for it', async (t) => {
  const { place, pod, url } = await makePod(t);
  await processProvider.start(place, pod);
  const { pid = 0 } = await processProvider.inspect(place);
  await fetch(`${url}/notes`, { method: 'POST', body: 'kept' });
  process.kill(pid, 'SIGKILL');
  await until(() => identify(pid) === undefined);
  const notes = await until(() => ask(`${url}/notes`).catch(() => undefined));
  t.is(notes[0].text, 'kept');
  const after = await until(async () => {
    const status = await processProvider.inspect(place);
    return status.state === 'running' && status;
  });
  t.not(after.pid, pid);
  t.is(after.restarts, 1);
  t.deepEqual(after.lastExit, { status: null, signal: 'SIGKILL' });
});

test('after a killed supervisor the agent is found, named, and stopped by the next start', async (t) => {
  const { place, pod, url } = await makePod(t);
  await processProvider.start(place, pod);
  const note = readNote(place);
  const agent = note?.agents[0];
  if (note === undefined || agent === undefined) throw new Error('a supervisor leaves a note');
  process.kill(note.supervisor.pid, 'SIGKILL');
  await until(() => !isRunning(note.supervisor));
  const status = await processProvider.inspect(place);
  t.is(status.state, 'failed');
  if (isRunning(agent))
    t.regex(status.problem ?? '', new RegExp(`process ${agent.pid} of the agent goes on without one`));
  await processProvider.start(place, pod);
  t.false(isRunning(agent));
  t.is((await fetch(`${url}/healthz`)).status, 200);
});

test('after a killed supervisor the agent is stopped by a stop too', async (t) => {
  const { place, pod } = await makePod(t);
  await processProvider.start(place, pod);
  const note = readNote(place);
  const agent = note?.agents[0];
  if (note === undefined || agent === undefined) throw new Error('a supervisor leaves a note');
  process.kill(note.supervisor.pid, 'SIGKILL');
  await until(() => !isRunning(note.supervisor));
  await processProvider.stop(place, pod.stop);
  t.false(isRunning(agent));
  t.is((await processProvider.inspect(place)).state, 'stopped');
});

test('a process that got the number of one in an old note is left alone', async (t) => {
  const { place, pod } = await makePod(t);
  await processProvider.start(place, pod);
  const note = readNote(place);
  await processProvider.stop(place, pod.stop);
  if (note === undefined) throw new Error('a supervisor leaves a note');
  // This test's own number, as if it had been an agent's once.
  const stranger = { pid: process.pid, began: 'long ago' };
  writeNote(place, { ...note, supervisor: stranger, agents: [stranger] });
  t.is((await processProvider.inspect(place)).state, 'failed');
  await processProvider.stop(place, pod.stop);
  t.is((await processProvider.inspect(place)).state, 'stopped');
});

test('an agent that dies while starting is not started again, and what it said last is told', async (t) => {
  const { place, pod } = await makePod(t, (port) =>
    notesSpec(port, {
      command: script('console.log("first"); console.error("no such model \\u001b[2J"); process.exit(3)'),
    }),
  );
  const error = await t.throwsAsync(processProvider.start(place, pod), { code: 'UNHEALTHY' });
  t.is(
    error.message,
    `notes ended before it was healthy: it ended with status 3; its log is ${place.dir}/log, it ends with:\n    first\n    no such model ^[[2J`,
  );
  t.deepEqual(await processProvider.inspect(place), { state: 'stopped', restarts: 0 });
});

test('an agent that never becomes healthy is stopped, and its last answer is told', async (t) => {
  const code =
    'require("http").createServer((_, r) => r.writeHead(503).end("still loading")).listen(process.argv[1], "127.0.0.1"); process.on("SIGTERM", () => {})';
  const { place, pod } = await makePod(t, (port) =>
    notesSpec(port, {
      command: [...script(code), '{port:http}'],
      health: { http: { path: '/' }, intervalMs: 20, timeoutMs: 8000 },
      stop: { graceMs: 50 },
    }),
  );
  const error = await t.throwsAsync(processProvider.start(place, pod), { code: 'UNHEALTHY' });
  t.regex(error.message, /^notes did not become healthy within 8 s: GET \/ answered 503: still loading; its log is /);
  t.is((await processProvider.inspect(place)).state, 'stopped');
});

test('a start that is interrupted leaves nothing behind', async (t) => {
  const { place, pod } = await makePod(t, (port) =>
    notesSpec(port, {
      command: script('console.log("up"); setInterval(() => {}, 1000)'),
      health: { command: ['false'] },
    }),
  );
  const controller = new AbortController();
  const start = processProvider.start(place, pod, { signal: controller.signal });
  const agent = await until(() => readNote(place)?.agents[0]);
  controller.abort(new Error('Ctrl-C'));
  await t.throwsAsync(start, { message: 'Ctrl-C' });
  await until(() => !isRunning(agent) && readNote(place) === undefined);
  t.pass();
});

test('a missing command and a missing folder are named before anything is started', async (t) => {
  const { pod } = await makePod(t, (port) => notesSpec(port, { command: ['no-such-agent'] }));
  await t.throwsAsync(processProvider.check(pod), {
    code: 'NOT_FOUND',
    message: 'there is no program "no-such-agent" on the PATH of pod "notes"',
  });
  await t.throwsAsync(processProvider.check({ ...pod, cwd: '/no/such' }), {
    code: 'NOT_FOUND',
    message: /"\/no\/such"/,
  });
});

test('a public port that is taken is named, and nothing is started', async (t) => {
  const { place, pod } = await makePod(t);
  const port = pod.ports['http']?.public ?? 0;
  await takePort(t, port);
  await t.throwsAsync(processProvider.start(place, pod), {
    code: 'UNHEALTHY',
    message: `port ${port} is taken by another program`,
  });
  t.is(readNote(place), undefined);
});

test('an agent that ignores its signal is killed with all that it started', async (t) => {
  const code = `
    process.on('SIGTERM', () => {});
    const child = require('child_process').spawn(process.execPath, ['-e', 'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000)']);
    console.log(child.pid);
    setInterval(() => {}, 1000);`;
  const { place, pod } = await makePod(t, () => ({ command: script(code), stop: { graceMs: 100 } }));
  await processProvider.start(place, pod);
  const child = identify(Number(await until(async () => (await linesOf(place))[0])));
  if (child === undefined) throw new Error('the agent started a process');
  await processProvider.stop(place, pod.stop);
  await until(() => !isRunning(child));
  t.pass();
});

test('without a front the agent has the public port itself', async (t) => {
  const { place, pod, url } = await makePod(t, (port) => notesSpec(port, { front: false }));
  t.is(pod.ports['http']?.public, pod.ports['http']?.private);
  await processProvider.start(place, pod);
  t.is((await fetch(`${url}/healthz`)).status, 200);
});

test('a socket whose path would be too long lies in a private folder elsewhere', async (t) => {
  const { place: near, pod } = await makePod(t);
  const place = { ...near, dir: join(near.dir, 'x'.repeat(100)) };
  await processProvider.start(place, pod);
  const socket = readNote(place)?.socket ?? '';
  t.true(Buffer.byteLength(socket) <= 100);
  t.true(existsSync(socket));
  t.is((await processProvider.inspect(place)).state, 'running');
  await processProvider.stop(place, pod.stop);
  t.false(existsSync(socket));
});

test('another generation takes over while a client asks ten times a second, and at most one request is refused', async (t) => {
  const { place, pod, generation, url } = await makePod(t);
  await processProvider.start(place, pod);
  const second = await generation(2);
  const database = new DatabaseSync(join(second.stateDir, 'notes.db'));
  database.exec(`CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL, made TEXT NOT NULL);
    INSERT INTO notes VALUES (1, 'restored', '')`);
  database.close();
  const seen: (string | undefined)[] = [];
  const over = new AbortController();
  const client = (async () => {
    let left = 5;
    while (left > 0) {
      if (over.signal.aborted) left -= 1;
      const asked = ask(`${url}/notes`).then(
        (notes) => String(notes[0]?.text),
        () => undefined,
      );
      const [answer] = await Promise.all([asked, delay(100)]);
      seen.push(answer);
    }
  })();
  await until(() => seen.length >= 3);
  await processProvider.switchTo?.(place, second);
  over.abort();
  await client;
  const refused = seen.filter((answer) => answer === undefined).length;
  t.log(`${seen.length} requests, ${refused} refused`);
  t.true(refused <= 1);
  t.is(seen[0], 'undefined');
  t.is(seen.at(-1), 'restored');
  t.is((await processProvider.inspect(place)).generation, 2);
  // Whoever saw the new one never saw the old one again.
  const first = seen.indexOf('restored');
  t.true(seen.slice(first).every((answer) => answer !== 'undefined'));
});

test('a generation that does not become healthy leaves the present one as it was', async (t) => {
  const { place, pod, generation, url } = await makePod(t);
  await processProvider.start(place, pod);
  const before = await processProvider.inspect(place);
  const second = await generation(2);
  writeFileSync(
    join(second.stateDir, 'notes.db'),
    'no database at all, but long enough to be looked at as one'.repeat(50),
  );
  const error = await t.throwsAsync(async () => processProvider.switchTo?.(place, second), { code: 'UNHEALTHY' });
  t.regex(error.message, /file is not a database/);
  t.deepEqual(await processProvider.inspect(place), before);
  t.is((await fetch(`${url}/healthz`)).status, 200);
  t.is(readNote(place)?.agents.length, 1);
});

test('a switch whose asker goes away is given up, and the present generation goes on', async (t) => {
  const { place, pod, generation, url } = await makePod(t);
  await processProvider.start(place, pod);
  const second = await generation(2);
  const controller = new AbortController();
  const never = { ...second, command: script('setInterval(() => {}, 1000)') };
  const switched = processProvider.switchTo?.(place, never, { signal: controller.signal });
  const next = await until(() => readNote(place)?.agents[1]);
  await t.throwsAsync(async () => processProvider.switchTo?.(place, second), { code: 'LOCKED' });
  controller.abort(new Error('Ctrl-C'));
  await t.throwsAsync(async () => switched, { message: 'Ctrl-C' });
  await until(() => !isRunning(next) && readNote(place)?.agents.length === 1);
  t.is((await fetch(`${url}/healthz`)).status, 200);
  await processProvider.switchTo?.(place, second);
  t.is((await processProvider.inspect(place)).generation, 2);
});

test('a pod that this process supervises ends as it is told, from here or by another one, and tells how its agent ended', async (t) => {
  const first = await makePod(t);
  const surroundings = { PATH: process.env['PATH'] };
  const here = await supervise({ ...first, surroundings, output: 'log' });
  await here.healthy;
  t.is(here.status.state, 'running');
  await t.throwsAsync(supervise({ ...first, surroundings, output: 'log' }), { code: 'RUNNING' });
  t.deepEqual(await here.stop(), { status: 0, signal: null });
  t.deepEqual(await here.ended, { status: 0, signal: null });
  const again = await supervise({ ...first, surroundings, output: 'log' });
  await again.healthy;
  await processProvider.stop(first.place, first.pod.stop);
  t.deepEqual(await again.ended, { status: 0, signal: null });
  const early = await supervise({ ...first, surroundings, output: 'log' });
  const healthy = t.throwsAsync(early.healthy, { code: 'INTERRUPTED' });
  await early.stop();
  await healthy;
  t.is(readNote(first.place), undefined);
});

test('pauses between starts double up to thirty seconds, and differ a little', (t) => {
  t.deepEqual(
    [0, 1, 2, 6, 7, 50].map((attempt) => pauseMs(attempt, 0.5)),
    [250, 500, 1000, 16_000, 30_000, 30_000],
  );
  t.is(pauseMs(7, 0), 24_000);
  t.is(pauseMs(7, 1), 36_000);
});

test('a log is rotated by size, and read and followed across that', async (t) => {
  const place = { name: 'it', dir: makeFolder(t) };
  const log = new LogWriter(place, 20);
  log.write(Buffer.from('one\ntwo\n'));
  log.write(Buffer.from('three\nfour\nfi'));
  t.deepEqual(await collect(readLog(place, {})), ['one', 'two', 'three', 'four', 'fi']);
  t.deepEqual(await collect(readLog(place, { lines: 2 })), ['four', 'fi']);
  const controller = new AbortController();
  const followed: string[] = [];
  const following = (async () => {
    for await (const line of readLog(place, { lines: 1, follow: true, signal: controller.signal })) followed.push(line);
  })();
  await until(() => followed.length === 1);
  log.write(Buffer.from('ve\n'));
  await until(() => followed.length === 2);
  log.write(Buffer.from('six is long enough to rotate\n'));
  await until(() => followed.length === 3);
  controller.abort();
  await following;
  log.close();
  t.deepEqual(followed, ['four', 'five', 'six is long enough to rotate']);
  t.is(readFileSync(join(place.dir, 'log.1'), 'utf8').split('\n').length, 4);
});
