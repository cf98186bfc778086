// The daemon: when agents are saved, also after sleep, with clocks that are set, and across restarts; and that one agent's trouble is no other
// one's.

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { isMoltError } from '../../src/model/error.ts';
import type { RunLog } from '../../src/model/ports.ts';
import { lockAgent } from '../../src/ops/agent-lock.ts';
import { DEFAULT_ALERTS, writeAlertSettings } from '../../src/ops/alert-settings.ts';
import { renameAgent } from '../../src/ops/agent.ts';
import { Home, type Agent } from '../../src/ops/home.ts';
import { openAgent } from '../../src/ops/open.ts';
import { addRemote } from '../../src/ops/remote.ts';
import { planSchedule } from '../../src/ops/schedule-install.ts';
import { loadBeat, loadRuns } from '../../src/ops/schedule-runs.ts';
import { readScheduleOverview } from '../../src/ops/schedule-status.ts';
import { pruneByRetention } from '../../src/ops/scheduled-prune.ts';
import { dropSchedule, listSchedules, loadSchedule } from '../../src/ops/schedule.ts';
import { parseCron } from '../../src/policy/full-times.ts';
import { makeDaemonMachine, startDaemon, type DaemonMachine } from './daemon-machine.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

async function fullsOf({ context }: DaemonMachine, label: string): Promise<string[]> {
  await using open = await openAgent(context, label);
  return [...open.repository.refs.keys()]
    .filter((ref) => ref.startsWith('refs/tags/full/'))
    .map((ref) => ref.slice(15));
}

test('agents are saved when the daemon begins, then every five minutes, and daily in full', async (t) => {
  const machine = makeDaemonMachine(t);
  await machine.add('bot');
  await machine.add('other', { everyMs: HOUR_MS });
  machine.change('bot');
  const daemon = startDaemon(t, machine);
  await daemon.heard('bot', 'ticked');
  await daemon.heard('other', 'ticked');
  t.is(daemon.count('bot', 'saved'), 1);
  t.is(daemon.count('other', 'saved'), 0);
  for (let tick = 2; tick <= 13; tick += 1) {
    machine.change('bot');
    await daemon.pass(5 * MINUTE_MS);
    await daemon.heard('bot', 'ticked', tick);
    await daemon.asleep();
  }
  await daemon.heard('other', 'ticked', 2);
  t.is(daemon.count('bot', 'missed'), 0);
  t.is(daemon.count('bot', 'saved'), 13);
  await daemon.pass(Date.parse('2026-03-01T18:59:00Z') - machine.nowMs);
  await daemon.heard('bot', 'ticked', 14);
  const before = await fullsOf(machine, 'bot');
  t.is(before.length, 1);
  // 02:00 in Jakarta is 19:00 in UTC.
  await daemon.asleep();
  await daemon.pass(2 * MINUTE_MS);
  await daemon.heard('bot', 'ticked', 15);
  await daemon.asleep();
  await daemon.pass(5 * MINUTE_MS);
  await daemon.heard('bot', 'ticked', 16);
  const fulls = await fullsOf(machine, 'bot');
  t.is(fulls.length, 2);
  t.regex(fulls.find((name) => !before.includes(name)) ?? '', /^20260301T190\d/);
  await daemon.stop();
  t.is(daemon.told.at(-1)?.event.event, 'stopped');
});

test('what a sleeping machine missed is made up for by one run, and told', async (t) => {
  const machine = makeDaemonMachine(t);
  await machine.add('bot');
  const daemon = startDaemon(t, machine);
  await daemon.heard('bot', 'ticked');
  await daemon.pass(50 * HOUR_MS);
  const event = await daemon.heard('bot', 'missed');
  t.true(event.event === 'missed' && event.missed.ticks >= 598 && event.missed.ticks <= 599);
  // Two nights went by: one full makes up for the other.
  t.is(event.event === 'missed' && event.missed.fulls, 1);
  await daemon.heard('bot', 'ticked', 2);
  t.is((await fullsOf(machine, 'bot')).length, 2);
  await daemon.pass(30_000);
  t.true(daemon.count('bot', 'ticked') <= 3);
});

test('what was missed while no daemon ran is told as well, and shown while none does', async (t) => {
  const machine = makeDaemonMachine(t);
  await machine.add('bot');
  const first = startDaemon(t, machine);
  await first.heard('bot', 'ticked');
  await first.stop();
  machine.nowMs += 3 * HOUR_MS;
  const { daemon, schedules } = await readScheduleOverview(machine.context);
  t.is(schedules[0]?.overdue.ticks, 35);
  // It is this very process that wrote the beat.
  t.true(daemon !== undefined && daemon.isRunning && daemon.isStuck);
  const second = startDaemon(t, machine);
  const event = await second.heard('bot', 'missed');
  t.is(event.event === 'missed' && event.missed.ticks, 35);
  await second.heard('bot', 'ticked');
  t.is((await loadRuns(machine.context.home, 'bot')).missed?.ticks, 35);
  // A shorter interval is no reason to call the past missed.
  await machine.schedule('bot', { everyMs: 1000 });
  await second.heard('bot', 'scheduled', 2);
  await second.pass(1000);
  await second.heard('bot', 'ticked', 2);
  t.is(second.count('bot', 'missed'), 1);
});

test('a schedule that is changed to more fulls calls none of the past missed', async (t) => {
  const machine = makeDaemonMachine(t);
  await machine.add('bot', { full: await parseCron('0 2 1 * *', 'UTC') });
  const daemon = startDaemon(t, machine);
  await daemon.heard('bot', 'ticked');
  await daemon.asleep();
  for (let tick = 2; tick <= 8; tick += 1) {
    await daemon.pass(23 * HOUR_MS);
    await daemon.heard('bot', 'ticked', tick);
    await daemon.asleep();
  }
  const missed = (): number[] =>
    daemon.told.flatMap(({ event }) => (event.event === 'missed' ? [event.missed.fulls] : []));
  t.true(missed().length >= 7 && missed().every((fulls) => fulls === 0), missed().join(' '));
  await machine.schedule('bot');
  await daemon.heard('bot', 'scheduled', 2);
  await daemon.asleep();
  await daemon.pass(5 * MINUTE_MS);
  await daemon.heard('bot', 'ticked', 9);
  await daemon.stop();
  // The one of init, that of the first of the month, and one that the daily schedule has made at once.
  t.is((await fullsOf(machine, 'bot')).length, 3);
  t.true(missed().every((fulls) => fulls === 0));
});

test('after the clock was set back by a day an agent is saved at once, and daily in full again', async (t) => {
  const machine = makeDaemonMachine(t, '2026-03-05T00:00:00Z');
  await machine.add('bot');
  const daemon = startDaemon(t, machine);
  await daemon.heard('bot', 'ticked');
  await daemon.pass(-50 * HOUR_MS);
  await daemon.heard('bot', 'ticked', 2);
  const ticked = daemon.told.findLast(({ event }) => event.event === 'ticked')?.event;
  t.is(ticked?.event === 'ticked' && ticked.result?.kind, 'full');
  await daemon.asleep();
  t.is(daemon.count('bot', 'ticked'), 2);
  t.is(daemon.count('bot', 'missed'), 0);
});

test('one agent’s trouble is told once, told when it is over, also by the next daemon, and no other one’s', async (t) => {
  const machine = makeDaemonMachine(t);
  const { home } = machine.context;
  for (const label of ['bad', 'good', 'gone']) await machine.add(label);
  await machine.schedule('nobody');
  writeFileSync(join(home.dir, 'schedules', 'torn.json'), '{"molt":"sched');
  writeFileSync(join(home.dir, 'agents', 'bad.json'), 'not JSON');
  renameSync(machine.stateDir('gone'), join(machine.dir, 'away'));
  const daemon = startDaemon(t, machine);
  for (let tick = 1; tick <= 4; tick += 1) {
    machine.change('good');
    await daemon.heard('good', 'saved', tick);
    await daemon.heard('bad', 'ticked', tick);
    await daemon.heard('gone', 'ticked', tick);
    await daemon.asleep();
    await daemon.pass(5 * MINUTE_MS);
  }
  for (const label of ['bad', 'gone', 'nobody', 'torn']) t.is(daemon.count(label, 'failed'), 1, label);
  t.is(daemon.count('good', 'failed'), 0);
  await daemon.stop();
  const runs = await loadRuns(home, 'gone');
  t.is(runs.failing[0]?.what, 'commit');
  t.is(runs.failing[0]?.sinceMs, Date.parse('2026-03-01T00:00:00Z'));
  t.is(runs.goodMs, undefined);
  const { schedules, broken } = await readScheduleOverview(machine.context);
  t.deepEqual(
    schedules.map(({ label }) => label),
    ['bad', 'gone', 'good', 'nobody'],
  );
  t.is(broken[0]?.label, 'torn');
  machine.nowMs += 5 * MINUTE_MS;
  const second = startDaemon(t, machine);
  await second.heard('bad', 'ticked');
  t.is(second.count('bad', 'failed'), 0);
  renameSync(join(machine.dir, 'away'), machine.stateDir('gone'));
  await second.heard('gone', 'ticked');
  await second.asleep();
  await second.pass(5 * MINUTE_MS);
  await second.heard('gone', 'ticked', 2);
  t.is(second.count('gone', 'recovered'), 1);
});

test('schedules are taken up, changed and let go of while the daemon runs', async (t) => {
  const machine = makeDaemonMachine(t);
  const { home } = machine.context;
  await machine.add('late', 'none');
  const daemon = startDaemon(t, machine);
  await daemon.asleep();
  await machine.schedule('late');
  await daemon.heard('late', 'ticked');
  await daemon.asleep();
  t.is((await loadBeat(home))?.version, '1.2.3');
  await machine.schedule('late', { everyMs: 7000 });
  await daemon.heard('late', 'scheduled', 2);
  t.true((await daemon.asleep()) <= 7000);
  await dropSchedule(home, 'late');
  await daemon.heard('late', 'unscheduled');
  t.true((await daemon.asleep()) > 7000);
  t.false(existsSync(join(home.dir, 'daemon/agents/late.json')));
});

test('an agent that is being restored is passed over, and saved afterwards', async (t) => {
  const machine = makeDaemonMachine(t);
  await machine.add('bot');
  await machine.add('other');
  const agent = await machine.context.home.findAgent('bot');
  if (agent === undefined) throw new Error('it is there');
  const lock = lockAgent(machine.context.home, agent, 'restore');
  const daemon = startDaemon(t, machine);
  const failed = await daemon.heard('bot', 'failed');
  t.true(failed.event === 'failed' && isMoltError(failed.error, 'LOCKED'));
  await daemon.heard('other', 'ticked');
  lock[Symbol.dispose]();
  await daemon.asleep();
  await daemon.pass(5 * MINUTE_MS);
  await daemon.heard('bot', 'recovered');
});

test('there is one daemon for a folder of agents', async (t) => {
  const machine = makeDaemonMachine(t);
  const first = startDaemon(t, machine);
  await first.asleep();
  t.true(isMoltError(await t.throwsAsync(startDaemon(t, machine).done), 'RUNNING'));
  await first.stop();
  const second = startDaemon(t, machine);
  await second.asleep();
});

test('asked to end in the middle of a commit it finishes that, and begins no other', async (t) => {
  const machine = makeDaemonMachine(t);
  const labels = ['a', 'b', 'c'];
  for (const label of labels) await machine.add(label);
  for (const label of labels) machine.change(label);
  const { random, home } = machine.context;
  let isAsked = false;
  const daemon = startDaemon(t, machine, {
    context: {
      random: {
        bytes: (length) => {
          // A commit draws its salts: it is under way.
          if (!isAsked) {
            isAsked = true;
            void daemon.stop();
          }
          return random.bytes(length);
        },
      },
    },
  });
  await daemon.done;
  const saved = labels.filter((label) => daemon.count(label, 'saved') === 1);
  t.is(saved.length, 1);
  t.is(labels.filter((label) => daemon.count(label, 'ticked') > 0).length, 1);
  t.is(daemon.told.at(-1)?.event.event, 'stopped');
  t.is(readFileSync(join(home.dir, 'daemon/under-way'), 'utf8'), '');
});

test('an agent that took the daemon down is not the first that the next one tries', async (t) => {
  const machine = makeDaemonMachine(t);
  await machine.add('heavy');
  await machine.add('light');
  const first = startDaemon(t, machine);
  await first.heard('light', 'ticked');
  await first.heard('heavy', 'ticked');
  await first.stop();
  machine.nowMs += HOUR_MS;
  writeFileSync(join(machine.context.home.dir, 'daemon/under-way'), 'heavy');
  const second = startDaemon(t, machine);
  await second.heard('light', 'ticked');
  await second.asleep();
  t.is(second.count('heavy', 'ticked'), 0);
  t.is(second.count('heavy', 'warned'), 1);
  t.regex((await loadRuns(machine.context.home, 'heavy')).failing[0]?.message ?? '', /ended in the middle/);
  await second.pass(5 * MINUTE_MS);
  await second.heard('heavy', 'ticked');
  t.deepEqual((await loadRuns(machine.context.home, 'heavy')).failing, []);
});

test('a commit that hangs is told of once, the schedules are kept in sight meanwhile, and all goes on when it ends', async (t) => {
  const machine = makeDaemonMachine(t);
  await machine.add('bot');
  await machine.add('other');
  const answers = Promise.withResolvers<void>();
  // As a share of the network does that is gone.
  class HangingHome extends Home {
    override async findAgent(label: string): Promise<Agent | undefined> {
      if (label === 'bot') await answers.promise;
      return super.findAgent(label);
    }
  }
  const daemon = startDaemon(t, machine, { context: { home: new HangingHome(machine.context.home.dir) } });
  await daemon.asleep();
  for (let minutes = 0; minutes < 40; minutes += 5) await daemon.pass(5 * MINUTE_MS);
  t.is(daemon.count('bot', 'stuck'), 1);
  await machine.schedule('other', { everyMs: 60_000 });
  answers.resolve();
  await daemon.heard('bot', 'ticked');
  await daemon.heard('other', 'ticked');
  await daemon.heard('other', 'scheduled', 2);
});

test('everything is pushed; a push that takes for ever delays no commit, not even of the same agent', async (t) => {
  const machine = makeDaemonMachine(t);
  await machine.add('bot', { retention: '90d' });
  await machine.add('other');
  const url = `file://${join(machine.dir, 'remote')}`;
  mkdirSync(join(machine.dir, 'remote'));
  await addRemote(machine.context, 'bot', { name: 'origin', url, singleWriter: false });
  const retention = Promise.withResolvers<void>();
  const asked: (string | undefined)[][] = [];
  const daemon = startDaemon(t, machine, {
    afterFull: async (_, label, kept) => {
      asked.push([label, kept]);
      await retention.promise;
      throw new Error('no room');
    },
  });
  await daemon.heard('bot', 'sent');
  t.is((await loadRuns(machine.context.home, 'bot')).sentMs['origin'], machine.nowMs);
  // The first full after the clock passes 02:00 in Jakarta.
  await daemon.asleep();
  await daemon.pass(20 * HOUR_MS);
  await daemon.heard('bot', 'ticked', 2);
  machine.change('bot');
  await daemon.asleep();
  await daemon.pass(5 * MINUTE_MS);
  await daemon.heard('bot', 'saved', 2);
  t.deepEqual(
    asked.filter(([label]) => label === 'bot'),
    [['bot', '90d']],
  );
  t.is(daemon.count('bot', 'failed'), 0);
  retention.resolve();
  const failed = await daemon.heard('bot', 'failed');
  t.is(failed.event === 'failed' && failed.what, 'retention');
  // What was committed meanwhile follows.
  await daemon.heard('bot', 'sent', 3);
  rmSync(join(machine.dir, 'remote'), { recursive: true });
  machine.change('bot');
  await daemon.asleep();
  await daemon.pass(5 * MINUTE_MS);
  await daemon.heard('bot', 'saved', 3);
  const unsent = await daemon.heard('bot', 'failed', 2);
  t.is(unsent.event === 'failed' && unsent.what, 'push origin');
});

test('alerts tell of failures, of what is overdue, also for the next daemon, and of the end of it', async (t) => {
  const machine = makeDaemonMachine(t);
  const { home } = machine.context;
  await machine.add('bot');
  const got = join(machine.dir, 'alerts');
  await writeAlertSettings(home, { ...DEFAULT_ALERTS, command: ['/bin/sh', '-c', 'cat >>"$0"; echo >>"$0"', got] });
  renameSync(machine.stateDir('bot'), join(machine.dir, 'away'));
  const alerts = (): string[] =>
    readFileSync(got, 'utf8')
      .split('\n')
      .flatMap((line) => (line.trim() === '' ? [] : [(JSON.parse(line) as { event: string }).event]));
  const first = startDaemon(t, machine);
  await first.heard('bot', 'ticked');
  await first.stop();
  t.deepEqual(alerts(), ['failed']);
  machine.nowMs += 2 * HOUR_MS;
  const second = startDaemon(t, machine);
  await second.heard('bot', 'ticked');
  await second.asleep();
  renameSync(join(machine.dir, 'away'), machine.stateDir('bot'));
  await second.pass(5 * MINUTE_MS);
  await second.heard('bot', 'recovered');
  await second.stop();
  t.deepEqual(alerts(), ['failed', 'overdue', 'recovered']);
});

test('with a retention, what it does not keep expires after each full backup', async (t) => {
  const machine = makeDaemonMachine(t);
  await machine.add('bot', { retention: '2d', everyMs: 24 * HOUR_MS });
  let expired = 0;
  const daemon = startDaemon(t, machine, {
    afterFull: async (context, label, retention = '') => {
      expired += (await pruneByRetention(context, label, retention)).expired;
    },
  });
  await daemon.heard('bot', 'ticked');
  for (let tick = 2; tick <= 8; tick += 1) {
    machine.change('bot');
    await daemon.asleep();
    await daemon.pass(24 * HOUR_MS);
    await daemon.heard('bot', 'ticked', tick);
  }
  await daemon.stop();
  t.is(daemon.count('bot', 'failed'), 0);
  const fulls = await fullsOf(machine, 'bot');
  t.true(expired >= 4, `${expired} expired, ${fulls.join(' ')} left`);
  t.true(fulls.length >= 2 && fulls.length <= 4, fulls.join(' '));
});

test('an agent that opens only by a passphrase is refused before anything is written, and by the daemon with a hint', async (t) => {
  const machine = makeDaemonMachine(t);
  await machine.add('bot', 'none');
  const { home } = machine.context;
  rmSync(join(home.dir, 'device.key'));
  const agent = await home.findAgent('bot');
  if (agent === undefined) throw new Error('it is there');
  const error = await t.throwsAsync(planSchedule(machine.context, agent, {}));
  t.true(isMoltError(error, 'WRONG_KEY') && error.hint === 'molt key add device -a bot lets this machine in');
  t.deepEqual(await listSchedules(home), []);
  await machine.schedule('bot');
  const daemon = startDaemon(t, machine);
  const failed = await daemon.heard('bot', 'failed');
  t.true(failed.event === 'failed' && isMoltError(failed.error, 'WRONG_KEY'));
});

test('a schedule is changed in part, follows its agent’s name, and can be written anew where it is torn', async (t) => {
  const machine = makeDaemonMachine(t);
  const { context } = machine;
  await machine.add('bot', 'none');
  const agent = await context.home.findAgent('bot');
  if (agent === undefined) throw new Error('it is there');
  const plan = async (wish: Parameters<typeof planSchedule>[2]) => (await planSchedule(context, agent, wish)).schedule;
  const first = await plan({ dailyAt: '3:30', zone: 'Europe/Berlin', retention: '90d' });
  t.deepEqual(first.full, { hour: 3, minute: 30, zone: 'Europe/Berlin' });
  await machine.schedule('bot', first);
  machine.nowMs += 1000;
  t.deepEqual(await plan({}), first);
  const faster = await plan({ everyMs: 60_000 });
  t.deepEqual({ ...faster, everyMs: first.everyMs, sinceMs: first.sinceMs }, first);
  t.is(faster.sinceMs, machine.nowMs);
  const weekly = await plan({ autoBackup: '0 2 * * 0', zone: 'UTC' });
  t.deepEqual(weekly.full, await parseCron('0 2 * * 0', 'UTC'));
  await machine.schedule('bot', weekly);
  t.deepEqual(await loadSchedule(context.home, 'bot'), { ...weekly, retention: '90d' });
  t.deepEqual((await plan({ zone: 'Asia/Tokyo' })).full, { cron: '0 2 * * 0', zone: 'Asia/Tokyo' });
  t.deepEqual((await plan({ dailyAt: '04:00' })).full, { hour: 4, minute: 0, zone: 'UTC' });
  for (const wish of [
    { everyMs: 10 },
    { everyMs: 1e12 },
    { autoBackup: '0 2 * * 0', dailyAt: '02:00' },
    { zone: 'Mars/Phobos' },
  ])
    t.true(isMoltError(await t.throwsAsync(plan(wish)), 'USAGE'), JSON.stringify(wish));
  await renameAgent(context, 'bot', 'renamed');
  t.is(await loadSchedule(context.home, 'bot'), undefined);
  t.is((await loadSchedule(context.home, 'renamed'))?.retention, '90d');
  writeFileSync(join(context.home.dir, 'schedules/renamed.json'), '{');
  const renamed = await context.home.findAgent('renamed');
  if (renamed === undefined) throw new Error('it is there');
  t.is((await planSchedule(context, renamed, {})).before, undefined);
});

test('what the daemon does is noted in the backup log as scheduled', async (t) => {
  const machine = makeDaemonMachine(t);
  await machine.add('bot');
  mkdirSync(join(machine.dir, 'remote'));
  const url = `file://${join(machine.dir, 'remote')}`;
  await addRemote(machine.context, 'bot', { name: 'origin', url, singleWriter: false });
  machine.change('bot');
  const noted: string[] = [];
  let settled = 0;
  const runs: RunLog = {
    async append({ verb, trigger, result }) {
      noted.push(`${verb} ${trigger} ${result}`);
    },
    async settle() {
      settled += 1;
    },
  };
  const daemon = startDaemon(t, machine, { context: { runs } });
  await daemon.heard('bot', 'sent');
  await daemon.stop();
  t.deepEqual(noted.slice(0, 2), ['backup scheduled ok', 'push scheduled ok']);
  t.true(noted.every((line) => line.includes(' scheduled ')));
  t.true(settled > 0);
});
