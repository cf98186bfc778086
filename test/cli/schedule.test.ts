// `molt schedule` and `molt daemon` as their users see them: real processes, and a service manager that keeps what it is told.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { makeSystem, type TestSystem } from '../ops/service-machine.ts';
import { addAgent, makeAgentMachine, type AgentMachine } from './agent.ts';
import { makeCliEnvironment, type RunOptions } from './environment.ts';
import { COMPILE_CACHE, MAIN } from './built.ts';

interface Machine extends AgentMachine {
  readonly system: TestSystem;
  /** What the machine's programs are found by. */
  readonly env: NonNullable<RunOptions['env']>;
}

/** Makes a machine with the agent `bot` and stand-ins for the programs of a system. */
async function makeMachine(t: ExecutionContext, programs: readonly string[] = []): Promise<Machine> {
  const machine = await makeAgentMachine(t, { 'notes.md': 'remember\n' });
  const system = makeSystem(t, programs);
  const { PATH = '', TOLD = '', WORKS = '' } = system.env;
  return { ...machine, system, env: { PATH, TOLD, WORKS } };
}

interface Daemon {
  readonly child: ChildProcess;
  readonly stderr: () => string;
  /** Resolves to the first event that fits. */
  heard(event: string, agent?: string, count?: number): Promise<Record<string, unknown>>;
  ended(): Promise<number | null>;
}

/** Starts a daemon in an environment as bare as a service's. */
function startDaemon(t: ExecutionContext, home: string, words?: readonly string[]): Daemon {
  const [program = '', ...rest] = words ?? [process.execPath, MAIN, 'daemon'];
  const child = spawn(program, [...rest, '--json', '--verbose'], {
    cwd: '/',
    env: { HOME: home, NODE_COMPILE_CACHE: COMPILE_CACHE },
  });
  t.teardown(() => child.kill('SIGKILL'));
  const ended = once(child, 'close');
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const events = (): Record<string, unknown>[] =>
    stdout
      .slice(0, stdout.lastIndexOf('\n') + 1)
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  return {
    child,
    stderr: () => stderr,
    async heard(event, agent, count = 1) {
      for (;;) {
        const found = events().filter(
          (one) => one['event'] === event && (agent === undefined || one['agent'] === agent),
        );
        const one = found[count - 1];
        if (one !== undefined) return one;
        if (child.exitCode !== null) throw new Error(`it ended: ${stdout}${stderr}`);
        await Promise.race([once(child.stdout, 'data'), ended]);
      }
    },
    async ended() {
      const [status] = await ended;
      return status;
    },
  };
}

test('a daemon saves what is scheduled, takes up what is scheduled later, and ends when it is asked to', async (t) => {
  const { home, json, run, write } = await makeMachine(t);
  const installed = await json(['schedule', 'install', 'bot', '--with', 'none', '--every', '1h', '--retention=90d']);
  t.deepEqual(installed.schedules, [
    { agent: 'bot', everyMs: 3_600_000, dailyAt: '02:00', zone: 'Asia/Jakarta', retention: '90d' },
  ]);
  await write('new.md', 'since then\n');
  const daemon = startDaemon(t, home);
  t.like(await daemon.heard('saved', 'bot'), { kind: 'incremental' });
  const second = await run(['daemon']);
  t.is(second.status, 11);
  t.regex(second.stderr, /another daemon serves .*; nothing was started\nhint: molt schedule status shows it\n$/);
  t.like(await run(['daemon', '--unless-running']), { status: 0, stdout: '' });
  await mkdir(path.join(home, 'late-state'));
  await addAgent(home, 'late', path.join(home, 'late-state'));
  await json(['schedule', 'install', 'late', '--with', 'none']);
  t.like(await daemon.heard('ticked', 'late'), { ok: true, unchanged: true });
  const status = await json(['schedule', 'status']);
  t.like(status.daemon, { running: true, stuck: false, pid: daemon.child.pid });
  t.deepEqual(
    status.schedules.map((one: { agent: string }) => one.agent),
    ['bot', 'late'],
  );
  t.regex(
    (await run(['schedule', 'status'])).stdout,
    /^The daemon runs: process \d+ since .*\nNo service runs it: .*\n\nbot: committed every 1h, in full daily at 02:00 Asia\/Jakarta, kept for 90d\n {2}last saved or checked .*; next in /,
  );
  const saved = await json(['status', 'bot']);
  t.like(saved.schedule, { daemonRuns: true, retention: '90d', failing: [] });
  t.regex((await run(['backup', 'list', 'bot'])).stderr, /^schedule: last saved or checked /);
  await json(['schedule', 'remove', 'late']);
  await daemon.heard('unscheduled', 'late');
  daemon.child.kill('SIGTERM');
  t.is(await daemon.ended(), 0);
  t.is(daemon.stderr(), '');
  t.regex(
    (await run(['status', 'bot'])).stdout,
    /\nSchedule: committed every 1h.*\n {2}the daemon does not run: molt schedule status\n/,
  );
});

test('a daemon that begins makes up for what was missed, and says so', async (t) => {
  const { home, json, run } = await makeMachine(t);
  await json(['schedule', 'install', 'bot', '--with', 'none']);
  const scheduleFile = path.join(home, '.molt/schedules/bot.json');
  await writeFile(scheduleFile, (await readFile(scheduleFile, 'utf8')).replace(/"sinceMs": \d+/, '"sinceMs": 0'));
  const runs = { tickMs: Date.now() - 3_600_000, fullMs: Date.now() - 3 * 86_400_000, failing: [], sentMs: {} };
  await mkdir(path.join(home, '.molt/daemon/agents'), { recursive: true });
  await writeFile(path.join(home, '.molt/daemon/agents/bot.json'), JSON.stringify(runs));
  t.regex((await run(['schedule', 'status'])).stdout, /overdue: 1[01] commits and 2 full backups\n/);
  const daemon = startDaemon(t, home);
  const missed = await daemon.heard('missed', 'bot');
  t.true(missed['commits'] === 11 || missed['commits'] === 12);
  t.is(missed['fulls'], 2);
  t.like(await daemon.heard('saved', 'bot'), { kind: 'full' });
  daemon.child.kill('SIGTERM');
  t.is(await daemon.ended(), 0);
  t.regex(
    (await run(['schedule', 'status'])).stdout,
    /commits and 2 full backups missed between .*; then made up for\n/,
  );
});

test('a service is shown and asked for before it is installed, and runs by itself what it was given', async (t) => {
  const { home, run, json, env, system } = await makeMachine(t, ['systemctl', 'loginctl']);
  system.set('systemd');
  const unit = path.join(home, '.config/systemd/user/molt-daemon.service');
  const dry = await run(['schedule', 'install', 'bot', '--dry-run'], { env });
  t.is(dry.status, 0);
  t.regex(
    dry.stdout,
    /^bot: committed every 5m.*\n\nmolt daemon is to run in the background, by a systemd user unit:\nwrite .*\/molt-daemon\.service:\n {4}# Written by molt[^]*WantedBy=default\.target\nrun systemctl --user daemon-reload\n[^]*nothing was done \(--dry-run\)\n$/,
  );
  const asked = await run(['schedule', 'install', 'bot'], { env });
  t.is(asked.status, 2);
  t.regex(asked.stderr, /nobody can be asked: install this\?/);
  t.false(existsSync(unit) || existsSync(path.join(home, '.molt/schedules/bot.json')));
  const done = await run(['schedule', 'install', 'bot', '--yes'], { env });
  t.is(done.stdout, 'bot is scheduled; systemd user unit molt-daemon.service is installed\n');
  t.regex(done.stderr, /\nsystemd ends your services when you log out: run sudo loginctl enable-linger once/);
  t.regex(system.told(), /systemctl --user restart molt-daemon\.service\n/);
  const again = await run(['schedule', 'install', 'bot'], { env });
  t.is(again.stdout, 'bot is scheduled; systemd user unit molt-daemon.service runs already\n');
  // What the unit says works without a PATH, from anywhere.
  const [, line = ''] = /^ExecStart=(.*)$/m.exec(await readFile(unit, 'utf8')) ?? [];
  const words = [...line.matchAll(/"([^"]*)"/g)].map(([, word = '']) => word);
  const daemon = startDaemon(t, home, words);
  await daemon.heard('ticked', 'bot');
  // After an update of molt the daemon that runs is the old one.
  const beatFile = path.join(home, '.molt/daemon/beat.json');
  await writeFile(beatFile, (await readFile(beatFile, 'utf8')).replace(/"version":"[^"]*"/, '"version":"0.0.1"'));
  t.regex((await run(['schedule', 'status'], { env })).stdout, /^It is molt 0\.0\.1, and this is /m);
  t.regex((await run(['schedule', 'install', 'bot', '--yes'], { env })).stdout, / is installed\n$/);
  t.is(system.told().split(' restart ').length, 3);
  daemon.child.kill('SIGTERM');
  t.is(await daemon.ended(), 0);
  t.like(await run(['schedule', 'install', 'bot', '--with', 'cron', '--yes'], { env }), { status: 1 });
  t.deepEqual((await json(['schedule', 'remove', 'bot', '--dry-run'], { env })).removed, []);
  t.true(existsSync(unit));
  t.is(
    (await run(['schedule', 'remove', 'bot'], { env })).stdout,
    'removed the schedule of bot and the systemd user unit\n',
  );
  t.false(existsSync(unit));
  t.regex(system.told(), /systemctl --user disable --now molt-daemon\.service\n/);
  const gone = await run(['schedule', 'remove', 'bot'], { env });
  t.is(gone.status, 1);
  t.regex(gone.stderr, /agent "bot" has no schedule; nothing is scheduled/);
});

test('by cron, removing the last schedule ends the daemon that cron started; other lines stay', async (t) => {
  const { home, run, env, system } = await makeMachine(t, ['crontab']);
  const mine = '5 4 * * * caf\u00e9 100\\%\n';
  system.set('crontab', mine);
  t.is((await run(['schedule', 'install', 'bot', '--yes'], { env })).status, 0);
  const [, entry = ''] = /\n\*\/5 \* \* \* \* (.*) >\/dev\/null 2>&1\n/.exec(system.get('crontab')) ?? [];
  const daemon = startDaemon(t, home, ['/bin/sh', '-c', `exec ${entry} "$@"`, 'sh']);
  await daemon.heard('ticked', 'bot');
  t.is(
    (await run(['schedule', 'remove', '--all'], { env })).stdout,
    'removed the schedule of bot and the crontab entry\n',
  );
  t.is(await daemon.ended(), 0);
  t.is(system.get('crontab'), mine);
});

test('a backup log that only the installing command knows is told of, since the service would not see it', async (t) => {
  const { home, run, env } = await makeMachine(t, ['crontab']);
  const url = 'postgres://molt:hunter2@127.0.0.1:1/backups';
  const install = async (more: Record<string, string>, ...argv: string[]): Promise<string> => {
    const { status, stderr } = await run(['schedule', 'install', 'bot', '--yes', ...argv], {
      env: { ...env, ...more },
    });
    t.is(status, 0, stderr);
    t.false(stderr.includes('hunter2'));
    return stderr;
  };
  t.notRegex(await install({}), /backup log/);
  t.regex(await install({ MOLT_BACKUP_LOG: url }), /does not see the backup log .*MOLT_BACKUP_LOG=URL.*daemon\.env/);
  t.regex(await install({}, '--backup-log', url), /does not see the backup log/);
  await writeFile(path.join(home, '.molt/config.json'), JSON.stringify({ backupLog: url }));
  t.notRegex(await install({ MOLT_BACKUP_LOG: url }), /does not see the backup log/);
});

test('an agent that needs a passphrase is refused before anything is installed', async (t) => {
  const { home, run, env, system } = await makeMachine(t, ['systemctl']);
  system.set('systemd');
  const other = await makeCliEnvironment(t);
  // This machine's key is another one.
  await mkdir(path.join(other.home, 'state'));
  await addAgent(other.home, 'bot', path.join(other.home, 'state'));
  await writeFile(path.join(home, '.molt/device.key'), await readFile(path.join(other.home, '.molt/device.key')));
  const refused = await run(['schedule', 'install', 'bot', '--yes'], { env });
  t.is(refused.status, 12);
  t.regex(
    refused.stderr,
    /^molt: agent "bot" opens only with a passphrase or another secret.*\nhint: molt key add device -a bot lets this machine in\n$/,
  );
  t.notRegex(system.told(), /enable|restart/);
  t.false(existsSync(path.join(home, '.molt/schedules')));
});

test('metrics are served on loopback, as daemon.env says, with what was done', async (t) => {
  const { home, json, write } = await makeMachine(t);
  await json(['schedule', 'install', 'bot', '--with', 'none']);
  await writeFile(path.join(home, '.molt/daemon.env'), 'MOLT_METRICS=0\nMOLT_HOME=/nowhere\n');
  await write('new.md', 'since then\n');
  const daemon = startDaemon(t, home);
  const { url } = await daemon.heard('metrics');
  // Others of the machine can read it, and it may hold secrets.
  t.regex(String((await daemon.heard('warned'))['message']), /chmod 600/);
  t.regex(String(url), /^http:\/\/127\.0\.0\.1:\d+\/metrics$/);
  await daemon.heard('ticked', 'bot');
  const answer = await fetch(String(url));
  t.regex(answer.headers.get('content-type') ?? '', /^text\/plain/);
  const text = await answer.text();
  t.regex(text, /^molt_agents_scheduled 1$/m);
  t.regex(text, /^molt_last_backup_timestamp_seconds\{agent="bot"\} \d{10}/m);
  t.regex(text, /^molt_backup_duration_seconds_count\{kind="incremental"\} 1$/m);
  t.regex(text, /^molt_backup_bytes_total\{agent="bot",what="stored"\} [1-9]/m);
  t.is(await (await fetch(String(url).replace('metrics', 'healthz'))).text(), 'ok\n');
  t.is((await fetch(String(url).replace('metrics', 'other'))).status, 404);
  t.is((await fetch(String(url), { method: 'POST' })).status, 405);
  await json(['schedule', 'remove', 'bot']);
  await daemon.heard('unscheduled', 'bot');
  t.notRegex(await (await fetch(String(url))).text(), /agent="bot"/);
  daemon.child.kill('SIGTERM');
  t.is(await daemon.ended(), 0);
});

test('status --max-age fails for a remote that lags behind, and not for one that has everything', async (t) => {
  const { home, run, text, write } = await makeMachine(t);
  await mkdir(path.join(home, 'remote'));
  await text(['remote', 'add', 'origin', `file://${home}/remote`, '-a', 'bot']);
  const never = await run(['status', 'bot', '--max-age', '1h']);
  t.is(never.status, 4);
  t.regex(
    never.stderr,
    /saved here, but its newest backup on a remote is older than 1h, as of the last push or fetch: origin has none yet\nhint: molt push origin -a bot\n$/,
  );
  await text(['push', 'origin', '-a', 'bot']);
  await text(['status', 'bot', '--max-age', '1h']);
  await write('new.md', 'since then\n');
  await text(['commit', 'bot']);
  t.is((await run(['status', 'bot', '--max-age', '1h'])).status, 0);
  const lagging = await run(['status', 'bot', '--max-age', '1ms', '--json']);
  t.is(lagging.status, 4);
  t.true(JSON.parse(lagging.stdout).remotes[0].ageMs > 1);
});

test('what makes no sense is refused', async (t) => {
  const { run } = await makeMachine(t);
  for (const [words, status, said] of [
    [['schedule', 'install', 'bot', '--all'], 2, /an agent or --all/],
    [['schedule', 'install', 'bot', '--every', 'soon'], 2, /--every takes a duration/],
    [['schedule', 'install', 'bot', '--auto-backup', 'weekly', '--with', 'none'], 2, /cron has five fields/],
    [['schedule', 'install', 'bot', '--retention', 'long', '--with', 'none'], 2, /there is no plan 'long'/],
    [['schedule', 'install', 'bot', '--retention', '90', '--with', 'none'], 2, /--retention takes a duration/],
    [['schedule', 'status', 'bot'], 1, /has no schedule\nhint: molt schedule install bot/],
    [['daemon', '--metrics', 'here'], 2, /--metrics takes HOST:PORT or PORT/],
  ] as const) {
    const result = await run(words);
    t.is(result.status, status, `${words.join(' ')}: ${result.stderr}`);
    t.regex(result.stderr, said);
  }
});
