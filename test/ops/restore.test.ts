// Restoring into a new folder: whole or not at all, byte for byte, and never outside of it, whatever a commit says.

import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { isMoltError } from '../../src/model/error.ts';
import { checkout } from '../../src/ops/checkout.ts';
import { getHead } from '../../src/ops/revision.ts';
import { applyRestore, planRestore } from '../../src/ops/restore.ts';
import { makeOneAgent, publishCrafted, type CraftedTree, type OneAgent } from './one-agent.ts';

async function restore(agent: OneAgent, dir = 'restored'): Promise<string> {
  const plan = await planRestore(agent.context, agent.open, { revision: 'latest', timestamp: undefined, dir });
  await applyRestore(agent.context, agent.open, plan);
  return plan.dir;
}

function compare(a: string, b: string): void {
  execFileSync('diff', ['-r', '--no-dereference', a, b], { stdio: 'pipe' });
}

test('a restored folder has what the state folder had', async (t) => {
  const agent = await makeOneAgent(t);
  const dir = await restore(agent);
  t.notThrows(() => compare(agent.stateDir, join(dir, 'state')));
  t.deepEqual(readdirSync(join(dir, 'state/empty')), []);
});

test('--timestamp takes the newest commit at or before it', async (t) => {
  const agent = await makeOneAgent(t);
  const first = getHead(agent.open);
  writeFileSync(join(agent.stateDir, 'a.b'), 'changed');
  await agent.commit();
  const { timeMs } = await planRestore(agent.context, agent.open, { revision: first, timestamp: undefined, dir: 'x' });
  const timestamp = new Date(timeMs).toISOString();
  const plan = await planRestore(agent.context, agent.open, { revision: undefined, timestamp, dir: 'x' });
  t.is(plan.commit, first);
  t.is(plan.requestedMs, plan.timeMs);
});

test('a folder that holds something is refused and left alone', async (t) => {
  const agent = await makeOneAgent(t);
  mkdirSync(join(agent.dir, 'restored'));
  writeFileSync(join(agent.dir, 'restored/mine'), 'mine');
  const error = await t.throwsAsync(restore(agent));
  t.true(isMoltError(error, 'EXISTS'));
  t.deepEqual(readdirSync(join(agent.dir, 'restored')), ['mine']);
});

test('a link in the place of the folder is not followed', async (t) => {
  const agent = await makeOneAgent(t);
  mkdirSync(join(agent.dir, 'elsewhere'));
  symlinkSync('elsewhere', join(agent.dir, 'restored'));
  await t.throwsAsync(restore(agent), { code: 'EXISTS' });
  t.deepEqual(readdirSync(join(agent.dir, 'elsewhere')), []);
  t.deepEqual(leftovers(agent), []);
});

test('an interrupted restore leaves nothing', async (t) => {
  const controller = new AbortController();
  const agent = await makeOneAgent(t, { signal: controller.signal });
  const plan = await planRestore(agent.context, agent.open, {
    revision: 'latest',
    timestamp: undefined,
    dir: 'restored',
  });
  const reporter = { ...agent.context.reporter, progress: () => controller.abort(new Error('stop')) };
  await t.throwsAsync(applyRestore({ ...agent.context, reporter }, agent.open, plan), { message: 'stop' });
  t.deepEqual(leftovers(agent), []);
});

test('a restore is interrupted by what happens while it writes, not only between files', async (t) => {
  const controller = new AbortController();
  const agent = await makeOneAgent(t, { signal: controller.signal });
  writeFileSync(join(agent.stateDir, 'large'), randomBytes(16 * 1024 * 1024));
  await agent.commit();
  const plan = await planRestore(agent.context, agent.open, {
    revision: 'latest',
    timestamp: undefined,
    dir: 'restored',
  });
  // As a signal comes: not from within the restore, but when the process looks for events.
  const progress = (): void => void setImmediate(() => controller.abort(new Error('stop')));
  const reporter = { ...agent.context.reporter, progress };
  await t.throwsAsync(applyRestore({ ...agent.context, reporter }, agent.open, plan), { message: 'stop' });
  t.deepEqual(leftovers(agent), []);
});

test('a checkout of paths writes them with the folders above them, empty folders too', async (t) => {
  const agent = await makeOneAgent(t);
  const { dir, files } = await checkout(agent.context, agent.open, {
    revision: 'HEAD',
    dir: 'out',
    paths: ['a-dir/run.sh', 'empty'],
  });
  t.is(files.written, 1);
  t.deepEqual(readdirSync(join(dir, 'state')).toSorted(), ['a-dir', 'empty']);
  t.deepEqual(readdirSync(join(dir, 'state/a-dir')), ['run.sh']);
  t.deepEqual(readFileSync(join(dir, 'state/a-dir/run.sh')), readFileSync(join(agent.stateDir, 'a-dir/run.sh')));
  await t.throwsAsync(checkout(agent.context, agent.open, { revision: 'HEAD', dir: 'other', paths: ['nowhere'] }), {
    code: 'NOT_FOUND',
  });
  t.false(existsSync(join(agent.dir, 'other')));
});

/** Names in the agent's folder that a failed restore could have left. */
function leftovers(agent: OneAgent): string[] {
  return readdirSync(agent.dir).filter(
    (name) =>
      name.includes('molt-tmp') ||
      name === 'escaped' ||
      (name === 'restored' && readdirSync(join(agent.dir, name)).length > 0),
  );
}

const FILE = { mode: '100644', content: 'x' };
const link = (content: string) => ({ mode: '120000', content });
const deep = (levels: number): CraftedTree => (levels === 0 ? [['f', FILE]] : [['d', deep(levels - 1)]]);

const refused = test.macro({
  exec: async (t, tree: CraftedTree, attributes: string) => {
    const agent = await makeOneAgent(t);
    await publishCrafted(agent.open, tree, attributes);
    const error = await t.throwsAsync(restore(agent));
    t.true(isMoltError(error, 'HOSTILE', 'DAMAGED', 'IO'), String(error));
    t.deepEqual(leftovers(agent), []);
    t.false(existsSync(join(agent.dir, 'restored')));
  },
  title: (title = '') => `${title} is refused, and nothing is written`,
});

test('a name ..', refused, [['state', [['..', [['escaped', FILE]]]]]], 'fs 644 0 0 state/../escaped\n');
test(
  'an escaped name ..',
  refused,
  [['state', [['%2E%2E', [['escaped', FILE]]]]]],
  'fs 644 0 0 state/%2E%2E/escaped\n',
);
test(
  'an escaped slash in a name',
  refused,
  [['state', [['..%2F..%2Fescaped', FILE]]]],
  'fs 644 0 0 state/..%2F..%2Fescaped\n',
);
test('a slash in a name', refused, [['state', [['../../escaped', FILE]]]], 'fs 644 0 0 state/../../escaped\n');
test('an absolute path', refused, [['state', [['f', FILE]]]], 'fs 644 0 0 /tmp/escaped\n');
test('a path in no root', refused, [['escaped', FILE]], 'fs 644 0 0 escaped\n');
test('an escaped NUL in a name', refused, [['state', [['a%00b', FILE]]]], 'fs 644 0 0 state/a%00b\n');
test(
  'a file below a symlink',
  refused,
  [
    [
      'state',
      [
        ['l', link('..')],
        ['l', [['escaped', FILE]]],
      ],
    ],
  ],
  'ls 777 0 0 state/l\nfs 644 0 0 state/l/escaped\n',
);
test(
  'a symlink over a folder that holds files',
  refused,
  [
    [
      'state',
      [
        ['d', [['f', FILE]]],
        ['%64', link('/tmp')],
      ],
    ],
  ],
  'fs 644 0 0 state/d/f\nls 777 0 0 state/%64\n',
);
test(
  'the same name twice',
  refused,
  [
    [
      'state',
      [
        ['f', FILE],
        ['f', FILE],
      ],
    ],
  ],
  'fs 644 0 0 state/f\n',
);
test(
  'one name in two spellings',
  refused,
  [
    [
      'state',
      [
        ['f', FILE],
        ['%66', FILE],
      ],
    ],
  ],
  'fs 644 0 0 state/f\nfs 644 0 0 state/%66\n',
);
test(
  'a file without attributes',
  refused,
  [
    [
      'state',
      [
        ['f', FILE],
        ['g', FILE],
      ],
    ],
  ],
  'fs 644 0 0 state/f\n',
);
test('attributes without a file', refused, [['state', [['f', FILE]]]], 'fs 644 0 0 state/f\nfs 644 0 0 state/g\n');
test('an entry that is a file here and a link there', refused, [['state', [['f', FILE]]]], 'ls 777 0 0 state/f\n');
test('a gitlink', refused, [['state', [['f', { mode: '160000', content: 'x' }]]]], 'fs 644 0 0 state/f\n');
test('a symlink without a target', refused, [['state', [['l', link('')]]]], 'ls 777 0 0 state/l\n');

test('two hundred folders in one another are restored', async (t) => {
  const agent = await makeOneAgent(t);
  await publishCrafted(agent.open, [['state', deep(200)]], `fs 644 0 0 state/${'d/'.repeat(200)}f\n`);
  const dir = await restore(agent);
  t.is(readFileSync(join(dir, 'state', 'd/'.repeat(200), 'f'), 'utf8'), 'x');
});

test('hard links between the roots are restored as one file', async (t) => {
  const agent = await makeOneAgent(t);
  await publishCrafted(
    agent.open,
    [
      ['state', [['f', FILE]]],
      ['roots', [['1', [['g', FILE]]]]],
    ],
    'fs 644 0 7 state/f\nfs 644 0 7 roots/1/g\n',
  );
  const dir = await restore(agent);
  writeFileSync(join(dir, 'state/f'), 'changed');
  t.is(readFileSync(join(dir, 'roots/1/g'), 'utf8'), 'changed');
});

test('names that differ only in case are two files where the file system can tell them apart', async (t) => {
  const agent = await makeOneAgent(t);
  await publishCrafted(
    agent.open,
    [
      [
        'state',
        [
          ['F', FILE],
          ['f', FILE],
        ],
      ],
    ],
    'fs 644 0 0 state/F\nfs 644 0 0 state/f\n',
  );
  const dir = await restore(agent);
  t.deepEqual(readdirSync(join(dir, 'state')).toSorted(), ['F', 'f']);
});
