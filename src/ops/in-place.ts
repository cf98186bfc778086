// Restores an agent's files where they live: a safety commit first, then everything that differs is staged and checked, and only
// then switched. A crash leaves a note behind; doing the restore again, or undoing it, finishes from any point.

import { mkdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { flushTree, writeEntries } from '../agent/rehydrate.ts';
import { findRunning } from '../agent/running.ts';
import { isLoss } from '../agent/scan.ts';
import { STAGING_FOLDER, switchFiles, type SwitchPlan } from '../agent/switch.ts';
import type { EntryAttributes, RestoreEntry } from '../model/entry.ts';
import { MoltError } from '../model/error.ts';
import { shortId, type CommitId } from '../model/ids.ts';
import { displayPath } from '../model/name.ts';
import { FileFiller } from '../repo/file-filler.ts';
import { lockAgent } from './agent-lock.ts';
import type { CapturedAgent } from './capture-agent.ts';
import { commitAgent } from './commit.ts';
import { readCommitView, readRestoreEntries, readRoots } from './commit-files.ts';
import type { OpsContext } from './context.ts';
import type { OpenAgent } from './open.ts';
import { readRestoreNote, writeRestoreNote } from './restore-journal.ts';
import { liveSide } from './side.ts';

/** What a restore in place would do, or did. */
export interface InPlaceResult {
  readonly files: { readonly written: number; readonly removed: number; readonly unchanged: number };
  readonly bytes: { readonly fetched: number; readonly written: number };
  /** The commit of what was there before; undefined for a dry run. */
  readonly safety: CommitId | undefined;
  readonly hazards: readonly string[];
}

/**
 * Finds out what a restore in place would do, without doing it.
 * @throws {MoltError} what reading the commit or the live agent throws
 */
export async function planInPlace(context: OpsContext, open: OpenAgent, commit: CommitId): Promise<InPlaceResult> {
  const plan = await compareLive(context, open, commit);
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
  const safety = pending?.phase === 'under-way' ? pending.safety : await commitSafety(context, open);
  const plan = await compareLive(context, open, commit);
  await writeRestoreNote(context.home, agent, { phase: 'under-way', commit, safety });
  const stagings = [...dirs.values()].map((dir) => join(dir, STAGING_FOLDER));
  await removeAll(stagings);
  try {
    await writeEntries({
      targets: new Map([...dirs].map(([key, dir]) => [key, join(dir, STAGING_FOLDER)])),
      entries: plan.put,
      content: new FileFiller(repository, { totalBytes: bytesOf(plan.put), signal: context.signal }),
    });
    await Promise.all(stagings.map((dir) => flushTree(dir)));
  } catch (error) {
    await removeAll(stagings);
    // Nothing of the agent was touched, unless an earlier restore broke off.
    if (pending?.phase !== 'under-way')
      await writeRestoreNote(context.home, agent, { phase: 'done', commit: safety, safety });
    throw error;
  }
  refuseRunning(agent.stateDir, dirs);
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

interface ComparedPlan extends SwitchPlan {
  readonly unchanged: number;
}

async function commitSafety(context: OpsContext, open: OpenAgent): Promise<CommitId> {
  const { agent, repository } = open;
  const message = 'what was there before a restore in place';
  const result = await commitAgent(context, agent, repository, { kind: 'safety', trigger: 'restore', message });
  const lost = result.skipped.find((one) => isLoss(one));
  if (lost === undefined) return result.id;
  throw new MoltError('PARTIAL', `"${displayPath(lost.path)}" can't be saved first: ${lost.reason}`, {
    hint: 'make it readable, or restore into a new folder: --to DIR',
  });
}

/** Returns where the roots of a commit are. */
async function dirsOf({ agent, repository }: OpenAgent, commit: CommitId): Promise<Map<string, string>> {
  const roots = await readRoots(repository, await readCommitView(repository, commit));
  return new Map(roots.map(({ key, dir }) => [key, key === 'state' ? agent.stateDir : dir]));
}

async function compareLive(context: OpsContext, open: OpenAgent, commit: CommitId): Promise<ComparedPlan> {
  const { repository } = open;
  const dirs = await dirsOf(open, commit);
  const entries = await readRestoreEntries(repository, await readCommitView(repository, commit));
  const { captured } = await liveSide(context, open, { keepContent: false });
  for (const { key, dir } of captured.roots) {
    if ((dirs.get(key) ?? dir) !== dir)
      throw new MoltError('CONFLICT', `${key} is "${dir}" now, and was "${dirs.get(key)}" in ${shortId(commit)}`, {
        hint: 'restore into a new folder: --to DIR',
      });
  }
  return compare(entries, captured, dirs);
}

function compare(
  entries: readonly RestoreEntry[],
  live: CapturedAgent,
  dirs: ReadonlyMap<string, string>,
): ComparedPlan {
  const there = new Map(live.attributes.map((entry) => [entry.path, entry]));
  const wanted = new Map(entries.map((entry) => [entry.path, entry]));
  const isRight = (entry: RestoreEntry): boolean =>
    there.get(entry.path)?.type === entry.type && live.files.get(entry.path)?.blob === entry.blob;
  const files = entries.filter(({ type }) => type !== 'directory');
  const groupsThere = namesByGroup(live.attributes);
  const groups = namesByGroup(entries);
  // Names of one file are put together or not at all.
  const torn = new Set(
    files
      .filter((entry) => !isRight(entry) || groups(entry) !== groupsThere(there.get(entry.path)))
      .map(({ linkGroup }) => linkGroup),
  );
  const put = files.filter(
    (entry) =>
      !isRight(entry) ||
      (entry.linkGroup !== 0 && torn.has(entry.linkGroup)) ||
      groups(entry) !== groupsThere(there.get(entry.path)),
  );
  const putPaths = new Set(put.map(({ path }) => path));
  const touch = files.filter((entry) => {
    const now = there.get(entry.path);
    return !putPaths.has(entry.path) && (now?.mode !== entry.mode || now.mtimeNs !== entry.mtimeNs);
  });
  const remove = live.attributes.filter(({ path, type }) => {
    const entry = wanted.get(path);
    return (
      dirs.has(keyOf(path)) &&
      path !== keyOf(path) &&
      (entry === undefined || (entry.type !== type && (type === 'directory' || entry.type === 'directory')))
    );
  });
  const folders = entries.filter(({ type }) => type === 'directory');
  return { dirs, remove, folders, put, touch, unchanged: files.length - put.length };
}

/** Returns which names share a file with an entry, as text. */
function namesByGroup(entries: readonly EntryAttributes[]): (entry: EntryAttributes | undefined) => string {
  const names = new Map<number, string[]>();
  for (const { path, linkGroup } of entries) {
    if (linkGroup !== 0) names.set(linkGroup, [...(names.get(linkGroup) ?? []), path]);
  }
  return (entry) => names.get(entry?.linkGroup ?? 0)?.join('\0') ?? '';
}

function keyOf(path: string): string {
  return /^(state|roots\/[0-9]+)(?=\/|$)/.exec(path)?.[1] ?? '';
}

function refuseRunning(stateDir: string, dirs: ReadonlyMap<string, string>): void {
  const running = findRunning(stateDir, [...dirs.values()]);
  if (running === undefined) return;
  throw new MoltError('RUNNING', `the agent runs: process ${running.pid}, ${running.evidence}`, {
    hint: 'stop it and try again, or restore into a new folder: --to DIR',
    details: { pid: running.pid },
  });
}

/** Says what going back in time may break, by what is written. */
function hazardsOf({ put, remove }: ComparedPlan): string[] {
  const paths = [...put, ...remove].map(({ path }) => path);
  const hazards: string[] = [];
  if (paths.some((path) => path.startsWith('state/credentials/')))
    hazards.push('channel logins go back too: a channel that ratchets its keys (WhatsApp) may have to be linked again');
  if (paths.includes('state/state/openclaw.sqlite'))
    hazards.push('scheduled jobs go back too: what ran since then may run again');
  return hazards;
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
