// Lines of history and names of agents, as a user's shell sees them.

import { access, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { addAgent, makeAgentMachine } from './agent.ts';

const FILES = { 'MEMORY.md': 'tea: green\n', 'work/plan.md': 'one\n' };

test('after a switch the next commit goes onto the branch, and the files of the agent stay as they were', async (t) => {
  const { json, text, write, stateDir } = await makeAgentMachine(t, FILES);
  const [first] = await json(['log']);
  await write('MEMORY.md', 'tea: black\n');
  const { id: onMain } = await json(['commit']);
  const switched = await json(['switch', '--create', 'calm', 'HEAD~1']);
  t.like(switched, { agent: 'bot', name: 'calm', from: 'main', commit: first.id, created: true, agents: ['bot'] });
  t.is(await readFile(path.join(stateDir, 'MEMORY.md'), 'utf8'), 'tea: black\n');
  // Nothing of the live state moved, so against the older commit it differs as it did before main had it.
  t.like(await json(['status']), {
    branch: 'calm',
    head: first.id,
    changed: [{ path: 'state/MEMORY.md', change: 'modified' }],
  });
  t.like(await json(['diff']), [{ path: 'state/MEMORY.md', change: 'modified' }]);
  const onCalm = await json(['commit']);
  t.like(onCalm, { parent: first.id, unchanged: false, files: { modified: 1, added: 0, removed: 0, kept: 1 } });
  t.deepEqual(
    (await json(['log'])).map(({ id }: { id: string }) => id),
    [onCalm.id, first.id],
  );
  t.deepEqual(
    (await json(['log', 'main'])).map(({ id }: { id: string }) => id),
    [onMain, first.id],
  );
  const back = await text(['switch', 'main']);
  t.true(back.includes('its files are as they were; the next commit saves them onto main, after'));
  t.like(await json(['commit']), { id: onMain, unchanged: true });
  await write('MEMORY.md', 'tea: white\n');
  t.like(await json(['commit']), { parent: onMain });
});

test('what only a deleted branch had is found by no time and in no list any more', async (t) => {
  const { json, text, write } = await makeAgentMachine(t, FILES);
  const [first] = await json(['log']);
  await text(['switch', '-c', 'wrong']);
  await write('MEMORY.md', 'tea: none\n');
  const { id } = await json(['commit']);
  t.is((await json(['show', 'bot@{now}'])).id, id);
  await text(['switch', 'main']);
  await text(['branch', '--delete', '--force', 'wrong']);
  t.is((await json(['show', 'bot@{now}'])).id, first.id);
  t.deepEqual(
    (await json(['backup', 'list', '--all'])).map((entry: { id: string }) => entry.id),
    [first.id],
  );
});

test('a file that changed and came back between switches is compared with the branch that the agent is on', async (t) => {
  const { json, text, write } = await makeAgentMachine(t, FILES);
  await text(['switch', '-c', 'other']);
  await write('work/plan.md', 'two\n');
  await json(['commit']);
  await text(['switch', 'main']);
  t.like(await json(['status']), { changed: [{ path: 'state/work/plan.md', change: 'modified' }] });
  await write('work/plan.md', 'one\n');
  t.like(await json(['status']), { changed: [] });
  await text(['switch', 'other']);
  t.like(await json(['status']), { changed: [{ path: 'state/work/plan.md', change: 'modified' }] });
  t.is(await text(['cat', 'other:work/plan.md']), 'two\n');
  t.is(await text(['cat', 'main:work/plan.md']), 'one\n');
  t.like(await json(['diff', 'main', 'other']), [{ path: 'state/work/plan.md', change: 'modified' }]);
});

test('branch lists, makes and removes branches, and gives up no commit by accident', async (t) => {
  const { json, text, write, run } = await makeAgentMachine(t, FILES);
  const [first] = await json(['log']);
  t.like(await json(['branch', 'bot', 'a/b']), { name: 'a/b', commit: first.id, current: false, agents: [] });
  t.like(await json(['branch']), [
    { name: 'a/b', current: false },
    { name: 'main', current: true, agents: ['bot'] },
  ]);
  t.like(await json(['branch', '--delete', 'a/b']), { name: 'a/b', commit: first.id, deleted: true });
  await text(['switch', '-c', 'risky']);
  await write('MEMORY.md', 'x\n');
  const { id } = await json(['commit']);
  const refuses = async (line: string[], status: number, message: string): Promise<void> => {
    const result = await run(line);
    t.is(result.status, status, line.join(' '));
    t.true(result.stderr.includes(message), result.stderr);
  };
  await refuses(['branch', '-d', 'risky'], 1, 'agent "bot" is on branch "risky"');
  await text(['switch', 'main']);
  await refuses(['branch', '-d', 'risky'], 1, 'branch "risky" has commits that no other branch has');
  await text(['branch', 'copy', 'risky']);
  await text(['branch', '-d', 'risky']);
  t.like(await json(['branch', '-d', '--force', 'copy']), { commit: id });
  t.like(await json(['show', id]), { id });
  await refuses(['branch', 'main'], 1, 'there is a branch "main" already');
  await refuses(['branch', 'main/x'], 1, 'there can\'t be a branch "main/x" beside the branch "main"');
  await refuses(['branch', 'bot', 'bot'], 2, '"bot" can\'t be a branch\'s name: it is that of an agent');
  await refuses(['branch', 'a..b'], 2, '"a..b" can\'t be a branch\'s name');
  await refuses(['branch', '-d', 'mian'], 1, 'there is no branch "mian"; there is main\nhint: did you mean main');
  await refuses(['switch', 'nothing'], 1, 'to begin one: molt switch --create nothing');
  await text(['tag', 'v1']);
  await refuses(['switch', 'v1'], 1, '"v1" is a tag; to begin a branch there: molt switch --create NEW v1');
  await refuses(['tag', 'full'], 1, 'there can\'t be a tag "full" beside the tag "full/');
  await refuses(['switch'], 2, 'switch needs NAME');
  await refuses(['switch', 'main', 'HEAD'], 2, "switch takes 'HEAD' only with --create");
});

test('a tag says what was said of it, and is one of Git’s', async (t) => {
  const { json, text, home } = await makeAgentMachine(t, FILES);
  t.like(await json(['tag', 'v1', '-m', 'the good one\n\nreally']), {
    name: 'v1',
    annotation: 'the good one\n\nreally',
  });
  await text(['tag', 'v2']);
  t.deepEqual(
    (await json(['tag'])).map(({ name, annotation }: Record<string, string>) => [name?.split('/')[0], annotation]),
    [
      ['full', ''],
      ['v1', 'the good one\n\nreally'],
      ['v2', ''],
    ],
  );
  t.regex(await text(['tag']), /^v1 .* the good one$/m);
  await text(['export', '--git', path.join(home, 'git')]);
  t.true((await readFile(path.join(home, 'git/packed-refs'), 'utf8')).includes('refs/tags/v1\n^'));
});

test('an agent can be renamed, and goes on where it was', async (t) => {
  const { json, run, home, write } = await makeAgentMachine(t, FILES);
  const { id } = await json(['commit']);
  t.like(await json(['agent', 'rename', 'bot', 'heron']), { agent: 'heron', from: 'bot', branch: 'main' });
  t.deepEqual(await readdir(path.join(home, '.molt/agents')), ['heron.json']);
  // The stat cache went along, and the new name is saved, since pod.json holds it.
  const named = await json(['commit', 'heron']);
  t.like(named, { parent: id, bytes: { read: 0 }, files: { kept: 2, modified: 0 } });
  await write('MEMORY.md', 'x\n');
  t.like(await json(['commit', 'heron']), { parent: named.id });
  t.is((await json(['log', 'heron'])).length, 3);
  t.is((await json(['show', 'heron@{now}'])).agent, 'heron');
  const gone = await run(['log', '-a', 'bot']);
  t.is(gone.status, 1);
  t.true(gone.stderr.includes('there is no agent "bot"; there is heron'));
  t.like(await run(['agent', 'rename', 'heron', 'heron']), { status: 1 });
  t.like(await run(['agent', 'rename', 'heron', '../x']), { status: 2 });
});

test('an agent that was never committed here can be renamed, and its pod knows it by the new name', async (t) => {
  const { json, home } = await makeAgentMachine(t, FILES);
  const started = ['restore', 'bot', '--target', 'twin', '--no-start'];
  await json(started);
  await json(['agent', 'rename', 'twin', 'heron']);
  t.like((await json(['pod', 'list']))[0], { name: 'twin', agent: 'heron', state: 'stopped' });
  t.like(await json(['restore', 'heron', '--in-place']), {
    agent: 'heron',
    dir: path.join(home, '.molt/pods/twin/gen-1/state'),
  });
});

test('what was restored in place can be undone under the new name, and not by another agent of the old one', async (t) => {
  const { json, run, home, stateDir, write } = await makeAgentMachine(t, FILES);
  const notes = path.join(home, '.molt/restores');
  await json(['commit']);
  await write('MEMORY.md', 'later\n');
  await json(['restore', 'bot', '--in-place']);
  await json(['agent', 'rename', 'bot', 'heron']);
  t.deepEqual(await readdir(notes), ['heron.json']);
  await json(['restore', 'heron', '--undo']);
  t.is(await readFile(path.join(stateDir, 'MEMORY.md'), 'utf8'), 'later\n');
  await json(['agent', 'remove', 'heron', '--yes']);
  t.deepEqual(await readdir(notes), []);
  await addAgent(home, 'heron', stateDir);
  const undo = await run(['restore', 'heron', '--undo']);
  t.is(undo.status, 1);
  t.true(undo.stderr.includes('nothing was restored in place for heron'), undo.stderr);
});

test('an agent that is removed leaves its backups, which another name leads to', async (t) => {
  const { json, run, text, stateDir, write } = await makeAgentMachine(t, FILES);
  const { id } = await json(['commit']);
  const asked = await run(['agent', 'remove', 'bot']);
  t.is(asked.status, 2);
  t.true(asked.stderr.includes('goes:  the name bot') && asked.stderr.includes('stays: the repository'), asked.stderr);
  const removed = await json(['agent', 'remove', 'bot', '--yes']);
  t.like(removed, { agent: 'bot', removesRepository: false, others: [] });
  t.deepEqual(await json(['agents']), []);
  t.true((await run(['agents'])).stderr.includes(`repository ${removed.repository.slice(0, 8)} belongs to no agent`));
  const back = ['agent', 'add', 'heron', '--repository', removed.repository.slice(0, 8), '--state', stateDir];
  t.like(await run([...back, '--branch', 'none']), { status: 1, stdout: '' });
  t.like(await json(back), { agent: 'heron', repository: removed.repository, branch: 'main' });
  await write('MEMORY.md', 'x\n');
  t.like(await json(['commit']), { parent: id });
  t.is(await text(['cat', 'HEAD:MEMORY.md']), 'x\n');
  t.true((await run(back.with(2, 'twin'))).stderr.includes('agent "heron" is on branch "main" of that repository'));
});

test('a repository goes only with its last agent, and never the folder that the agent lives in', async (t) => {
  const { json, run, home, stateDir, text } = await makeAgentMachine(t, FILES);
  const other = path.join(home, 'other');
  await mkdir(other);
  await writeFile(path.join(other, 'x.md'), 'x\n');
  await addAgent(home, 'other', other);
  const [{ repository }] = await json(['agents']);
  await text(['branch', 'bot', 'twin-line']);
  await text(['agent', 'add', 'twin', '--repository', repository, '--state', other, '--branch', 'twin-line']);
  const shared = await run(['agent', 'remove', 'bot', '--repository', '--yes']);
  t.is(shared.status, 1);
  t.true(shared.stderr.includes('the repository of agent "bot" is also that of twin'), shared.stderr);
  const taken = await run(['switch', 'twin', 'main']);
  t.is(taken.status, 1);
  t.true(taken.stderr.includes('agent "bot" is on branch "main"'), taken.stderr);
  await text(['agent', 'remove', 'twin', '--yes']);
  t.like(await json(['agent', 'remove', 'bot', '--repository', '--yes']), { removesRepository: true });
  t.is((await readdir(path.join(home, '.molt/repositories'))).length, 1);
  t.is(await readFile(path.join(stateDir, 'MEMORY.md'), 'utf8'), FILES['MEMORY.md']);
  await t.notThrowsAsync(access(path.join(other, 'x.md')));
  t.is((await json(['log', 'other'])).length, 1);
});
