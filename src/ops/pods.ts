// Pods of this machine: what runs an agent, and how it is. One operation at a time works on a pod; two starts at once are one start
// and one refusal.

import { chmod, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { isSystemError, MoltError } from '../model/error.ts';
import { systemFailure } from '../model/system-error.ts';
import { tryLock } from '../pod/lock.ts';
import { POD_HOST } from '../pod/ports.ts';
import type { PodPlace, PodState, PodStatus, Provider } from '../pod/provider.ts';
import { getProvider } from '../pod/providers.ts';
import { fillIn, isFronted, type FilledPod, type PodSpec } from '../pod/spec.ts';
import { makeRoot } from '../storage/folders.ts';
import type { OpsContext } from './context.ts';
import { checkLabel, type Home } from './home.ts';
import { choosePorts, choosePrivatePorts, lockPorts, replaceTakenPorts } from './pod-ports.ts';
import {
  listPodNames,
  podDir,
  readPodRecord,
  writePodRecord,
  type PodGeneration,
  type PodRecord,
} from './pod-record.ts';
import { removeTree } from './remove-tree.ts';

/** What to make a pod of. */
export interface MakePodOptions {
  readonly name: string;
  /** The label of the agent that it runs. */
  readonly agent: string;
  /** As accepted by this machine's user (accept-spec.ts). */
  readonly spec: PodSpec;
  /** Absolute; it need not be there yet. */
  readonly stateDir: string;
  readonly generation: number;
  readonly commit?: string | undefined;
}

/** A pod as lists show it: CLI.md's JSON for `pod list`. */
export interface PodSummary {
  readonly name: string;
  readonly agent: string;
  readonly provider: string;
  readonly state: PodState;
  /** Where clients find it, if it has a port: `http://127.0.0.1:18789`. */
  readonly endpoint: string | undefined;
  /** What its health check said just now; undefined unless it runs. */
  readonly healthy: boolean | undefined;
  readonly pid: number | undefined;
  readonly restarts: number;
  readonly generation: number;
  /** The folder of its state. */
  readonly dir: string;
  /** When the state began, ISO 8601. */
  readonly since: string | undefined;
  /** What is wrong, if anything is. */
  readonly problem: string | undefined;
}

/** What a health check found. */
export interface PodHealth {
  readonly name: string;
  readonly state: PodState;
  readonly endpoint: string | undefined;
  readonly healthy: boolean;
  /** What was answered, for people: `GET /readyz answered 200`. */
  readonly answer: string;
  readonly durationMs: number;
}

/** How long a list waits for each pod's health check. */
const LIST_HEALTH_MS = 1000;

/**
 * Makes the record of a pod and promises it its ports: those of its spec, or the next free ones. Nothing is started.
 * @throws {MoltError} EXISTS, or USAGE when the name can't be one
 */
export async function makePod(context: OpsContext, options: MakePodOptions): Promise<PodRecord> {
  const { home, clock } = context;
  const { name, agent, spec, stateDir, generation, commit } = options;
  checkLabel(name);
  using _ = lockPod(home, name);
  if ((await readPodRecord(home, name)) !== undefined) throw podExists(name);
  using _ports = await lockPorts(home);
  const ports = await choosePorts(home, spec);
  const dir = podDir(home, name);
  makeRoot(dir);
  // Whoever restored the state first may have made it.
  await chmod(dir, 0o700);
  const record: PodRecord = {
    name,
    agent,
    spec,
    stateDir,
    generation,
    commit,
    ports,
    createdMs: clock.now(),
    next: undefined,
  };
  await writePodRecord(home, record, { replace: false }).catch((error: unknown) => {
    throw isSystemError(error, 'EEXIST') ? podExists(name) : error;
  });
  return record;
}

/** Returns the pod with this name, or undefined. @throws {MoltError} DAMAGED, NEWER_FORMAT */
export async function findPod({ home }: OpsContext, name: string): Promise<PodRecord | undefined> {
  checkLabel(name);
  return readPodRecord(home, name);
}

/**
 * Returns the pod with this name, or that of an agent, or the only one.
 * @throws {MoltError} NOT_FOUND, or USAGE when neither is given and there are several
 */
export async function getPod(context: OpsContext, name: string | undefined, agent?: string): Promise<PodRecord> {
  const names = await listPodNames(context.home);
  const [first, ...others] = names;
  const hint = first === undefined ? 'molt restore --target NAME makes one' : `there is ${names.join(', ')}`;
  if (name === undefined && agent === undefined && others.length > 0)
    throw new MoltError('USAGE', 'which pod?', { hint });
  const isByAgent = name === undefined && agent !== undefined;
  const wanted = name ?? first;
  const record = isByAgent ? await findPodOf(context, agent) : wanted && (await findPod(context, wanted));
  if (record) return record;
  const what = isByAgent
    ? `no pod of agent "${agent}"`
    : name === undefined
      ? 'no pod on this machine'
      : `no pod "${name}"`;
  throw new MoltError('NOT_FOUND', `there is ${what}`, { hint });
}

/** Returns the pod that runs an agent, or undefined. */
export async function findPodOf({ home }: OpsContext, agent: string): Promise<PodRecord | undefined> {
  const names = await listPodNames(home);
  const records = await Promise.all(names.map((name) => readPodRecord(home, name)));
  return records.find((record) => record?.agent === agent);
}

/** Lists the pods of this machine by name, with how they are. */
export async function listPods(context: OpsContext): Promise<PodSummary[]> {
  const names = await listPodNames(context.home);
  const records = await Promise.all(names.map((name) => readPodRecord(context.home, name)));
  const known = records.filter((record) => record !== undefined);
  return Promise.all(known.map((record) => inspectPod(context, record)));
}

/** Returns how a pod is, with what its health check says now. */
export async function inspectPod(context: OpsContext, record: PodRecord): Promise<PodSummary> {
  const { provider, place, status, current } = await look(context, record);
  const isRunning = status.state === 'running';
  const health = isRunning ? await provider.ask(place, filled(current), LIST_HEALTH_MS, context.signal) : undefined;
  return {
    name: record.name,
    agent: record.agent,
    provider: record.spec.provider,
    state: status.state,
    endpoint: endpointOf(current),
    healthy: health?.isHealthy,
    pid: status.pid,
    restarts: status.restarts,
    generation: current.generation,
    dir: current.stateDir,
    since: status.sinceMs === undefined ? undefined : new Date(status.sinceMs).toISOString(),
    problem: status.problem,
  };
}

/**
 * Starts a pod and waits until it is healthy.
 * @throws {MoltError} RUNNING when it runs, LOCKED when another molt is at it; UNHEALTHY when it does not become healthy: then it is
 *   stopped, and the message says what it said last and where its log is
 */
export async function startPod(context: OpsContext, record: PodRecord): Promise<PodSummary> {
  using _ = lockPod(context.home, record.name);
  const noted = await reread(context, record);
  const { provider, place, status, current } = await look(context, noted);
  if (status.state === 'running' || status.state === 'starting') throw podRuns(current, status);
  // What an earlier supervisor left would have its files open.
  if (status.state === 'failed') await provider.stop(place, current.spec.stop);
  const ready = await replaceTakenPorts(context.home, current);
  const pod = filled(ready);
  await provider.check(pod);
  if (ready !== noted) await writePodRecord(context.home, ready, { replace: true });
  context.reporter.progress({ phase: 'start the pod' });
  await provider.start(place, pod, {
    signal: context.signal,
    onTry: () => context.reporter.progress({ phase: 'wait until it is healthy' }),
  });
  // It was healthy just now; a busy machine may answer the next question late.
  return { ...(await inspectPod(context, ready)), healthy: true };
}

/**
 * Stops a pod; one that does not run stays as it is.
 * @returns whether something ran
 * @throws {MoltError} LOCKED when another molt is at it; RUNNING when it can't be stopped
 */
export async function stopPod(context: OpsContext, record: PodRecord): Promise<boolean> {
  using _ = lockPod(context.home, record.name);
  const noted = await reread(context, record);
  const { provider, place, status, current } = await look(context, noted);
  if (current !== noted) await writePodRecord(context.home, current, { replace: true });
  if (status.state === 'stopped') return false;
  context.reporter.progress({ phase: 'stop the pod' });
  await provider.stop(place, current.spec.stop);
  return true;
}

/** Returns the record of a pod with the generation that really counts, whatever was noted of a switch. */
export async function currentPod(context: OpsContext, { name }: PodRecord): Promise<PodRecord> {
  return (await look(context, await getPod(context, name))).current;
}

/** Returns the record of a pod with the generation that really counts, and keeps it, should a molt have been killed while it switched. */
export async function settlePod(context: OpsContext, record: PodRecord): Promise<PodRecord> {
  if (record.next === undefined) return record;
  const { current } = await look(context, record);
  const settled = { ...current, next: undefined };
  await writePodRecord(context.home, settled, { replace: true });
  return settled;
}

/** Says whether nothing of a pod runs, and nothing is about to start it again. */
export async function isPodStopped(context: OpsContext, record: PodRecord): Promise<boolean> {
  return (await look(context, record)).status.state === 'stopped';
}

/**
 * Checks that what a spec asks for is on this machine, before anything is made for it.
 * @throws {MoltError} USAGE when the spec says nothing that could be started, NOT_FOUND or UNHEALTHY without its runtime
 */
export async function checkRuntime(
  spec: PodSpec,
  filling: { readonly name: string; readonly stateDir: string },
): Promise<void> {
  const ports = spec.ports.map(({ name, port }) => [name, { public: port, private: port }] as const);
  const { name, stateDir: state } = filling;
  const provider = await getProvider(spec.provider);
  const pod = fillIn(spec, { state, name, ports: Object.fromEntries(ports), generation: 1 });
  const [program = ''] = pod.command;
  // What comes with the state is there once that is.
  if (program.startsWith(state) || (program.includes('/') && !program.startsWith('/'))) return;
  await provider.check(pod.cwd.startsWith(state) ? { ...pod, cwd: '/' } : pod);
}

/** Asks a pod how it is, once, by its own health check. */
export async function checkPod(context: OpsContext, record: PodRecord): Promise<PodHealth> {
  const startedMs = performance.now();
  const { provider, place, status, current } = await look(context, record);
  const { name } = record;
  const endpoint = endpointOf(current);
  const isUp = status.state === 'running' || status.state === 'starting';
  const health = isUp
    ? await provider.ask(place, filled(current), current.spec.health.timeoutMs, context.signal)
    : { isHealthy: false, answer: status.problem ?? 'it is stopped' };
  return {
    name,
    state: status.state,
    endpoint,
    healthy: health.isHealthy,
    answer: health.answer,
    durationMs: Math.round(performance.now() - startedMs),
  };
}

/** Lists lines of what a pod's agent wrote. */
export async function* readPodLog(
  context: OpsContext,
  record: PodRecord,
  options: { readonly lines?: number | undefined; readonly follow?: boolean | undefined },
): AsyncIterable<string> {
  const provider = await getProvider(record.spec.provider);
  yield* provider.logs(placeOf(context.home, record), { ...options, signal: context.signal });
}

/** What removing a pod deletes, and what it leaves. */
export interface PodRemoval {
  readonly name: string;
  readonly agent: string;
  /** What goes: its record, its log, and every generation of its state. */
  readonly dir: string;
  /** The state folder, where it lies elsewhere and so stays. */
  readonly kept: string | undefined;
}

/**
 * Tells what removing a pod would delete.
 * @throws {MoltError} RUNNING when it is not stopped
 */
export async function planPodRemoval(context: OpsContext, record: PodRecord): Promise<PodRemoval> {
  const { status, current } = await look(context, record);
  if (status.state !== 'stopped') throw podRuns(current, status);
  const dir = podDir(context.home, record.name);
  const isOutside = !current.stateDir.startsWith(`${dir}/`);
  return { name: record.name, agent: record.agent, dir, kept: isOutside ? current.stateDir : undefined };
}

/**
 * Removes a stopped pod with its state; the history of its agent stays.
 * @throws {MoltError} RUNNING, LOCKED
 */
export async function removePod(context: OpsContext, record: PodRecord): Promise<PodRemoval> {
  const { home } = context;
  using _ = lockPod(home, record.name);
  const plan = await planPodRemoval(context, await reread(context, record));
  const aside = join(home.dir, 'pods', `.removed-${record.name}`);
  try {
    await removeTree(aside);
    await rename(plan.dir, aside);
    await removeTree(aside);
  } catch (error) {
    throw systemFailure(error, `pod "${record.name}" could not be removed whole`, plan.dir);
  }
  return plan;
}

/** Returns where the next generation of a pod goes, and the ports that it is to be bound to. Nothing is made. */
export async function planGeneration(context: OpsContext, record: PodRecord): Promise<PodGeneration> {
  const { current } = await look(context, record);
  const generation = Math.max(current.generation, current.next?.generation ?? 0) + 1;
  const stateDir = join(podDir(context.home, record.name), `gen-${generation}`, 'state');
  return { generation, stateDir, ports: await choosePrivatePorts(context.home, current), commit: undefined };
}

/**
 * Lets another generation take the place of the present one. Where the pod runs, it is started beside it, and takes over the public
 * ports in one step once it is healthy; where the pod is stopped, only its record changes.
 * @throws {MoltError} UNHEALTHY when it does not become healthy: the present one goes on. RUNNING when the pod runs and molt does not own
 *   its ports: stop it first. LOCKED
 */
export async function switchPod(context: OpsContext, record: PodRecord, next: PodGeneration): Promise<PodRecord> {
  const { home, signal, reporter } = context;
  using _ = lockPod(home, record.name);
  const { provider, place, status, current } = await look(context, await reread(context, record));
  const switched: PodRecord = { ...current, ...next, next: undefined };
  if (status.state === 'stopped') {
    await writePodRecord(home, switched, { replace: true });
    return switched;
  }
  if (!isFronted(current.spec) || provider.switchTo === undefined) {
    throw new MoltError(
      'RUNNING',
      `pod "${record.name}" runs, and molt does not own its ports: it has to be stopped first`,
      {
        hint: `molt pod stop ${record.name}`,
      },
    );
  }
  const pod = filled(switched);
  await provider.check(pod);
  await writePodRecord(home, { ...current, next }, { replace: true });
  reporter.progress({ phase: 'start beside' });
  try {
    await provider.switchTo(place, pod, {
      signal,
      onTry: () => reporter.progress({ phase: 'wait until it is healthy' }),
    });
  } catch (error) {
    const { current: after } = await look(context, await reread(context, record));
    await writePodRecord(home, { ...after, next: undefined }, { replace: true });
    throw error;
  }
  await writePodRecord(home, switched, { replace: true });
  return switched;
}

/** Returns where clients find a pod, if it has a port. */
export function endpointOf({ spec, ports }: PodRecord): string | undefined {
  const [first] = spec.ports;
  const pair = first && ports[first.name];
  return pair && `http://${POD_HOST}:${pair.public}`;
}

interface Looked {
  readonly provider: Provider;
  readonly place: PodPlace;
  readonly status: PodStatus;
  /** The record with the generation that really counts, should its molt have been killed while it switched. */
  readonly current: PodRecord;
}

async function look({ home }: OpsContext, record: PodRecord): Promise<Looked> {
  const provider = await getProvider(record.spec.provider);
  const place = placeOf(home, record);
  const status = await provider.inspect(place);
  const { next } = record;
  const hasSwitched = next !== undefined && status.generation === next.generation;
  return { provider, place, status, current: hasSwitched ? { ...record, ...next, next: undefined } : record };
}

async function reread(context: OpsContext, { name }: PodRecord): Promise<PodRecord> {
  return getPod(context, name);
}

function placeOf(home: Home, { name }: PodRecord): PodPlace {
  return { name, dir: podDir(home, name) };
}

function filled(record: PodRecord): FilledPod {
  const { spec, stateDir, name, ports, generation } = record;
  return fillIn(spec, { state: stateDir, name, ports, generation });
}

function lockPod(home: Home, name: string): Disposable {
  const lock = tryLock(join(home.dir, 'locks', `pod-${name}`));
  if (lock !== undefined) return lock;
  throw new MoltError('LOCKED', `another molt is at pod "${name}"; nothing was changed`, {
    hint: `wait until it has ended; molt pod list shows how the pod is`,
  });
}

/** Returns the error for a pod's name that is taken. */
export function podExists(name: string): MoltError {
  return new MoltError('EXISTS', `there is a pod "${name}" already`, {
    hint: `choose another name, or remove it: molt pod remove ${name}`,
  });
}

function podRuns(record: PodRecord, { pid, problem }: PodStatus): MoltError {
  const endpoint = endpointOf(record);
  const details = [pid && `process ${pid}`, endpoint, problem].filter(Boolean).join(', ');
  return new MoltError('RUNNING', `pod "${record.name}" runs${details && ` (${details})`}`, {
    hint: `molt pod stop ${record.name}`,
    details: { pid },
  });
}
