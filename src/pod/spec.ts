// pod.json: what a pod is. A value that may come from anywhere becomes a PodSpec here, with what its profile adds; every field is
// checked, unknown ones are kept. Nothing here runs anything, and a spec that was parsed is not one that may be run.

import { MoltError } from '../model/error.ts';
import { PodFields } from './spec-fields.ts';

/** The kinds of agent that molt knows how to run. */
export type PodProfile = 'openclaw' | 'generic';

/** What a pod can be run by. */
export type ProviderName = 'process' | 'podman' | 'docker';

/** A port of a pod, as it is asked for. */
export interface PodPort {
  readonly name: string;
  /** The public one: where clients find the pod. A pod takes the next free one if it is made while this one is taken. */
  readonly port: number;
}

/** How to find out whether a pod is healthy. */
export interface HealthSpec {
  /** A GET that answers 2xx. `port` is the name of one of the pod's ports. */
  readonly http?: { readonly path: string; readonly port: string };
  /** Words of a command that ends with status 0. */
  readonly command?: readonly string[];
  readonly intervalMs: number;
  /** How long it may take from the start to the first good answer. */
  readonly timeoutMs: number;
  /** Undefined where it is never started again for that. */
  readonly liveness: LivenessSpec | undefined;
}

/** When an agent that was healthy, and gives no answer any more, is started again. */
export interface LivenessSpec {
  /** From one answer to the next question. */
  readonly intervalMs: number;
  /** How long an answer is waited for. */
  readonly timeoutMs: number;
  /** How many questions in a row have no answer then. */
  readonly failures: number;
  /** Whether the time counts in which it does not answer, and works: a database in long maintenance, or a loop without an end. */
  readonly busy: 'spare' | 'restart';
}

/** How a pod is asked to end. */
export interface StopSpec {
  readonly signal: NodeJS.Signals;
  /** What runs on after this is killed. */
  readonly graceMs: number;
}

/** A value that is written into a file of the state whenever the pod is bound to a place. */
export interface PodBinding {
  /** Relative to the state folder; not checked yet for where it leads. */
  readonly file: string;
  readonly path: string;
  readonly value: string;
}

/** What a pod is. Words, values of `env` and `cwd` may hold `{state}`, `{name}` and `{port:NAME}`. */
export interface PodSpec {
  readonly name: string | undefined;
  readonly profile: PodProfile;
  readonly provider: ProviderName;
  /** For containers. */
  readonly image: string | undefined;
  /** Words, not for a shell; undefined where there is none, and then the pod can't be started. */
  readonly command: readonly string[] | undefined;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** What the pod gets to see of the surroundings, by name. */
  readonly envAllow: readonly string[];
  readonly ports: readonly PodPort[];
  /** Whether the supervisor owns the public ports and forwards to private ones, so that a switch is one step. */
  readonly front: boolean;
  /** Without one, a pod is healthy when its first port is listened on; without a port, when it lives on for a second. */
  readonly health: HealthSpec;
  readonly stop: StopSpec;
  /** The commands of an agent that something else runs. */
  readonly lifecycle: { readonly stop: readonly string[]; readonly start: readonly string[] } | undefined;
  readonly bindings: readonly PodBinding[];
  readonly resources: Readonly<Record<string, unknown>>;
  /** The value that it was made of, with what is unknown. */
  readonly given: Readonly<Record<string, unknown>>;
}

const MINUTES_MS = 60_000;
/** The timeout is OpenClaw's slowest start that was seen (40 s), three times. */
const HEALTH = { intervalMs: 250, timeoutMs: 2 * MINUTES_MS };
/** Five minutes without an answer and without work: whatever is that still is no agent any more. */
const LIVENESS: LivenessSpec = { intervalMs: 10_000, timeoutMs: 5000, failures: 20, busy: 'spare' };
const STOP: StopSpec = { signal: 'SIGTERM', graceMs: 10_000 };
const ENV_ALLOW = ['PATH', 'HOME', 'TZ'];

interface Defaults {
  readonly command: readonly string[] | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly ports: readonly PodPort[];
  readonly healthPath: string | undefined;
}

const DEFAULTS: Readonly<Record<PodProfile, Defaults>> = {
  openclaw: {
    command: ['openclaw', 'gateway', 'run', '--port', '{port:http}', '--bind', 'loopback'],
    env: {
      OPENCLAW_STATE_DIR: '{state}',
      // What its command line tools look for; else they take the port in openclaw.json.
      OPENCLAW_GATEWAY_PORT: '{port:http}',
      OPENCLAW_NO_AUTO_UPDATE: '1',
    },
    ports: [{ name: 'http', port: 18_789 }],
    healthPath: '/readyz',
  },
  generic: { command: undefined, env: {}, ports: [], healthPath: undefined },
};

/**
 * Returns the spec that a value describes.
 * @param value the content of a pod.json
 * @param options.profile the agent's profile, where the value names none
 * @throws {MoltError} USAGE naming the field
 */
export function parsePodSpec(value: unknown, options: { readonly profile: PodProfile }): PodSpec {
  const fields = new PodFields(value, '');
  const profile = fields.choice('profile', ['openclaw', 'generic'], options.profile);
  const defaults = DEFAULTS[profile];
  const ports = fields.list('ports', parsePort) ?? defaults.ports;
  const twice = ports.find((one, index) => ports.findIndex(({ name }) => name === one.name) !== index);
  if (twice !== undefined) throw fields.problem('ports', `names "${twice.name}" twice`);
  const spec: PodSpec = {
    name: fields.label('name'),
    profile,
    provider: fields.choice('provider', ['process', 'podman', 'docker'], 'process'),
    image: fields.image('image'),
    command: fields.command('command') ?? defaults.command,
    cwd: fields.text('cwd') ?? '{state}',
    env: { ...defaults.env, ...fields.environment('env') },
    envAllow: fields.names('envAllow') ?? ENV_ALLOW,
    ports,
    front: fields.flag('front', true),
    health: parseHealth(fields.part('health'), ports, defaults.healthPath),
    stop: parseStop(fields.part('stop')),
    lifecycle: parseLifecycle(fields.part('lifecycle')),
    bindings: fields.list('bindings', parseBinding) ?? [],
    resources: fields.part('resources')?.value ?? {},
    given: fields.value,
  };
  checkPlaceholders(spec, fields);
  return spec;
}

function parsePort(fields: PodFields): PodPort {
  return { name: fields.required('name', fields.word('name')), port: fields.required('port', fields.port('port')) };
}

function parseBinding(fields: PodFields): PodBinding {
  return {
    file: fields.required('file', fields.text('file')),
    path: fields.required('path', fields.text('path')),
    value: fields.required('value', fields.text('value')),
  };
}

function parseStop(fields: PodFields | undefined): StopSpec {
  return {
    signal: fields?.signal('signal') ?? STOP.signal,
    graceMs: fields?.integer('graceMs', 0, 10 * MINUTES_MS) ?? STOP.graceMs,
  };
}

function parseLifecycle(fields: PodFields | undefined): PodSpec['lifecycle'] {
  if (fields === undefined) return undefined;
  return {
    stop: fields.required('stop', fields.command('stop')),
    start: fields.required('start', fields.command('start')),
  };
}

function parseHealth(
  fields: PodFields | undefined,
  ports: readonly PodPort[],
  defaultPath: string | undefined,
): HealthSpec {
  const times = {
    intervalMs: fields?.integer('intervalMs', 10, MINUTES_MS) ?? HEALTH.intervalMs,
    timeoutMs: fields?.integer('timeoutMs', 100, 60 * MINUTES_MS) ?? HEALTH.timeoutMs,
    liveness: parseLiveness(fields),
  };
  const command = fields?.command('command');
  const http = fields?.part('http');
  if (command !== undefined && http !== undefined) throw http.problem('', 'stands beside a command: leave one out');
  if (command !== undefined) return { command, ...times };
  const [first] = ports;
  if (http === undefined) {
    if (defaultPath === undefined || first === undefined) return times;
    return { http: { path: defaultPath, port: first.name }, ...times };
  }
  const wanted = http.portOrName('port') ?? first?.name;
  const port = ports.find((one) => one.name === wanted || one.port === wanted || `{port:${one.name}}` === wanted);
  if (port === undefined) throw http.problem('port', 'is none of the pod’s ports');
  return { http: { path: http.urlPath('path') ?? defaultPath ?? '/', port: port.name }, ...times };
}

function parseLiveness(health: PodFields | undefined): LivenessSpec | undefined {
  if (health?.value['liveness'] === false) return undefined;
  const fields = health?.value['liveness'] === true ? undefined : health?.part('liveness');
  return {
    intervalMs: fields?.integer('intervalMs', 10, 60 * MINUTES_MS) ?? LIVENESS.intervalMs,
    timeoutMs: fields?.integer('timeoutMs', 10, MINUTES_MS) ?? LIVENESS.timeoutMs,
    failures: fields?.integer('failures', 1, 10_000) ?? LIVENESS.failures,
    busy: fields?.choice('busy', ['spare', 'restart'], LIVENESS.busy) ?? LIVENESS.busy,
  };
}

const PLACEHOLDER = /\{(?:state|name|port:([^{}]*))\}/g;

function checkPlaceholders(spec: PodSpec, fields: PodFields): void {
  const check = (name: string, texts: readonly string[]): void => {
    for (const text of texts) {
      for (const [whole, port] of text.matchAll(PLACEHOLDER)) {
        if (port !== undefined && spec.ports.every((one) => one.name !== port))
          throw fields.problem(name, `holds ${whole}, and the pod has no port "${port}"`);
      }
    }
  };
  check('command', spec.command ?? []);
  check('cwd', [spec.cwd]);
  check('env', Object.values(spec.env));
  check('health', spec.health.command ?? []);
  check(
    'bindings',
    spec.bindings.map(({ value }) => value),
  );
}

/** The two ports of a pod's port: where clients find it, and where the agent listens. The same where molt does not front it. */
export interface PortPair {
  readonly public: number;
  readonly private: number;
}

/** Ports by their names. */
export type PodPorts = Readonly<Record<string, PortPair>>;

/** What the placeholders of a spec stand for. */
export interface PodFilling {
  /** The state folder, absolute. */
  readonly state: string;
  readonly name: string;
  readonly ports: PodPorts;
  readonly generation: number;
}

/** A spec with everything filled in: what a provider runs. Plain data. */
export interface FilledPod {
  readonly name: string;
  readonly generation: number;
  readonly stateDir: string;
  readonly command: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly envAllow: readonly string[];
  readonly ports: PodPorts;
  readonly isFronted: boolean;
  readonly health: FilledHealth;
  readonly stop: StopSpec;
  readonly image: string | undefined;
  readonly resources: Readonly<Record<string, unknown>>;
}

/** A health check with the port that the agent itself listens on. `tcp` where the spec has neither of the others. */
export interface FilledHealth {
  readonly http?: { readonly path: string; readonly port: number };
  readonly command?: readonly string[];
  readonly tcp?: number;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly liveness?: LivenessSpec | undefined;
}

/** Returns a text with its placeholders filled in; `{port:NAME}` is the port that the agent itself listens on. */
export function fillText(text: string, { state, name, ports }: Omit<PodFilling, 'generation'>): string {
  return text.replace(PLACEHOLDER, (whole, port: string | undefined) => {
    if (port !== undefined) return String(ports[port]?.private ?? whole);
    return whole === '{state}' ? state : name;
  });
}

/**
 * Fills in a spec.
 * @throws {MoltError} USAGE when it says nothing that could be started
 */
export function fillIn(spec: PodSpec, filling: PodFilling): FilledPod {
  const { command, health, ports } = spec;
  if (command === undefined) {
    throw new MoltError('USAGE', `pod "${filling.name}" has no command, so nothing can be started`, {
      hint: 'give one in its pod.json: "command": ["my-agent", "--port", "{port:http}"]; docs/pods.md has an example',
    });
  }
  const fill = (text: string): string => fillText(text, filling);
  const privatePort = (name: string): number => filling.ports[name]?.private ?? 0;
  const [first] = ports;
  const { intervalMs, timeoutMs, liveness } = health;
  return {
    name: filling.name,
    generation: filling.generation,
    stateDir: filling.state,
    command: command.map(fill),
    cwd: fill(spec.cwd),
    env: Object.fromEntries(Object.entries(spec.env).map(([name, value]) => [name, fill(value)])),
    envAllow: spec.envAllow,
    ports: filling.ports,
    isFronted: isFronted(spec),
    health: {
      intervalMs,
      timeoutMs,
      ...(liveness && { liveness }),
      ...(health.http && { http: { path: health.http.path, port: privatePort(health.http.port) } }),
      ...(health.command && { command: health.command.map(fill) }),
      ...(!health.http && !health.command && first && { tcp: privatePort(first.name) }),
    },
    stop: spec.stop,
    image: spec.image,
    resources: spec.resources,
  };
}

/** Says whether molt owns the pod's public ports, so that one generation can take over from another in one step. */
export function isFronted({ front, ports, provider }: PodSpec): boolean {
  return front && ports.length > 0 && provider === 'process';
}
