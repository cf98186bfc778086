// Restores an agent in place without stopping it first: the moment becomes the next generation of its pod, which is started beside the
// present one and takes over its ports once it is healthy. Then the old one is stopped, what it had is committed, and its files go.

import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { getProfile } from '../agent/profile.ts';
import { flushTree, type WriteResult } from '../agent/rehydrate.ts';
import type { Expectations, RebindChange } from '../agent/revival.ts';
import { isLoss } from '../agent/scan.ts';
import type { CommitId } from '../model/ids.ts';
import { displayPath } from '../model/name.ts';
import { lockAgent } from './agent-lock.ts';
import { commitAgent } from './commit.ts';
import { readCommitView, readRestoreEntries, readRoots } from './commit-files.ts';
import type { OpsContext } from './context.ts';
import type { Agent } from './home.ts';
import { refuseRunning } from './in-place-files.ts';
import type { InPlaceOptions, InPlaceResult } from './in-place-result.ts';
import { raiseIncarnation } from './incarnation.ts';
import type { OpenAgent } from './open.ts';
import { addOutcome, addUnchanged, addUnchecked } from './outcome.ts';
import { PhaseTimer } from './phase-timer.ts';
import { placeFiles } from './place-files.ts';
import { generationDir, isInPod } from './pod-folders.ts';
import { awaitSwitched, currentPod, planGeneration, settlePod, switchPod } from './pod-generations.ts';
import { findPodOf } from './pod-look.ts';
import type { PodRecord } from './pod-record.ts';
import {
  dropPodRestoreNote,
  readPodRestoreNote,
  writePodRestoreNote,
  type PodRestoreNote,
} from './pod-restore-note.ts';
import { inspectPod } from './pods.ts';
import { writeRestoreNote } from './restore-journal.ts';
import { bindingsOf, publicPorts } from './restore-pod.ts';
import { checkRevived } from './revived.ts';
import { removeTree } from './remove-tree.ts';

/** Finds out what a restore beside the running generation would write: all of it. */
export async function planBeside(
  context: OpsContext,
  { repository }: OpenAgent,
  commit: CommitId,
): Promise<InPlaceResult> {
  const timer = new PhaseTimer(context);
  const entries = await readRestoreEntries(repository, await readCommitView(repository, commit));
  timer.end('plan');
  const files = entries.filter(({ type }) => type !== 'directory');
  return {
    files: { written: files.length, removed: 0, unchanged: 0 },
    bytes: { fetched: 0, written: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) },
    safety: undefined,
    hazards: [],
    phases: timer.phases,
    switch: 'beside',
  };
}

/**
 * Restores a commit as the next generation of an agent's pod.
 * @throws {MoltError} UNHEALTHY when it does not become healthy: then the present one goes on, and nothing is changed. LOCKED; what the
 *   files throw. What fails after the switch leaves a note, and the next restore of the agent finishes.
 */
export async function restoreBeside(
  context: OpsContext,
  open: OpenAgent,
  commit: CommitId,
  pod: PodRecord,
  options: InPlaceOptions,
): Promise<InPlaceResult> {
  const { home } = context;
  const { agent, repository } = open;
  const profile = getProfile(agent.profile);
  const timer = new PhaseTimer(context);
  const next = { ...(await planGeneration(context, pod)), commit };
  const dir = generationDir(home, pod.name, next.generation);
  using _ = lockAgent(home, agent, 'restore');
  // Nobody commits the new one before what the old one had is saved.
  using __ = lockAgent(home, { label: agent.label, stateDir: next.stateDir }, 'restore');
  const view = await readCommitView(repository, commit);
  const roots = await readRoots(repository, view);
  const relocation = {
    from: new Map(roots.map(({ key, dir: was }) => [key, was])),
    to: new Map(roots.map(({ key }) => [key, join(dir, key)])),
  };
  const entries = await readRestoreEntries(repository, view);
  let written: WriteResult;
  let expectations: Expectations;
  let rebound: readonly RebindChange[];
  let switched: PodRecord;
  try {
    await removeTree(dir);
    written = await placeFiles(context, repository, entries, dir);
    timer.end('rehydrate');
    expectations = await profile.readExpectations(relocation);
    const record: PodRecord = { ...pod, ...next };
    const rebinding = { ports: publicPorts(record), bindings: bindingsOf(record), isForced: options.isForced };
    rebound = await profile.rebind({ ...relocation, ...rebinding });
    await flushTree(dir);
    timer.end('re-bind');
    const replaces = agent.stateDir;
    await writePodRestoreNote(home, pod.name, { commit, generation: next.generation, replaces, expectations });
    switched = await switchPod(context, pod, next);
  } catch (error) {
    // What its supervisor says counts: the record may be what could not be written.
    if ((await currentPod(context, pod)).generation === next.generation) throw addSwitched(context, error, agent.label);
    await forget(context, pod, dir);
    throw addUnchanged(context, error);
  }
  timer.end('start beside, and switch');
  const { safety, kept } = await finishBeside(context, open);
  timer.end('save what was there');
  const problems = await checkRevived(context, profile, relocation.to, expectations).catch((error: unknown) => {
    throw addUnchecked(context, error, agent.label);
  });
  timer.end('health check');
  return {
    files: { written: written.files + written.links, removed: 0, unchanged: 0 },
    bytes: { fetched: 0, written: written.bytes },
    safety,
    ...(kept !== undefined && { kept }),
    hazards: [],
    phases: timer.phases,
    rebound,
    switch: 'beside',
    pod: { ...(await inspectPod(context, switched)), healthy: true },
    problems,
  };
}

/** Takes away what was made of a generation that did not take over. Should that fail, the next restore does it. */
async function forget({ home }: OpsContext, pod: PodRecord, dir: string): Promise<void> {
  const work = async (): Promise<void> => {
    await dropPodRestoreNote(home, pod.name);
    await removeTree(dir);
  };
  await work().catch(() => undefined);
}

/** Returns the error of a restore whose new generation had taken over already. */
function addSwitched(context: OpsContext, error: unknown, label: string): unknown {
  const outcome = `the restored ${label} runs already, and what it had before is not saved yet`;
  const hint = `its files are still there: the next molt restore of ${label}, --undo too, saves them first`;
  return addOutcome(context, error, outcome, hint);
}

/**
 * Finishes a restore beside after the switch: the agent lives in the new generation, what the old one had is a safety commit, and its
 * files are gone. Returns the agent as it is then, with the folder that is kept because not all in it can be saved; where there is
 * nothing to finish, as it was.
 * @throws {MoltError} RUNNING or LOCKED while the old generation has not ended; what committing and writing throw. Then the old files are
 *   still there.
 */
export async function finishBeside(
  context: OpsContext,
  open: OpenAgent,
): Promise<OpenAgent & { readonly safety?: CommitId; readonly kept?: string }> {
  const { home } = context;
  const { agent } = open;
  if (!isInPod(home, agent)) return open;
  const known = await findPodOf(context, agent.label);
  const pod = known && (await settlePod(context, known));
  const note = pod && (await readPodRestoreNote(home, pod.name));
  if (pod === undefined || note?.replaces === undefined || pod.generation !== note.generation) return open;
  try {
    await awaitSwitched(context, pod);
    const safety = note.safety ?? (await saveReplaced(context, open, pod, note));
    const now = (await home.findAgent(agent.label)) ?? agent;
    const moved: Agent = { ...now, stateDir: pod.stateDir };
    await home.updateAgent(moved);
    await raiseIncarnation(context, { ...open, agent: moved }, { commit: note.commit, why: 'in-place' });
    if (safety !== undefined) {
      await writeRestoreNote(home, moved, { phase: 'done', commit: note.commit, safety });
      await removeTree(dirname(note.replaces));
    }
    await dropPodRestoreNote(home, pod.name);
    const replaced = dirname(note.replaces);
    return {
      ...open,
      agent: moved,
      ...(safety !== undefined && { safety }),
      ...(safety === undefined && existsSync(replaced) && { kept: replaced }),
    };
  } catch (error) {
    throw addSwitched(context, error, agent.label);
  }
}

/** Commits what the old generation had; undefined if that was gone already, or not all of it can be saved: then it stays. */
async function saveReplaced(
  context: OpsContext,
  { agent, repository }: OpenAgent,
  pod: PodRecord,
  note: PodRestoreNote,
): Promise<CommitId | undefined> {
  const old: Agent = { ...agent, stateDir: note.replaces ?? agent.stateDir };
  if (!existsSync(old.stateDir)) return undefined;
  refuseRunning(old, new Map([['state', old.stateDir]]));
  const message = 'what was there before a restore in place';
  const { id, skipped } = await commitAgent(context, old, repository, { kind: 'safety', trigger: 'restore', message });
  const lost = skipped.find((one) => isLoss(one));
  if (lost !== undefined) {
    const what = `"${displayPath(lost.path)}" of what ${agent.label} had before can't be saved: ${lost.reason}`;
    context.reporter.warn(`${what}; all of it stays in ${dirname(old.stateDir)}`);
    return undefined;
  }
  // Should molt be killed while those files go, what is left of them is not to be saved as what was there.
  await writePodRestoreNote(context.home, pod.name, { ...note, safety: id });
  return id;
}
