// Restores an agent's files of a moment into a new folder: a plan that can be looked at, then the act.

import type { RestoreEntry } from '../model/entry.ts';
import type { Component } from '../model/component.ts';
import { MoltError } from '../model/error.ts';
import type { CommitId } from '../model/ids.ts';
import { parseTime } from '../policy/time.ts';
import { readCommitView, readRestoreEntries } from './commit-files.ts';
import type { OpsContext } from './context.ts';
import { readHistoryCommit } from './ancestry.ts';
import { checkNewFolder, makeFolder } from './new-folder.ts';
import type { OpenAgent } from './open.ts';
import { PhaseTimer, type Phase } from './phase-timer.ts';
import { placeFiles, selectComponents } from './place-files.ts';
import { recordRun, type RunOutcome } from './record-run.ts';
import { resolveRevision, resolveTimestamp } from './revision.ts';

/** What to restore. */
export interface RestoreOptions {
  /** Undefined is the newest commit, or the one of the timestamp. */
  readonly revision: string | undefined;
  /** A TIME: the newest commit captured at or before it is restored. */
  readonly timestamp: string | undefined;
  /** A folder that does not exist or is empty. */
  readonly dir: string;
  /** Only these components; everything unless given. */
  readonly components?: readonly Component[] | undefined;
}

/** A commit to bring back. */
export interface Moment {
  readonly commit: CommitId;
  /** When it was captured, in milliseconds since the Unix epoch. */
  readonly timeMs: number;
  /** The time that was asked for. */
  readonly requestedMs: number | undefined;
}

/** What a restore will do. */
export interface RestorePlan extends Moment {
  readonly agent: string;
  /** Absolute. */
  readonly dir: string;
  readonly files: number;
  readonly bytes: number;
  readonly entries: readonly RestoreEntry[];
  readonly phases: readonly Phase[];
}

/** What came of it. */
export interface RestoreResult {
  readonly files: { readonly written: number; readonly removed: number; readonly unchanged: number };
  /** `fetched` counts what came from elsewhere than this machine. */
  readonly bytes: { readonly fetched: number; readonly written: number };
  readonly phases: readonly Phase[];
}

/**
 * Finds out what a restore will write, and that it can.
 * @throws {MoltError} USAGE when both a revision and a time are given, EXISTS when the folder is not empty, NOT_FOUND, DAMAGED
 */
export async function planRestore(context: OpsContext, open: OpenAgent, options: RestoreOptions): Promise<RestorePlan> {
  const timer = new PhaseTimer(context);
  const { repository, agent } = open;
  const dir = await checkNewFolder(context.cwd, options.dir);
  const { commit, timeMs, requestedMs } = await findMoment(context, open, options);
  timer.end('find');
  const all = await readRestoreEntries(repository, await readCommitView(repository, commit));
  const entries = options.components === undefined ? all : selectComponents(all, options.components);
  timer.end('plan');
  const files = entries.filter((entry) => entry.type !== 'directory');
  return {
    agent: agent.label,
    commit,
    timeMs,
    requestedMs,
    dir,
    files: files.length,
    bytes: files.reduce((sum, entry) => sum + entry.sizeBytes, 0),
    entries,
    phases: timer.phases,
  };
}

/**
 * Carries a plan out. The folder is there whole, or not at all.
 * @throws {MoltError} what placeFiles and makeFolder throw
 */
export async function applyRestore(context: OpsContext, open: OpenAgent, plan: RestorePlan): Promise<RestoreResult> {
  return recordRun(
    context,
    { verb: 'restore', detail: 'folder' },
    async (quiet, note) => {
      note.opened(open);
      return writeFolder(quiet, open, plan);
    },
    ({ bytes }) => restoreOutcome(plan.commit, bytes),
  );
}

/** Returns what the backup log is told of a restore. */
export function restoreOutcome(
  commit: CommitId,
  { fetched, written }: RestoreResult['bytes'],
  problems: readonly string[] = [],
): RunOutcome {
  const [first] = problems;
  const error = first === undefined ? undefined : new MoltError('UNHEALTHY', problems.join('; '));
  return { commit, bytes: { received: fetched, written }, result: error === undefined ? 'ok' : 'partial', error };
}

async function writeFolder(context: OpsContext, open: OpenAgent, plan: RestorePlan): Promise<RestoreResult> {
  const timer = new PhaseTimer(context);
  const done = await makeFolder(context.home, plan.dir, async (temp) => {
    const written = await placeFiles(context, open.repository, plan.entries, temp);
    timer.end('write');
    return written;
  });
  timer.end('flush');
  return {
    files: { written: done.files + done.links, removed: 0, unchanged: 0 },
    bytes: { fetched: open.fetchedBytes?.() ?? 0, written: done.bytes },
    phases: [...plan.phases, ...timer.phases],
  };
}

/**
 * Finds the commit that is meant.
 * @throws {MoltError} USAGE when both a revision and a time are given, NOT_FOUND
 */
export async function findMoment(
  context: OpsContext,
  open: OpenAgent,
  { revision, timestamp }: Pick<RestoreOptions, 'revision' | 'timestamp'>,
): Promise<Moment> {
  if (revision !== undefined && timestamp !== undefined) {
    throw new MoltError('USAGE', 'a commit and --timestamp are given; one of them says which moment', {
      hint: 'leave one out',
    });
  }
  const commit =
    timestamp === undefined
      ? await resolveRevision(context, open, revision ?? 'latest')
      : await resolveTimestamp(context, open, timestamp);
  const requestedMs = timestamp === undefined ? undefined : await readTimestamp(context, timestamp);
  const { text } = await readHistoryCommit(open.repository, commit);
  return { commit, timeMs: text.timeMs, requestedMs };
}

async function readTimestamp(context: OpsContext, text: string): Promise<number> {
  return (await parseTime(text, { nowMs: context.clock.now(), zone: context.zone ?? 'UTC', edge: 'end' })).ms;
}
