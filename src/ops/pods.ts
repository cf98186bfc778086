// Pods of this machine: what runs an agent, and how it is. One operation at a time works on a pod; two starts at once are one start
// and one refusal.

import { chmod } from 'node:fs/promises';
import { isSystemError, MoltError } from '../model/error.ts';
import { shortId } from '../model/ids.ts';
import { TRY_MS } from '../pod/health.ts';
import type { PodState } from '../pod/provider.ts';
import { getProvider } from '../pod/providers.ts';
import { fillIn, type PodSpec } from '../pod/spec.ts';
import { makeRoot } from '../storage/folders.ts';
import type { OpsContext } from './context.ts';
import { checkLabel } from './home.ts';
import { endpointOf, filledPod, getPod, lockPod, lookAtPod, placeOf, podRuns } from './pod-look.ts';
import { choosePorts, lockPorts, replaceTakenPorts } from './pod-ports.ts';
import { listPodNames, podDir, readPodRecord, writePodRecord, type PodRecord } from './pod-record.ts';
import { readRestoreNote } from './restore-journal.ts';
import { dropStopped, noteStopped } from './stopped-note.ts';

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
  /** What is wrong, if anything is: `it gave no answer 3 times in a row: …`. */
  readonly problem: string | undefined;
  /** Why it was started again the last time, if it was. */
  readonly lastRestart: string | undefined;
}

/** What a health check found. */
export interface PodHealth {
  readonly name: string;
  readonly state: PodState;
  readonly endpoint: string | undefined;
  readonly healthy: boolean;
  /** What was answered, for people: `GET /readyz answered 200`. */
  readonly answer: string;
  /** What its supervisor has found, if anything is wrong; and why it started it again the last time. */
  readonly problem: string | undefined;
  readonly restarts: number;
  readonly lastRestart: string | undefined;
  readonly durationMs: number;
}

/** How long a list waits for each pod’s health check, all at once: a busy one must not be called unhealthy. */
const LIST_HEALTH_MS = 3000;

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

/** Lists the pods of this machine by name, with how they are. */
export async function listPods(context: OpsContext): Promise<PodSummary[]> {
  const names = await listPodNames(context.home);
  const records = await Promise.all(names.map((name) => readPodRecord(context.home, name)));
  const known = records.filter((record) => record !== undefined);
  return Promise.all(known.map((record) => inspectPod(context, record)));
}

/** Returns how a pod is, with what its health check says now. */
export async function inspectPod(context: OpsContext, record: PodRecord): Promise<PodSummary> {
  const { provider, place, status, current } = await lookAtPod(context, record);
  const isRunning = status.state === 'running';
  const health = isRunning ? await provider.ask(place, filledPod(current), LIST_HEALTH_MS, context.signal) : undefined;
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
    lastRestart: status.lastRestart,
  };
}

/**
 * Starts a pod and waits until it is healthy.
 * @throws {MoltError} RUNNING when it runs, LOCKED when another molt is at it; CONFLICT when its files are half restored; UNHEALTHY when it does not become healthy: then it is
 *   stopped, and the message says what it said last and where its log is
 */
export async function startPod(context: OpsContext, record: PodRecord): Promise<PodSummary> {
  using _ = lockPod(context.home, record.name);
  const noted = await getPod(context, record.name);
  const { provider, place, status, current } = await lookAtPod(context, noted);
  if (status.state === 'running' || status.state === 'starting') throw podRuns(current, status);
  await refuseHalfRestored(context, current);
  // What an earlier supervisor left would have its files open.
  if (status.state === 'failed') await provider.stop(place, current.spec.stop);
  const ready = await replaceTakenPorts(context.home, current);
  const pod = filledPod(ready);
  await provider.check(pod);
  if (ready !== noted) await writePodRecord(context.home, ready, { replace: true });
  context.reporter.progress({ phase: 'start the pod' });
  await provider.start(place, pod, {
    signal: context.signal,
    onTry: () => context.reporter.progress({ phase: 'wait until it is healthy' }),
  });
  await dropStopped(context.home, ready.agent);
  // It was healthy just now; a busy machine may answer the next question late.
  return { ...(await inspectPod(context, ready)), healthy: true };
}

/** An agent that starts on a mix of two moments would make a third of it. */
async function refuseHalfRestored({ home }: OpsContext, { agent, stateDir }: PodRecord): Promise<void> {
  const note = await readRestoreNote(home, { label: agent });
  if (note?.phase !== 'under-way' || (await home.findAgent(agent))?.stateDir !== stateDir) return;
  throw new MoltError('CONFLICT', `a restore in place of ${agent} broke off among its files; nothing was started`, {
    hint: `molt restore ${shortId(note.commit)} -a ${agent} --in-place ends it, molt restore --undo -a ${agent} takes it back`,
  });
}

/**
 * Stops a pod; one that does not run stays as it is.
 * @param onStop given by who starts it again afterwards, which is noted durably first; called when what runs is about to be told to end
 * @returns whether something ran
 * @throws {MoltError} LOCKED when another molt is at it; RUNNING when it can't be stopped
 */
export async function stopPod(context: OpsContext, record: PodRecord, onStop?: () => void): Promise<boolean> {
  const { home, reporter } = context;
  using _ = lockPod(home, record.name);
  const noted = await getPod(context, record.name);
  const { provider, place, status, current } = await lookAtPod(context, noted);
  if (current !== noted) await writePodRecord(home, current, { replace: true });
  const isUp = status.state !== 'stopped';
  if (isUp && onStop !== undefined) {
    await noteStopped(home, record.agent);
    onStop();
  } else await dropStopped(home, record.agent);
  if (!isUp) return false;
  reporter.progress({ phase: 'stop the pod' });
  await provider.stop(place, current.spec.stop);
  return true;
}

/** Says whether nothing of a pod runs, and nothing is about to start it again. */
export async function isPodStopped(context: OpsContext, record: PodRecord): Promise<boolean> {
  return (await lookAtPod(context, record)).status.state === 'stopped';
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
  const { provider, place, status, current } = await lookAtPod(context, record);
  const { name } = record;
  const endpoint = endpointOf(current);
  const isUp = status.state === 'running' || status.state === 'starting';
  const health = isUp
    ? await provider.ask(place, filledPod(current), Math.min(current.spec.health.timeoutMs, TRY_MS), context.signal)
    : { isHealthy: false, hasAnswered: false, answer: status.problem ?? 'it is stopped' };
  return {
    name,
    state: status.state,
    endpoint,
    healthy: health.isHealthy,
    answer: health.answer,
    problem: status.problem,
    restarts: status.restarts,
    lastRestart: status.lastRestart,
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

/** Returns the error for a pod's name that is taken. */
export function podExists(name: string): MoltError {
  return new MoltError('EXISTS', `there is a pod "${name}" already`, {
    hint: `choose another name, or remove it: molt pod remove ${name}`,
  });
}
