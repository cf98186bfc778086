// Saving and reading history, as a user's shell sees it.

import { copyFile, chmod, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import test from 'ava';
import { addAgent, makeAgentMachine } from './agent.ts';

const FILES = {
  'MEMORY.md': 'tea: green\n',
  'work/plan.md': 'one\ntwo\nthree\n',
  'work/old.md': 'keep me\n',
  'state/inner.txt': 'inner\n',
};

test('commit saves what changed, and an unchanged agent makes no commit', async (t) => {
  const { write, json, text } = await makeAgentMachine(t, FILES);
  await write('work/new.md', 'new\n');
  await write('MEMORY.md', 'tea: black\n');
  const made = await json(['commit', '-m', 'changed my mind']);
  t.like(made, {
    agent: 'bot',
    kind: 'incremental',
    unchanged: false,
    files: { added: 1, modified: 1, removed: 0, kept: 3 },
    skipped: [],
  });
  t.regex(made.id, /^[0-9a-f]{40}$/);
  t.true(made.bytes.stored > 0);
  const again = await json(['commit', 'bot']);
  t.like(again, { id: made.id, parent: made.parent, unchanged: true, bytes: { read: 0, stored: 0 } });
  t.is(await text(['commit']), `bot: nothing changed since ${made.id.slice(0, 10)}\n`);
});

test('what another process keeps locked makes a commit partial, and its last version stays', async (t) => {
  const { run, write, stateDir, json } = await makeAgentMachine(t, FILES);
  const database = new DatabaseSync(path.join(stateDir, 'locked.sqlite'));
  t.teardown(() => database.close());
  database.exec('CREATE TABLE t (x)');
  const { id } = await json(['commit']);
  database.exec('PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE; INSERT INTO t VALUES (1)');
  await write('work/plan.md', 'four\n');
  const partial = await run(['commit', '--json']);
  t.is(partial.status, 3);
  t.like(JSON.parse(partial.stdout), {
    parent: id,
    files: { modified: 1 },
    skipped: [{ path: 'state/locked.sqlite', kept: true }],
  });
  t.like(JSON.parse(partial.stderr), { error: { code: 'PARTIAL' } });
  t.deepEqual((await json(['show'])).changed, [
    { path: 'state/work/plan.md', component: 'custom', change: 'modified' },
  ]);
});

test('backup create makes manual, named and full backups even if nothing changed, and backup list shows them', async (t) => {
  const { run, json, text, write } = await makeAgentMachine(t, FILES);
  await write('MEMORY.md', 'tea: black\n');
  await text(['commit', '-m', 'tick']);
  const manual = await json(['backup', 'create']);
  t.regex(manual.tag, /^manual\/\d{8}T\d{6}Z$/);
  const named = await json(['backup', 'create', 'bot', '--name', 'before-upgrade', '-m', 'careful']);
  t.like(named, { kind: 'manual', tag: 'before-upgrade', unchanged: false, parent: manual.id });
  const full = await json(['backup', 'create', '--full']);
  t.like(full, { kind: 'full' });
  const list = await json(['backup', 'list']);
  t.deepEqual(
    list.map(({ kind }: { kind: string }) => kind),
    ['full', 'manual', 'manual', 'full'],
  );
  t.like(list[1], { id: named.id, message: 'careful', tags: ['before-upgrade'], sizeBytes: 39 });
  t.is((await json(['backup', 'list', '--all'])).length, 5);
  t.is((await json(['backup', 'list', '--limit', '1'])).length, 1);
  t.deepEqual(await json(['backup', 'list', '--since', '2150-01-01']), []);
  const lines = (await text(['backup', 'list'])).split('\n');
  t.regex(lines[0] ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \[FULL\] 39B +[0-9a-f]{10}  full backup, no file changed$/);
  t.regex(lines[1] ?? '', / \[MANUAL\] 39B  [0-9a-f]{10}  careful \(before-upgrade\)$/);
  t.regex((await text(['backup', 'list', '--tz', 'Asia/Jakarta'])).split('\n')[0] ?? '', / \+07:00\)$/);
  t.like(await run(['backup', 'create', '--name', 'before-upgrade']), { status: 1, stdout: '' });
  t.like(await run(['backup', 'create', '--name', 'a b']), { status: 2, stdout: '' });
});

test('backups made within one second have names of their own', async (t) => {
  const { json } = await makeAgentMachine(t, FILES);
  const tags = [];
  for (let count = 0; count < 4; count += 1) tags.push((await json(['backup', 'create'])).tag);
  t.is(new Set(tags).size, 4);
});

test('log shows the history newest first, in part or by what changed a path', async (t) => {
  const { write, json, text, run, stateDir } = await makeAgentMachine(t, FILES);
  const ids: string[] = [(await json(['log']))[0].id];
  for (const [file, content] of [
    ['MEMORY.md', 'a\n'],
    ['work/plan.md', 'b\n'],
    ['MEMORY.md', 'c\n'],
  ] as const) {
    await write(file, content);
    ids.unshift((await json(['commit', '-m', `${file} ${content.trim()}`])).id);
  }
  const log = async (...argv: string[]) => (await json(['log', ...argv])).map(({ id }: { id: string }) => id);
  t.deepEqual(await log(), ids);
  t.deepEqual(await log('-n', '2'), ids.slice(0, 2));
  t.deepEqual(await log('-n', '0'), []);
  t.deepEqual(await log('HEAD~2'), ids.slice(2));
  t.deepEqual(await log('bot', 'HEAD~2'), ids.slice(2));
  t.deepEqual(await log('--until', '2001-01-01'), []);
  t.deepEqual(await log('--since', '1 hour ago', '--until', 'now'), ids);
  const withPath = async (...paths: string[]) =>
    JSON.parse(await text(['log', '--json', '--', ...paths])).map(({ id }: { id: string }) => id);
  t.deepEqual(await withPath('work'), [ids[1], ids[3]]);
  t.deepEqual(await withPath('state/work/plan.md'), [ids[1], ids[3]]);
  t.deepEqual(await withPath(path.join(stateDir, 'MEMORY.md')), [ids[0], ids[2], ids[3]]);
  t.deepEqual(await withPath('work/old.md'), [ids[3]]);
  const here = await run(['log', '--json', '--', 'plan.md'], { cwd: path.join(stateDir, 'work') });
  t.is(JSON.parse(here.stdout).length, 2);
  t.like(await run(['log', '--', 'nothing']), { status: 0, stdout: '', stderr: 'no commit changed "nothing"\n' });
  t.like(await run(['log', '--', '/etc/passwd']), { status: 2 });
  const lines = (await text(['log'])).trimEnd().split('\n');
  t.is(lines.length, 4);
  t.regex(lines[0] ?? '', /^[0-9a-f]{10}  \S+Z  incremental +\S+  MEMORY.md c$/);
});

test('a file that was removed can still be found by its path', async (t) => {
  const { json, text, stateDir, run } = await makeAgentMachine(t, FILES);
  await rm(path.join(stateDir, 'work/old.md'));
  const removed = await json(['commit']);
  const { stdout } = await run(['log', '--json', '--', 'work/old.md']);
  t.is(JSON.parse(stdout)[0].id, removed.id);
  t.is(JSON.parse(stdout).length, 2);
  t.is(await text(['cat', 'HEAD~:work/old.md']), FILES['work/old.md']);
});

test('show tells what a commit is and changed, lists folders, and writes files', async (t) => {
  const { json, text, write, run } = await makeAgentMachine(t, FILES);
  await write('MEMORY.md', 'tea: black\n');
  const { id } = await json(['commit', '-m', 'first line\n\nand more']);
  const shown = await text(['show']);
  for (const line of [
    `commit ${id}`,
    'Agent:   bot',
    'Kind:    incremental, by cli',
    '    and more',
    '  custom  modified  state/MEMORY.md',
  ]) {
    t.true(shown.split('\n').includes(line), line);
  }
  t.like(await json(['show', 'bot']), {
    id,
    agent: 'bot',
    changed: [{ path: 'state/MEMORY.md', component: 'custom', change: 'modified' }],
  });
  t.like(await json(['show', 'HEAD:work']), {
    type: 'folder',
    path: 'state/work',
    entries: [{ name: 'old.md', type: 'file', sizeBytes: 8 }, { name: 'plan.md' }],
  });
  t.true((await text(['show', 'HEAD:'])).includes('attributes'));
  t.is(await text(['show', 'HEAD~1:MEMORY.md']), FILES['MEMORY.md']);
  t.like(await json(['cat', 'bot:MEMORY.md']), { path: 'state/MEMORY.md', encoding: 'utf8', content: 'tea: black\n' });
  t.like(await run(['cat', 'HEAD']), { status: 2 });
  t.like(await run(['cat', 'HEAD:work']), {
    status: 2,
    stderr: 'molt: "HEAD:work" is a folder\nhint: molt show HEAD:work lists it\n',
  });
  t.like(await run(['show', 'HEAD:none.md']), { status: 1, stdout: '' });
  const hintOf = async (word: string) => (await run(['cat', word])).stderr.split('hint: ')[1]?.trimEnd();
  t.is(await hintOf('HEAD:work/plna.md'), 'did you mean work/plan.md');
  t.is(await hintOf('HEAD:wrok/plan.md'), 'did you mean work');
  t.is(await hintOf('HEAD:state/work/nothing'), `molt show ${id.slice(0, 10)}:state/work lists what is there`);
});

test('a path means what is there, also where the state folder holds a folder "state"', async (t) => {
  const { text, run } = await makeAgentMachine(t, { ...FILES, 'inner.txt': 'outer\n' });
  t.is(await text(['cat', 'HEAD:state/state/inner.txt']), 'inner\n');
  t.is(await text(['cat', 'HEAD:state/inner.txt']), 'outer\n');
  t.is(await text(['cat', 'HEAD:inner.txt']), 'outer\n');
  t.like(await run(['cat', 'HEAD:../inner.txt']), { status: 2 });
});

test('cat writes bytes as they are', async (t) => {
  const bytes = Buffer.from([0, 255, 27, 91, 10, 195, 40]);
  const { json } = await makeAgentMachine(t, { 'x.bin': bytes });
  t.like(await json(['cat', 'HEAD:x.bin']), { encoding: 'base64', content: bytes.toString('base64'), sizeBytes: 7 });
});

test('names that Git refuses are taken as users write them', async (t) => {
  const { text, write, json } = await makeAgentMachine(t, { 'work/.git/config': '[core]\n' });
  t.is(await text(['cat', 'HEAD:work/.git/config']), '[core]\n');
  t.is(await text(['cat', 'HEAD:work/%2Egit/config']), '[core]\n');
  await write('work/.git/config', '[user]\n');
  t.deepEqual((await json(['status'])).changed, [
    { path: 'state/work/%2Egit/config', component: 'custom', change: 'modified' },
  ]);
  t.true((await text(['status'])).includes('state/work/.git/config\n'));
});

test('diff compares the newest commit with the live agent, and stores nothing', async (t) => {
  const { text, json, write, stateDir } = await makeAgentMachine(t, FILES);
  const before = await json(['log']);
  t.is(await text(['diff']), '');
  await write('work/plan.md', 'one\n2\nthree\n');
  await rename(path.join(stateDir, 'work/old.md'), path.join(stateDir, 'work/moved.md'));
  await rm(path.join(stateDir, 'MEMORY.md'));
  await write('work/new.md', '');
  const changes = await json(['diff']);
  t.deepEqual(
    changes.map(({ path, change, from }: { path: string; change: string; from?: string }) => [change, path, from]),
    [
      ['removed', 'state/MEMORY.md', undefined],
      ['renamed', 'state/work/moved.md', 'state/work/old.md'],
      ['added', 'state/work/new.md', undefined],
      ['modified', 'state/work/plan.md', undefined],
    ],
  );
  t.deepEqual(changes[3].stat, { addedLines: 1, removedLines: 1, beforeBytes: 14, afterBytes: 12 });
  const lines = (await text(['diff', '--', 'work/plan.md'])).split('\n');
  t.deepEqual(lines.slice(1, 8), [
    '--- a/state/work/plan.md',
    '+++ b/state/work/plan.md',
    '@@ -1,3 +1,3 @@',
    ' one',
    '-two',
    '+2',
    ' three',
  ]);
  t.regex(await text(['diff', '--stat']), /^ state\/work\/plan\.md +custom +modified +\+1 +-1 +14B -> 12B$/m);
  t.deepEqual(await json(['diff', '--component', 'skills']), []);
  t.deepEqual(await json(['log']), before);
});

test('a file that moved and changed a little is one change; one that has little in common with another is not', async (t) => {
  const lines = Array.from({ length: 20 }, (_, count) => `line ${count} of the plan\n`);
  const { json, text, write, stateDir } = await makeAgentMachine(t, {
    'work/plan.md': lines.join(''),
    'work/old.md': 'nothing like it\n',
  });
  await rm(path.join(stateDir, 'work/plan.md'));
  await rm(path.join(stateDir, 'work/old.md'));
  await write('later/plan.md', lines.with(3, 'changed\n').join(''));
  await write('later/new.md', 'something else entirely\n');
  const expected = [
    ['added', 'state/later/new.md', undefined],
    ['renamed', 'state/later/plan.md', 'state/work/plan.md'],
    ['removed', 'state/work/old.md', undefined],
  ];
  const shape = (changes: readonly { change: string; path: string; from?: string }[]) =>
    changes.map(({ change, path, from }) => [change, path, from]);
  const live = await json(['diff']);
  t.deepEqual(shape(live), expected);
  t.like(live[1].stat, { addedLines: 1, removedLines: 1 });
  await text(['commit']);
  t.deepEqual(shape(await json(['diff', 'HEAD~', 'HEAD'])), expected);
  t.deepEqual(shape((await json(['show'])).changed), expected);
  const shown = await text(['diff', 'HEAD~', 'HEAD', '--', 'work/plan.md', 'later/plan.md']);
  for (const line of [
    'rename from state/work/plan.md',
    'rename to state/later/plan.md',
    '-line 3 of the plan',
    '+changed',
  ])
    t.true(shown.split('\n').includes(line), line);
});

test('diff of two commits, and of one with the live agent, needs no cache', async (t) => {
  const { json, write, home } = await makeAgentMachine(t, FILES);
  await write('MEMORY.md', 'a\n');
  await json(['commit']);
  await rm(path.join(home, '.molt/cache'), { recursive: true });
  const change = { path: 'state/MEMORY.md', component: 'custom', change: 'modified' };
  t.like(await json(['diff', 'HEAD~', 'HEAD']), [change]);
  t.like(await json(['diff', 'HEAD~']), [change]);
  t.deepEqual(await json(['diff']), []);
});

test('a database in use is compared by what a commit would save', async (t) => {
  const { json, stateDir, write } = await makeAgentMachine(t, FILES);
  const database = new DatabaseSync(path.join(stateDir, 'memory.sqlite'));
  t.teardown(() => database.close());
  database.exec('PRAGMA journal_mode=WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)');
  await json(['commit']);
  t.deepEqual((await json(['status'])).changed, []);
  database.exec('INSERT INTO t VALUES (2)');
  t.deepEqual((await json(['status'])).changed, [
    { path: 'state/memory.sqlite', component: 'custom', change: 'modified' },
  ]);
  await write('MEMORY.md', 'x\n');
  const [, diff] = await json(['diff']);
  t.like(diff, { path: 'state/memory.sqlite', stat: { omitted: 'sqlite' } });
});

test('status tells what changed, also permissions alone, and agrees with commit', async (t) => {
  const { json, text, stateDir } = await makeAgentMachine(t, FILES);
  t.true((await text(['status'])).includes('Nothing changed since then.'));
  await chmod(path.join(stateDir, 'MEMORY.md'), 0o600);
  t.like(await json(['status']), { changed: [], attributesChanged: 1 });
  t.true((await text(['status'])).includes('1 path differs only in times or permissions.'));
  t.like(await json(['commit']), { unchanged: false });
  await mkdir(path.join(stateDir, 'empty'));
  t.true((await json(['status'])).attributesChanged > 0);
  await json(['commit']);
  const { head, changed, attributesChanged, components, remotes } = await json(['status']);
  t.deepEqual({ changed, attributesChanged, remotes }, { changed: [], attributesChanged: 0, remotes: [] });
  t.is(head, (await json(['log', '-n', '1']))[0].id);
  t.deepEqual(components.at(-1), { name: 'custom', files: 4, sizeBytes: 39 });
});

test('status --max-age fails when the newest backup is older, until a commit has looked again', async (t) => {
  const { run, text, json } = await makeAgentMachine(t, FILES);
  await text(['status', '--max-age', '1h']);
  const old = await run(['status', '--max-age', '0s', '--json']);
  t.is(old.status, 4);
  t.like(JSON.parse(old.stdout), { agent: 'bot' });
  t.like(JSON.parse(old.stderr), { error: { code: 'TOO_OLD' } });
  const { checkedTime } = await json(['status']);
  t.true((await json(['commit'])).unchanged);
  t.true((await json(['status'])).checkedTime > checkedTime);
  t.like(await run(['status', '--max-age', 'soon']), { status: 2, stdout: '' });
});

test('tag names a moment, lists names, and removes them', async (t) => {
  const { run, json, text, write } = await makeAgentMachine(t, FILES);
  const [first] = await json(['log']);
  await write('MEMORY.md', 'x\n');
  const { id } = await json(['commit']);
  t.like(await json(['tag', 'now']), { name: 'now', commit: id });
  t.like(await json(['tag', 'start', 'HEAD~']), { name: 'start', commit: first.id });
  t.like(await json(['show', 'start']), { id: first.id });
  t.deepEqual((await json(['tag'])).map(({ name }: { name: string }) => name).slice(0, 1), ['now']);
  t.like(await run(['tag', 'now']), { status: 1, stdout: '' });
  t.like(await run(['tag', 'HEAD']), { status: 2, stdout: '' });
  t.like(await json(['tag', '-d', 'now']), { name: 'now', commit: id, deleted: true });
  t.like(await run(['tag', '-d', 'now']), { status: 1, stdout: '' });
  t.false((await text(['tag'])).includes('now '));
});

test('the first word may name the agent, and a word with two meanings is refused', async (t) => {
  const { home, json, run } = await makeAgentMachine(t, FILES);
  const other = path.join(home, 'other-state');
  await mkdir(other);
  await writeFile(path.join(other, 'x.md'), 'x\n');
  await symlink('x.md', path.join(other, 'link'));
  await addAgent(home, 'other', other);
  t.deepEqual(
    (await json(['agents'])).map(({ agent }: { agent: string }) => agent),
    ['bot', 'other'],
  );
  t.like(await run(['log']), { status: 2, stdout: '' });
  t.is((await json(['log', 'bot'])).length, 1);
  t.is((await json(['log'], { cwd: other }))[0].id, (await json(['log', '-a', 'other']))[0].id);
  t.like(await json(['cat', 'other:link']), { type: 'symlink', content: 'x.md' });
  t.like(await json(['show', 'other@{now}']), { agent: 'other' });
  t.like(await run(['show', '-a', 'bot', 'other']), { status: 1 });
  t.like(await json(['tag', 'bot', 'late', 'HEAD']), { name: 'late' });
  t.deepEqual(
    (await json(['tag', 'bot'])).map(({ name }: { name: string }) => name.split('/')[0]),
    ['full', 'late'],
  );
  const agents = path.join(home, '.molt', 'agents');
  await copyFile(path.join(agents, 'bot.json'), path.join(agents, 'late.json'));
  const twice = await run(['log', 'late']);
  t.is(twice.status, 2);
  t.true(twice.stderr.includes('agent "late", tag "late"'));
  t.is((await json(['log', '-a', 'late'])).length, 1);
});

test('a tag can’t be called like an agent', async (t) => {
  const { run } = await makeAgentMachine(t, FILES);
  for (const line of [
    ['tag', '-a', 'bot', 'bot'],
    ['backup', 'create', '--name', 'bot'],
  ]) {
    const { status, stderr } = await run(line);
    t.is(status, 2);
    t.true(stderr.includes('"bot" can\'t be a tag\'s name: it is that of an agent'));
  }
});

test('the damaged file of one agent keeps no other from being used', async (t) => {
  const { home, run } = await makeAgentMachine(t, FILES);
  await writeFile(path.join(home, '.molt', 'agents', 'other.json'), '{');
  t.like(await run(['log', 'bot']), { status: 0 });
  const { status, stderr } = await run(['log', 'other']);
  t.is(status, 13);
  t.true(stderr.includes('agents/other.json'));
});
