// Restores an agent's files where they live: a safety commit first, then everything that differs is staged and checked, and only
// then switched. A crash leaves a note behind; doing the restore again, or undoing it, finishes from any point.

import { mkdirSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { flushTree, writeEntries } from '../agent/rehydrate.ts';
import { findRunning } from '../agent/running.ts';
import { isLoss } from '../agent/scan.ts';
import { nativeOf, STAGING_FOLDER, switchFiles } from '../agent/switch.ts';
import type { RestoreEntry } from '../model/entry.ts';
import { COMPONENTS, type Component } from '../model/component.ts';
import { isMoltError, isSystemError, MoltError } from '../model/error.ts';
import type { CommitId } from '../model/ids.ts';
import { displayPath } from '../model/name.ts';
import { FileFiller } from '../repo/file-filler.ts';
import { lockAgent } from './agent-lock.ts';
import type { CapturedAgent } from './capture-agent.ts';
import { commitCaptured } from './commit.ts';
import { readCommitView, readRestoreEntries } from './commit-files.ts';
import type { OpsContext } from './context.ts';
import type { Agent, Incarnation } from './home.ts';
import { findLifecycle, startAgent, stopAgent, type Lifecycle } from './lifecycle.ts';
import { raiseIncarnation } from './incarnation.ts';
import type { OpenAgent } from './open.ts';
import { dropRestoreNote, readRestoreNote, writeRestoreNote, type RestoreNote } from './restore-journal.ts';
import { checkSaved, comparePlan, dirsOf, hazardsOf, type ComparedPlan, type Wanted } from './in-place-plan.ts';
import { liveSide } from './side.ts';

/** What a restore in place would do, or did. */
export interface InPlaceResult {
  readonly files: { readonly written: number; readonly removed: number; readonly unchanged: number };
  readonly bytes: { readonly fetched: number; readonly written: number };
  /** The commit of what was there before; undefined if nothing was, and for a dry run. */
  readonly safety: CommitId | undefined;
  readonly hazards: readonly string[];
  /** Of an agent that ran: whether it was stopped and started by its lifecycle, and what went wrong with starting it. */
  readonly lifecycle?: { readonly stopped: true; readonly started: boolean; readonly problem?: string };
}

/** What of a commit to restore in place. */
export interface InPlaceOptions {
  /** Only these components; everything else stays as it is. */
  readonly components?: readonly Component[] | undefined;
  /** Whether an agent that was stopped for it is started afterwards; true unless given. */
  readonly isStartWanted?: boolean | undefined;
  /** What to call it in the incarnation that it begins; `in-place` unless given. */
  readonly why?: Incarnation['why'] | undefined;
}

/** Below this a file is quicker read from the repository than compared with what it was. */
const LIKENESS_BYTES = 256 * 1024;

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
  const { captured } = await liveSide(context, open, { keepContent: false });
  const plan = await comparePlan(open, { commit, components }, await dirsOf(open, commit), captured);
  return resultOf(plan, undefined);
}

/**
 * Restores a commit in place. Files that are as they should be are not written; what a profile or rule leaves out stays. An agent that
 * runs is stopped first and started afterwards by the commands of its lifecycle.
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
  let stopped: Lifecycle | undefined;
  let isBegun = false;
  let done: InPlaceResult;
  try {
    using _ = lockAgent(context.home, agent, 'restore');
    const dirs = await dirsOf(open, commit);
    const pending = await readRestoreNote(context.home, agent);
    if (pending?.phase === 'under-way') refusePart(pending, options.components);
    const lifecycle = await findNeeded(open, commit, dirs);
    if (lifecycle !== undefined)
      await stopAgent(context, agent, [...dirs.values()], lifecycle, () => (stopped = lifecycle));
    isBegun = true;
    const wanted = { commit, components: options.components };
    done = await replaceFiles(context, open, wanted, dirs, { pending, why: options.why ?? 'in-place' });
  } catch (error) {
    throw stopped === undefined && !isBegun ? error : await explainFailure(context, open, stopped, options, error);
  }
  if (stopped === undefined) return done;
  if (options.isStartWanted === false) return { ...done, lifecycle: { stopped: true, started: false } };
  const problem = await startAgent(context, agent, stopped);
  return { ...done, lifecycle: { stopped: true, started: problem === undefined, ...(problem && { problem }) } };
}

/** Returns the lifecycle of an agent that runs and so has to be stopped; undefined if it doesn't run. */
async function findNeeded(
  { agent, repository }: OpenAgent,
  commit: CommitId,
  dirs: ReadonlyMap<string, string>,
): Promise<Lifecycle | undefined> {
  const lifecycle = findLifecycle(agent);
  if (lifecycle === undefined) refuseRunning(agent, dirs);
  if (lifecycle === undefined || findRunning(agent.stateDir, [...dirs.values()]) === undefined) return undefined;
  // What can't be restored is no reason to stop it.
  await readRestoreEntries(repository, await readCommitView(repository, commit));
  return lifecycle;
}

/** Says what a failure left on the disk, and starts an agent again that was stopped, if its files are what they were. */
async function explainFailure(
  context: OpsContext,
  open: OpenAgent,
  stopped: Lifecycle | undefined,
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
  const problem = isLeft ? undefined : await startAgent(context, agent, stopped);
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

/** Saves what is there, and puts a commit's files in its place. */
async function replaceFiles(
  context: OpsContext,
  open: OpenAgent,
  { commit, components }: Wanted,
  dirs: ReadonlyMap<string, string>,
  { pending, why }: { readonly pending: RestoreNote | undefined; readonly why: Incarnation['why'] },
): Promise<InPlaceResult> {
  const { agent, repository } = open;
  const brokenOff = pending?.phase === 'under-way' ? pending : undefined;
  // What a broken-off restore left is no state of the agent's: the commit before it is the one to go back to. And where nothing is,
  // nothing is to be saved: a commit of it would be the newest, and the next one to be restored.
  const isEmpty = brokenOff === undefined && !hasFiles(dirs);
  for (const dir of dirs.values()) mkdirSync(dir, { recursive: true, mode: 0o700 });
  const { safety, captured } =
    brokenOff !== undefined || isEmpty
      ? { safety: brokenOff?.safety ?? commit, ...(await liveSide(context, open, { keepContent: false })) }
      : await commitSafety(context, open);
  const plan = await comparePlan(open, { commit, components }, dirs, captured);
  await writeRestoreNote(context.home, agent, { phase: 'under-way', commit, safety, components });
  const stagings = new Map([...dirs].map(([key, dir]) => [key, join(dir, STAGING_FOLDER)]));
  const targets = new Map([...stagings].filter(([key]) => plan.put.some(({ path }) => path.startsWith(`${key}/`))));
  try {
    await removeAll(stagings.values());
    await writeEntries({
      targets,
      entries: plan.put,
      findLikeness: ({ path, sizeBytes }) =>
        sizeBytes >= LIKENESS_BYTES && plan.saved.has(path) ? nativeOf(dirs, path) : undefined,
      content: new FileFiller(repository, { totalBytes: bytesOf(plan.put), signal: context.signal }),
    });
    await Promise.all([...targets.values()].map((dir) => flushTree(dir)));
    refuseRunning(agent, dirs);
    checkSaved(plan);
  } catch (error) {
    // Nothing of the agent was touched, unless an earlier restore broke off. Should this fail too, the note says more than happened.
    const undo = async (): Promise<void> => {
      await removeAll(stagings.values());
      if (pending === undefined) await dropRestoreNote(context.home, agent);
      else await writeRestoreNote(context.home, agent, pending);
    };
    await undo().catch(() => undefined);
    throw error;
  }
  switchFiles(plan);
  await Promise.all([...dirs.values()].map((dir) => flushTree(dir)));
  await raiseIncarnation(context, open, { commit, why });
  await writeRestoreNote(context.home, agent, { phase: 'done', commit, safety, components });
  return resultOf(plan, isEmpty ? undefined : safety);
}

/** Says whether anything stands where a commit's files go. */
export async function hasState(open: OpenAgent, commit: CommitId): Promise<boolean> {
  return hasFiles(await dirsOf(open, commit));
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

function resultOf(plan: ComparedPlan, safety: CommitId | undefined): InPlaceResult {
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

function bytesOf(entries: readonly RestoreEntry[]): number {
  return entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

async function removeAll(dirs: Iterable<string>): Promise<void> {
  await Promise.all([...dirs].map((dir) => rm(dir, { recursive: true, force: true })));
}
