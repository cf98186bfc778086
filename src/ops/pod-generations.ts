// The generations of a pod: where the next one goes, how it takes the place of the present one, and which of them counts after a molt was
// killed meanwhile.

import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { MoltError } from '../model/error.ts';
import { isFronted } from '../pod/spec.ts';
import type { OpsContext } from './context.ts';
import { filledPod, getPod, lockPod, lookAtPod, tryLockPod } from './pod-look.ts';
import { choosePrivatePorts } from './pod-ports.ts';
import { podDir, writePodRecord, type PodGeneration, type PodRecord } from './pod-record.ts';

const POLL_MS = 50;
/** What a switch takes beside the graces of what ends. */
const SWITCH_MS = 10_000;

/** Returns the record of a pod with the generation that really counts, whatever was noted of a switch. */
export async function currentPod(context: OpsContext, { name }: PodRecord): Promise<PodRecord> {
  return (await lookAtPod(context, await getPod(context, name))).current;
}

/**
 * Returns the record of a pod with the generation that really counts, and keeps it, should a molt have been killed while it switched. One
 * that is switching just now keeps it itself.
 */
export async function settlePod(context: OpsContext, known: PodRecord): Promise<PodRecord> {
  const { home } = context;
  if (known.next === undefined) return known;
  using lock = tryLockPod(home, known.name);
  const { current } = await lookAtPod(context, await getPod(context, known.name));
  const settled = { ...current, next: undefined };
  if (lock !== undefined) await writePodRecord(home, settled, { replace: true });
  return settled;
}

/**
 * Waits until the generation that another one took over from has ended: it still answers what it was asked before.
 * @throws {MoltError} LOCKED when it takes longer than its grace, INTERRUPTED
 */
export async function awaitSwitched(context: OpsContext, pod: PodRecord): Promise<void> {
  // As long to answer what it was asked, then to end.
  const untilMs = performance.now() + 2 * pod.spec.stop.graceMs + SWITCH_MS;
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- looking again after a while
    const { status } = await lookAtPod(context, pod);
    if (status.isSwitching !== true) return;
    if (performance.now() > untilMs)
      throw new MoltError('LOCKED', `the former generation of pod "${pod.name}" has not ended yet`, {
        hint: 'try again when it has: molt pod list shows how the pod is',
      });
    // oxlint-disable-next-line no-await-in-loop -- the same
    await delay(POLL_MS);
    context.signal?.throwIfAborted();
  }
}

/** Returns where the next generation of a pod goes, and the ports that it is to be bound to. Nothing is made. */
export async function planGeneration(context: OpsContext, record: PodRecord): Promise<PodGeneration> {
  const { current } = await lookAtPod(context, record);
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
  const { provider, place, status, current } = await lookAtPod(context, await getPod(context, record.name));
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
  const pod = filledPod(switched);
  await provider.check(pod);
  await writePodRecord(home, { ...current, next }, { replace: true });
  reporter.progress({ phase: 'start beside' });
  try {
    await provider.switchTo(place, pod, {
      signal,
      onTry: () => reporter.progress({ phase: 'wait until it is healthy' }),
    });
  } catch (error) {
    const { current: after } = await lookAtPod(context, await getPod(context, record.name));
    await writePodRecord(home, { ...after, next: undefined }, { replace: true });
    throw error;
  }
  await writePodRecord(home, switched, { replace: true });
  return switched;
}
