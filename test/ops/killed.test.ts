// What a killed molt leaves on a machine, and how the next one removes it; what a machine remembers of its repositories.

import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { isMoltError } from '../../src/model/error.ts';
import { initAgent } from '../../src/ops/init.ts';
import { addKey, removeKey } from '../../src/ops/key.ts';
import { makeFolder } from '../../src/ops/new-folder.ts';
import { createTag } from '../../src/ops/tag.ts';
import { beginFolder, beginRepository } from '../../src/ops/unfinished.ts';
import { verifyAgent } from '../../src/ops/verify.ts';
import { newMark } from '../../src/storage/owner.ts';
import { type Machine, makeMachine } from './machine.ts';

/** Returns a mark of a process that has ended. */
function deadMark(): string {
  const { pid } = spawnSync(process.execPath, ['--version']);
  return newMark().replace(`-${process.pid}-`, `-${pid}-`);
}

function repositoryOf({ context }: Machine): string {
  const [id = ''] = readdirSync(join(context.home.dir, 'repositories'));
  return join(context.home.dir, 'repositories', id);
}

function leaveRecord({ context }: Machine, mark: string, kind: string, subject: string): void {
  mkdirSync(join(context.home.dir, 'unfinished'), { recursive: true });
  writeFileSync(join(context.home.dir, 'unfinished', `${mark}.${kind}`), subject);
}

test('a repository whose init was killed is removed by the next commit, one with a label is not', async (t) => {
  const machine = await makeMachine(t);
  const known = repositoryOf(machine);
  const nobodys = 'ab'.repeat(16);
  const dir = join(machine.context.home.dir, 'repositories', nobodys);
  mkdirSync(join(dir, 'log'), { recursive: true });
  leaveRecord(machine, deadMark(), 'repository', nobodys);
  leaveRecord(machine, deadMark(), 'repository', known.split('/').at(-1) ?? '');
  await machine.commit();
  t.false(existsSync(dir));
  t.true(existsSync(known));
  t.deepEqual(readdirSync(join(machine.context.home.dir, 'unfinished')), []);
});

test('what a living process has not finished stays', async (t) => {
  const machine = await makeMachine(t);
  const { home } = machine.context;
  const id = 'ab'.repeat(16);
  mkdirSync(join(home.dir, 'repositories', id));
  const repository = await beginRepository(home.dir, id);
  const folder = await beginFolder(home.dir, (suffix) => join(machine.stateDir, `../restored${suffix}`));
  mkdirSync(folder.path);
  await machine.commit();
  t.true(existsSync(join(home.dir, 'repositories', id)));
  t.true(existsSync(folder.path));
  await repository.end();
  await folder.end();
  t.deepEqual(readdirSync(join(home.dir, 'unfinished')), []);
});

test('the folder of a killed restore is removed, and never a folder that does not bear its mark', async (t) => {
  const machine = await makeMachine(t);
  const mark = deadMark();
  const temp = join(machine.stateDir, `../here.molt-tmp-${mark}`);
  mkdirSync(join(temp, 'locked'), { recursive: true });
  writeFileSync(join(temp, 'locked/secret'), 'plaintext');
  leaveRecord(machine, mark, 'folder', temp);
  leaveRecord(machine, deadMark(), 'folder', machine.stateDir);
  leaveRecord(machine, deadMark(), 'folder', '');
  await machine.commit();
  t.false(existsSync(temp));
  t.true(existsSync(machine.stateDir));
  t.deepEqual(readdirSync(join(machine.context.home.dir, 'unfinished')), []);
});

test('while a folder is made it is on record, and afterwards neither is left', async (t) => {
  const { context } = await makeMachine(t);
  const records = (): string[] => readdirSync(join(context.home.dir, 'unfinished'));
  const path = join(context.cwd, 'made');
  await makeFolder(context.home, path, async (temp) => {
    const [record = ''] = records();
    t.is(readFileSync(join(context.home.dir, 'unfinished', record), 'utf8'), temp);
  });
  t.deepEqual(records(), []);
  t.true(existsSync(path));
  await t.throwsAsync(
    makeFolder(context.home, join(context.cwd, 'fails'), async () => {
      throw new Error('no');
    }),
  );
  t.deepEqual(records(), []);
});

test('an agent whose label is given up keeps its repository, even if its init was killed at its last step', async (t) => {
  const machine = await makeMachine(t);
  const { home } = machine.context;
  const dir = repositoryOf(machine);
  leaveRecord(machine, deadMark(), 'repository', dir.split('/').at(-1) ?? '');
  await home.removeAgent('bot');
  await home.sweep(Date.now());
  t.true(existsSync(dir));
});

test('a small file that was not finished has no name yet, and goes away once it is old', async (t) => {
  const machine = await makeMachine(t);
  const { home } = machine.context;
  t.deepEqual(readdirSync(home.tempDir), []);
  const left = join(home.tempDir, `${deadMark()}.tmp`);
  writeFileSync(left, '{"molt":');
  const anHourAgo = Date.now() / 1000 - 3 * 3600;
  utimesSync(left, anHourAgo, anHourAgo);
  await machine.commit();
  t.false(existsSync(left));
});

test('two agents can’t get one name, and the second is told so', async (t) => {
  const { context, stateDir } = await makeMachine(t);
  const agent = await context.home.findAgent('bot');
  if (agent === undefined) return t.fail();
  const both = await Promise.allSettled([
    context.home.addAgent({ ...agent, label: 'new' }),
    context.home.addAgent({ ...agent, label: 'new' }),
  ]);
  t.deepEqual(both.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected']);
  for (const outcome of both) if (outcome.status === 'rejected') t.true(isMoltError(outcome.reason, 'EXISTS'));
  const options = { label: 'new', stateDir, profile: 'generic', include: [], exclude: [] } as const;
  const again = initAgent(context, { ...options, passphrase: async () => undefined, keepRecoveryKey: async () => {} });
  t.true(isMoltError(await t.throwsAsync(again), 'EXISTS'));
});

async function setBack(t: ExecutionContext, undo: (dir: string, copy: string) => void): Promise<Machine> {
  const machine = await makeMachine(t);
  const dir = repositoryOf(machine);
  const copy = join(machine.context.cwd, 'copy');
  await machine.commit('2026-03-02T00:00:00Z');
  cpSync(dir, copy, { recursive: true });
  await machine.commit('2026-03-03T00:00:00Z');
  const slots = await addKey(machine.context, 'bot', { type: 'passphrase', passphrase: async () => 'second' });
  await removeKey(machine.context, 'bot', slots.slot.id);
  undo(dir, copy);
  return machine;
}

const refusesWrites = test.macro({
  title: (what) => `${what}: it is reported, nothing is written, and verify --repair goes on from what is there`,
  async exec(t, undo: (dir: string, copy: string) => void, problem: RegExp) {
    const machine = await setBack(t, undo);
    const warnings: string[] = [];
    const context = {
      ...machine.context,
      reporter: { ...machine.context.reporter, warn: (text: string) => warnings.push(text) },
    };
    const writes = [() => machine.commit(), () => createTag(context, 'bot', { name: 'x', revision: 'latest' })];
    for (const write of writes) {
      const error = await t.throwsAsync(write());
      t.true(isMoltError(error, 'DAMAGED'));
      t.regex(error?.message ?? '', problem);
    }
    t.regex(warnings.join('\n'), problem);
    const { problems } = await verifyAgent(context, 'bot', { readShare: 1, repair: false });
    t.regex(problems.map((found) => found.problem).join('\n'), problem);
    await verifyAgent(context, 'bot', { readShare: 1, repair: true });
    await machine.commit();
    t.deepEqual((await verifyAgent(context, 'bot', { readShare: 1, repair: false })).problems, []);
  },
});

test(
  'a repository set back as a whole',
  refusesWrites,
  (dir, copy) => {
    rmSync(dir, { recursive: true });
    cpSync(copy, dir, { recursive: true });
  },
  /set back to an earlier state: log\/000000000003.* is gone/,
);

test(
  'a log whose last segment was deleted',
  refusesWrites,
  (dir) => {
    rmSync(join(dir, 'log/000000000003'));
  },
  /log\/000000000003.* is gone/,
);

test(
  'a keyring set back',
  refusesWrites,
  (dir, copy) => {
    rmSync(join(dir, 'keys'), { recursive: true });
    cpSync(join(copy, 'keys'), join(dir, 'keys'), { recursive: true });
  },
  /keys\/000003.* is gone/,
);

test('keys are not changed on top of a keyring that was set back', async (t) => {
  const { context } = await setBack(t, (dir, copy) => {
    rmSync(join(dir, 'keys'), { recursive: true });
    cpSync(join(copy, 'keys'), join(dir, 'keys'), { recursive: true });
  });
  const error = await t.throwsAsync(addKey(context, 'bot', { type: 'passphrase', passphrase: async () => 'third' }));
  t.true(isMoltError(error, 'DAMAGED'));
});

test('another segment at a number that was seen is noticed', async (t) => {
  const machine = await makeMachine(t);
  const dir = repositoryOf(machine);
  const copy = join(machine.context.cwd, 'copy');
  cpSync(dir, copy, { recursive: true });
  await machine.commit('2026-03-02T00:00:00Z');
  const seen = readFileSync(join(machine.context.home.dir, 'seen', `${dir.split('/').at(-1)}.json`));
  rmSync(dir, { recursive: true });
  cpSync(copy, dir, { recursive: true });
  rmSync(join(machine.context.home.dir, 'seen'), { recursive: true });
  await machine.commit('2026-03-04T00:00:00Z');
  writeFileSync(join(machine.context.home.dir, 'seen', `${dir.split('/').at(-1)}.json`), seen);
  const error = await t.throwsAsync(machine.commit('2026-03-05T00:00:00Z'));
  t.regex(error?.message ?? '', /log\/000000000002.* is another one now/);
});
