// `molt run` as an operator sees it: real processes, real signals, exit statuses, and what is written where.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, realpath, rm, mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../pod/agent.ts';
import { COMPILE_CACHE, MAIN } from './built.ts';
import { identify } from '../../src/pod/process-id.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const AGENT = path.join(ROOT, 'examples/notes-agent/agent.mjs');

/** A run in a process of its own. */
interface Started {
  readonly child: ChildProcess;
  stdout: string;
  stderr: string;
  readonly port: number;
  /** Resolves once the agent answers; throws when the run has ended. */
  up(): Promise<void>;
  ended(): Promise<{ readonly status: number | null; readonly signal: NodeJS.Signals | null }>;
}

interface Place {
  readonly dir: string;
  readonly url: string;
  /** Starts molt with these words. */
  molt(argv: readonly string[], env?: Record<string, string>, under?: readonly string[]): Started;
  /** Runs the agent of the example, with these words before its command. */
  run(argv?: readonly string[], env?: Record<string, string>): Promise<Started>;
}

async function makePlace(t: ExecutionContext): Promise<Place> {
  const dir = await realpath(await mkdtemp(path.join(tmpdir(), 'molt-run-')));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  await mkdir(path.join(dir, 'remote'));
  const url = `file://${dir}/remote`;
  const molt = (argv: readonly string[], env = {}, under: readonly string[] = [], port = 0): Started => {
    const [program = '', ...words] = [...under, process.execPath, MAIN, ...argv];
    const child = spawn(program, words, {
      cwd: dir,
      env: {
        HOME: dir,
        TZ: 'UTC',
        PATH: process.env['PATH'],
        NODE_COMPILE_CACHE: COMPILE_CACHE,
        MOLT_PASSPHRASE: 'first',
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const ended = once(child, 'close');
    const started: Started = {
      child,
      stdout: '',
      stderr: '',
      port,
      async up() {
        while (child.exitCode === null && child.signalCode === null) {
          const answer = await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => undefined);
          if (answer?.ok === true) return;
        }
        throw new Error(`it ended: ${started.stderr}`);
      },
      async ended() {
        const [status, signal] = await ended;
        return { status, signal };
      },
    };
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (started.stdout += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (started.stderr += text));
    t.teardown(() => child.kill('SIGKILL'));
    return started;
  };
  return {
    dir,
    url,
    molt,
    async run(argv = [], env = {}) {
      const port = await freePort();
      const words = ['run', 'bot', ...argv, '--', process.execPath, AGENT, '--port', String(port)];
      return molt(words, { MOLT_REMOTE: url, ...env }, [], port);
    },
  };
}

async function pidOf({ port }: Started): Promise<number> {
  return ((await (await fetch(`http://127.0.0.1:${port}/healthz`)).json()) as { readonly pid: number }).pid;
}

async function note({ port }: Started, text: string): Promise<void> {
  await fetch(`http://127.0.0.1:${port}/notes`, { method: 'POST', body: text });
}

test('a container begins, is asked to end, and begins again elsewhere with what it had', async (t) => {
  const { dir, run, molt } = await makePlace(t);
  const first = await run();
  await first.up();
  await note(first, 'buy milk');
  first.child.kill('SIGTERM');
  t.deepEqual(await first.ended(), { status: 0, signal: null });
  t.regex(first.stderr, /bot: the remote is empty, so this is a new agent, with its state in /);
  t.regex(
    first.stderr,
    /bot: is asked to end\nbot: ended with status 0\nbot: saved [0-9a-f]{10}, [^\n]*\nbot: pushed to origin, /,
  );
  // What the agent writes is on stdout, and nothing else.
  t.regex(first.stdout, /^listening on port \d+\nending\n$/);
  t.regex(await readFile(path.join(dir, '.molt/recovery-key-bot.txt'), 'utf8'), /\S/);
  const second = await run(['--json', '--state', `${dir}/second`], { MOLT_HOME: `${dir}/second-home` });
  await second.up();
  t.deepEqual(
    await (
      await fetch(`http://127.0.0.1:${second.port}/notes`)
    )
      .json()
      .then((rows) => (rows as { text: string }[]).map(({ text }) => text)),
    ['buy milk'],
  );
  second.child.kill('SIGINT');
  t.is((await second.ended()).status, 0);
  const events = second.stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.deepEqual(
    events.slice(0, 2).map(({ event }) => event),
    ['cloned', 'restored'],
  );
  t.like(events.at(-1), { agent: 'bot' });
  t.true(events.every(({ time }) => /^\d{4}-.*Z$/.test(time)));
  // The first one comes back.
  const third = await run();
  t.is((await third.ended()).status, 15);
  t.regex(
    third.stderr,
    /was restored elsewhere since bot was \(incarnation 2, on deploy, .*the agent was not started, and its state is saved here\nhint: molt switch bot --create NEW/,
  );
  t.is(third.stdout, '');
  const wrong = molt(['run', 'bot', '--home', `${dir}/third-home`, '--remote', `file://${dir}/remote`, '--', 'true'], {
    MOLT_PASSPHRASE: 'wrong',
  });
  t.is((await wrong.ended()).status, 12);
});

test('the exit status of the agent is passed on', async (t) => {
  const { molt, url } = await makePlace(t);
  const run = molt([
    'run',
    'bot',
    '--remote',
    url,
    '--',
    process.execPath,
    '-e',
    "process.once('SIGTERM', () => process.exit(7)); console.log('up'); setInterval(() => {}, 1000)",
  ]);
  while (!run.stdout.includes('up')) await Promise.race([once(run.child.stdout ?? process.stdin, 'data'), run.ended()]);
  run.child.kill('SIGTERM');
  t.deepEqual(await run.ended(), { status: 7, signal: null });
  const killed = molt(['run', 'bot', '--', process.execPath, '-e', "console.log('up'); setInterval(() => {}, 1000)"]);
  while (!killed.stdout.includes('up'))
    await Promise.race([once(killed.child.stdout ?? process.stdin, 'data'), killed.ended()]);
  killed.child.kill('SIGTERM');
  t.deepEqual(await killed.ended(), { status: 143, signal: null });
});

test('a second signal ends at once, and the agent with it', async (t) => {
  const { molt, url } = await makePlace(t);
  const stubborn =
    "process.on('SIGTERM', () => console.log('no')); console.log(process.pid); setInterval(() => {}, 1000)";
  const run = molt(['run', 'bot', '--remote', url, '--', process.execPath, '-e', stubborn]);
  while (!/\d+\n/.test(run.stdout)) await Promise.race([once(run.child.stdout ?? process.stdin, 'data'), run.ended()]);
  const pid = Number.parseInt(run.stdout, 10);
  run.child.kill('SIGTERM');
  while (!run.stdout.includes('no')) await Promise.race([once(run.child.stdout ?? process.stdin, 'data'), run.ended()]);
  run.child.kill('SIGTERM');
  t.deepEqual(await run.ended(), { status: null, signal: 'SIGTERM' });
  while (identify(pid) !== undefined) await delay(10);
});

test('an agent that a killed run left behind is noticed', async (t) => {
  const { run } = await makePlace(t);
  const first = await run();
  await first.up();
  const pid = await pidOf(first);
  t.teardown(() => {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended.
    }
  });
  await note(first, 'buy milk');
  const killed = once(first.child, 'exit');
  first.child.kill('SIGKILL');
  t.deepEqual(await killed, [null, 'SIGKILL']);
  const second = await run();
  t.is((await second.ended()).status, 11);
  t.regex(
    second.stderr,
    new RegExp(
      `^molt: agent "bot" runs already: process ${pid}, what supervised it was killed, and it goes on without; nothing was started\nhint: stop it first: kill ${pid}; `,
    ),
  );
  process.kill(pid, 'SIGTERM');
  while (identify(pid) !== undefined) await delay(10);
  const third = await run();
  await third.up();
  // What the killed run had not saved was saved before the start.
  t.regex(third.stderr, /^bot: saved /);
  third.child.kill('SIGTERM');
  t.is((await third.ended()).status, 0);
});

test('as the first process of a container molt leaves no dead process behind, and passes signals on', async (t) => {
  const { dir, molt, url } = await makePlace(t);
  const unshare = [
    'unshare',
    ...(process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']),
    '--pid',
    '--fork',
    '--mount-proc',
    '--kill-child',
  ];
  const probe = spawn(unshare[0] ?? '', [...unshare.slice(1), 'true'], { stdio: 'ignore' });
  const [possible] = (await Promise.race([once(probe, 'exit'), once(probe, 'error')])) as [unknown];
  if (possible !== 0) {
    t.log('this system gives no process spaces');
    t.pass();
    return;
  }
  const script = path.join(dir, 'agent.sh');
  // Each of these ends after its parent, so that the first process inherits it.
  await writeFile(
    script,
    'for i in 1 2 3; do (sleep 0.1 &); done\nsleep 1\necho first $$ $(cat /proc/[0-9]*/stat | cut -d " " -f 3 | grep -c Z)\ntrap "exit 5" TERM\nwhile :; do sleep 0.1; done\n',
  );
  const run = molt(['run', 'bot', '--remote', url, '--', 'sh', script], {}, unshare);
  while (!run.stdout.includes('first'))
    await Promise.race([once(run.child.stdout ?? process.stdin, 'data'), run.ended()]);
  t.regex(run.stdout, /^first \d+ 0\n$/, run.stderr);
  const children = await readFile(`/proc/${run.child.pid}/task/${run.child.pid}/children`, 'utf8');
  process.kill(Number(children.trim()), 'SIGTERM');
  t.deepEqual(await run.ended(), { status: 5, signal: null });
  t.regex(run.stderr, /bot: ended with status 5/);
});
