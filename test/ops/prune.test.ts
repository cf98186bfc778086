// Pruning as users do it: what retention keeps can be restored here and on the remote, what it does not is told of and gone.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { MoltError } from '../../src/model/error.ts';
import type { CommitId } from '../../src/model/ids.ts';
import { answerAlerts } from '../../src/ops/alert-question.ts';
import { backUp } from '../../src/ops/backup.ts';
import { clone } from '../../src/ops/clone.ts';
import { exportGit } from '../../src/ops/export-git.ts';
import { addHold } from '../../src/ops/hold.ts';
import { listBackups, listLog } from '../../src/ops/log.ts';
import { openAgent } from '../../src/ops/open.ts';
import { prune } from '../../src/ops/prune.ts';
import { pull } from '../../src/ops/pull.ts';
import { push } from '../../src/ops/push.ts';
import { addRemote } from '../../src/ops/remote.ts';
import { applyRestore, planRestore } from '../../src/ops/restore.ts';
import { verifyAgent } from '../../src/ops/verify.ts';
import { contextIn, makeMachine, type Machine } from './machine.ts';

const DAY_MS = 86_400_000;
const START_MS = Date.parse('2026-03-01T00:00:00Z');
const RETENTION = '3d';
const LOCAL = { retention: RETENTION, isDryRun: false, isLocal: true };

interface Saved {
  readonly id: CommitId;
  readonly counter: string;
  readonly day: number;
}

/** Ten days of a full backup and three incrementals each. */
async function makeDays(machine: Machine, days = 10): Promise<Saved[]> {
  const saved: Saved[] = [];
  for (let day = 1; day <= days; day += 1) {
    for (let tick = 0; tick < 4; tick += 1) {
      machine.at(new Date(START_MS + day * DAY_MS + tick * 3_600_000).toISOString());
      machine.write('counter', `${day}-${tick}\n`);
      machine.write(`files/${(day * 4 + tick) % 7}.md`, `${day} ${tick}\n`.repeat(200));
      const isFull = tick === 0;
      const { id } = await backUp(machine.context, 'bot', {
        kind: isFull ? 'full' : 'incremental',
        full: isFull,
        trigger: 'test',
      });
      saved.push({ id, counter: `${day}-${tick}\n`, day });
    }
  }
  return saved;
}

async function restoreCounter(t: ExecutionContext, machine: Machine, id: CommitId, label = 'bot'): Promise<string> {
  await using open = await openAgent(machine.context, label);
  const dir = join(tempDir(t), 'out');
  const plan = await planRestore(machine.context, open, { revision: id, timestamp: undefined, dir });
  await applyRestore(machine.context, open, plan);
  return readFileSync(join(dir, 'state/counter'), 'utf8');
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

function tempDir(t: ExecutionContext): string {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'molt-prune-')));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Makes every file of a storage look old, as it would be by then. */
function age(dir: string, timeMs: number): void {
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) utimesSync(join(entry.parentPath, entry.name), timeMs / 1000, timeMs / 1000);
  }
}

function countFiles(dir: string): number {
  return readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).length;
}

function repositoryDir({ context }: Machine): string {
  const [id = ''] = readdirSync(join(context.home.dir, 'repositories'));
  return join(context.home.dir, 'repositories', id);
}

const isKept = ({ day }: Saved): boolean => day >= 8;

async function checkVerified(t: ExecutionContext, machine: Machine, remote?: string): Promise<void> {
  const { problems } = await verifyAgent(machine.context, 'bot', { readShare: 1, repair: false, remote });
  t.deepEqual(problems, []);
}

test('what a plan keeps is restored, what it does not is told of, and the repository shrinks', async (t) => {
  const machine = await makeMachine(t);
  const saved = await makeDays(machine);
  const dir = repositoryDir(machine);
  age(dir, START_MS);
  const before = readdirSync(dir, { recursive: true }).length;
  const dry = await prune(machine.context, 'bot', { ...LOCAL, isDryRun: true });
  t.is(readdirSync(dir, { recursive: true }).length, before);
  t.true(dry.here.freedBytes > 0);
  const result = await prune(machine.context, 'bot', LOCAL);
  t.deepEqual(result.backups, dry.backups);
  for (const one of result.backups) t.true(one.reasons.length > 0);
  t.true(result.here.deletedObjects > 20, JSON.stringify(result.here));
  t.is(result.here.laterObjects, 0);
  for (const one of saved) {
    if (isKept(one)) t.is(await restoreCounter(t, machine, one.id), one.counter);
    else await t.throwsAsync(restoreCounter(t, machine, one.id), { code: 'EXPIRED' } as MoltError);
  }
  const log = await collect(listLog(machine.context, { agent: 'bot', words: [], paths: [] }));
  t.is(log.length, saved.length + 1);
  t.is(log.filter(({ expired }) => expired).length, saved.filter((one) => !isKept(one)).length + 1);
  const backups = await collect(listBackups(machine.context, { agent: 'bot', all: true }));
  t.is(backups.length, saved.filter(isKept).length);
  await checkVerified(t, machine);
  const again = await prune(machine.context, 'bot', LOCAL);
  t.is(again.here.deletedObjects, 0);
  t.true(again.backups.every(({ kept }) => kept));
  // What came back as it was long ago is stored anew.
  machine.write('files/1.md', '1 0\n'.repeat(200));
  const { id } = await machine.commit(new Date(START_MS + 11 * DAY_MS).toISOString());
  await restoreCounter(t, machine, id);
  await checkVerified(t, machine);
});

test('a hold, a name and a broken-off push keep what retention would not', async (t) => {
  const machine = await makeMachine(t);
  const saved = await makeDays(machine, 6);
  const [held, named] = [saved[2], saved[5]];
  if (held === undefined || named === undefined) throw new Error('no history');
  await addHold(machine.context, { agent: 'bot', words: [held.id] });
  const remote = tempDir(t);
  await addRemote(machine.context, 'bot', { name: 'far', url: `file://${remote}/r`, singleWriter: false });
  const nothing = await prune(machine.context, 'bot', LOCAL);
  t.true(
    nothing.backups.every(({ kept }) => kept),
    'nothing was pushed yet',
  );
  await push(machine.context, 'bot', {});
  age(repositoryDir(machine), START_MS);
  const result = await prune(machine.context, 'bot', LOCAL);
  t.true(result.backups.some(({ kept }) => !kept));
  t.is(await restoreCounter(t, machine, held.id), held.counter);
  await t.throwsAsync(restoreCounter(t, machine, named.id), { code: 'EXPIRED' } as MoltError);
  await checkVerified(t, machine);
});

test('nothing is pruned while a change that looks like a loss waits for an answer, here or known to the remote', async (t) => {
  const machine = await makeMachine(t);
  await makeDays(machine, 6);
  const { context } = machine;
  const url = `file://${join(tempDir(t), 'remote')}`;
  await addRemote(context, 'bot', { name: 'origin', url, singleWriter: false });
  machine.write('MEMORY.md', 'remember\n'.repeat(100));
  await machine.commit();
  machine.write('MEMORY.md', '');
  const { suspicion } = await machine.commit();
  t.is(suspicion?.findings.length, 1);
  await push(context, 'bot');
  await t.throwsAsync(prune(context, 'bot', LOCAL), { code: 'CONFLICT' } as MoltError);
  const dry = await prune(context, 'bot', { ...LOCAL, isDryRun: true });
  t.true(dry.backups.find(({ id }) => id === suspicion?.good)?.reasons.includes('it is held'));
  const answer = { agent: 'bot', words: [], all: false, verdict: 'fine' } as const;
  await answerAlerts(context, answer);
  // The remote hears of the answer with the next push.
  const rules = { retention: RETENTION, isDryRun: false, isLocal: false };
  const [before] = (await prune(context, 'bot', rules)).remotes;
  t.is(before?.error?.code, 'CONFLICT');
  await push(context, 'bot');
  const [after] = (await prune(context, 'bot', rules)).remotes;
  t.is(after?.error, undefined);
  await checkVerified(t, machine);
  const expired = dry.backups.find(({ kept }) => !kept)?.id ?? '';
  await t.throwsAsync(addHold(context, { agent: 'bot', words: [expired] }), { code: 'EXPIRED' } as MoltError);
  // What is gone meanwhile is nothing to compare with: watching begins anew.
  machine.write('MEMORY.md', 'again\n'.repeat(100));
  t.is((await machine.commit()).suspicion, undefined);
});

test('a remote is pruned too; clone, pull, bundles and git go on', async (t) => {
  const machine = await makeMachine(t);
  const remote = join(tempDir(t), 'r');
  const url = `file://${remote}`;
  await addRemote(machine.context, 'bot', { name: 'far', url, singleWriter: false });
  const saved = await makeDays(machine, 9);
  await push(machine.context, 'bot', {});
  saved.push(...(await makeLater(machine)));
  await push(machine.context, 'bot', {});
  age(repositoryDir(machine), START_MS);
  age(remote, START_MS);
  const before = countFiles(join(remote, 'packs'));
  const result = await prune(machine.context, 'bot', { ...LOCAL, isLocal: false });
  const [far] = result.remotes;
  t.is(far?.error, undefined);
  t.true((far?.expired ?? 0) > 0);
  await checkVerified(t, machine);
  await checkVerified(t, machine, 'far');
  // A day later the rest goes.
  age(remote, START_MS);
  await prune(machine.context, 'bot', { ...LOCAL, isLocal: false });
  t.true(countFiles(join(remote, 'packs')) < before);
  await checkVerified(t, machine, 'far');
  machine.write('files/1.md', '1 0\n'.repeat(200));
  await machine.commit(new Date(START_MS + 12 * DAY_MS).toISOString());
  await push(machine.context, 'bot', {});
  await checkVerified(t, machine, 'far');
  const other = contextIn(tempDir(t), machine.context.clock);
  await clone(other, { url, label: 'bot', name: 'far', stateDir: join(other.cwd, 'state') });
  const twin = { ...machine, context: other };
  for (const one of saved.filter(({ day }) => day >= 9)) t.is(await restoreCounter(t, twin, one.id), one.counter);
  const log = await collect(listLog(other, { agent: 'bot', words: [], paths: [] }));
  t.is(log.length, saved.length + 2);
  await checkVerified(t, twin);
  await pull(machine.context, 'bot', 'far');
  await using open = await openAgent(other, 'bot');
  const git = join(tempDir(t), 'git');
  await exportGit(other, open, { dir: git, expired: await open.repository.listExpired() });
  t.true(existsSync(join(git, 'shallow')));
  execFileSync('git', ['-C', git, 'fsck', '--strict', '--no-dangling'], { stdio: 'pipe' });
});

test('a clock that runs years ahead makes nothing expire', async (t) => {
  const machine = await makeMachine(t);
  await makeDays(machine, 6);
  await prune(machine.context, 'bot', LOCAL);
  machine.at('2041-01-01T00:00:00Z');
  const dry = await prune(machine.context, 'bot', { ...LOCAL, isDryRun: true });
  t.true(dry.backups.filter(({ kept }) => !kept).length <= 4, 'a day at most');
});

async function makeLater(machine: Machine): Promise<Saved[]> {
  machine.at(new Date(START_MS + 10 * DAY_MS).toISOString());
  machine.write('counter', 'last\n');
  const { id } = await backUp(machine.context, 'bot', { kind: 'full', full: true, trigger: 'test' });
  return [{ id, counter: 'last\n', day: 10 }];
}
