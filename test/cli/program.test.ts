// How the frame runs a command: its context, its end, its cleanup and its interruption.

import test from 'ava';
import { type Command, type Context, defineCommand } from '../../src/cli/command.ts';
import type { CommandEntry } from '../../src/cli/commands.ts';
import { type Host, runProgram } from '../../src/cli/program.ts';
import { MoltError } from '../../src/model/error.ts';
import { fakeHost, recordingStream } from './fakes.ts';

async function runWith(run: Command['run'], argv: string[] = [], changes: Partial<Host> = {}) {
  const command = defineCommand({ name: 'do', summary: 'do it', words: [], options: {}, examples: [], run });
  const entries: CommandEntry[] = [{ name: 'do', group: 'more', summary: 'do it', load: async () => command }];
  const stdout = recordingStream();
  const stderr = recordingStream();
  const status = await runProgram(fakeHost(['do', ...argv], { stdout, stderr, ...changes }), entries);
  return { status, stdout: stdout.text(), stderr: stderr.text() };
}

async function contextOf(argv: string[], changes: Partial<Host> = {}): Promise<Context> {
  const { promise, resolve } = Promise.withResolvers<Context>();
  await runWith(async (context) => resolve(context), argv, changes);
  return promise;
}

test('the home is --home, then MOLT_HOME, then .molt in the home folder', async (t) => {
  const env = { HOME: '/home/user', MOLT_HOME: '/var/molt' };
  t.is((await contextOf(['--home', '../x'], { env })).home, '/home/user/x');
  t.is((await contextOf([], { env })).home, '/var/molt');
  t.is((await contextOf([], { env: { ...env, MOLT_HOME: '' } })).home, '/home/user/.molt');
});

test('the zone is --tz, then the one of the system', async (t) => {
  t.is((await contextOf(['--tz', 'Asia/Jakarta'])).zone, 'Asia/Jakarta');
  t.is((await contextOf([])).zone, new Intl.DateTimeFormat().resolvedOptions().timeZone);
});

test('a question without a terminal needs --yes', async (t) => {
  const asking: Command['run'] = async ({ confirm, output }) => output.line(String(await confirm('drop it?')));
  t.like(await runWith(asking, ['--yes']), { status: 0, stdout: 'true\n' });
  t.like(await runWith(asking), {
    status: 2,
    stderr: 'molt: nobody can be asked: drop it?\nhint: give --yes to go on without asking\n',
  });
});

test('what a command throws decides the exit status, after its result', async (t) => {
  const partial: Command['run'] = async ({ output }) => {
    output.result({ done: 1 }, () => 'done 1');
    throw new MoltError('PARTIAL', '2 files were skipped');
  };
  t.deepEqual(await runWith(partial), { status: 3, stdout: 'done 1\n', stderr: 'molt: 2 files were skipped\n' });
  t.deepEqual(await runWith(partial, ['--json']), {
    status: 3,
    stdout: '{"done":1}\n',
    stderr: '{"error":{"code":"PARTIAL","message":"2 files were skipped"}}\n',
  });
});

test('cleanup runs in reverse order, also after a failure', async (t) => {
  const order: string[] = [];
  await runWith(async ({ cleanup }) => {
    cleanup.defer(async () => void order.push('first'));
    cleanup.defer(async () => void order.push('second'));
    throw new Error('bug');
  });
  t.deepEqual(order, ['second', 'first']);
});

test('a command that is interrupted cleans up and ends with status 130', async (t) => {
  const controller = new AbortController();
  let cleaned = false;
  const result = await runWith(
    async ({ signal, cleanup }) => {
      cleanup.defer(() => void (cleaned = true));
      controller.abort(new MoltError('INTERRUPTED', 'interrupted'));
      signal.throwIfAborted();
    },
    [],
    { signal: controller.signal },
  );
  t.deepEqual(result, { status: 130, stdout: '', stderr: 'molt: interrupted\n' });
  t.true(cleaned);
});

test('an aborted call inside an interrupted command counts as the interruption, another failure does not', async (t) => {
  const failing = async (make: (signal: AbortSignal) => unknown) => {
    const controller = new AbortController();
    const run: Command['run'] = async ({ signal }) => {
      controller.abort(new MoltError('INTERRUPTED', 'interrupted'));
      throw make(signal);
    };
    return (await runWith(run, [], { signal: controller.signal })).status;
  };
  t.is(await failing(() => new DOMException('aborted', 'AbortError')), 130);
  t.is(await failing(() => new MoltError('DAMAGED', 'x')), 13);
});

test('a command that ends well although it was asked to stop ends with status 0', async (t) => {
  const controller = new AbortController();
  const graceful: Command['run'] = async () => controller.abort(new MoltError('INTERRUPTED', 'interrupted'));
  t.is((await runWith(graceful, [], { signal: controller.signal })).status, 0);
});

test('colours need a terminal at both ends and nobody who refuses them', async (t) => {
  const coloured = async (argv: string[], changes: Partial<Host>) =>
    (await contextOf(argv, { stdout: recordingStream(true), stderr: recordingStream(true), ...changes })).output.mode
      .colour;
  t.true(await coloured([], {}));
  t.false(await coloured(['--no-color'], {}));
  t.false(await coloured(['--json'], {}));
  t.false(await coloured([], { env: { NO_COLOR: '1' } }));
  t.false(await coloured([], { env: { TERM: 'dumb' } }));
  t.false(await coloured([], { stdout: recordingStream(false) }));
});
