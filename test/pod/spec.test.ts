// What a pod.json may hold, and what its placeholders become.

import test from 'ava';
import { fillIn, parsePodSpec } from '../../src/pod/spec.ts';

const FILLING = {
  state: '/pods/it/state',
  name: 'it',
  generation: 1,
  ports: { http: { public: 18_790, private: 18_791 } },
};

const LIVENESS = { intervalMs: 10_000, timeoutMs: 5000, failures: 20, busy: 'spare' } as const;

test('a pod of OpenClaw needs no field at all', (t) => {
  const spec = parsePodSpec({}, { profile: 'openclaw' });
  const pod = fillIn(spec, FILLING);
  t.deepEqual(pod.command, ['openclaw', 'gateway', 'run', '--port', '18791', '--bind', 'loopback']);
  t.deepEqual(pod.env, {
    OPENCLAW_STATE_DIR: '/pods/it/state',
    OPENCLAW_GATEWAY_PORT: '18791',
    OPENCLAW_NO_AUTO_UPDATE: '1',
  });
  t.is(pod.cwd, '/pods/it/state');
  t.deepEqual(pod.envAllow, ['PATH', 'HOME', 'TZ']);
  t.deepEqual(pod.health, {
    http: { path: '/readyz', port: 18_791 },
    intervalMs: 250,
    timeoutMs: 120_000,
    liveness: LIVENESS,
  });
  t.deepEqual(pod.stop, { signal: 'SIGTERM', graceMs: 10_000 });
  t.true(pod.isFronted);
});

test('every field of the documentation is read, and what is unknown is kept', (t) => {
  const value = {
    name: 'my-agent',
    profile: 'openclaw',
    model: 'some/model',
    skills: ['one'],
    resources: { gpu: 'L4', memory: '8Gi', storage: '75Gi' },
    provider: 'process',
    image: 'registry.example/openclaw:1@sha256:0123',
    command: ['openclaw', 'gateway', 'run', '--port', '{port:http}'],
    cwd: '{state}',
    env: { OPENCLAW_STATE_DIR: '{state}', NAME: 'pod {name}' },
    envAllow: ['PATH'],
    ports: [{ name: 'http', port: 18_789 }],
    health: { http: { path: '/readyz', port: 18_789 }, intervalMs: 100, timeoutMs: 5000 },
    stop: { signal: 'SIGINT', graceMs: 1000 },
    lifecycle: { stop: ['systemctl', 'stop', 'it'], start: ['systemctl', 'start', 'it'] },
    bindings: [{ file: 'openclaw.json', path: 'gateway.port', value: '{port:http}' }],
  };
  const spec = parsePodSpec(value, { profile: 'generic' });
  t.deepEqual(spec.given, value);
  const pod = fillIn(spec, FILLING);
  t.is(pod.env['NAME'], 'pod it');
  t.is(pod.env['OPENCLAW_NO_AUTO_UPDATE'], '1');
  t.deepEqual(pod.health, {
    http: { path: '/readyz', port: 18_791 },
    intervalMs: 100,
    timeoutMs: 5000,
    liveness: LIVENESS,
  });
  t.deepEqual(pod.stop, { signal: 'SIGINT', graceMs: 1000 });
  t.deepEqual(spec.lifecycle?.stop, ['systemctl', 'stop', 'it']);
});

test('what is filled in is not looked at again', (t) => {
  const spec = parsePodSpec({ command: ['run', '{state}', '{name}', '{other}', '$&{name}'] }, { profile: 'generic' });
  const pod = fillIn(spec, { ...FILLING, state: '/x/{name}/$&' });
  t.deepEqual(pod.command, ['run', '/x/{name}/$&', 'it', '{other}', '$&it']);
});

test('a generic agent without a command can’t be started, and that is said', (t) => {
  const spec = parsePodSpec({ name: 'it' }, { profile: 'generic' });
  t.throws(() => fillIn(spec, FILLING), {
    code: 'USAGE',
    message: 'pod "it" has no command, so nothing can be started',
  });
});

test('an agent that hangs is started again unless its pod.json says otherwise', (t) => {
  const livenessOf = (health?: object) => parsePodSpec({ health }, { profile: 'openclaw' }).health.liveness;
  for (const health of [undefined, {}, { liveness: true }, { liveness: null }, { liveness: {} }])
    t.deepEqual(livenessOf(health), LIVENESS);
  t.is(livenessOf({ liveness: false }), undefined);
  const given = { intervalMs: 60_000, timeoutMs: 30_000, failures: 3, busy: 'restart' };
  t.deepEqual(livenessOf({ liveness: given }) as object, given);
});

test('without a health check the first port is knocked at', (t) => {
  const spec = parsePodSpec({ command: ['run'], ports: [{ name: 'http', port: 8080 }] }, { profile: 'generic' });
  t.is(fillIn(spec, FILLING).health.tcp, 18_791);
});

const refused = test.macro({
  exec(t, value: unknown, message: RegExp) {
    t.throws(() => parsePodSpec(value, { profile: 'generic' }), { code: 'USAGE', message });
  },
  title: (_, value) => `refused: ${JSON.stringify(value)?.slice(0, 90)}`,
});

test(refused, [], /it is no object/);
test(refused, { name: '../up' }, /"name" can’t be a name/);
test(refused, { command: 'sh -c x' }, /"command" is no list/);
test(refused, { command: [] }, /"command" is empty/);
test(refused, { command: ['a', 1] }, /"command\[1\]" is no text/);
test(refused, { command: ['a\0b'] }, /"command\[0\]" is too long or has control characters/);
test(refused, { command: ['x', '{port:web}'] }, /"command" holds \{port:web\}, and the pod has no port "web"/);
test(refused, { env: { 'A=B': 'x' } }, /"env" is no name of a variable/);
test(refused, { env: { A: 1 } }, /"env.A" is no text/);
test(refused, { envAllow: ['MOLT_PASSPHRASE'] }, /"envAllow\[0\]" is MOLT_PASSPHRASE, which is molt’s own/);
test(refused, { ports: [{ name: 'http', port: 0 }] }, /"ports\[0\].port" is no whole number from 1 to 65535/);
test(refused, { ports: [{ name: 'http' }] }, /"ports\[0\].port" is missing/);
test(
  refused,
  {
    ports: [
      { name: 'a', port: 1 },
      { name: 'a', port: 2 },
    ],
  },
  /"ports" names "a" twice/,
);
test(refused, { health: { http: { path: '/x', port: 22 } } }, /"health.http.port" is none of the pod’s ports/);
test(
  refused,
  { ports: [{ name: 'a', port: 1 }], health: { http: { path: '/ HTTP/1.1\r\nX: y' } } },
  /"health.http.path"/,
);
test(refused, { health: { http: {}, command: ['true'] } }, /"health.http" stands beside a command/);
test(refused, { health: { liveness: 5 } }, /"health.liveness" is no object/);
test(refused, { health: { liveness: { failures: 0 } } }, /"health.liveness.failures" is no whole number/);
test(refused, { health: { liveness: { busy: 'kill' } } }, /"health.liveness.busy" is none of spare, restart/);
test(refused, { health: { timeoutMs: 1e12 } }, /"health.timeoutMs" is no whole number/);
test(refused, { stop: { signal: 'SIGNOTHING' } }, /"stop.signal" is no signal/);
test(refused, { provider: 'ssh' }, /"provider" is none of process, podman, docker/);
test(refused, { image: '--privileged' }, /"image" can’t be an image/);
test(refused, { lifecycle: { stop: ['x'] } }, /"lifecycle.start" is missing/);
