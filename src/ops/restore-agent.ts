// Restores an agent itself, in the way that disturbs it least: beside, where molt owns the ports of its pod and two of it may run for a
// moment; else in place, stopped for it.

import type { CommitId } from '../model/ids.ts';
import { isFronted } from '../pod/spec.ts';
import { lockRestore } from './agent-lock.ts';
import type { OpsContext } from './context.ts';
import { planInPlace, restoreInPlace } from './in-place.ts';
import type { InPlaceOptions, InPlaceResult } from './in-place-result.ts';
import { resolveAgent, type OpenAgent } from './open.ts';
import { readRestoreNote } from './restore-journal.ts';
import { isInPod } from './pod-folders.ts';
import type { PodRecord } from './pod-record.ts';
import { findPodOf } from './pod-look.ts';
import { isPodStopped } from './pods.ts';
import { recordRun } from './record-run.ts';
import { restoreOutcome } from './restore.ts';
import { finishBeside, planBeside, restoreBeside } from './restore-beside.ts';
import { dropStopped } from './stopped-note.ts';

/** Finds out what restoreAgent would do. @throws {MoltError} what reading the commit or the live agent throws */
export async function planAgent(
  context: OpsContext,
  open: OpenAgent,
  commit: CommitId,
  options: InPlaceOptions = {},
): Promise<InPlaceResult> {
  const pod = await findBeside(context, open, options);
  return pod === undefined ? planInPlace(context, open, commit, options) : planBeside(context, open, commit);
}

/**
 * Restores a commit where the agent is.
 * @throws {MoltError} LOCKED when another molt restores it; what restoreInPlace and restoreBeside throw
 */
export async function restoreAgent(
  context: OpsContext,
  opened: OpenAgent,
  commit: CommitId,
  options: InPlaceOptions = {},
): Promise<InPlaceResult> {
  const { label } = opened.agent;
  return recordRun(
    context,
    { verb: 'restore', detail: 'in place' },
    async (quiet, note) => {
      note.opened(opened);
      using _ = lockRestore(quiet.home, label);
      // Another restore may have moved it, and saved what was there, since it was opened.
      await opened.repository.refresh();
      const open = await finishBeside(quiet, { ...opened, agent: await resolveAgent(quiet, label) });
      const pod = await findBeside(quiet, open, options);
      if (pod === undefined) return await restoreInPlace(quiet, open, commit, options);
      await dropStopped(quiet.home, label);
      return await restoreBeside(quiet, open, commit, pod, options);
    },
    ({ bytes, lifecycle, problems = [] }) =>
      restoreOutcome(commit, bytes, [...(lifecycle?.problem === undefined ? [] : [lifecycle.problem]), ...problems]),
  );
}

/**
 * Returns the pod of an agent that can be restored beside itself: it runs, molt owns its ports, its state is the pod's own, and it is no
 * OpenClaw, whose channels and jobs must not run twice.
 */
async function findBeside(
  context: OpsContext,
  { agent }: OpenAgent,
  { components, isStartWanted }: InPlaceOptions,
): Promise<PodRecord | undefined> {
  if (components !== undefined || isStartWanted === false || agent.profile === 'openclaw') return undefined;
  if (!isInPod(context.home, agent)) return undefined;
  const pod = await findPodOf(context, agent.label);
  if (pod === undefined || pod.stateDir !== agent.stateDir || !isFronted(pod.spec)) return undefined;
  if ((await readRestoreNote(context.home, agent))?.phase === 'under-way') return undefined;
  return (await isPodStopped(context, pod)) ? undefined : pod;
}
