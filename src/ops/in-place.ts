// Restores an agent's files where they live: a safety commit first, then everything that differs is staged and checked, and only
// then switched. A crash leaves a note behind; doing the restore again, or undoing it, finishes from any point.

import { mkdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { flushTree, writeEntries } from '../agent/rehydrate.ts';
import { findRunning } from '../agent/running.ts';
import { isLoss } from '../agent/scan.ts';
import { nativeOf, STAGING_FOLDER, switchFiles } from '../agent/switch.ts';
import type { RestoreEntry } from '../model/entry.ts';
import { MoltError } from '../model/error.ts';
import type { CommitId } from '../model/ids.ts';
import { displayPath } from '../model/name.ts';
import { FileFiller } from '../repo/file-filler.ts';
import { lockAgent } from './agent-lock.ts';
import type { CapturedAgent } from './capture-agent.ts';
import { commitCaptured } from './commit.ts';
import type { OpsContext } from './context.ts';
import type { OpenAgent } from './open.ts';
import { dropRestoreNote, readRestoreNote, writeRestoreNote } from './restore-journal.ts';
import { checkSaved, comparePlan, dirsOf, hazardsOf, type ComparedPlan } from './in-place-plan.ts';
import { liveSide } from './side.ts';

/** What a restore in place would do, or did. */
export interface InPlaceResult {
  readonly files: { readonly written: number; readonly removed: number; readonly unchanged: number };
  readonly bytes: { readonly fetched: number; readonly written: number };
  /** The commit of what was there before; undefined for a dry run. */
  readonly safety: CommitId | undefined;
  readonly hazards: readonly string[];
}

/** Below this a file is quicker read from the repository than compared with what it was. */
const LIKENESS_BYTES = 256 * 1024;

/**
 * Finds out what a restore in place would do, without doing it.
 * @throws {MoltError} what reading the commit or the live agent throws
 */
export async function planInPlace(context: OpsContext, open: OpenAgent, commit: CommitId): Promise<InPlaceResult> {
  const { captured } = await liveSide(context, open, { keepContent: false });
  const plan = await comparePlan(open, commit, await dirsOf(open, commit), captured);
  return resultOf(plan, undefined);
}

/**
 * Restores a commit in place. Files that are as they should be are not written; what a profile or rule leaves out stays.
 * @throws {MoltError} RUNNING when the agent runs, LOCKED when it is being committed or restored, PARTIAL when something of it can't be saved first: then nothing was changed.
 *   What fails later leaves a note, and doing it again or undoing it finishes.
 */
export async function restoreInPlace(context: OpsContext, open: OpenAgent, commit: CommitId): Promise<InPlaceResult> {
  const { agent, repository } = open;
  using _ = lockAgent(context.home, agent, 'restore');
  const dirs = await dirsOf(open, commit);
  refuseRunning(agent.stateDir, dirs);
  // A state folder that was deleted is restored like any other; the safety commit then says that nothing was there.
  for (const dir of dirs.values()) mkdirSync(dir, { recursive: true, mode: 0o700 });
  const pending = await readRestoreNote(context.home, agent);
  // What a broken-off restore left is no state of the agent's: the commit before it is the one to go back to.
  const { safety, captured } =
    pending?.phase === 'under-way'
      ? { safety: pending.safety, ...(await liveSide(context, open, { keepContent: false })) }
      : await commitSafety(context, open);
  const plan = await comparePlan(open, commit, dirs, captured);
  await writeRestoreNote(context.home, agent, { phase: 'under-way', commit, safety });
  const stagings = [...dirs.values()].map((dir) => join(dir, STAGING_FOLDER));
  await removeAll(stagings);
  try {
    await writeEntries({
      targets: new Map([...dirs].map(([key, dir]) => [key, join(dir, STAGING_FOLDER)])),
      entries: plan.put,
      findLikeness: ({ path, sizeBytes }) =>
        sizeBytes >= LIKENESS_BYTES && plan.saved.has(path) ? nativeOf(dirs, path) : undefined,
      content: new FileFiller(repository, { totalBytes: bytesOf(plan.put), signal: context.signal }),
    });
    await Promise.all(stagings.map((dir) => flushTree(dir)));
    refuseRunning(agent.stateDir, dirs);
    checkSaved(plan);
  } catch (error) {
    await removeAll(stagings);
    // Nothing of the agent was touched, unless an earlier restore broke off.
    if (pending === undefined) await dropRestoreNote(context.home, agent);
    else await writeRestoreNote(context.home, agent, pending);
    throw error;
  }
  switchFiles(plan);
  await removeAll(stagings);
  await Promise.all([...dirs.values()].map((dir) => flushTree(dir)));
  await writeRestoreNote(context.home, agent, { phase: 'done', commit, safety });
  return resultOf(plan, safety);
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

function refuseRunning(stateDir: string, dirs: ReadonlyMap<string, string>): void {
  const running = findRunning(stateDir, [...dirs.values()]);
  if (running === undefined) return;
  throw new MoltError('RUNNING', `the agent runs: process ${running.pid}, ${running.evidence}`, {
    hint: 'stop it and try again, or restore into a new folder: --to DIR',
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

async function removeAll(dirs: readonly string[]): Promise<void> {
  await Promise.all(dirs.map((dir) => rm(dir, { recursive: true, force: true })));
}
