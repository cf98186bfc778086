// What `molt run` does before it starts an agent: finds it on this machine, or gets it from its remote, or begins it. An agent whose
// state is gone is restored; nothing is ever started with an empty state because something could not be asked.

import { mkdir, readdir, realpath } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { isMoltError, isSystemError, MoltError } from '../model/error.ts';
import type { CommitId } from '../model/ids.ts';
import { systemFailure } from '../model/system-error.ts';
import { openRemoteStorage } from '../storage/open-remote.ts';
import { clone } from './clone.ts';
import type { OpsContext } from './context.ts';
import type { Agent } from './home.ts';
import { initAgent, type InitOptions } from './init.ts';
import { openAgent } from './open.ts';
import { pull } from './pull.ts';
import { listRemotes, normalizeRemoteUrl } from './remotes.ts';
import { readRestoreNote } from './restore-journal.ts';
import { findMoment } from './restore.ts';
import { restoreAgent } from './restore-agent.ts';

/** What is to be run. */
export interface PrepareOptions {
  readonly label: string;
  /** URL of a remote. */
  readonly remote?: string | undefined;
  /** Where the agent lives; of one that is new here `./LABEL` unless given. */
  readonly stateDir?: string | undefined;
  /** Which line of history an agent that is got from a remote follows; main, or the only one, unless given. */
  readonly branch?: string | undefined;
  /** How an agent is begun, should there be none anywhere. */
  readonly begin: Pick<InitOptions, 'profile' | 'passphrase' | 'keepRecoveryKey'>;
  /** Told of what was done. */
  readonly tell: (event: PrepareEvent) => void;
}

/** What was done before the start. */
export type PrepareEvent =
  | { readonly event: 'cloned'; readonly remote: string; readonly commits: number }
  | { readonly event: 'begun'; readonly commit: CommitId; readonly stateDir: string }
  | { readonly event: 'restored'; readonly commit: CommitId; readonly timeMs: number; readonly files: number }
  | { readonly event: 'kept'; readonly stateDir: string }
  | { readonly event: 'not-pulled'; readonly error: unknown };

/**
 * Returns the agent, with its state where it lives.
 * @throws {MoltError} NO_REPOSITORY when it is neither here nor anywhere else; what a remote fails with, or opening its repository: then
 *   nothing is there that was not before
 */
export async function prepareAgent(context: OpsContext, options: PrepareOptions): Promise<Agent> {
  const { label, remote, tell } = options;
  const known = await context.home.findAgent(label);
  if (known !== undefined) {
    await checkStateDir(context, known, options.stateDir);
    const wanted = await findMissing(context, known);
    if (wanted !== undefined) await restore(context, known, wanted, tell);
  } else {
    if (remote === undefined) throw nowhere(label);
    const url = normalizeRemoteUrl(remote);
    const stateDir = await ownPath(resolve(context.cwd, options.stateDir ?? join(context.cwd, label)));
    const isThere = await hasFiles(stateDir);
    const isCloned = await getFrom(context, options, { url, stateDir });
    if (!isCloned) await begin(context, options, stateDir);
    else if (isThere) tell({ event: 'kept', stateDir });
    else await restore(context, await getAgent(context, label), 'latest', tell);
  }
  return await getAgent(context, label);
}

/** Clones an agent; returns false if the remote answered that it is empty. */
async function getFrom(
  context: OpsContext,
  { label, branch, tell }: PrepareOptions,
  { url, stateDir }: { readonly url: string; readonly stateDir: string },
): Promise<boolean> {
  try {
    const { commits } = await clone(context, { url, label, stateDir, branch, name: 'origin' });
    tell({ event: 'cloned', remote: url, commits });
    return true;
  } catch (error) {
    if (!isMoltError(error, 'NO_REPOSITORY')) throw error;
    await checkIsEmpty(context, url);
    return false;
  }
}

/** A place without format.json that holds something else is no empty one: to begin there would bury what it was. */
async function checkIsEmpty(context: OpsContext, url: string): Promise<void> {
  const storage = await openRemoteStorage(url, { ...context.remoteOptions, clock: context.clock });
  try {
    for await (const { name } of storage.list('')) {
      throw new MoltError('DAMAGED', `${url} holds no agent that can be read, but is not empty: it has ${name}`, {
        hint: 'find out what became of its format.json, or give another prefix; nothing was started',
      });
    }
  } finally {
    await storage.close();
  }
}

async function begin(
  context: OpsContext,
  { label, begin: options, tell }: PrepareOptions,
  stateDir: string,
): Promise<void> {
  await mkdir(stateDir, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw systemFailure(error, `cannot make "${stateDir}"`, stateDir);
  });
  const { commit } = await initAgent(context, { label, stateDir, include: [], exclude: [], ...options });
  tell({ event: 'begun', commit: commit.id, stateDir });
}

/** Returns the moment to restore if an agent's state is gone, or was being restored when molt was killed. */
async function findMissing(context: OpsContext, agent: Agent): Promise<string | undefined> {
  const note = await readRestoreNote(context.home, agent);
  if (note?.phase === 'under-way') return note.commit;
  return (await hasFiles(agent.stateDir)) ? undefined : 'latest';
}

async function restore(
  context: OpsContext,
  agent: Agent,
  revision: string,
  tell: PrepareOptions['tell'],
): Promise<void> {
  // Another machine may have gone on with it meanwhile.
  if (revision === 'latest' && (await listRemotes(context.home, agent.repository)).length > 0) {
    await pull(context, agent.label).catch((error: unknown) => {
      // Fenced off with commits of its own: which state is the right one is not for this to decide.
      if (!isMoltError(error) || isMoltError(error, 'INTERRUPTED', 'FENCED')) throw error;
      tell({ event: 'not-pulled', error });
    });
  }
  await using open = await openAgent(context, agent.label);
  const { commit, timeMs } = await findMoment(context, open, { revision, timestamp: undefined });
  const { files } = await restoreAgent(context, open, commit, { isStartWanted: false, why: 'deploy' });
  tell({ event: 'restored', commit, timeMs, files: files.written });
}

async function checkStateDir({ cwd }: OpsContext, agent: Agent, given: string | undefined): Promise<void> {
  if (given === undefined) return;
  const stateDir = await ownPath(resolve(cwd, given));
  if (stateDir === agent.stateDir) return;
  throw new MoltError('USAGE', `agent "${agent.label}" lives in "${agent.stateDir}", not in "${given}"`, {
    hint: 'leave --state out, or run it under another name',
  });
}

async function getAgent({ home }: OpsContext, label: string): Promise<Agent> {
  const agent = await home.findAgent(label);
  if (agent === undefined) throw nowhere(label);
  return agent;
}

/** Returns a path without links on it, as far as it is there. */
async function ownPath(path: string): Promise<string> {
  return realpath(path).catch(() => path);
}

/** Says whether a folder holds anything. */
async function hasFiles(dir: string): Promise<boolean> {
  try {
    return (await readdir(dir)).length > 0;
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return false;
    throw systemFailure(error, `cannot look into "${dir}"`, dir);
  }
}

function nowhere(label: string): MoltError {
  return new MoltError('NO_REPOSITORY', `there is no agent "${label}" on this machine, and no remote to get it from`, {
    hint: `molt run ${label} --remote URL -- COMMAND gets it from there, or begins it; molt init ${label} --state DIR begins it here`,
  });
}
