// Removes a stopped pod with its state; the history of its agent stays.

import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { systemFailure } from '../model/system-error.ts';
import type { OpsContext } from './context.ts';
import { getPod, lockPod, lookAtPod, podRuns } from './pod-look.ts';
import { podDir, type PodRecord } from './pod-record.ts';
import { removeTree } from './remove-tree.ts';
import { dropStopped } from './stopped-note.ts';

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
  const { status, current } = await lookAtPod(context, record);
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
  const plan = await planPodRemoval(context, await getPod(context, record.name));
  const aside = join(home.dir, 'pods', `.removed-${record.name}`);
  try {
    await removeTree(aside);
    await rename(plan.dir, aside);
    await dropStopped(home, plan.agent);
    await removeTree(aside);
  } catch (error) {
    throw systemFailure(error, `pod "${record.name}" could not be removed whole`, plan.dir);
  }
  return plan;
}
