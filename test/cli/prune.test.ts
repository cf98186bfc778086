// molt prune, as a user's shell sees it.

import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { makeAgentMachine } from './agent.ts';

test('prune says what stays and goes, and why; what expired is told as such', async (t) => {
  const { text, json, run, home, stateDir } = await makeAgentMachine(t, { 'MEMORY.md': 'tea: green\n' });
  const ids: string[] = [];
  for (const tea of ['black', 'white', 'red']) {
    await writeFile(path.join(stateDir, 'MEMORY.md'), `tea: ${tea}\n`);
    ids.push((await json(['commit'])).id);
  }
  const [gone = '', named = '', last = ''] = ids;
  await text(['tag', 'fine', named.slice(0, 12)]);
  const nothing = await run(['prune']);
  t.is(nothing.status, 2);
  t.is(
    nothing.stderr,
    'molt: nothing says what to keep of agent "bot"\nhint: give a plan or a rule: molt prune --plan pro --dry-run shows what it would do\n',
  );
  const typo = await run(['prune', '--plan', 'por']);
  t.is(typo.status, 2);
  t.regex(typo.stderr, /hint: did you mean --plan=pro\n/);
  const dry = await text(['prune', '--keep-last', '1', '--dry-run']);
  t.regex(dry, new RegExp(`\\[FULL\\] +\\S+ +keep +it is the newest full backup`));
  t.regex(dry, new RegExp(`${named.slice(0, 10)} +keep +it is tagged fine`));
  t.regex(dry, /bot: 1 backup would expire, 3 are kept/);
  t.regex(dry, /here: (nothing to free|would free \S+)/);
  t.is((await json(['log'])).filter((commit: { expired: boolean }) => commit.expired).length, 0);
  const done = await json(['prune', '--keep-last', '1']);
  t.like(done, { agent: 'bot', dryRun: false, remotes: [] });
  t.deepEqual(
    done.backups.filter((one: { kept: boolean }) => !one.kept).map((one: { id: string }) => one.id),
    [gone],
  );
  const log = await text(['log']);
  t.regex(log, new RegExp(`^${gone.slice(0, 10)} .* expired$`, 'm'));
  t.notRegex(log, new RegExp(`^${last.slice(0, 10)} .* expired$`, 'm'));
  t.regex(await text(['show', gone]), /^Expired: its content was pruned/m);
  for (const words of [
    ['restore', 'bot', gone, '--to', path.join(home, 'out')],
    ['cat', `${gone}:MEMORY.md`],
    ['diff', gone, last],
  ]) {
    const refused = await run([...words, '--json']);
    t.is(refused.status, 1);
    t.like(JSON.parse(refused.stderr), { error: { code: 'EXPIRED' } });
  }
  t.regex(await text(['backup', 'log', '--verb', 'prune']), /prune +manual +ok .* 1 expired, 3 kept/);
});

test('a remote that can’t be pruned is named, and what is here is pruned all the same', async (t) => {
  const { text, json, run, home, stateDir } = await makeAgentMachine(t, { 'MEMORY.md': 'tea: green\n' });
  await writeFile(path.join(stateDir, 'MEMORY.md'), 'tea: black\n');
  await json(['commit']);
  await writeFile(path.join(stateDir, 'MEMORY.md'), 'tea: red\n');
  await json(['commit']);
  const far = path.join(home, 'far');
  await text(['remote', 'add', 'far', `file://${far}`]);
  await text(['push']);
  await writeFile(path.join(far, 'format.json'), 'nonsense');
  const result = await run(['prune', '--keep-last', '1', '--json']);
  t.is(result.status, 3);
  t.like(JSON.parse(result.stderr), { error: { code: 'PARTIAL' } });
  const { remotes, backups } = JSON.parse(result.stdout);
  t.is(remotes[0].name, 'far');
  t.truthy(remotes[0].error.code);
  t.is(backups.filter((one: { kept: boolean }) => !one.kept).length, 1);
});
