// The pod commands, run by the real entry.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import test from 'ava';
import { silentReporter } from '../../src/model/ports.ts';
import { Home } from '../../src/ops/home.ts';
import { makePod } from '../../src/ops/pods.ts';
import { parsePodSpec } from '../../src/pod/spec.ts';
import { freePort, killAtEnd, notesSpec } from '../pod/agent.ts';
import { makeAgentMachine } from './agent.ts';

test('a pod is listed, started, asked, read, stopped and removed', async (t) => {
  const machine = await makeAgentMachine(t, { 'notes.txt': 'one\n' });
  const home = new Home(join(machine.home, '.molt'));
  const context = {
    home,
    clock: { now: () => Date.now() },
    random: { bytes: randomBytes },
    reporter: silentReporter,
    cwd: machine.home,
    userHome: machine.home,
    unlock: async () => {
      throw new Error('nothing is opened');
    },
  };
  t.deepEqual(await machine.json(['pod', 'list']), []);
  t.like(await machine.run(['pod', 'start']), { status: 1, stdout: '' });
  const dir = join(home.dir, 'pods/notes');
  const stateDir = join(dir, 'gen-1/state');
  mkdirSync(stateDir, { recursive: true });
  killAtEnd(t, { name: 'notes', dir });
  const spec = parsePodSpec(notesSpec(await freePort()), { profile: 'generic' });
  const pod = await makePod(context, { name: 'notes', agent: 'bot', spec, stateDir, generation: 1 });
  const endpoint = `http://127.0.0.1:${pod.ports['http']?.public}`;

  const unhealthy = await machine.run(['pod', 'health', 'notes']);
  t.is(unhealthy.status, 17);
  t.is(unhealthy.stderr, 'molt: pod "notes" is not healthy: it is stopped\nhint: molt pod start notes\n');
  const completed = await machine.run(['__complete', '--', 'pod', 'start', 'n']);
  t.is(completed.stdout, 'words\nnotes\tpod\n');

  const started = await machine.run(['pod', 'start', 'notes']);
  t.is(started.status, 0, started.stderr);
  t.regex(started.stdout, new RegExp(`^notes runs at ${endpoint}, healthy after `));
  const again = await machine.run(['pod', 'start']);
  t.is(again.status, 11);
  t.regex(again.stderr, /^molt: pod "notes" runs .*\nhint: molt pod stop notes\n$/);

  const [listed] = await machine.json(['pod', 'list']);
  t.like(listed, {
    name: 'notes',
    agent: 'bot',
    state: 'running',
    endpoint,
    healthy: true,
    restarts: 0,
    generation: 1,
    dir: stateDir,
  });
  t.regex(await machine.text(['pod', 'list']), new RegExp(`^notes +running +${endpoint} +generation 1 +/`));
  t.regex(
    await machine.text(['pod', 'health', '-a', 'bot']),
    /^notes is healthy at .*: GET \/healthz answered 200 in /,
  );
  t.regex(await machine.text(['pod', 'logs', 'notes', '-n', '1']), /^listening on port \d+\n$/);
  t.deepEqual(await machine.json(['pod', 'logs', '-n', '0']), { name: 'notes', lines: [] });
  t.is((await machine.run(['pod', 'logs', '-f', '--json'])).status, 2);

  const refused = await machine.run(['pod', 'remove', 'notes', '--yes']);
  t.is(refused.status, 11);
  t.is(await machine.text(['pod', 'stop', 'notes']), 'notes is stopped\n');
  t.deepEqual(await machine.json(['pod', 'stop', 'notes']), { name: 'notes', state: 'stopped', wasRunning: false });
  const unasked = await machine.run(['pod', 'remove', 'notes']);
  t.is(unasked.status, 2);
  t.is(unasked.stderr.split('\n')[0], `goes:  ${dir}, with its state and its log`);
  t.is(await machine.text(['pod', 'remove', 'notes', '--yes']), 'removed pod notes\n');
  t.deepEqual(await machine.json(['pod', 'list']), []);
  t.regex(await machine.text(['log', 'bot']), /./);
});
