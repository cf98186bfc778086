// Restores an agent in place without stopping it first: the moment becomes the next generation of its pod, which is started beside the
// present one and takes over its ports once it is healthy. Then the old one is stopped, what it had is committed, and its files go.

import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { getProfile } from '../agent/profile.ts';
import { flushTree } from '../agent/rehydrate.ts';
import { isLoss } from '../agent/scan.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { CommitId } from '../model/ids.ts';
import { lockAgent } from './agent-lock.ts';
import { commitAgent } from './commit.ts';
import { readCommitView, readRestoreEntries, readRoots } from './commit-files.ts';
import type { OpsContext } from './context.ts';
import type { Agent } from './home.ts';
import { raiseIncarnation } from './incarnation.ts';
import type { InPlaceOptions, InPlaceResult } from './in-place-result.ts';
import type { OpenAgent } from './open.ts';
import { PhaseTimer } from './phase-timer.ts';
import { placeFiles } from './place-files.ts';
import { generationDir, isInPod } from './pod-folders.ts';
import type { PodRecord } from './pod-record.ts';
import { dropPodRestoreNote, readPodRestoreNote, writePodRestoreNote } from './pod-restore-note.ts';
import { currentPod, planGeneration, settlePod, switchPod } from './pod-generations.ts';
import { findPodOf } from './pod-look.ts';
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
  let switched: PodRecord;
  try {
    await removeTree(dir);
    const written = await placeFiles(context, repository, entries, dir);
    timer.end('rehydrate');
    const expectations = await profile.readExpectations(relocation);
    const record: PodRecord = { ...pod, ...next };
    const rebinding = { ports: publicPorts(record), bindings: bindingsOf(record), isForced: options.isForced };
    const rebound = await profile.rebind({ ...relocation, ...rebinding });
    await flushTree(dir);
    timer.end('re-bind');
    const replaces = agent.stateDir;
    await writePodRestoreNote(home, pod.name, { commit, generation: next.generation, replaces, expectations });
    switched = await switchPod(context, pod, next);
    timer.end('start beside, and switch');
    const moved = await finishBeside(context, open);
    timer.end('save what was there');
    const safety = moved.safety;
    const problems = await checkRevived(context, profile, relocation.to, expectations);
    timer.end('health check');
    return {
      files: { written: written.files + written.links, removed: 0, unchanged: 0 },
      bytes: { fetched: 0, written: written.bytes },
      safety,
      hazards: [],
      phases: timer.phases,
      rebound,
      switch: 'beside',
      pod: { ...(await inspectPod(context, switched)), healthy: true },
      problems,
    };
  } catch (error) {
    // What its supervisor says counts: the record may be what could not be written.
    if ((await currentPod(context, pod)).generation === next.generation) throw addSwitched(error, agent.label);
    await dropPodRestoreNote(home, pod.name);
    await removeTree(dir);
    throw error;
  }
}

/** Returns the error of a restore whose new generation had taken over already. */
function addSwitched(error: unknown, label: string): unknown {
  if (!isMoltError(error)) return error;
  const { code, message, details } = error;
  return new MoltError(
    code,
    `${message}; the restored ${label} runs already, and what it had before is not saved yet`,
    {
      hint: `its files are still there: the next molt restore of ${label}, --undo too, saves them first`,
      details,
      cause: error,
    },
  );
}

/**
 * Finishes a restore beside after the switch: the agent lives in the new generation, what the old one had is a safety commit, and its
 * files are gone. Returns the agent as it is then; where there is nothing to finish, as it was.
 */
export async function finishBeside(
  context: OpsContext,
  open: OpenAgent,
): Promise<OpenAgent & { readonly safety?: CommitId }> {
  const { home } = context;
  const { agent, repository } = open;
  if (!isInPod(home, agent)) return open;
  const known = await findPodOf(context, agent.label);
  const pod = known && (await settlePod(context, known));
  const note = pod && (await readPodRestoreNote(home, pod.name));
  if (pod === undefined || note?.replaces === undefined || pod.generation !== note.generation) return open;
  const old: Agent = { ...agent, stateDir: note.replaces };
  let safety: CommitId | undefined;
  if (existsSync(old.stateDir)) {
    const message = 'what was there before a restore in place';
    const made = await commitAgent(context, old, repository, { kind: 'safety', trigger: 'restore', message });
    // What could not be saved stays where it is.
    if (!made.skipped.some((one) => isLoss(one))) safety = made.id;
  }
  const now = (await home.findAgent(agent.label)) ?? agent;
  const moved: Agent = { ...now, stateDir: pod.stateDir };
  await home.updateAgent(moved);
  await raiseIncarnation(context, { ...open, agent: moved }, { commit: note.commit, why: 'in-place' });
  if (safety !== undefined) {
    await writeRestoreNote(home, moved, { phase: 'done', commit: note.commit, safety });
    await removeTree(dirname(old.stateDir));
  }
  await dropPodRestoreNote(home, pod.name);
  return { ...open, agent: moved, ...(safety !== undefined && { safety }) };
}
