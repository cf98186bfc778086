// Every run is noted, whatever came of it, and noting never gets in its way.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { LocalRuns, runsDir } from '../../src/catalog/local-runs.ts';
import { MoltError } from '../../src/model/error.ts';
import type { RunKey, RunLog } from '../../src/model/ports.ts';
import type { RunEntry } from '../../src/model/run-entry.ts';
import { backUp } from '../../src/ops/backup.ts';
import { clone } from '../../src/ops/clone.ts';
import type { OpsContext } from '../../src/ops/context.ts';
import { fetchRemote } from '../../src/ops/fetch.ts';
import { Home } from '../../src/ops/home.ts';
import { initAgent } from '../../src/ops/init.ts';
import { openAgent } from '../../src/ops/open.ts';
import { pull } from '../../src/ops/pull.ts';
import { push, pushAll } from '../../src/ops/push.ts';
import { listRebuiltRuns } from '../../src/ops/rebuilt-runs.ts';
import { recordRun } from '../../src/ops/record-run.ts';
import { addRemote } from '../../src/ops/remote.ts';
import { restoreAgent } from '../../src/ops/restore-agent.ts';
import { applyRestore, findMoment, planRestore } from '../../src/ops/restore.ts';
import { verifyAgent } from '../../src/ops/verify.ts';
import { makeMachine, type Machine } from './machine.ts';

interface Noting extends Machine {
  readonly entries: RunEntry[];
  readonly keys: RunKey['of'][];
  readonly warnings: string[];
}

/** A machine that notes what is run. */
async function makeNoting(t: ExecutionContext): Promise<Noting> {
  const machine = await makeMachine(t);
  const entries: RunEntry[] = [];
  const keys: RunKey['of'][] = [];
  const warnings: string[] = [];
  const runs: RunLog = {
    async append(entry, { of }) {
      entries.push(entry);
      keys.push(of);
    },
    async settle() {},
  };
  const reporter = { progress() {}, warn: (text: string) => warnings.push(text) };
  return { ...machine, context: { ...machine.context, runs, reporter }, entries, keys, warnings };
}

const shown = ({ verb, result, detail, remote }: RunEntry): string =>
  [verb, result, detail, remote].filter((part) => part !== undefined).join(' ');

test('each verb is one entry, with what it did', async (t) => {
  const { context, entries, keys, write, stateDir } = await makeNoting(t);
  const remote = join(stateDir, '../remote');
  mkdirSync(remote);
  write('more.md', 'x'.repeat(5_000));
  const made = await backUp(context, 'bot', { kind: 'incremental', trigger: 'cli' });
  await backUp(context, 'bot', { kind: 'incremental', trigger: 'schedule' });
  await backUp({ ...context, trigger: 'run' }, undefined, { kind: 'full', full: true, trigger: 'run' });
  await addRemote(context, 'bot', { name: 'origin', url: `file://${remote}`, singleWriter: false });
  await push(context, 'bot');
  await push(context, 'bot');
  await pushAll(context, 'bot');
  await fetchRemote(context, 'bot');
  await pull(context, 'bot');
  await verifyAgent(context, 'bot', { readShare: 1, repair: false });
  await verifyAgent(context, 'bot', { readShare: 0, repair: false, remote: 'origin' });
  {
    await using open = await openAgent(context, 'bot');
    const plan = await planRestore(context, open, { revision: undefined, timestamp: undefined, dir: 'out' });
    await applyRestore(context, open, plan);
    const { commit } = await findMoment(context, open, { revision: 'HEAD~1', timestamp: undefined });
    await restoreAgent(context, open, commit, { isStartWanted: false });
  }
  const elsewhere = { ...context, home: new Home(join(stateDir, '../other-home')) };
  await clone(elsewhere, {
    url: `file://${remote}`,
    label: 'copy',
    stateDir: join(stateDir, '../copy'),
    name: 'origin',
  });
  t.deepEqual(entries.map(shown), [
    'backup ok incremental',
    'backup unchanged incremental',
    'backup ok full',
    'push ok origin',
    'push unchanged origin',
    'pull unchanged up-to-date origin',
    'push unchanged origin',
    'fetch unchanged origin',
    'pull unchanged up-to-date origin',
    'verify ok',
    'verify ok origin',
    'restore ok folder',
    'restore ok in place',
    'clone ok origin',
  ]);
  t.true(keys.every((of) => of === 'repository'));
  t.deepEqual(
    entries.slice(0, 3).map(({ trigger }) => trigger),
    ['manual', 'scheduled', 'run'],
  );
  const [first, , , sent] = entries;
  t.is(first?.commit, made.id);
  t.deepEqual(first?.bytes, { ...made.bytes, sent: 0, received: 0, written: 0 });
  t.true((sent?.bytes.sent ?? 0) > 0 && (sent?.requests.put ?? 0) > 0);
  t.true((entries[9]?.bytes.read ?? 0) > 0);
  t.true((entries[11]?.bytes.written ?? 0) > 5_000);
  t.true((entries[13]?.bytes.received ?? 0) > 0);
  t.is(entries[13]?.agent, 'copy');
  t.is(new Set(entries.map(({ id }) => id)).size, entries.length);
  t.is(new Set(entries.map(({ repository }) => repository)).size, 1);
});

test('init is the first backup of the log; one that fails leaves nothing', async (t) => {
  const { context, entries, stateDir } = await makeNoting(t);
  const options = { label: 'two', stateDir, profile: 'generic', include: [], exclude: [] } as const;
  const keys = { passphrase: async () => undefined, keepRecoveryKey: async () => {} };
  await initAgent(context, { ...options, ...keys });
  t.deepEqual(entries.map(shown), ['backup ok full']);
  await t.throwsAsync(initAgent(context, { ...options, ...keys, label: 'two' }));
  t.is(entries.length, 1);
});

test('a run that fails is noted with its error, and fails as it would', async (t) => {
  const { context, entries, keys, stateDir } = await makeNoting(t);
  const remote = join(stateDir, '../remote');
  mkdirSync(remote);
  await addRemote(context, 'bot', { name: 'origin', url: `file://${remote}`, singleWriter: false });
  rmSync(remote, { recursive: true });
  const error = await t.throwsAsync(push(context, 'bot', { remote: 'origin' }));
  t.deepEqual(entries.map(shown), ['push failed origin']);
  t.deepEqual(entries[0]?.error, { code: 'REMOTE_UNREACHABLE', message: error?.message ?? '' });
  t.deepEqual(keys, ['repository']);
});

test('what fails before the repository is open is noted under the machine’s key', async (t) => {
  const { context, entries, keys } = await makeNoting(t);
  rmSync(join(context.home.dir, 'device.key'));
  const unlock = (): Promise<never> => Promise.reject(new MoltError('WRONG_PASSPHRASE', 'no slot opens with that'));
  const locked: OpsContext = { ...context, unlock };
  await t.throwsAsync(backUp(locked, 'bot', { kind: 'incremental', trigger: 'cli' }), { message: /no slot opens/ });
  t.deepEqual(entries.map(shown), ['backup failed incremental']);
  t.is(entries[0]?.error?.code, 'WRONG_PASSPHRASE');
  t.deepEqual(keys, ['machine']);
});

test('an aborted run is noted as one', async (t) => {
  const { context, entries, write } = await makeNoting(t);
  const controller = new AbortController();
  controller.abort(new MoltError('INTERRUPTED', 'interrupted'));
  write('new.md', 'new');
  await t.throwsAsync(backUp({ ...context, signal: controller.signal }, 'bot', { kind: 'manual', trigger: 'cli' }));
  t.is(entries[0]?.result, 'failed');
  t.is(entries[0]?.error?.code, 'INTERRUPTED');
});

test('what names no agent is no run', async (t) => {
  const { context, entries } = await makeNoting(t);
  await t.throwsAsync(backUp(context, 'nobody', { kind: 'manual', trigger: 'cli' }));
  t.deepEqual(entries, []);
});

test('a run within a run is part of it, and its context keeps the zone unasked', async (t) => {
  const { context, entries } = await makeNoting(t);
  let asked = 0;
  const lazy = Object.defineProperty({ ...context }, 'zone', {
    enumerable: true,
    get: () => {
      asked += 1;
      return 'UTC';
    },
  }) as OpsContext;
  const agent = await context.home.findAgent('bot');
  await recordRun(
    lazy,
    { verb: 'drill' },
    async (quiet, note) => {
      if (agent !== undefined) note.meant(agent);
      await backUp(quiet, 'bot', { kind: 'manual', trigger: 'cli' });
    },
    () => ({}),
  );
  t.deepEqual(entries.map(shown), ['drill ok']);
  t.is(asked, 0);
});

test('a disk that takes no note stops no backup: it is warned of', async (t) => {
  const { context, warnings, write } = await makeNoting(t);
  const { home, clock, random } = context;
  const runs = new LocalRuns({ homeDir: home.dir, clock, random, findUrl: async () => undefined, warn: () => {} });
  const agent = await home.findAgent('bot');
  const dir = runsDir(home.dir, agent?.repository ?? ('' as never));
  mkdirSync(join(dir, '..'), { recursive: true });
  writeFileSync(dir, 'a file where a folder should be');
  write('new.md', 'new');
  const result = await backUp({ ...context, runs }, 'bot', { kind: 'incremental', trigger: 'cli' });
  t.false(result.unchanged);
  t.is(warnings.length, 1);
  t.regex(warnings[0] ?? '', /the backup log lacks this run: cannot write/);
});

test('an error’s text is cut and cleaned, so that every log takes it', async (t) => {
  const { context, entries } = await makeNoting(t);
  const agent = await context.home.findAgent('bot');
  const work = recordRun(
    context,
    { verb: 'verify' },
    async (_, note) => {
      if (agent !== undefined) note.meant(agent);
      throw new Error(`\0${'x'.repeat(5_000)}`);
    },
    () => ({}),
  );
  await t.throwsAsync(work);
  t.is(entries[0]?.error?.code, 'INTERNAL');
  t.is(entries[0]?.error?.message.length, 500);
  t.false(entries[0]?.error?.message.includes('\0'));
});

test('the history tells of every commit, with what set it off', async (t) => {
  const machine = await makeNoting(t);
  const { context, entries } = machine;
  await machine.commit('2026-03-01T00:05:00Z');
  machine.write('x.md', 'x');
  await backUp(context, 'bot', { kind: 'manual', trigger: 'schedule', name: 'named' });
  const agent = await context.home.findAgent('bot');
  const rebuilt = agent === undefined ? [] : await listRebuiltRuns(context, agent);
  t.deepEqual(
    rebuilt.map(({ detail, trigger, isRebuilt }) => [detail, trigger, isRebuilt]),
    [
      ['manual', 'scheduled', true],
      ['incremental', 'manual', true],
      ['full', 'manual', true],
    ],
  );
  t.is(rebuilt[0]?.commit, entries.at(-1)?.commit);
  t.is(rebuilt[1]?.startedMs, Date.parse('2026-03-01T00:05:00Z'));
});
