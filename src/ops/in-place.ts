// Restores an agent's files where they live: what can be is staged while it runs, then it is stopped, what it has is committed and
// replaced, and it is started. A crash leaves a note behind; doing the restore again, or undoing it, finishes from any point.

import { findRunning } from '../agent/running.ts';
import { COMPONENTS, type Component } from '../model/component.ts';
import { MoltError } from '../model/error.ts';
import type { CommitId } from '../model/ids.ts';
import { lockAgent } from './agent-lock.ts';
import type { OpsContext } from './context.ts';
import type { Agent } from './home.ts';
import { explainFailure, startAgain } from './in-place-end.ts';
import { hasFiles, refuseRunning, replaceFiles, type Replaced } from './in-place-files.ts';
import { comparePlan, dirsOf, type Wanted } from './in-place-plan.ts';
import { resultOf, type InPlaceOptions, type InPlaceResult } from './in-place-result.ts';
import type { OpenAgent } from './open.ts';
import { addUnchangedIfCutOff } from './outcome.ts';
import { PhaseTimer } from './phase-timer.ts';
import { provision, type Provisioned } from './provision.ts';
import { readRestoreNote, type RestoreNote } from './restore-journal.ts';
import { findRunner, type Runner } from './runner.ts';
import { liveSide } from './side.ts';
import { dropStaged, stageFiles, type Staged } from './stage.ts';
import { dropStopped, isStoppedNoted } from './stopped-note.ts';

/**
 * Finds out what a restore in place would do, without doing it.
 * @throws {MoltError} what reading the commit or the live agent throws
 */
export async function planInPlace(
  context: OpsContext,
  open: OpenAgent,
  commit: CommitId,
  { components }: InPlaceOptions = {},
): Promise<InPlaceResult> {
  const timer = new PhaseTimer(context);
  const { captured } = await liveSide(context, open, { keepContent: false });
  const { to: dirs } = await dirsOf(context, open, commit);
  const plan = await comparePlan(open, { commit, components }, dirs, captured);
  const runner = await findRunner(context, open.agent);
  const isUp =
    (await runner?.isUp([...dirs.values()])) ?? findRunning(open.agent.stateDir, [...dirs.values()]) !== undefined;
  timer.end('plan');
  return {
    ...resultOf(plan, undefined),
    phases: timer.phases,
    ...(isUp && { switch: 'stop-first', ...(runner === undefined && { isRefused: true }) }),
  };
}

/**
 * Restores a commit in place. Files that are as they should be are not written; what a profile or rule leaves out stays. An agent that
 * runs is stopped first and started afterwards, as a pod or by the commands of its lifecycle; most of what is to be written is staged
 * before it is stopped.
 * @throws {MoltError} RUNNING when the agent runs and can't be stopped, LOCKED when it is being committed or restored, PARTIAL when something
 *   of it can't be saved first: then nothing was changed. What fails later leaves a note, and doing it again or undoing it finishes.
 */
export async function restoreInPlace(
  context: OpsContext,
  open: OpenAgent,
  commit: CommitId,
  options: InPlaceOptions = {},
): Promise<InPlaceResult> {
  const { agent } = open;
  const timer = new PhaseTimer(context);
  let stopped: Runner | undefined;
  let isBegun = false;
  let early: Staged | undefined;
  let done: Replaced;
  const { from, to: dirs } = await dirsOf(context, open, commit);
  let runner = await findRunner(context, agent);
  let unstarted: string | undefined;
  try {
    using _ = lockAgent(context.home, agent, 'restore');
    const pending = await readRestoreNote(context.home, agent);
    if (pending?.phase === 'under-way') refusePart(pending, options.components);
    const isUp = await isUpNow(agent, dirs, runner);
    // What can't be restored is no reason to stop it.
    early = isUp ? await stageEarly(context, open, { ...options, commit }, dirs) : undefined;
    if (isUp) timer.end('stage while it runs');
    if (isUp && runner !== undefined) {
      await runner.stop([...dirs.values()], () => (stopped = runner));
      timer.end('stop');
    }
    // One that was killed had stopped it, and owes it the start.
    if (!isUp && runner !== undefined && (await isStoppedNoted(context.home, agent.label))) {
      stopped = runner;
      if (options.isStartWanted !== false)
        context.reporter.warn(`an earlier restore stopped ${agent.label} and was killed: it is started after this one`);
    }
    // Somebody may have to agree to what would run, and that is asked before anything is written.
    if (runner === undefined && pending?.phase !== 'under-way' && !hasFiles(dirs)) {
      const provisioned = await provisionGone(context, open, commit, options);
      if (provisioned !== undefined && 'problem' in provisioned) unstarted = provisioned.problem;
      else runner = provisioned?.runner;
    }
    isBegun = true;
    const replacing = { dirs, from, pending, early, runner, timer };
    done = await replaceFiles(context, open, { ...options, commit }, replacing);
  } catch (error) {
    const isHalfDone = (await readRestoreNote(context.home, agent))?.phase === 'under-way';
    if ((early !== undefined || isBegun) && !isHalfDone) await dropStaged(dirs).catch(() => undefined);
    if (stopped === undefined && !isBegun) throw addUnchangedIfCutOff(context, error);
    throw await explainFailure(context, open, stopped, options, error);
  }
  const result = { ...done.result, phases: timer.phases };
  if (options.isStartWanted === false) {
    await dropStopped(context.home, agent.label);
    return stopped === undefined ? result : { ...result, lifecycle: { stopped: true, started: false } };
  }
  const starter = stopped ?? (done.isEmpty ? runner : undefined);
  if (starter === undefined) return { ...result, ...(unstarted !== undefined && { unstarted }) };
  return { ...result, ...(await startAgain(context, agent, { starter, stopped, done, dirs, timer })) };
}

/** Returns what will run an agent that is gone, and that nothing is known to run; undefined where nothing is to be started. */
async function provisionGone(
  context: OpsContext,
  open: OpenAgent,
  commit: CommitId,
  { ask, isStartWanted }: InPlaceOptions,
): Promise<Provisioned | undefined> {
  return ask === undefined || isStartWanted === false ? undefined : provision(context, open, commit, ask);
}

/** Says whether something has to be stopped first. @throws {MoltError} RUNNING when it can't be */
async function isUpNow(agent: Agent, dirs: ReadonlyMap<string, string>, runner: Runner | undefined): Promise<boolean> {
  if (runner !== undefined) return runner.isUp([...dirs.values()]);
  refuseRunning(agent, dirs);
  return false;
}

/** Stages what differs now, while the agent runs; what changes until it has stopped is staged then. */
async function stageEarly(
  context: OpsContext,
  open: OpenAgent,
  wanted: Wanted,
  dirs: ReadonlyMap<string, string>,
): Promise<Staged> {
  const { captured } = await liveSide(context, open, { keepContent: false });
  const plan = await comparePlan(open, wanted, dirs, captured);
  await dropStaged(dirs);
  try {
    return await stageFiles(context, open, plan, 'early');
  } catch (error) {
    await dropStaged(dirs).catch(() => undefined);
    throw error;
  }
}

/** What broke off may have changed more than is to be restored now; that would be taken for whole. */
function refusePart(pending: RestoreNote, components: readonly Component[] | undefined): void {
  const left = (pending.components ?? COMPONENTS).filter((one) => components?.includes(one) === false);
  if (left.length === 0) return;
  throw new MoltError('CONFLICT', `a restore in place broke off that was also to bring back ${left.join(', ')}`, {
    hint: 'do that again, or take it back with molt restore --undo; then restore a part',
  });
}

/** Says whether anything stands where a commit's files go. */
export async function hasState(context: OpsContext, open: OpenAgent, commit: CommitId): Promise<boolean> {
  return hasFiles((await dirsOf(context, open, commit)).to);
}

/**
 * Returns the commit of what was there before the last restore in place.
 * @throws {MoltError} NOT_FOUND when there was none
 */
export async function findUndo(context: OpsContext, open: OpenAgent): Promise<CommitId> {
  const note = await readRestoreNote(context.home, open.agent);
  if (note !== undefined) return note.safety;
  throw new MoltError('NOT_FOUND', `nothing was restored in place for ${open.agent.label}`, {
    hint: 'molt log lists the moments to restore',
  });
}
