// Remotes and bundles, as a user's shell sees them.

import { mkdir, mkdtemp, readdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
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

test('a machine that was replaced is told so, and what to do', async (t) => {
  const { json, text, write, run } = await makeAgentMachine(t, FILES);
  const dir = await makeFolder(t);
  const url = `file://${dir}/remote`;
  await text(['remote', 'add', 'origin', url]);
  await text(['push']);
  const away = ['--home', path.join(dir, 'away')];
  const secret = { env: { MOLT_PASSPHRASE: 'first' } };
  await text([...away, 'clone', url, 'bot', '--state', path.join(dir, 'twin')], secret);
  await text([...away, 'restore', 'bot']);
  await writeFile(path.join(dir, 'twin/MEMORY.md'), 'tea: white\n');
  await text([...away, 'commit']);
  t.regex(await text([...away, 'push']), /the incarnation of main [0-9a-f]{7,} \(new\)/);
  await write('MEMORY.md', 'tea: black\n');
  await text(['commit']);
  const refused = await run(['push']);
  t.is(refused.status, 15);
  t.regex(
    refused.stderr,
    /^molt: branch main was restored elsewhere since bot was \(incarnation 2, by a restore in place, /,
  );
  t.regex(refused.stderr, /hint: molt switch bot --create NEW keeps what was saved here/);
  const error = JSON.parse((await run(['push', '--json'])).stderr).error;
  t.like(error, { code: 'FENCED' });
  t.is((await run(['pull'])).status, 15);
  t.regex(await text(['status']), /Restored elsewhere since: main is in incarnation 2 of /);
  t.like(await json(['status']), { incarnation: 1, fencedBy: { number: 2, why: 'in-place' } });
  t.is((await run(['push', '--all'])).status, 15);
  // The hint, word for word.
  await text(['switch', 'bot', '--create', 'kept']);
  t.like((await json(['push'])).refs, [{ name: 'refs/heads/kept', from: null }]);
  await text(['switch', 'bot', 'main']);
  t.regex(await text(['pull']), /main is now at [0-9a-f]+, as there; what it was is on another branch/);
  t.like(await json(['restore', '--in-place']), { mode: 'in-place' });
  await text(['push']);
  t.like(await json(['status']), { incarnation: 3 });
  t.is((await json(['status'])).fencedBy, undefined);
  t.is((await run([...away, 'push', '--force-check'])).status, 15);
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
  await json([...away, 'clone', url, 'twin', '--state', path.join(dir, 'twin/state')], secret);
  t.regex((await run([...away, 'status'])).stderr, /molt restore AGENT --in-place/);
  // Not where it lives: that would make it the one that goes on.
  await json([...away, 'restore', 'twin', '--to', path.join(dir, 'twin')]);
  await writeFile(path.join(dir, 'twin/state/MEMORY.md'), 'tea: white\n');
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

test('the agent may be the first word of push, fetch and pull', async (t) => {
  const { json, run } = await makeAgentMachine(t, FILES);
  const dir = await makeFolder(t);
  await json(['remote', 'add', 'origin', `file://${dir}/remote`, '-a', 'bot']);
  await json(['restore', 'bot', '--target', 'twin', '--no-start']);
  t.like(await json(['push', 'bot']), { agent: 'bot', remote: 'origin' });
  t.like(await json(['push', 'twin', 'origin']), { agent: 'twin', remote: 'origin' });
  t.like(await json(['fetch', 'bot']), { remote: 'origin' });
  t.like(await json(['pull', 'bot', 'origin']), { outcome: 'up-to-date' });
  t.like(await run(['push', 'bot', 'origin', 'more']), { status: 2 });
});

test('of several agents, restore means the one whose folder is gone; a group of commands has a help', async (t) => {
  const { json, run, text, stateDir } = await makeAgentMachine(t, FILES);
  await json(['restore', 'bot', '--target', 'twin', '--no-start']);
  t.like(await run(['restore', 'latest']), { status: 2 });
  await rm(stateDir, { recursive: true });
  t.like(await json(['restore', 'latest']), { agent: 'bot', mode: 'in-place', files: { removed: 0 } });
  t.regex(await text(['pod', '--help']), /pod start/);
});

test('where the repository of this machine is gone, a restore reads a remote, or says how it comes back', async (t) => {
  const { json, run, home, stateDir } = await makeAgentMachine(t, FILES);
  const dir = await makeFolder(t);
  const url = `file://${dir}/remote`;
  await json(['remote', 'add', 'origin', url]);
  await json(['push']);
  await rm(path.join(home, '.molt/repositories'), { recursive: true });
  const refused = await run(['restore', 'bot', '--in-place']);
  t.is(refused.status, 10);
  t.true(refused.stderr.includes(`molt clone ${url} bot --state ${stateDir}`), refused.stderr);
  const out = path.join(dir, 'out');
  const { stderr } = await run(['restore', 'bot', '--to', out]);
  t.regex(stderr, /the repository on this machine is gone: origin \(file:.*\) is read instead/);
  t.is(
    await readFile(path.join(out, 'state/MEMORY.md'), 'utf8'),
    await readFile(path.join(stateDir, 'MEMORY.md'), 'utf8'),
  );
});

test('a share that is not mounted is told from an empty remote, and nothing is made in its place', async (t) => {
  const { json, run } = await makeAgentMachine(t, FILES);
  const dir = await makeFolder(t);
  const mount = path.join(dir, 'mount');
  await mkdir(mount);
  // Below the mount point, and the mount point itself.
  const urls = [`file://${mount}/deep/remote`, `file://${dir}/share`];
  await json(['remote', 'add', 'deep', urls[0] ?? '']);
  await json(['remote', 'add', 'share', urls[1] ?? '']);
  t.like(await json(['push', '--all']), { copies: 2 });
  await rename(mount, `${mount}.off`);
  await mkdir(mount);
  await rename(path.join(dir, 'share'), path.join(dir, 'share.off'));
  await mkdir(path.join(dir, 'share'));
  const away = ['--home', path.join(dir, 'away')];
  const url = urls[0] ?? '';
  for (const words of [
    ['push', 'deep', '--force-check'],
    ['fetch', 'deep'],
    ['pull', 'deep'],
    ['verify', '--remote', 'deep'],
    [...away, 'clone', url, 'twin'],
    [...away, 'restore', '--from', url, '--to', path.join(dir, 'back')],
    [...away, 'agents', '--remote', url],
  ]) {
    const { status, stderr } = await run(words);
    t.is(status, 14, words.join(' '));
    t.regex(stderr, /can't be reached: there is no folder \S+\/mount\/deep\/remote\nhint: .*mount that and try again/);
  }
  const emptied = await run(['push', 'share', '--force-check']);
  t.is(emptied.status, 13);
  t.regex(emptied.stderr, /share lost what it had: it is empty now\nhint: what is here is safe/);
  t.deepEqual([await readdir(mount), await readdir(path.join(dir, 'share'))], [[], []]);
  await rm(mount, { recursive: true });
  await rename(`${mount}.off`, mount);
  await rm(path.join(dir, 'share'), { recursive: true });
  await rename(path.join(dir, 'share.off'), path.join(dir, 'share'));
  t.like(await json(['push', '--all', '--force-check']), { copies: 2 });
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
