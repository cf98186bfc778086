// A drill: a moment is brought back as a quiet pod, which reaches no channel and runs no job, is asked for what its commit holds, and is
// taken away again. It tells how long coming back takes, and how much would be lost.

import { newMark, ownerState } from '../storage/owner.ts';
import type { OpsContext } from './context.ts';
import type { OpenAgent } from './open.ts';
import { podDir } from './pod-record.ts';
import { findPod } from './pod-look.ts';
import { removePod } from './pod-removal.ts';
import { listPods, stopPod } from './pods.ts';
import { recordRun } from './record-run.ts';
import { removeTree } from './remove-tree.ts';
import { restoreOutcome, type Moment } from './restore.ts';
import {
  applyPodRestore,
  planPodRestore,
  type PodPlan,
  type PodRestoreOptions,
  type PodRestoreResult,
} from './restore-pod.ts';

/** What a drill came to. */
export interface DrillResult {
  readonly plan: PodPlan;
  readonly restored: PodRestoreResult;
  /** From the order to the healthy pod that has everything; milliseconds. */
  readonly recoveryTimeMs: number;
  /** How old the restored moment was when the drill began: what would be lost. Milliseconds. */
  readonly recoveryPointMs: number;
}

const PREFIX = 'drill-';

/**
 * Drills: restores, starts, checks, stops and removes. Whatever comes of it, nothing of it stays.
 * @throws {MoltError} what planPodRestore and applyPodRestore throw
 */
export async function drill(
  context: OpsContext,
  open: OpenAgent,
  moment: Moment,
  options: PodRestoreOptions,
): Promise<DrillResult> {
  return recordRun(
    context,
    { verb: 'drill' },
    async (quiet, note) => {
      note.opened(open);
      return tryOut(quiet, open, moment, options);
    },
    ({ restored }) => restoreOutcome(moment.commit, restored.bytes, restored.problems),
  );
}

async function tryOut(
  context: OpsContext,
  open: OpenAgent,
  moment: Moment,
  options: PodRestoreOptions,
): Promise<DrillResult> {
  await sweepDrills(context);
  const beganMs = context.clock.now();
  const name = `${PREFIX}${newMark()}`;
  try {
    const plan = await planPodRestore(context, open, moment, name);
    const restored = await applyPodRestore(context, open, plan, { ...options, isDrill: true });
    const recoveryTimeMs = context.clock.now() - beganMs;
    return { plan, restored, recoveryTimeMs, recoveryPointMs: Math.max(0, beganMs - moment.timeMs) };
  } finally {
    await takeAway(context, name);
  }
}

/** Takes away what drills left whose process was killed: their pods would run on. */
async function sweepDrills(context: OpsContext): Promise<void> {
  for (const { name } of await listPods(context)) {
    if (!name.startsWith(PREFIX) || ownerState(name.slice(PREFIX.length)) !== 'dead') continue;
    // oxlint-disable-next-line no-await-in-loop -- seldom more than one
    await takeAway(context, name);
  }
}

async function takeAway(context: OpsContext, name: string): Promise<void> {
  // Also when molt is asked to end: it must not run on.
  const { signal: _signal, ...unhurried } = context;
  const record = await findPod(context, name);
  if (record !== undefined) {
    await stopPod(unhurried, record);
    await removePod(unhurried, record);
  }
  await removeTree(podDir(context.home, name));
}
