// Finds a pod of this machine, keeps others from it, and looks at how it is: what every operation on a pod begins with.

import { join } from 'node:path';
import { MoltError } from '../model/error.ts';
import { tryLock } from '../pod/lock.ts';
import { POD_HOST } from '../pod/ports.ts';
import type { PodPlace, PodStatus, Provider } from '../pod/provider.ts';
import { getProvider } from '../pod/providers.ts';
import { fillIn, type FilledPod } from '../pod/spec.ts';
import type { OpsContext } from './context.ts';
import { checkLabel, type Home } from './home.ts';
import { listPodNames, podDir, readPodRecord, type PodRecord } from './pod-record.ts';

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

/** Returns where clients find a pod, if it has a port. */
export function endpointOf({ spec, ports }: PodRecord): string | undefined {
  const [first] = spec.ports;
  const pair = first && ports[first.name];
  return pair && `http://${POD_HOST}:${pair.public}`;
}

/** A pod, looked at. */
export interface Looked {
  readonly provider: Provider;
  readonly place: PodPlace;
  readonly status: PodStatus;
  /** The record with the generation that really counts, should its molt have been killed while it switched. */
  readonly current: PodRecord;
}

/** Looks at a pod. */
export async function lookAtPod({ home }: OpsContext, record: PodRecord): Promise<Looked> {
  const provider = await getProvider(record.spec.provider);
  const place = placeOf(home, record);
  const status = await provider.inspect(place);
  const { next } = record;
  const hasSwitched = next !== undefined && status.generation === next.generation;
  return { provider, place, status, current: hasSwitched ? { ...record, ...next, next: undefined } : record };
}

/** Returns where a provider keeps what it needs of a pod. */
export function placeOf(home: Home, { name }: PodRecord): PodPlace {
  return { name, dir: podDir(home, name) };
}

/** Returns what a provider runs. */
export function filledPod(record: PodRecord): FilledPod {
  const { spec, stateDir, name, ports, generation } = record;
  return fillIn(spec, { state: stateDir, name, ports, generation });
}

/** Keeps two operations on one pod apart; undefined when another molt is at it. */
export function tryLockPod(home: Home, name: string): Disposable | undefined {
  return tryLock(join(home.dir, 'locks', `pod-${name}`));
}

/** Keeps two operations on one pod apart. @throws {MoltError} LOCKED */
export function lockPod(home: Home, name: string): Disposable {
  const lock = tryLockPod(home, name);
  if (lock !== undefined) return lock;
  throw new MoltError('LOCKED', `another molt is at pod "${name}"; nothing was changed`, {
    hint: `wait until it has ended; molt pod list shows how the pod is`,
  });
}

/** Returns the error for what needs a stopped pod. */
export function podRuns(record: PodRecord, { pid, problem }: PodStatus): MoltError {
  const endpoint = endpointOf(record);
  const details = [pid && `process ${pid}`, endpoint, problem].filter(Boolean).join(', ');
  return new MoltError('RUNNING', `pod "${record.name}" runs${details && ` (${details})`}`, {
    hint: `molt pod stop ${record.name}`,
    details: { pid },
  });
}
