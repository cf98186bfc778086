// Restores an agent's files where they live: a safety commit first, then everything that differs is staged and checked, and only
// then switched. A crash leaves a note behind; doing the restore again, or undoing it, finishes from any point.

import { mkdirSync, readdirSync } from 'node:fs';
import { getProfile } from '../agent/profile.ts';
import { flushTree } from '../agent/rehydrate.ts';
import type { Expectations, RebindChange } from '../agent/revival.ts';
import { findRunning } from '../agent/running.ts';
import { isLoss } from '../agent/scan.ts';
import { switchFiles } from '../agent/switch.ts';
import { COMPONENTS, type Component } from '../model/component.ts';
import { isMoltError, isSystemError, MoltError } from '../model/error.ts';
import type { CommitId } from '../model/ids.ts';
import { displayPath } from '../model/name.ts';
import { lockAgent } from './agent-lock.ts';
import type { CapturedAgent } from './capture-agent.ts';
import { commitCaptured } from './commit.ts';
import type { OpsContext } from './context.ts';
import type { Agent, Incarnation } from './home.ts';
import { checkSaved, comparePlan, dirsOf, hazardsOf, type ComparedPlan, type Wanted } from './in-place-plan.ts';
import { raiseIncarnation } from './incarnation.ts';
import type { OpenAgent } from './open.ts';
import { PhaseTimer, type Phase } from './phase-timer.ts';
import type { PodSummary } from './pods.ts';
import {
  dropRestoreNote,
  dropStopped,
  isStoppedNoted,
  noteStopped,
  readRestoreNote,
  writeRestoreNote,
  type RestoreNote,
} from './restore-journal.ts';
import { provision, type Provisioned } from './provision.ts';
import { bindingsOf, publicPorts } from './restore-pod.ts';
import { checkRevived } from './revived.ts';
import { findRunner, type Runner } from './runner.ts';
import { liveSide } from './side.ts';
import { bytesOf, dropStaged, stageFiles, type Staged } from './stage.ts';

/** What a restore in place would do, or did. */
export interface InPlaceResult {
  readonly files: { readonly written: number; readonly removed: number; readonly unchanged: number };
  readonly bytes: { readonly fetched: number; readonly written: number };
  /** The commit of what was there before; undefined if nothing was, and for a dry run. */
  readonly safety: CommitId | undefined;
  readonly hazards: readonly string[];
  readonly phases: readonly Phase[];
  /** What was bound to where the files are, beside what the commit says. */
  readonly rebound?: readonly RebindChange[];
  /** Of an agent that runs: `stop-first` stops it, replaces its files and starts it; `beside` lets another generation take over. */
  readonly switch?: 'stop-first' | 'beside';
  /** Of a plan: whether it can't be carried out because the agent runs and molt can't stop it. */
  readonly isRefused?: boolean;
  /** Of an agent that was stopped or started: which, and what went wrong with starting it. */
  readonly lifecycle?: { readonly stopped: boolean; readonly started: boolean; readonly problem?: string };
  /** Why an agent that was gone was not started. */
  readonly unstarted?: string;
  /** The pod that runs the agent. */
  readonly pod?: PodSummary;
  /** What of the commit the running agent does not have, as sentences. */
  readonly problems?: readonly string[];
}

/** What of a commit to restore in place. */
export interface InPlaceOptions {
  /** Only these components; everything else stays as it is. */
  readonly components?: readonly Component[] | undefined;
  /** Whether an agent that was stopped for it is started afterwards; true unless given. */
  readonly isStartWanted?: boolean | undefined;
  /** Whether a state of a newer program than is known is bound to another place all the same. */
  readonly isForced?: boolean | undefined;
  /** Asks whether a pod of the backup may be run, where the agent's folder was gone and something has to start it; else nothing does. */
  readonly ask?: ((question: string) => Promise<boolean>) | undefined;
  /** What to call it in the incarnation that it begins; `in-place` unless given. */
  readonly why?: Incarnation['why'] | undefined;
}

interface Replacing {
  readonly dirs: ReadonlyMap<string, string>;
  /** Where the roots were when the commit was made. */
  readonly from: ReadonlyMap<string, string>;
  readonly pending: RestoreNote | undefined;
  readonly early: Staged | undefined;
  readonly runner: Runner | undefined;
  readonly timer: PhaseTimer;
}

interface Replaced {
  readonly result: Omit<InPlaceResult, 'phases'>;
  readonly expectations: Expectations;
  /** Whether nothing was there before. */
  readonly isEmpty: boolean;
}

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
      await noteStopped(context.home, agent);
      await runner.stop([...dirs.values()], () => (stopped = runner));
      timer.end('stop');
    }
    // One that was killed had stopped it, and owes it the start.
    if (!isUp && runner !== undefined && (await isStoppedNoted(context.home, agent))) stopped = runner;
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
    if (early !== undefined && !isHalfDone) await dropStaged(dirs).catch(() => undefined);
    throw stopped === undefined && !isBegun ? error : await explainFailure(context, open, stopped, options, error);
  }
  const result = { ...done.result, phases: timer.phases };
  if (options.isStartWanted === false) {
    await dropStopped(context.home, agent);
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
  try {
    return await stageFiles(context, open, plan, 'early');
  } catch (error) {
    await dropStaged(dirs).catch(() => undefined);
    throw error;
  }
}

/** Starts the agent, and asks it for what the commit holds. */
async function startAgain(
  context: OpsContext,
  agent: Agent,
  {
    starter,
    stopped,
    done,
    dirs,
    timer,
  }: {
    starter: Runner;
    stopped: Runner | undefined;
    done: Replaced;
    dirs: ReadonlyMap<string, string>;
    timer: PhaseTimer;
  },
): Promise<Pick<InPlaceResult, 'lifecycle' | 'pod' | 'problems'>> {
  const { problem, pod } = await starter.start();
  timer.end('start');
  if (problem === undefined) await dropStopped(context.home, agent);
  const lifecycle = {
    stopped: stopped !== undefined,
    started: problem === undefined,
    ...(problem !== undefined && { problem }),
  };
  if (problem !== undefined || pod === undefined) return { lifecycle, ...(pod && { pod }) };
  context.reporter.progress({ phase: 'health check' });
  const problems = await checkRevived(context, getProfile(agent.profile), dirs, done.expectations);
  timer.end('health check');
  return { lifecycle, pod, problems };
}

/** Says what a failure left on the disk, and starts an agent again that was stopped, if its files are what they were. */
async function explainFailure(
  context: OpsContext,
  open: OpenAgent,
  stopped: Runner | undefined,
  { isStartWanted }: InPlaceOptions,
  error: unknown,
): Promise<unknown> {
  const { agent } = open;
  const note = await readRestoreNote(context.home, agent);
  if (note?.phase === 'under-way') {
    const end = stopped === undefined ? '' : `, and ${agent.label} is stopped`;
    const hint = 'do it again, or take it back with molt restore --undo, before you start it';
    return addToError(context, error, `the restore broke off among its files${end}`, hint);
  }
  if (stopped === undefined) return addToError(context, error, 'no file was changed');
  const isBack = findRunning(agent.stateDir, [agent.stateDir]) !== undefined;
  const isLeft = isStartWanted === false || isBack;
  const { problem } = isLeft ? {} : await stopped.start();
  if (problem === undefined) await dropStopped(context.home, agent);
  const state = isBack ? 'runs' : isLeft ? 'is stopped' : problem ? `is stopped: ${problem}` : 'was started again';
  return addToError(context, error, `no file was changed, and ${agent.label} ${state}`);
}

/** Returns an error that says something more; beside a bug it is only reported. */
function addToError(context: OpsContext, error: unknown, addition: string, hint?: string): unknown {
  if (isMoltError(error)) {
    const better = hint ?? error.hint;
    const { code, message, details } = error;
    return new MoltError(code, `${message}; ${addition}`, {
      ...(better !== undefined && { hint: better }),
      details,
      cause: error,
    });
  }
  context.reporter.warn(addition);
  return error;
}

/** Saves what is there, and puts a commit's files in its place, bound to where they are. */
async function replaceFiles(
  context: OpsContext,
  open: OpenAgent,
  { commit, components, isForced, why = 'in-place' }: Wanted & Pick<InPlaceOptions, 'isForced' | 'why'>,
  { dirs, from, pending, early, runner, timer }: Replacing,
): Promise<Replaced> {
  const { agent } = open;
  const brokenOff = pending?.phase === 'under-way' ? pending : undefined;
  // What a broken-off restore left is no state of the agent's: the commit before it is the one to go back to. And where nothing is,
  // nothing is to be saved: a commit of it would be the newest, and the next one to be restored.
  const isEmpty = brokenOff === undefined && !hasFiles(dirs);
  const profile = getProfile(agent.profile);
  // A pod may have a token of its own, which its past, as another agent, did not have; its clients know no other.
  const token = runner?.pod === undefined ? undefined : await profile.readToken(agent.stateDir);
  for (const dir of dirs.values()) mkdirSync(dir, { recursive: true, mode: 0o700 });
  context.reporter.progress({ phase: 'save' });
  const { safety, captured } =
    brokenOff !== undefined || isEmpty
      ? { safety: brokenOff?.safety ?? commit, ...(await liveSide(context, open, { keepContent: false })) }
      : await commitSafety(context, open);
  const plan = await comparePlan(open, { commit, components }, dirs, captured);
  timer.end('save');
  await writeRestoreNote(context.home, agent, { phase: 'under-way', commit, safety, components });
  let staged: Staged;
  try {
    staged = await stageFiles(context, open, plan, 'late', early);
    refuseRunning(agent, dirs);
    checkSaved(plan);
  } catch (error) {
    // Nothing of the agent was touched, unless an earlier restore broke off. Should this fail too, the note says more than happened.
    const undo = async (): Promise<void> => {
      await dropStaged(dirs);
      if (pending === undefined) await dropRestoreNote(context.home, agent);
      else await writeRestoreNote(context.home, agent, pending);
    };
    await undo().catch(() => undefined);
    throw error;
  }
  timer.end('stage');
  context.reporter.progress({ phase: 'switch' });
  switchFiles({ ...plan, stages: new Map([...staged].map(([path, { stage }]) => [path, stage])) });
  const relocation = { from, to: dirs };
  const expectations = await profile.readExpectations(relocation);
  const rebound = await profile.rebind({
    ...relocation,
    ports: runner?.pod === undefined ? {} : publicPorts(runner.pod),
    bindings: runner?.pod === undefined ? [] : bindingsOf(runner.pod),
    token,
    isForced,
  });
  await Promise.all([...dirs.values()].map((dir) => flushTree(dir)));
  await raiseIncarnation(context, open, { commit, why });
  await writeRestoreNote(context.home, agent, { phase: 'done', commit, safety, components });
  timer.end('switch');
  return { result: { ...resultOf(plan, isEmpty ? undefined : safety), rebound }, expectations, isEmpty };
}

/** Says whether anything stands where a commit's files go. */
export async function hasState(context: OpsContext, open: OpenAgent, commit: CommitId): Promise<boolean> {
  return hasFiles((await dirsOf(context, open, commit)).to);
}

function hasFiles(dirs: ReadonlyMap<string, string>): boolean {
  return [...dirs.values()].some((dir) => {
    try {
      return readdirSync(dir).length > 0;
    } catch (error) {
      // What can't be looked into is there.
      return !isSystemError(error, 'ENOENT');
    }
  });
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

async function commitSafety(
  context: OpsContext,
  open: OpenAgent,
): Promise<{ safety: CommitId; captured: CapturedAgent }> {
  const { agent, repository } = open;
  const message = 'what was there before a restore in place';
  const options = { kind: 'safety', trigger: 'restore', message } as const;
  const { result, captured } = await commitCaptured(context, agent, repository, options);
  const lost = result.skipped.find((one) => isLoss(one));
  if (lost === undefined) return { safety: result.id, captured };
  throw new MoltError('PARTIAL', `"${displayPath(lost.path)}" can't be saved first: ${lost.reason}`, {
    hint: 'make it readable, or restore into a new folder: --to DIR',
  });
}

/** What broke off may have changed more than is to be restored now; that would be taken for whole. */
function refusePart(pending: RestoreNote, components: readonly Component[] | undefined): void {
  const left = (pending.components ?? COMPONENTS).filter((one) => components?.includes(one) === false);
  if (left.length === 0) return;
  throw new MoltError('CONFLICT', `a restore in place broke off that was also to bring back ${left.join(', ')}`, {
    hint: 'do that again, or take it back with molt restore --undo; then restore a part',
  });
}

function refuseRunning(agent: Agent, dirs: ReadonlyMap<string, string>): void {
  const running = findRunning(agent.stateDir, [...dirs.values()]);
  if (running === undefined) return;
  throw new MoltError('RUNNING', `the agent runs: process ${running.pid}, ${running.evidence}`, {
    hint: `stop it and try again, restore into a new folder (--to DIR), or let molt stop and start it: a "lifecycle" under "pod" in agents/${agent.label}.json of molt’s folder, as its README shows`,
    details: { pid: running.pid },
  });
}

function resultOf(plan: ComparedPlan, safety: CommitId | undefined): Omit<InPlaceResult, 'phases'> {
  return {
    files: {
      written: plan.put.length,
      removed: plan.remove.filter(({ type }) => type !== 'directory').length,
      unchanged: plan.unchanged,
    },
    bytes: { fetched: 0, written: bytesOf(plan.put) },
    safety,
    hazards: hazardsOf(plan),
  };
}
