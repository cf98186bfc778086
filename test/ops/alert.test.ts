// Alerts as they arrive: at a real HTTP server and at a real command, and what becomes of those that don't.

import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { MoltError } from '../../src/model/error.ts';
import { silentReporter } from '../../src/model/ports.ts';
import { Alerter } from '../../src/ops/alert.ts';
import { countWaitingAlerts, sendAlert, sendWaitingAlerts } from '../../src/ops/alert-send.ts';
import { DEFAULT_ALERTS, readAlertSettings, writeAlertSettings } from '../../src/ops/alert-settings.ts';
import type { OpsContext } from '../../src/ops/context.ts';
import { Home } from '../../src/ops/home.ts';
import { makeDir, startRun } from './running.ts';

interface Hook {
  readonly url: string;
  readonly got: Record<string, unknown>[];
  status: number;
  asked: number;
}

async function startHook(t: ExecutionContext): Promise<Hook> {
  const hook = { url: '', got: [] as Record<string, unknown>[], status: 200, asked: 0 };
  const server: Server = createServer((request, response) => {
    const parts: Buffer[] = [];
    hook.asked += 1;
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      if (hook.status === 200) hook.got.push(JSON.parse(Buffer.concat(parts).toString('utf8')));
      response.writeHead(hook.status, { location: '/elsewhere', 'content-type': 'text/plain' }).end('whatever');
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.teardown(() => server.close());
  hook.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook/s3cr3t`;
  return hook;
}

interface Place extends OpsContext {
  readonly warnings: string[];
  at(ms: number): void;
}

function makePlace(t: ExecutionContext): Place {
  const dir = makeDir(t);
  let nowMs = Date.parse('2026-03-01T00:00:00Z');
  const warnings: string[] = [];
  return {
    home: new Home(join(dir, 'home')),
    clock: { now: () => nowMs },
    random: { bytes: (length) => randomBytes(length) },
    reporter: { ...silentReporter, warn: (message) => void warnings.push(message) },
    cwd: dir,
    userHome: dir,
    unlock: async () => ({ type: 'passphrase', passphrase: 'first' }),
    argon2: { memoryKiB: 64, passes: 1, lanes: 1 },
    warnings,
    at: (ms) => {
      nowMs = ms;
    },
  };
}

/** A program that appends what it reads to a file, and fails while another file is there. */
function makeCommand(dir: string): { command: string[]; got: () => unknown[]; refuse: string } {
  const program = join(dir, 'hook');
  const [to, refuse] = [join(dir, 'told'), join(dir, 'refuse')];
  writeFileSync(program, '#!/bin/sh\nif [ -e "$2" ]; then echo "not now" >&2; exit 3; fi\ncat >> "$1"\n');
  chmodSync(program, 0o755);
  const got = (): unknown[] =>
    existsSync(to)
      ? readFileSync(to, 'utf8')
          .trimEnd()
          .split('\n')
          .map((line) => JSON.parse(line))
      : [];
  return { command: [program, to, refuse], got, refuse };
}

const failed = { event: 'failed', agent: 'bot', text: 'bot: commit failed', what: 'commit' } as const;

test('an alert goes to the webhook and to the command, as one and the same JSON', async (t) => {
  const place = makePlace(t);
  const [hook, command] = [await startHook(t), makeCommand(place.cwd)];
  await writeAlertSettings(place.home, { ...DEFAULT_ALERTS, webhook: hook.url, command: command.command });
  t.deepEqual(await sendAlert(place, failed), [
    { channel: 'webhook', problem: undefined },
    { channel: 'command', problem: undefined },
  ]);
  t.deepEqual(hook.got, [{ molt: 'alert', version: 1, time: '2026-03-01T00:00:00.000Z', ...failed }]);
  t.deepEqual(command.got(), hook.got);
  t.is(statSync(join(place.home.dir, 'alerts.json')).mode & 0o777, 0o600);
  t.deepEqual(await sendAlert(makePlace(t), failed), []);
});

test('what can’t be delivered waits, each way for itself, and goes in its order with the next one', async (t) => {
  const place = makePlace(t);
  const [hook, command] = [await startHook(t), makeCommand(place.cwd)];
  await writeAlertSettings(place.home, { ...DEFAULT_ALERTS, webhook: hook.url, command: command.command });
  const tell = async (text: string): Promise<void> => void (await sendAlert(place, { ...failed, text }));
  hook.status = 500;
  await tell('one');
  writeFileSync(command.refuse, '');
  place.at(Date.parse('2026-03-01T00:05:00Z'));
  await tell('two');
  t.is(await countWaitingAlerts(place.home), 3);
  t.deepEqual(place.warnings, [
    `an alert waits, the webhook at ${new URL(hook.url).host} answered with status 500`,
    `an alert waits, the webhook at ${new URL(hook.url).host} answered with status 500`,
    `an alert waits, the command ${command.command[0]} ended with status 3, and said: not now`,
  ]);
  t.false(place.warnings.join().includes('s3cr3t'));
  hook.status = 200;
  rmSync(command.refuse);
  await sendWaitingAlerts(place);
  await tell('three');
  const texts = (all: readonly unknown[]): unknown[] => all.map((one) => (one as { text: string }).text);
  t.deepEqual(texts(hook.got), ['one', 'two', 'three']);
  t.deepEqual(texts(command.got()), ['one', 'two', 'three']);
  t.is(await countWaitingAlerts(place.home), 0);
});

test('a webhook that sends elsewhere or is not there is told by its host alone, and a damaged file that waits is passed over', async (t) => {
  const place = makePlace(t);
  const hook = await startHook(t);
  hook.status = 302;
  await writeAlertSettings(place.home, { ...DEFAULT_ALERTS, webhook: hook.url });
  await sendAlert(place, failed);
  t.regex(place.warnings[0] ?? '', /answered with status 302$/);
  t.is(hook.got.length, 0);
  const [name = ''] = readdirSync(join(place.home.dir, 'alerts'));
  writeFileSync(join(place.home.dir, 'alerts', name), '{"channel":');
  await writeAlertSettings(place.home, { ...DEFAULT_ALERTS, webhook: 'http://127.0.0.1:1/s3cr3t' });
  await sendAlert(place, failed);
  t.regex(place.warnings[1] ?? '', /^an alert waits, the webhook at 127\.0\.0\.1:1 can’t be reached( \(\w+\))?$/);
  t.is(await countWaitingAlerts(place.home), 1);
});

test('of what waits only the newest hundred are kept', async (t) => {
  const place = makePlace(t);
  const command = makeCommand(place.cwd);
  writeFileSync(command.refuse, '');
  await writeAlertSettings(place.home, { ...DEFAULT_ALERTS, command: command.command });
  for (let at = 0; at < 105; at += 1) {
    place.at(Date.parse('2026-03-01T00:00:00Z') + at * 1000);
    await sendAlert(place, { ...failed, text: `${at}` });
  }
  t.is(await countWaitingAlerts(place.home), 100);
  rmSync(command.refuse);
  await sendWaitingAlerts(place);
  t.like(command.got()[0], { text: '5' });
});

test('failures, what is overdue and recoveries are told once each', async (t) => {
  const place = makePlace(t);
  const command = makeCommand(place.cwd);
  await writeAlertSettings(place.home, { ...DEFAULT_ALERTS, command: command.command, overdueMs: 3_600_000 });
  {
    await using alerter = new Alerter(place, 'bot');
    const startMs = place.clock.now();
    const error = new MoltError('REMOTE_UNREACHABLE', 'nobody answers', { hint: 'wait' });
    alerter.take({ event: 'failed', what: 'push origin', error });
    for (const minutes of [5, 59, 60, 65, 120]) {
      place.at(startMs + minutes * 60_000);
      alerter.tick();
      // Told by the clock of its own time.
      await alerter[Symbol.asyncDispose]();
    }
    alerter.take({ event: 'recovered', what: 'push origin' });
    place.at(startMs + 86_400_000);
    alerter.tick();
  }
  t.deepEqual(
    command.got().map((one) => {
      const { event, text, code, hint, sinceTime } = one as Record<string, unknown>;
      return [event, text, code ?? hint ?? sinceTime];
    }),
    [
      ['failed', 'bot: push origin failed: nobody answers', 'REMOTE_UNREACHABLE'],
      ['overdue', 'bot: the backup is overdue: push origin has not worked for 1 hour', '2026-03-01T00:00:00.000Z'],
      ['recovered', 'bot: push origin works again', '2026-03-01T00:00:00.000Z'],
    ],
  );
});

test('settings that can’t be read stop no event, and say no secret', async (t) => {
  const place = makePlace(t);
  mkdirSync(place.home.dir, { recursive: true });
  writeFileSync(join(place.home.dir, 'alerts.json'), '{"webhook":"https://s3cr3t.example/s3cr3t"');
  await t.throwsAsync(readAlertSettings(place.home), { message: /^"[^"]*alerts\.json" is not JSON$/ });
  {
    await using alerter = new Alerter(place, 'bot');
    alerter.take({ event: 'failed', what: 'commit', error: new Error('broken') });
  }
  t.is(place.warnings.length, 1);
  t.false(place.warnings.join().includes('s3cr3t'));
});

test('a run tells of a loss while it goes on, and its next saves are made', async (t) => {
  const place = makePlace(t);
  const hook = await startHook(t);
  await writeAlertSettings(place.home, { ...DEFAULT_ALERTS, webhook: hook.url });
  mkdirSync(join(place.cwd, 'remote'));
  const run = await startRun(t, place, { label: 'bot', remote: `file://${join(place.cwd, 'remote')}` });
  await run.up();
  const { stateDir = '' } = (await place.home.findAgent('bot')) ?? {};
  writeFileSync(join(stateDir, 'MEMORY.md'), 'remember\n'.repeat(100));
  await run.tick();
  writeFileSync(join(stateDir, 'MEMORY.md'), '');
  await run.tick();
  await run.stop();
  t.like(hook.got, [{ event: 'suspicious', agent: 'bot' }]);
  t.regex(
    String(hook.got[0]?.['text']),
    /MEMORY\.md shrank from 900 to 0 bytes\n.*molt alert answer \w+ --fine or --lost$/,
  );
});

test('a way that does not work is tried once a tick, however much there is to tell', async (t) => {
  const place = makePlace(t);
  const [hook, command] = [await startHook(t), makeCommand(place.cwd)];
  await writeAlertSettings(place.home, { ...DEFAULT_ALERTS, webhook: hook.url, command: command.command });
  hook.status = 503;
  {
    await using alerter = new Alerter(place, 'bot');
    const error = new Error('no');
    for (const what of ['commit', 'push one', 'push two']) alerter.take({ event: 'failed', what, error });
    await alerter[Symbol.asyncDispose]();
    t.is(hook.asked, 1);
    t.is(command.got().length, 3);
    alerter.tick();
    await alerter[Symbol.asyncDispose]();
    t.is(hook.asked, 2);
    hook.status = 200;
    alerter.tick();
  }
  t.deepEqual(
    hook.got.map(({ what }) => what),
    ['commit', 'push one', 'push two'],
  );
  t.is(await countWaitingAlerts(place.home), 0);
});
