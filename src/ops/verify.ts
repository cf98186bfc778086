// Checks an agent's repository, and with `repair` rebuilds what is derived from its log. Opens the keys only: a repository that can't
// be opened otherwise can still be checked.

import { rm } from 'node:fs/promises';
import type { RootKeys } from '../crypto/roots.ts';
import type { ErrorCode } from '../model/error.ts';
import { MoltError } from '../model/error.ts';
import type { CommitId } from '../model/ids.ts';
import { writeCheckpoint } from '../repo/checkpoints.ts';
import { readFormat, Repository } from '../repo/repository.ts';
import { deriveRepositoryKeys } from '../repo/secrets.ts';
import type { CheckedCounts, VerifyNote } from '../repo/verify-report.ts';
import { checkStorage, type StorageCheck } from '../repo/verify.ts';
import type { OpsContext } from './context.ts';
import type { Agent } from './home.ts';
import { openKeys } from './open-keys.ts';
import { openStorage, resolveAgent } from './open.ts';
import { recordRun, type RunNote } from './record-run.ts';
import { dropSeen, findRollback, loadSeen } from './seen.ts';
import { dropCommitCache } from './stat-cache-file.ts';
import type { Storage } from '../storage/storage.ts';

/** What to check. */
export interface VerifyOptions {
  /** The share of packs whose file content is read, from 0 (only what is not file content) to 1. */
  readonly readShare: number;
  /** Rebuild checkpoints and index runs where something is wrong; on a remote, also send anew what is here. */
  readonly repair: boolean;
  /** Check this remote instead of the repository here. */
  readonly remote?: string | undefined;
  /** Extend the locks of its objects that are about to end. */
  readonly extendLocks?: boolean;
}

/** What was found: CLI.md's JSON for `verify`. */
export interface VerifyResult {
  readonly checked: CheckedCounts;
  readonly problems: readonly {
    readonly object: string;
    readonly code: ErrorCode;
    readonly problem: string;
    readonly repaired: boolean;
  }[];
  /** Worth knowing, but no problem. */
  readonly notes: readonly VerifyNote[];
  readonly commits: {
    readonly total: number;
    /** Commits that can't be brought back whole. */
    readonly hurt: readonly {
      readonly id: CommitId;
      readonly time: string | undefined;
      readonly tags: readonly string[];
    }[];
  };
  readonly durationMs: number;
}

/**
 * Checks an agent's repository.
 * @throws {MoltError} what keeps it from being checked at all: no keys, an unreadable format.json, a newer format
 */
export async function verifyAgent(
  context: OpsContext,
  label: string | undefined,
  options: VerifyOptions,
): Promise<VerifyResult> {
  return recordRun(
    context,
    { verb: 'verify', label, remote: options.remote, detail: options.repair ? 'repair' : undefined },
    (quiet, note) => verifyNoted(quiet, label, options, note),
    (result) => {
      const error = verifyFailure(result, label, options.remote);
      return { bytes: { read: result.checked.bytes }, result: error === undefined ? 'ok' : 'failed', error };
    },
  );
}

async function verifyNoted(
  context: OpsContext,
  label: string | undefined,
  options: VerifyOptions,
  note: RunNote,
): Promise<VerifyResult> {
  const startedMs = context.clock.now();
  const agent = await resolveAgent(context, label);
  note.meant(agent);
  if (options.remote !== undefined) {
    const { verifyRemote } = await import('./verify-remote.ts');
    const found = await verifyRemote(context, agent, options.remote, options, note);
    return resultOf(found, context.clock.now() - startedMs);
  }
  const storage = await openStorage(context, agent.repository);
  try {
    const { keyring, roots } = await openKeys(context, storage, agent);
    note.opened({ agent, repository: { keys: deriveRepositoryKeys(roots) } });
    const found = await check(context, storage, roots, options);
    const seen = await loadSeen(context.home, agent.repository);
    const rollback = await findRollback(storage, seen, { agent, keyring, beginSeq: found.beginSeq });
    if (rollback !== undefined) found.report.add('log', rollback);
    if (rollback !== undefined && options.repair) {
      await dropSeen(context.home, agent.repository);
      found.report.setRepaired('log');
    }
    if (options.repair && needsRepair(found))
      await repair(context, agent, storage, { roots, generation: keyring.generation }, found);
    return resultOf(found, context.clock.now() - startedMs);
  } finally {
    await storage.close();
  }
}

/** Checks a storage of a repository whose keys are open. */
export async function check(
  context: OpsContext,
  storage: Storage,
  roots: RootKeys,
  { readShare }: Pick<VerifyOptions, 'readShare'>,
): Promise<StorageCheck> {
  return checkStorage(
    { storage, ...(await readFormat(storage)), keys: deriveRepositoryKeys(roots) },
    {
      readShare,
      random: () => context.random.bytes(4).readUInt32LE() / 2 ** 32,
      onProgress: (progress) => context.reporter.progress(progress),
      signal: context.signal,
    },
  );
}

/** Returns the problems that are left after repair. */
export function problemsLeft(result: VerifyResult): VerifyResult['problems'] {
  return result.problems.filter((problem) => !problem.repaired);
}

function isDerived(object: string): boolean {
  return object.startsWith('checkpoint/') || object.startsWith('index/');
}

/** What is lost is taken out of the index too: else the next commits would count on it, though the agent may still have it. */
function needsRepair(found: StorageCheck): boolean {
  return !found.cachesAreSound || found.report.problems.length > 0;
}

/** Deletes broken caches and writes new ones from the log. Nothing else is touched. */
async function repair(
  context: OpsContext,
  agent: Agent,
  storage: Storage,
  keys: { readonly roots: RootKeys; readonly generation: number },
  found: StorageCheck,
): Promise<void> {
  const { report, lost } = found;
  context.reporter.progress({ phase: 'rebuild the index' });
  const repository = await Repository.open(storage, keys, context, { lost });
  // Checkpoints go first: while there is none the log speaks, and no checkpoint ever names a run that is gone.
  const checkpoints = await namesOf(storage, 'checkpoint/');
  const runs = await namesOf(storage, 'index/');
  for (const name of checkpoints) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await storage.delete(name);
  }
  await writeCheckpoint(repository, { atLeisure: true });
  const used = new Set(repository.index.runs.map(({ note }) => `index/${note.id}`));
  for (const name of runs) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    if (!used.has(name)) await storage.delete(name);
  }
  for (const { object } of report.problems) if (isDerived(object)) report.setRepaired(object);
  // What the stat cache calls stored may be what is lost: the next commit reads every file again.
  const agents = (await context.home.listAgents()).filter(({ repository: id }) => id === agent.repository);
  for (const { label } of agents) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await dropCommitCache(context.home, { ...agent, label });
  }
  // And what could not be read when history was indexed may be readable now.
  await rm(context.home.searchDir(agent.repository), { recursive: true, force: true });
}

async function namesOf(storage: Storage, prefix: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of storage.list(prefix)) names.push(name);
  return names;
}

function resultOf({ report, commitCount, hurt }: StorageCheck, durationMs: number): VerifyResult {
  return {
    checked: { ...report.checked },
    problems: report.problems,
    notes: report.notes,
    commits: {
      total: commitCount,
      hurt: hurt.map(({ id, timeMs, tags }) => ({
        id,
        time: timeMs === undefined ? undefined : new Date(timeMs).toISOString(),
        tags,
      })),
    },
    durationMs,
  };
}

/** Returns the error that a check with problems left ends with. */
export function verifyFailure(result: VerifyResult, label: string | undefined, remote?: string): MoltError | undefined {
  const left = problemsLeft(result);
  const [first] = left;
  if (first === undefined) return undefined;
  const { total, hurt } = result.commits;
  const what = left.length === 1 ? `1 problem: ${first.problem}` : `${left.length} problems, first: ${first.problem}`;
  const harm =
    hurt.length === 0
      ? 'every commit can be brought back'
      : `${hurt.length} of ${total} commits can't be brought back whole`;
  const isAllDerived = left.every(({ object }) => isDerived(object));
  const name = (label === undefined ? '' : ` ${label}`) + (remote === undefined ? '' : ` --remote ${remote}`);
  if (remote !== undefined)
    return new MoltError('DAMAGED', `${remote}: ${what}; ${harm}`, {
      hint:
        hurt.length > 0
          ? `molt verify${name} --repair sends anew what is here; what is not may be on another remote: molt fetch gets it`
          : 'what stays reported hurts no commit; nothing need be done',
    });
  return new MoltError('DAMAGED', `${what}; ${harm}`, {
    hint: isAllDerived
      ? `molt verify${name} --repair rebuilds it from the log`
      : `what the agent still has is stored anew by molt verify${name} --repair and then molt backup create${name} --full`,
  });
}
