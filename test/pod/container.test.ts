// The exact calls of container engines, against a stand-in that writes them down. docs/pods.md says what was tried with a real one.

import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { envFileOf, runWords } from '../../src/pod/container-call.ts';
import { makeContainerProvider } from '../../src/pod/container.ts';
import type { PodPlace, Provider } from '../../src/pod/provider.ts';
import { fillIn, parsePodSpec, type FilledPod } from '../../src/pod/spec.ts';
import { makeFolder } from './agent.ts';

const SPEC = {
  provider: 'podman',
  image: 'docker.io/library/node:24',
  command: ['node', 'agent.mjs', '--port', '{port:http}', '$(id)', '; rm'],
  env: { TOKEN: 'never in an argument', STATE: '{state}' },
  envAllow: ['PATH', 'HOME', 'POD_TEST_ZONE'],
  ports: [{ name: 'http', port: 28_400 }],
  health: { command: ['ask', '{port:http}'], intervalMs: 10, timeoutMs: 20_000 },
  stop: { signal: 'SIGINT', graceMs: 2500 },
  resources: { memory: '8Gi', cpu: '500m', gpu: 'L4' },
};

interface Engine {
  readonly provider: Provider;
  readonly place: PodPlace;
  readonly pod: FilledPod;
  calls(): { words: string[]; envFile?: { mode: number; text: string } }[];
}

function makeEngine(t: ExecutionContext, behaviour = '', engine: 'podman' | 'docker' = 'podman'): Engine {
  const dir = makeFolder(t);
  const program = join(dir, engine);
  copyFileSync(join(import.meta.dirname, 'engine-stand-in.mjs'), program);
  writeFileSync(join(dir, 'package.json'), '{"type":"module"}');
  chmodSync(program, 0o755);
  writeFileSync(join(dir, 'behaviour'), behaviour);
  const place = { name: 'notes', dir: join(dir, 'pods/notes') };
  mkdirSync(place.dir, { recursive: true });
  return {
    provider: makeContainerProvider(engine, program),
    place,
    pod: podOf(place, { ...SPEC, provider: engine }),
    calls: () =>
      readFileSync(join(dir, 'calls'), 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
  };
}

function podOf({ dir, name }: PodPlace, value: object): FilledPod {
  const state = join(dir, 'gen-1/state');
  const ports = { http: { public: 28_400, private: 28_400 } };
  return fillIn(parsePodSpec(value, { profile: 'generic' }), { state, name, ports, generation: 1 });
}

const USER = { uid: 1000, gid: 1001 };

test('podman is called with words, the same path inside, and loopback outside', (t) => {
  const place = { name: 'notes', dir: '/home/me/.molt/pods/notes' };
  t.deepEqual(
    runWords('podman', place, podOf(place, SPEC), { envFile: '/tmp/env', user: USER }),
    [
      ['run', '--detach', '--name', 'molt-notes-c5c66e70'],
      ['--label', 'molt.pod=notes', '--label', 'molt.generation=1', '--restart', 'unless-stopped'],
      ['--volume', '/home/me/.molt/pods/notes/gen-1:/home/me/.molt/pods/notes/gen-1'],
      ['--workdir', '/home/me/.molt/pods/notes/gen-1/state'],
      ['--env-file', '/tmp/env'],
      ['--publish', '127.0.0.1:28400:28400'],
      ['--stop-signal', 'SIGINT', '--stop-timeout', '3'],
      ['--memory', '8589934592b', '--cpus', '0.5'],
      ['--userns', 'keep-id'],
      ['--entrypoint', 'node', 'docker.io/library/node:24'],
      ['agent.mjs', '--port', '28400', '$(id)', '; rm'],
    ].flat(),
  );
});

test('docker is told whose files they are', (t) => {
  const place = { name: 'notes', dir: '/home/me/.molt/pods/notes' };
  const words = runWords('docker', place, podOf(place, { ...SPEC, provider: 'docker' }), { envFile: '/e', user: USER });
  t.is(words[words.indexOf('--user') + 1], '1000:1001');
  t.false(words.includes('--userns'));
});

test('what no container can be given is refused', (t) => {
  const place = { name: 'notes', dir: '/home/me:you/pods/notes' };
  const options = { envFile: '/e', user: USER };
  t.throws(() => runWords('podman', place, podOf(place, SPEC), options), {
    code: 'USAGE',
    message: /a path with a colon/,
  });
  const here = { ...place, dir: '/pods/notes' };
  t.throws(() => runWords('podman', here, podOf(here, { ...SPEC, image: undefined }), options), {
    code: 'USAGE',
    message: /has no image/,
  });
  t.throws(() => runWords('podman', here, podOf(here, { ...SPEC, resources: { memory: 'much' } }), options), {
    code: 'USAGE',
  });
  t.throws(() => envFileOf(podOf(here, { ...SPEC, env: { A: 'x\ny=z' } })), {
    code: 'USAGE',
    message: /"env.A".*several lines/,
  });
});

test('the environment goes by a private file that is gone afterwards, without this machine’s PATH and HOME', async (t) => {
  process.env['POD_TEST_ZONE'] = 'Asia/Jakarta';
  const { provider, place, pod, calls } = makeEngine(t);
  await provider.check(pod);
  await provider.start(place, pod);
  const run = calls().find(({ words }) => words[0] === 'run');
  t.deepEqual(run?.envFile, {
    mode: 0o600,
    text: `POD_TEST_ZONE=Asia/Jakarta\nTOKEN=never in an argument\nSTATE=${pod.stateDir}\n`,
  });
  t.false(existsSync(join(place.dir, 'env')));
  t.false(JSON.stringify(calls().map(({ words }) => words)).includes('never in an argument'));
});

test('a pod is started, asked inside its container, stopped and removed; its log stays', async (t) => {
  const { provider, place, pod, calls } = makeEngine(t);
  t.deepEqual(await provider.inspect(place), { state: 'stopped', restarts: 0 });
  await provider.start(place, pod);
  t.deepEqual(await provider.inspect(place), { state: 'running', restarts: 0, pid: 4242, generation: 1 });
  const lines: string[] = [];
  for await (const line of provider.logs(place, { lines: 2 })) lines.push(line);
  t.deepEqual(lines, ['first', 'second']);
  await provider.stop(place, pod.stop);
  const name = calls().find(({ words }) => words[0] === 'run')?.words[3] ?? '';
  const asked = calls().map(({ words }) => words.join(' '));
  t.true(asked.includes(`exec ${name} ask 28400`));
  t.true(asked.includes(`logs --tail 2 ${name}`));
  t.deepEqual(asked.slice(-3), [`stop -t 3 ${name}`, `logs ${name}`, `rm --force --volumes ${name}`]);
  t.is(readFileSync(join(place.dir, 'log'), 'utf8'), 'first\nsecond\n');
  t.is((await provider.inspect(place)).state, 'stopped');
});

test('a container that ends while it is started is removed, and what it said last is told', async (t) => {
  const { provider, place, pod } = makeEngine(t, 'dies');
  await t.throwsAsync(provider.start(place, pod), {
    code: 'UNHEALTHY',
    message: `notes ended before it was healthy: it ended with status 3; its log is ${place.dir}/log, it ends with:\n    first\n    second`,
  });
  t.is((await provider.inspect(place)).state, 'stopped');
});

test('an engine that refuses, does not answer or is not there says so', async (t) => {
  const refusing = makeEngine(t, 'refuses');
  await t.throwsAsync(refusing.provider.start(refusing.place, refusing.pod), {
    code: 'UNHEALTHY',
    message: 'podman could not start pod "notes": Error: crun: cgroups in hybrid mode not supported',
  });
  const dead = makeEngine(t, 'dead', 'docker');
  await t.throwsAsync(dead.provider.check(dead.pod), {
    code: 'UNHEALTHY',
    message: 'docker does not work here: Cannot connect to the Docker daemon at unix:///var/run/docker.sock.',
  });
  await t.throwsAsync(makeContainerProvider('docker', '/no/such/docker').check(dead.pod), {
    code: 'NOT_FOUND',
    message: /is not installed/,
  });
});
