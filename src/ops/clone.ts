// Makes an agent of this machine from a remote: its whole history comes here, its files do not until they are restored.

import { rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { MoltError, isMoltError } from '../model/error.ts';
import type { CommitId, RepositoryId, StorageId } from '../model/ids.ts';
import { claimStorage, readFormat, Repository } from '../repo/repository.ts';
import { transfer } from '../repo/transfer.ts';
import { DirectoryStorage } from '../storage/directory.ts';
import { openRemoteStorage } from '../storage/open-remote.ts';
import { DEFAULT_RULES, type RemoteRules } from '../storage/remote.ts';
import { AGENT_FILE, readCommitView, readDescription } from './commit-files.ts';
import type { OpsContext } from './context.ts';
import { copyKeyrings, type ExchangeResult } from './exchange.ts';
import { agentExists, checkLabel, type Agent } from './home.ts';
import { addKey } from './key.ts';
import { openKeys } from './open-keys.ts';
import { refName } from './ref-name.ts';
import { checkRemoteName, forgetRemote, keepRemote, normalizeRemoteUrl, openRemote, trafficSince } from './remotes.ts';
import { beginRepository } from './unfinished.ts';

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
  checkRemoteName(options.name);
  if (options.label !== undefined) await checkIsFree(context, options.label);
  const url = normalizeRemoteUrl(options.url);
  const { rules, isWritable } = await tryOut(context, url);
  const repositoryId = await readRepositoryId(context, url, rules);
  const { home } = context;
  await checkIsNew(context, repositoryId, url);
  await home.sweep(Date.now());
  const unfinished = await beginRepository(home.dir, repositoryId);
  const dir = home.repositoryDir(repositoryId);
  const remote = { name: options.name, url, rules, lock: undefined, addedMs: context.clock.now() };
  let label: string | undefined;
  try {
    await using opened = await openRemote(context, repositoryId, remote);
    const { view } = opened;
    await view.refresh(repositoryId);
    const somebody = agentOf(context, options.label ?? 'clone', repositoryId);
    const { keyring, roots } = await openKeys(context, view, somebody);
    const keys = { roots, generation: keyring.generation };
    const there = await Repository.open(view, keys, context);
    for (const { problem } of there.problems) context.reporter.warn(`${options.name}: ${problem}`);
    const branch = chooseBranch(there, options.branch);
    const storage = await DirectoryStorage.open(dir, { create: true });
    try {
      await claimStorage(storage, { repositoryId, storageId: context.random.bytes(16).toString('hex') as StorageId });
      await copyKeyrings(view, storage);
      const here = await Repository.open(storage, keys, context);
      let doneBytes = 0;
      const done = await transfer(there, here, {
        isKnown: () => false,
        moves: async () =>
          [...there.refs]
            .filter(([name]) => name.startsWith('refs/tags/') || name === refName('branch', branch))
            .filter(([name]) => !here.refs.has(name))
            .map(([name, to]) => ({ name, from: undefined, to, commit: there.tagged.get(name) })),
        onBytes(bytes) {
          doneBytes += bytes;
          context.reporter.progress({ phase: 'clone', doneBytes });
        },
        onLost: (problem) => context.reporter.warn(problem),
        signal: context.signal,
      });
      const commit = here.refs.get(refName('branch', branch)) as CommitId;
      const commits = (await here.index.readCommits()).count;
      const agent = await describeAgent(context, here, somebody, { ...options, branch, commit });
      label = agent.label;
      await checkIsFree(context, label);
      if (isWritable) await keepRemote(home, repositoryId, remote);
      view.sawTip(there.log.tip);
      await opened.save({ sent: here.log.tip, fetched: there.log.tip, refs: there.refs });
      await home.addAgent(agent);
      await unfinished.end();
      await letMachineIn(context, label);
      return {
        agent: label,
        remote: options.name,
        url,
        segments: done.segments,
        packs: done.packs,
        bytes: done.bytes,
        requests: trafficSince(view.remote.traffic),
        refs: done.moves.map(({ name, from, to }) => ({ name, from, to })),
        left: [],
        durationMs: context.clock.now() - startedMs,
        stateDir: agent.stateDir,
        branch,
        commit,
        commits,
        isRemote: isWritable,
      };
    } finally {
      await storage.close();
    }
  } catch (error) {
    const isKnown = label !== undefined && (await home.findAgent(label))?.repository === repositoryId;
    if (!isKnown) {
      await forgetRemote(home, repositoryId, options.name);
      await rm(dir, { recursive: true, force: true });
    }
    await unfinished.end();
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

async function checkIsFree({ home }: OpsContext, label: string): Promise<void> {
  checkLabel(label);
  if ((await home.findAgent(label)) !== undefined) throw agentExists(label);
}

async function checkIsNew({ home }: OpsContext, repository: RepositoryId, url: string): Promise<void> {
  const agents = (await home.listAgents()).filter((agent) => agent.repository === repository);
  const isThere = await stat(home.repositoryDir(repository)).then(
    () => true,
    () => false,
  );
  if (agents.length === 0 && !isThere) return;
  const [known] = agents;
  throw new MoltError(
    'EXISTS',
    known === undefined
      ? `the repository of ${url} is here already, without an agent`
      : `${url} holds the repository of agent "${known.label}", which is here already`,
    {
      hint:
        known === undefined
          ? `molt agent add NAME --repository ${repository.slice(0, 8)} --state DIR`
          : `molt fetch -a ${known.label} gets what is new there`,
    },
  );
}

function chooseBranch(there: Repository, wanted: string | undefined): string {
  const branches = [...there.refs.keys()].flatMap((name) =>
    name.startsWith('refs/heads/') ? [name.slice('refs/heads/'.length)] : [],
  );
  const branch = wanted ?? (branches.includes('main') ? 'main' : branches.length === 1 ? branches[0] : undefined);
  if (branch !== undefined && branches.includes(branch)) return branch;
  const list = branches.length === 0 ? 'none' : branches.join(', ');
  throw new MoltError(
    wanted === undefined ? 'AMBIGUOUS' : 'NOT_FOUND',
    wanted === undefined
      ? `which branch? ${there.storage.label} has ${list}`
      : `${there.storage.label} has no branch "${wanted}"; it has ${list}`,
    { hint: 'give one with --branch' },
  );
}

function agentOf(context: OpsContext, label: string, repository: RepositoryId): Agent {
  return {
    label,
    repository,
    branch: 'main',
    stateDir: context.cwd,
    profile: 'generic',
    include: [],
    exclude: [],
    pod: undefined,
    createdMs: context.clock.now(),
  };
}

/** Makes the agent of what its newest commit says of itself. */
async function describeAgent(
  context: OpsContext,
  here: Repository,
  agent: Agent,
  options: CloneOptions & { readonly branch: string; readonly commit: CommitId },
): Promise<Agent> {
  const view = await readCommitView(here, options.commit);
  const said = await readDescription(here, view, AGENT_FILE);
  const label = options.label ?? (typeof said['agent'] === 'string' ? said['agent'] : 'agent');
  const stateDir = resolve(context.cwd, options.stateDir ?? join(context.cwd, label));
  const profile = said['profile'] === 'openclaw' ? 'openclaw' : 'generic';
  return { ...agent, label, branch: options.branch, stateDir, profile };
}

/** Adds this machine's key, so that commits and pushes need no passphrase; the next push tells the remote. */
async function letMachineIn(context: OpsContext, label: string): Promise<void> {
  try {
    await addKey(context, label, { type: 'device' });
  } catch (error) {
    if (!isMoltError(error, 'EXISTS')) throw error;
  }
}
