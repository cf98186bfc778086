// `molt run`: what is restored or begun before an agent starts, what is saved while it runs, and how it ends. The agent is a small
// HTTP server with a database.

import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import test, { type ExecutionContext } from 'ava';
import { isMoltError } from '../../src/model/error.ts';
import { walkHistory } from '../../src/ops/ancestry.ts';
import { backUp } from '../../src/ops/backup.ts';
import { clone } from '../../src/ops/clone.ts';
import type { OpsContext } from '../../src/ops/context.ts';
import { fetchRemote } from '../../src/ops/fetch.ts';
import { Home } from '../../src/ops/home.ts';
import { restoreInPlace } from '../../src/ops/in-place.ts';
import { ownNumber } from '../../src/ops/incarnation.ts';
import { openAgent } from '../../src/ops/open.ts';
import { writeRestoreNote } from '../../src/ops/restore-journal.ts';
import { push } from '../../src/ops/push.ts';
import { startS3Server } from '../storage/s3-server.ts';
import { contextIn, QUICK } from './machine.ts';
import { makeDir, startRun } from './running.ts';

process.env['AWS_ACCESS_KEY_ID'] = 'testaccess';
process.env['AWS_SECRET_ACCESS_KEY'] = 'testsecret';

const START = '2026-03-01T00:00:00Z';

type TestMachine = OpsContext & { at(time: number): void };

/** Makes a machine with nothing on it. */
function makeMachine(t: ExecutionContext, passphrase = 'first', dir = makeDir(t)): TestMachine {
  let nowMs = Date.parse(START);
  return {
    ...contextIn(dir, { now: () => nowMs }, passphrase),
    remoteOptions: QUICK,
    at(time) {
      nowMs = time;
    },
  };
}

/** Makes an empty folder that serves as a remote. */
function makeRemote(t: ExecutionContext): { readonly dir: string; readonly url: string } {
  const dir = join(makeDir(t), 'remote');
  mkdirSync(dir);
  return { dir, url: `file://${dir}` };
}

/** Makes an agent on a new machine, with one note, and everything pushed to a remote. */
async function makeAgent(t: ExecutionContext, url: string): Promise<TestMachine> {
  const machine = makeMachine(t);
  const run = await startRun(t, machine, { label: 'bot', remote: url });
  await run.up();
  await run.note('buy milk');
  await run.stop();
  return machine;
}

async function headOf(context: OpsContext): Promise<string | undefined> {
  await using open = await openAgent(context, 'bot');
  return open.repository.refs.get('refs/heads/main');
}

async function tipOf(context: OpsContext, url: string): Promise<string | undefined> {
  const other = { ...context, home: new Home(join(context.cwd, `look-${randomBytes(4).toString('hex')}`)) };
  await clone(other, { url, label: 'bot', name: 'origin' });
  return headOf(other);
}

async function numberOf({ home }: OpsContext): Promise<number> {
  const agent = await home.findAgent('bot');
  return agent === undefined ? 0 : ownNumber(agent);
}

async function fails(t: ExecutionContext, working: Promise<unknown>, code: string): Promise<string> {
  const error = await t.throwsAsync(working);
  t.true(isMoltError(error) && error.code === code, String(error));
  return error?.message ?? '';
}

test('an agent is begun where the remote is empty, saved at each tick, daily in full, and at its end', async (t) => {
  const { url } = makeRemote(t);
  const machine = makeMachine(t);
  const run = await startRun(t, machine, { label: 'bot', remote: url });
  await run.up();
  t.is((await run.told('begun')).event, 'begun');
  await run.note('one');
  await run.tick();
  const saved = run.events.findLast((event) => event.event === 'saved');
  t.is(saved?.event === 'saved' && saved.result.kind, 'incremental');
  t.is(await tipOf(machine, url), await headOf(machine));
  // Nothing new makes neither a commit nor a push.
  const before = run.events.length;
  await run.tick();
  t.is(run.events.length, before);
  // 02:00 in Jakarta is 19:00 in UTC; a save is due at that very moment.
  machine.at(Date.parse('2026-03-01T18:58:00Z'));
  await run.tick();
  machine.at(Date.parse('2026-03-01T18:59:00Z'));
  while (machine.clock.now() < Date.parse('2026-03-01T19:10:00Z')) await run.tick();
  const fulls = run.events.flatMap((event) => (event.event === 'saved' && event.result.kind === 'full' ? [event] : []));
  t.is(fulls.length, 1);
  await run.note('two');
  const { exit } = await run.stop();
  t.deepEqual(exit, { status: 0, signal: null });
  t.is(await tipOf(machine, url), await headOf(machine));
  const agent = await machine.home.findAgent('bot');
  const database = new DatabaseSync(join(agent?.stateDir ?? '', 'notes.db'));
  t.is(database.prepare('SELECT count(*) AS count FROM notes').get()?.['count'], 2);
  database.close();
});

test('an agent whose state is missing is restored, from the remote on a new machine, and the old one is not started any more', async (t) => {
  const { url } = makeRemote(t);
  const old = await makeAgent(t, url);
  const fresh = makeMachine(t);
  const run = await startRun(t, fresh, { label: 'bot', remote: url });
  await run.up();
  const told: string[] = run.events.map(({ event }) => event);
  t.deepEqual(told.slice(0, 2), ['cloned', 'restored']);
  // The remote hears of it before the agent does anything.
  t.true(told.includes('pushed') && told.indexOf('pushed') < told.indexOf('started'), told.join(' '));
  t.deepEqual(await run.notes(), ['buy milk']);
  t.is(await numberOf(fresh), 2);
  await run.note('eggs');
  await run.tick();
  // The old machine comes back: what it has is saved, and it is not started beside the other one.
  const { stateDir } = (await old.home.findAgent('bot')) ?? { stateDir: '' };
  writeFileSync(join(stateDir, 'late.txt'), 'written before it went down\n');
  const head = await headOf(old);
  const back = await startRun(t, old, { label: 'bot' });
  const said = await fails(t, back.done, 'FENCED');
  t.regex(said, /incarnation 2, on deploy.*the agent was not started, and its state is saved here$/);
  t.false(back.events.some(({ event }) => event === 'started'));
  t.not(await headOf(old), head);
  await run.stop();
  t.is(await tipOf(fresh, url), await headOf(fresh));
});

test('an agent whose state folder was lost is restored from this machine, with what another one saved meanwhile', async (t) => {
  const { url } = makeRemote(t);
  const machine = await makeAgent(t, url);
  const { stateDir } = (await machine.home.findAgent('bot')) ?? { stateDir: '' };
  rmSync(stateDir, { recursive: true });
  const run = await startRun(t, machine, { label: 'bot' });
  await run.up();
  t.is(run.events[0]?.event, 'restored');
  t.deepEqual(await run.notes(), ['buy milk']);
  t.is(await numberOf(machine), 2);
  await run.stop();
});

test('a restore that was killed is finished before the start', async (t) => {
  const { url } = makeRemote(t);
  const machine = await makeAgent(t, url);
  const agent = await machine.home.findAgent('bot');
  const commit = (await headOf(machine)) as never;
  if (agent === undefined) return t.fail();
  rmSync(agent.stateDir, { recursive: true });
  mkdirSync(agent.stateDir);
  writeFileSync(join(agent.stateDir, 'half'), 'what a restore had written when it was killed');
  await writeRestoreNote(machine.home, agent, { phase: 'under-way', commit, safety: commit });
  const run = await startRun(t, machine, { label: 'bot' });
  await run.up();
  t.is(run.events[0]?.event, 'restored');
  t.deepEqual(await run.notes(), ['buy milk']);
  t.false(existsSync(join(agent.stateDir, 'half')));
  await run.stop();
});

test('files that stand where a cloned agent is to live are kept, and that is told', async (t) => {
  const { url } = makeRemote(t);
  await makeAgent(t, url);
  const fresh = makeMachine(t);
  mkdirSync(join(fresh.cwd, 'bot'));
  writeFileSync(join(fresh.cwd, 'bot/mine.txt'), 'mine\n');
  const run = await startRun(t, fresh, { label: 'bot', remote: url });
  await run.up();
  t.deepEqual(
    run.events.slice(0, 2).map(({ event }) => event),
    ['cloned', 'kept'],
  );
  t.is(await numberOf(fresh), 1);
  t.true(existsSync(join(fresh.cwd, 'bot/mine.txt')));
  await run.stop();
});

test('an agent that is fenced off while it runs goes on and is saved here, and that is told once', async (t) => {
  const { url } = makeRemote(t);
  const old = await makeAgent(t, url);
  const run = await startRun(t, old, { label: 'bot' });
  await run.up();
  const fresh = makeMachine(t);
  await clone(fresh, { url, label: 'bot', name: 'origin' });
  await using open = await openAgent(fresh, 'bot');
  await restoreInPlace(fresh, open, open.repository.refs.get('refs/heads/main') as never);
  await push(fresh, 'bot');
  await run.note('one');
  await run.tick();
  const head = await headOf(old);
  await run.note('two');
  await run.tick();
  t.not(await headOf(old), head);
  const failures = run.events.filter(({ event }) => event === 'failed');
  t.is(failures.length, 1);
  const [failure] = failures;
  t.true(failure?.event === 'failed' && isMoltError(failure.error, 'FENCED'));
  t.deepEqual(await run.notes(), ['buy milk', 'one', 'two']);
  await fails(t, run.stop(), 'FENCED');
  t.not(await headOf(old), await tipOf(fresh, url));
});

test('a remote that is gone is told of once, and again when it is back; the agent goes on', async (t) => {
  const { dir, url } = makeRemote(t);
  const machine = await makeAgent(t, url);
  const run = await startRun(t, machine, { label: 'bot' });
  await run.up();
  renameSync(dir, `${dir}.gone`);
  await run.note('one');
  await run.tick();
  await run.note('two');
  await run.tick();
  t.is(run.events.filter(({ event }) => event === 'failed').length, 1);
  renameSync(`${dir}.gone`, dir);
  await run.tick();
  t.is((await run.told('recovered')).event, 'recovered');
  t.is(await tipOf(machine, url), await headOf(machine));
  renameSync(dir, `${dir}.gone`);
  await run.note('three');
  const error = await t.throwsAsync(run.stop());
  t.regex(error?.message ?? '', /^the agent has ended and is saved on this machine, but not on every remote: /);
});

test('nothing is started, and nothing is left, where the remote can’t be asked, or holds something else', async (t) => {
  const { dir, url } = makeRemote(t);
  const machine = makeMachine(t);
  const none = await startRun(t, machine, { label: 'bot' });
  await fails(t, none.done, 'NO_REPOSITORY');
  const away = await startRun(t, machine, { label: 'bot', remote: `${url}/not/mounted` });
  await fails(t, away.done, 'REMOTE_UNREACHABLE');
  const server = await startS3Server(t, {});
  server.fault = () => ({ kind: 'error', status: 503, code: 'ServiceUnavailable' });
  const down = await startRun(t, machine, { label: 'bot', remote: server.url });
  await fails(t, down.done, 'REMOTE_UNREACHABLE');
  mkdirSync(join(dir, 'log'));
  writeFileSync(join(dir, 'log/000000000001'), 'x');
  const odd = await startRun(t, machine, { label: 'bot', remote: url });
  await fails(t, odd.done, 'DAMAGED');
  for (const run of [none, away, down, odd]) t.deepEqual(run.events, []);
  t.false(existsSync(join(machine.cwd, 'bot')));
  t.is(await machine.home.findAgent('bot'), undefined);
});

test('a wrong passphrase starts nothing', async (t) => {
  const { url } = makeRemote(t);
  await makeAgent(t, url);
  const fresh = makeMachine(t, 'wrong');
  const run = await startRun(t, fresh, { label: 'bot', remote: url });
  await fails(t, run.done, 'WRONG_PASSPHRASE');
  t.deepEqual(run.events, []);
  t.false(existsSync(join(fresh.cwd, 'bot')));
  const left = existsSync(join(fresh.home.dir, 'repositories'))
    ? readdirSync(join(fresh.home.dir, 'repositories'))
    : [];
  t.deepEqual(left, []);
});

test('an agent that ends is started again, and told of', async (t) => {
  const { url } = makeRemote(t);
  const machine = await makeAgent(t, url);
  const run = await startRun(t, machine, { label: 'bot' });
  await run.up();
  const { pid } = (await (await fetch(`http://127.0.0.1:${run.port}/healthz`)).json()) as { readonly pid: number };
  process.kill(pid, 'SIGKILL');
  const ended = await run.told('ended');
  t.regex(ended.event === 'ended' ? ended.problem : '', /was ended by SIGKILL; it is started again in /);
  await run.told('restarted');
  t.deepEqual(await run.notes(), ['buy milk']);
  await run.stop();
});

test('an agent that does not come up ends the run, with its state saved', async (t) => {
  const { url } = makeRemote(t);
  const machine = await makeAgent(t, url);
  const command = [process.execPath, '-e', "require('fs').writeFileSync('trace', 'it began'); process.exit(3)"];
  const head = await headOf(machine);
  const run = await startRun(t, machine, { label: 'bot', command });
  await fails(t, run.done, 'UNHEALTHY');
  t.not(await headOf(machine), head);
  t.is(await tipOf(machine, url), await headOf(machine));
});

test('an agent that runs already is not started a second time', async (t) => {
  const { url } = makeRemote(t);
  const machine = await makeAgent(t, url);
  const run = await startRun(t, machine, { label: 'bot' });
  await run.up();
  const second = await startRun(t, machine, { label: 'bot' });
  t.regex(await fails(t, second.done, 'RUNNING'), /runs already: another molt run is at it; nothing was started$/);
  // Nor is it restored in place meanwhile.
  await using open = await openAgent(machine, 'bot');
  await fails(t, restoreInPlace(machine, open, open.repository.refs.get('refs/heads/main') as never), 'LOCKED');
  await run.stop();
});

test('what another machine saved to the branch is merged', async (t) => {
  const { url } = makeRemote(t);
  const machine = await makeAgent(t, url);
  const run = await startRun(t, machine, { label: 'bot' });
  await run.up();
  const other = makeMachine(t);
  await clone(other, { url, label: 'bot', name: 'origin' });
  mkdirSync(join(other.cwd, 'bot'));
  writeFileSync(join(other.cwd, 'bot/theirs.txt'), 'theirs\n');
  const { id } = await backUp(other, 'bot', { kind: 'incremental', trigger: 'test' });
  await push(other, 'bot');
  await run.note('ours');
  await run.tick();
  await fetchRemote(machine, 'bot');
  t.is(await tipOf(machine, url), await headOf(machine));
  const head = await headOf(machine);
  await using open = await openAgent(machine, 'bot');
  const ids: string[] = [];
  for await (const { commit } of walkHistory(open.repository, head as never)) ids.push(commit.id);
  t.true(ids.includes(id));
  await run.stop();
});

test('what a repository says is to be run needs the user’s word', async (t) => {
  const { url } = makeRemote(t);
  const machine = await makeAgent(t, url);
  const agent = await machine.home.findAgent('bot');
  if (agent === undefined) return t.fail();
  await machine.home.updateAgent({ ...agent, pod: { command: ['touch', '{state}/harm'] } });
  await backUp(machine, 'bot', { kind: 'incremental', trigger: 'test' });
  await push(machine, 'bot');
  const fresh = makeMachine(t);
  const asked: string[] = [];
  const ask = async (question: string): Promise<boolean> => {
    asked.push(question);
    return false;
  };
  const run = await startRun(t, fresh, { label: 'bot', remote: url, command: [], ask });
  await fails(t, run.done, 'INTERRUPTED');
  t.regex(asked.join('\n'), /command: touch \{state\}\/harm/);
  t.false(existsSync(join(fresh.cwd, 'bot/harm')));
});

test('what a run does is noted as a run’s, and brought to the log after each save', async (t) => {
  const noted: string[] = [];
  let settled = 0;
  const machine: TestMachine = {
    ...makeMachine(t),
    runs: {
      async append({ verb, trigger, result, detail, remote }) {
        noted.push([verb, trigger, result, detail ?? '', remote ?? ''].join(' ').trim());
      },
      async settle() {
        settled += 1;
      },
    },
  };
  const { url } = makeRemote(t);
  const run = await startRun(t, machine, { label: 'bot', remote: url });
  await run.up();
  const before = noted.length;
  const settledBefore = settled;
  await run.note('remember this');
  await run.tick();
  t.deepEqual(noted.slice(before), ['backup run ok incremental', 'push run ok  origin']);
  t.is(settled, settledBefore + 1);
  await run.stop();
  t.deepEqual(
    noted.filter((line) => !/^(?:backup|push) run (?:ok|unchanged)/.test(line)),
    [],
  );
  t.true(noted.includes('backup run ok full'));
});
