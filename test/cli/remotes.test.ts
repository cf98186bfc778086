// Remotes and bundles, as a user's shell sees them.

import { mkdtemp, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { makeAgentMachine } from './agent.ts';

const FILES = { 'MEMORY.md': 'tea: green\n', 'work/plan.md': 'one\n' };

async function makeFolder(t: ExecutionContext): Promise<string> {
  const dir = await realpath(await mkdtemp(path.join(tmpdir(), 'molt-cli-')));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

test('a folder becomes a remote, is pushed to, cloned from on another machine, and forgotten', async (t) => {
  const { json, text, write, run } = await makeAgentMachine(t, FILES);
  const dir = await makeFolder(t);
  const url = `file://${dir}/remote`;
  t.is((await run(['push'])).status, 1);
  t.regex((await run(['push'])).stderr, /has no remote yet\nhint: molt remote add NAME URL/);
  const report = await text(['remote', 'add', 'origin', url]);
  t.regex(report, /Create-once +enforced/);
  t.regex(report, /added remote origin/);
  t.like(await json(['remote', 'list']), [{ name: 'origin', url, createOnce: 'conditional' }]);
  const pushed = await json(['push']);
  t.like(pushed, { agent: 'bot', remote: 'origin' });
  t.like(pushed.refs[0], { name: 'refs/heads/main', from: null });
  await write('MEMORY.md', 'tea: black\n');
  const { id } = await json(['commit']);
  t.like((await json(['status'])).remotes, [{ name: 'origin', ahead: 1, behind: 0 }]);
  t.like(await json(['push']), { requests: { put: 1, get: 0, list: 0, head: 0, delete: 0 } });
  t.regex(await text(['push']), /^pushed to origin: nothing to send \(0 requests, /);
  t.like((await json(['status'])).remotes, [{ name: 'origin', ahead: 0, behind: 0 }]);
  t.regex(await text(['status']), /origin +up to date +newest backup there: /);
  t.deepEqual((await json(['verify', '--remote', 'origin', '--read-data'])).problems, []);
  const away = ['--home', path.join(dir, 'away')];
  const secret = { env: { MOLT_PASSPHRASE: 'first' } };
  t.like(await json([...away, 'agents', '--remote', url], secret), [{ agent: 'bot', branch: 'main', head: id }]);
  const back = path.join(dir, 'back');
  t.like(await json([...away, 'restore', '--from', url, '--to', back], secret), { commit: id });
  t.is(await readFile(path.join(back, 'state/MEMORY.md'), 'utf8'), 'tea: black\n');
  const cloned = await json([...away, 'clone', url, 'twin', '--state', path.join(dir, 'twin')], secret);
  t.like(cloned, { agent: 'twin', branch: 'main', commit: id, commits: 2 });
  t.like(await json([...away, 'restore', 'twin']), { mode: 'in-place' });
  t.is(await readFile(path.join(dir, 'twin/MEMORY.md'), 'utf8'), 'tea: black\n');
  t.like(await json([...away, 'pull']), { outcome: 'up-to-date' });
  await text([...away, 'agent', 'remove', 'twin', '--repository', '--yes']);
  const anew = await json([...away, 'clone', url, 'twin', '--state', path.join(dir, 'twin')], secret);
  t.like(anew, { agent: 'twin', commit: id });
  t.like(await json(['remote', 'remove', 'origin']), { name: 'origin', removed: true });
  t.deepEqual(await json(['remote', 'list']), []);
});

test('a push to all remotes names what a merge kept side by side, and the files that stay', async (t) => {
  const { json, write, run } = await makeAgentMachine(t, FILES);
  const dir = await makeFolder(t);
  const url = `file://${dir}/remote`;
  await json(['remote', 'add', 'origin', url]);
  await json(['push']);
  const away = ['--home', path.join(dir, 'away')];
  const secret = { env: { MOLT_PASSPHRASE: 'first' } };
  const asked = await run([...away, 'clone', url]);
  t.regex(asked.stderr, /a passphrase is needed for the agent in file:/);
  await json([...away, 'clone', url, 'twin', '--state', path.join(dir, 'twin')], secret);
  t.regex((await run([...away, 'status'])).stderr, /molt restore AGENT --in-place/);
  await json([...away, 'restore', 'twin']);
  await writeFile(path.join(dir, 'twin/MEMORY.md'), 'tea: white\n');
  await json([...away, 'commit']);
  await json([...away, 'push']);
  await write('MEMORY.md', 'tea: black\n');
  await json(['commit']);
  const { status, stdout, stderr } = await run(['push', '--all']);
  t.is(status, 0);
  t.regex(
    stdout,
    /1 path changed on both sides\n {2}state\/MEMORY\.md: changed on both sides; theirs is state\/MEMORY\.md\.theirs-/,
  );
  t.regex(stderr, /the next commit saves them as they are: molt restore bot --in-place/);
  t.regex((await run(['verify', '--extend-locks'])).stderr, /--extend-locks needs --remote NAME/);
  t.regex(
    (await run(['import', 'nowhere.molt'])).stderr,
    /there is no file "nowhere\.molt"|there is no file ".*nowhere\.molt"/,
  );
});

test('a bundle goes to another machine, whole, then what followed', async (t) => {
  const { json, text, write, run } = await makeAgentMachine(t, FILES);
  const dir = await makeFolder(t);
  const whole = path.join(dir, 'whole.molt');
  t.like(await json(['export', '-o', whole]), { file: whole, commits: 1 });
  t.is((await stat(whole)).mode & 0o777, 0o600);
  const again = await run(['export', '-o', whole]);
  t.is(again.status, 1);
  t.regex(again.stderr, /is there already/);
  await write('work/plan.md', 'two\n');
  const { id } = await json(['commit']);
  const more = path.join(dir, 'more.molt');
  t.like(await json(['export', '--since', 'HEAD~1', '-o', more]), { commits: 1 });
  const away = ['--home', path.join(dir, 'away')];
  const secret = { env: { MOLT_PASSPHRASE: 'first' } };
  t.is((await run([...away, 'import', more], secret)).status, 1);
  t.like(await json([...away, 'import', whole, '--as', 'moved'], secret), { agent: 'moved', isNew: true, commits: 1 });
  t.like(await json([...away, 'import', more], secret), { agent: 'moved', isNew: false, commits: 1 });
  t.is((await json([...away, 'log', 'moved']))[0].id, id);
  t.regex(await text([...away, 'import', more]), /moved: 0 new commits/);
});
