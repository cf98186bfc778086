// Finds the agent that is meant and opens its repository.

import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import type { Keyring } from '../format/keyring.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { RepositoryId } from '../model/ids.ts';
import { tryLock } from '../pod/lock.ts';
import { keepHeapSmall } from '../repo/heap.ts';
import { Repository } from '../repo/repository.ts';
import { DirectoryStorage } from '../storage/directory.ts';
import type { Storage } from '../storage/storage.ts';
import type { OpsContext } from './context.ts';
import type { Agent } from './home.ts';
import { openKeys } from './open-keys.ts';
import { findPodName } from './pod-folders.ts';
import { readPodRecord } from './pod-record.ts';
import { readRestoreNote } from './restore-journal.ts';
import { findRollback, loadSeen, saveSeen, seenOf } from './seen.ts';

/** An agent with its repository, opened. */
export interface OpenAgent extends AsyncDisposable {
  readonly agent: Agent;
  readonly repository: Repository;
  readonly keyring: Keyring;
  /** How many bytes came from elsewhere than this machine, where any can. */
  fetchedBytes?(): number;
}

/**
 * Returns the agent that is meant: the named one, else the one whose state folder the current folder is in, else the only one.
 * @throws {MoltError} NOT_FOUND or AMBIGUOUS, listing the agents there are
 */
export async function resolveAgent(context: OpsContext, label: string | undefined): Promise<Agent> {
  // The named one alone: the damaged file of another agent is no reason to refuse it.
  const named = label === undefined ? undefined : await context.home.findAgent(label);
  if (named !== undefined) return named;
  const agents = await context.home.listAgents();
  const names = agents.map((agent) => agent.label);
  if (label !== undefined) {
    const others = names.length === 0 ? '' : `; there ${names.length === 1 ? 'is' : 'are'} ${names.join(', ')}`;
    throw new MoltError('NOT_FOUND', `there is no agent "${label}"${others}`, {
      hint: names.length === 0 ? 'molt init AGENT --state DIR makes one' : 'molt agents lists them',
    });
  }
  const cwd = await realpath(context.cwd).catch(() => context.cwd);
  const here = agents.filter(({ stateDir }) => cwd === stateDir || cwd.startsWith(`${stateDir}/`));
  const [only, ...others] = here.length > 0 ? here : agents;
  if (only === undefined) {
    throw new MoltError('NO_REPOSITORY', 'there are no agents yet', { hint: 'molt init AGENT --state DIR makes one' });
  }
  if (others.length > 0) {
    throw new MoltError('AMBIGUOUS', `which agent? there are ${names.join(', ')}`, { hint: 'name one: -a AGENT' });
  }
  return only;
}

/** How an agent's repository is opened. */
export interface OpenOptions {
  /** Nothing is deleted as long as somebody reads: whoever deletes must not count as a reader itself. */
  readonly isPruning?: boolean;
  /** It stays open while people look at it: what is kept in memory is bounded more tightly. */
  readonly isLongLived?: boolean;
}

/** Finds an agent and opens its repository. The caller disposes of it. */
export async function openAgent(
  context: OpsContext,
  label: string | undefined,
  options: OpenOptions = {},
): Promise<OpenAgent> {
  const agent = await resolveAgent(context, label);
  return openRepositoryOf(context, agent, options);
}

/** Opens the repository of an agent. */
export async function openRepositoryOf(
  context: OpsContext,
  given: Agent,
  { isPruning = false, isLongLived = false }: OpenOptions = {},
): Promise<OpenAgent> {
  const agent = await followPod(context, given);
  // While something is deleted the lock can't be had. What is opened from then on does not know of it any more.
  const lock = isPruning ? undefined : tryLock(readersLock(context, agent), 'shared');
  let storage: Storage | undefined;
  try {
    storage = await openStorage(context, agent.repository);
    // Before the log is read: what other processes append and see meanwhile must not look as if it had gone.
    const seen = await loadSeen(context.home, agent.repository);
    const { keyring, roots } = await openKeys(context, storage, agent);
    const keys = { roots, generation: keyring.generation };
    const { clock, random } = context;
    const repository = await Repository.open(storage, keys, { clock, random, isLongLived });
    if (isLongLived) keepHeapSmall();
    for (const { problem } of repository.problems) context.reporter.warn(problem);
    if ((await readRestoreNote(context.home, agent))?.phase === 'under-way')
      context.reporter.warn(
        'a restore in place broke off: do it again, or go back to what was there with molt restore --undo',
      );
    const rollback = await findRollback(storage, seen, { agent, keyring, opened: repository });
    if (rollback !== undefined) {
      context.reporter.warn(`${rollback.message}; nothing is written to it (${rollback.hint})`);
      repository.refuseWrites(rollback);
    }
    return {
      agent,
      repository,
      keyring,
      async [Symbol.asyncDispose]() {
        if (rollback === undefined)
          await saveSeen(context.home, agent.repository, seenOf(repository, keyring.generation));
        await repository.close();
        lock?.[Symbol.dispose]();
      },
    };
  } catch (error) {
    await storage?.close();
    lock?.[Symbol.dispose]();
    throw error;
  }
}

/** Keeps what is swept on the disk until nobody reads who opened the repository before. Returns its path. */
export function readersLock({ home }: Pick<OpsContext, 'home'>, { repository }: Pick<Agent, 'repository'>): string {
  return join(home.dir, 'locks', `readers-${repository}`);
}

/** Lets an agent live where its pod does: a restore that was cut off right after its switch had not told it yet. */
async function followPod(context: OpsContext, agent: Agent): Promise<Agent> {
  const { home } = context;
  const name = findPodName(home, agent);
  const noted = name === undefined ? undefined : await readPodRecord(home, name);
  const pod =
    noted?.next === undefined ? noted : await (await import('./pod-generations.ts')).settlePod(context, noted);
  if (pod?.agent !== agent.label || pod.stateDir === agent.stateDir) return agent;
  const moved = { ...agent, stateDir: pod.stateDir };
  await home.updateAgent(moved);
  return moved;
}

/** Opens the local storage of a repository. */
export async function openStorage(context: OpsContext, repository: RepositoryId): Promise<Storage> {
  const dir = context.home.repositoryDir(repository);
  return DirectoryStorage.open(dir).catch((cause: unknown) => {
    if (!isMoltError(cause, 'NOT_FOUND')) throw cause;
    const hint = 'check MOLT_HOME, and that its disk is mounted';
    throw new MoltError('NO_REPOSITORY', `there is no repository ${dir}`, { hint, cause });
  });
}
