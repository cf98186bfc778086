// Makes an agent of this machine from a remote: its whole history comes here, its files do not until they are restored.

import { isMoltError, MoltError } from '../model/error.ts';
import type { CommitId, RepositoryId } from '../model/ids.ts';
import { readFormat } from '../repo/repository.ts';
import { openRemoteStorage } from '../storage/open-remote.ts';
import { DEFAULT_RULES, type RemoteRules } from '../storage/remote.ts';
import { adopt, checkIsNew, findAgentOf } from './adopt.ts';
import type { OpsContext } from './context.ts';
import type { ExchangeResult } from './exchange.ts';
import { checkRemoteName, forgetRemote, keepRemote, normalizeRemoteUrl, openRemote, trafficSince } from './remotes.ts';

/** What to clone. */
export interface CloneOptions {
  readonly url: string;
  /** What to call the agent here; by default what it is called there. */
  readonly label?: string | undefined;
  /** Where the agent is to live; by default a folder of its name in the current one. */
  readonly stateDir?: string | undefined;
  /** Which line of history it follows; by default main, or the only one. */
  readonly branch?: string | undefined;
  /** What to call the remote. */
  readonly name: string;
}

/** What cloning came to. */
export interface CloneResult extends ExchangeResult {
  readonly stateDir: string;
  readonly branch: string;
  readonly commit: CommitId;
  readonly commits: number;
  /** The remote was kept, so that it can be pushed to. */
  readonly isRemote: boolean;
}

/**
 * Clones an agent.
 * @throws {MoltError} NO_REPOSITORY when the remote is empty, EXISTS when its repository or the name is here already, WRONG_PASSPHRASE, and
 *   what the remote fails with; then nothing is left here
 */
export async function clone(context: OpsContext, options: CloneOptions): Promise<CloneResult> {
  const startedMs = context.clock.now();
  const { home } = context;
  const { name } = options;
  checkRemoteName(name);
  const url = normalizeRemoteUrl(options.url);
  const { rules, isWritable } = await tryOut(context, url);
  const repositoryId = await readRepositoryId(context, url, rules);
  await checkIsNew(context, repositoryId, url);
  const remote = { name, url, rules, lock: undefined, addedMs: context.clock.now() };
  try {
    await using opened = await openRemote(context, repositoryId, remote);
    const { view } = opened;
    await view.refresh(repositoryId);
    const { agent, done, commit, commits } = await adopt(context, view, {
      ...options,
      repositoryId,
      phase: 'clone',
      async arrived(there, here) {
        if (isWritable) await keepRemote(home, repositoryId, remote);
        view.sawTip(there.log.tip);
        await opened.save({ sent: here.log.tip, fetched: there.log.tip, refs: there.refs });
      },
    });
    return {
      agent: agent.label,
      remote: name,
      url,
      segments: done.segments,
      packs: done.packs,
      bytes: done.bytes,
      requests: trafficSince(view.remote.traffic),
      refs: done.moves.map(({ name: ref, from, to }) => ({ name: ref, from, to })),
      left: [],
      durationMs: context.clock.now() - startedMs,
      stateDir: agent.stateDir,
      branch: agent.branch,
      commit,
      commits,
      isRemote: isWritable,
    };
  } catch (error) {
    if ((await findAgentOf(context, repositoryId)) === undefined) await forgetRemote(home, repositoryId, name);
    throw error;
  }
}

/** Finds out by which rules the remote is read, and whether it may be written to. */
async function tryOut(context: OpsContext, url: string): Promise<{ rules: RemoteRules; isWritable: boolean }> {
  const { clock, signal, remoteOptions } = context;
  const { probeRemote } = await import('../storage/probe.ts');
  try {
    const { decision } = await probeRemote(url, {
      ...remoteOptions,
      clock,
      create: false,
      ...(signal !== undefined && { signal }),
    });
    if (decision.verdict === 'ok') return { rules: decision.rules, isWritable: true };
    context.reporter.warn(`${url} is not kept as a remote: ${decision.reasons.join('; ')}`);
  } catch (error) {
    if (!isMoltError(error, 'REMOTE_REFUSED')) throw error;
    context.reporter.warn(`${url} is not kept as a remote: ${error.message}`);
  }
  return { rules: DEFAULT_RULES, isWritable: false };
}

async function readRepositoryId(context: OpsContext, url: string, rules: RemoteRules): Promise<RepositoryId> {
  const storage = await openRemoteStorage(url, { ...context.remoteOptions, rules, clock: context.clock });
  try {
    return (await readFormat(storage)).repositoryId;
  } catch (error) {
    if (!isMoltError(error, 'NO_REPOSITORY')) throw error;
    throw new MoltError('NO_REPOSITORY', `${url} holds no agent`, {
      hint: 'look whether the prefix is right; molt push writes an agent there',
      cause: error,
    });
  } finally {
    await storage.close();
  }
}
