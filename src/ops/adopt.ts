// Makes an agent of this machine from another storage of its repository: a remote or a bundle. The label is written last, so that one
// that fails leaves nothing.

import { rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { isMoltError, MoltError } from '../model/error.ts';
import type { CommitId, RepositoryId, StorageId } from '../model/ids.ts';
import { claimStorage, Repository } from '../repo/repository.ts';
import { transfer, type Transferred } from '../repo/transfer.ts';
import { DirectoryStorage } from '../storage/directory.ts';
import type { Storage } from '../storage/storage.ts';
import { AGENT_FILE, readCommitView, readDescription } from './commit-files.ts';
import type { OpsContext } from './context.ts';
import { copyKeyrings } from './sync-keys.ts';
import { agentExists, checkLabel, type Agent } from './home.ts';
import { HOLDS } from './hold.ts';
import { incarnationRef, readIncarnation } from './incarnation.ts';
import { addKey } from './key.ts';
import { openKeys } from './open-keys.ts';
import { refName } from './ref-name.ts';
import { dropSeen } from './seen.ts';
import { beginRepository } from './unfinished.ts';

/** What the agent is to be. */
export interface AdoptOptions {
  readonly repositoryId: RepositoryId;
  /** By default what it is called there. */
  readonly label?: string | undefined;
  /** Where the agent is to live; by default a folder of its name in the current one. */
  readonly stateDir?: string | undefined;
  /** Which line of history it follows; by default main, or the only one. */
  readonly branch?: string | undefined;
  /** What is being done, in progress. */
  readonly phase: string;
  /** Looks at both sides before anything is copied. */
  readonly check?: (there: Repository, here: Repository) => Promise<void>;
  /** Called when everything is here, before the agent is. */
  readonly arrived?: (there: Repository, here: Repository) => Promise<void>;
}

/** What came of it. */
export interface Adopted {
  readonly agent: Agent;
  readonly done: Transferred;
  readonly commit: CommitId;
  readonly commits: number;
}

/**
 * Copies a repository here and makes an agent of it.
 * @param storage another storage of the repository; stays open
 * @throws {MoltError} EXISTS when the name is taken, NOT_FOUND or AMBIGUOUS branch, WRONG_PASSPHRASE, and what copying throws
 */
export async function adopt(context: OpsContext, storage: Storage, options: AdoptOptions): Promise<Adopted> {
  const { home } = context;
  const { repositoryId } = options;
  if (options.label !== undefined) await checkIsFree(context, options.label);
  const unfinished = await beginRepository(home.dir, repositoryId);
  const dir = home.repositoryDir(repositoryId);
  let label: string | undefined;
  try {
    const nobody = blankAgent(context, options.label ?? 'clone', repositoryId);
    const { keyring, roots } = await openKeys(context, storage, nobody);
    const keys = { roots, generation: keyring.generation };
    const there = await Repository.open(storage, keys, context);
    for (const { problem } of there.problems) context.reporter.warn(problem);
    const branch = chooseBranch(there, options.branch);
    const local = await DirectoryStorage.open(dir, { create: true });
    try {
      // What was seen of an earlier storage of it here says nothing of this one.
      await dropSeen(home, repositoryId);
      await claimStorage(local, { repositoryId, storageId: context.random.bytes(16).toString('hex') as StorageId });
      await copyKeyrings(storage, local, { repository: repositoryId, roots });
      const here = await Repository.open(local, keys, context);
      await options.check?.(there, here);
      const done = await copyAll(context, there, here, { branch, phase: options.phase });
      const commit = here.refs.get(refName('branch', branch)) as CommitId;
      const commits = (await here.index.readCommits()).count;
      const incarnation = await readIncarnation(here, branch);
      const agent: Agent = {
        ...(await describeAgent(context, here, nobody, { ...options, branch, commit })),
        ...(incarnation && { incarnations: { [branch]: incarnation } }),
      };
      await checkIsFree(context, agent.label);
      await options.arrived?.(there, here);
      label = agent.label;
      await home.addAgent(agent);
      await unfinished.end();
      await letMachineIn(context, agent.label);
      return { agent, done, commit, commits };
    } finally {
      await local.close();
    }
  } catch (error) {
    const isKnown = label !== undefined && (await home.findAgent(label))?.repository === repositoryId;
    if (!isKnown) await rm(dir, { recursive: true, force: true });
    await unfinished.end();
    throw error;
  }
}

/** Refuses a repository that is here already; what a killed process left of it is removed. @throws {MoltError} EXISTS */
export async function checkIsNew({ home }: OpsContext, repository: RepositoryId, label: string): Promise<void> {
  await home.sweep(Date.now());
  const known = await findAgentOf({ home }, repository);
  const isThere = await stat(home.repositoryDir(repository)).then(
    () => true,
    () => false,
  );
  if (known !== undefined) {
    throw new MoltError('EXISTS', `${label} holds the repository of agent "${known.label}", which is here already`, {
      hint: `molt fetch -a ${known.label} gets what is new there`,
    });
  }
  if (isThere) {
    throw new MoltError('EXISTS', `the repository of ${label} is here already, without an agent`, {
      hint: `molt agent add NAME --repository ${repository.slice(0, 8)} --state DIR`,
    });
  }
}

/** Returns an agent of a repository, or undefined. */
export async function findAgentOf(
  { home }: Pick<OpsContext, 'home'>,
  repository: RepositoryId,
): Promise<Agent | undefined> {
  return (await home.listAgents()).find((agent) => agent.repository === repository);
}

/** Returns an agent of which nothing is known but its repository. */
export function blankAgent(context: OpsContext, label: string, repository: RepositoryId): Agent {
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

async function copyAll(
  context: OpsContext,
  there: Repository,
  here: Repository,
  { branch, phase }: { readonly branch: string; readonly phase: string },
): Promise<Transferred> {
  return transfer(there, here, {
    isKnown: () => false,
    isSourceFar: true,
    moves: async () =>
      [...there.refs]
        .filter(
          ([name]) =>
            name.startsWith('refs/tags/') ||
            name.startsWith(HOLDS) ||
            [refName('branch', branch), incarnationRef(branch)].includes(name),
        )
        .filter(([name]) => !here.refs.has(name))
        .map(([name, to]) => ({ name, from: undefined, to, commit: there.tagged.get(name) })),
    onBytes: (doneBytes, totalBytes) => context.reporter.progress({ phase, doneBytes, totalBytes }),
    onLost: (problem) => context.reporter.warn(problem),
    signal: context.signal,
  });
}

/** Refuses a label that is taken or none. @throws {MoltError} EXISTS or USAGE */
export async function checkIsFree({ home }: OpsContext, label: string): Promise<void> {
  checkLabel(label);
  if ((await home.findAgent(label)) !== undefined) throw agentExists(label);
}

/** Returns the branch that is meant: the wanted one, else main, else the only one. @throws {MoltError} NOT_FOUND or AMBIGUOUS */
export function chooseBranch(there: Repository, wanted: string | undefined): string {
  const branches = [...there.refs.keys()].flatMap((name) =>
    name.startsWith('refs/heads/') ? [name.slice('refs/heads/'.length)] : [],
  );
  const branch = wanted ?? (branches.includes('main') ? 'main' : branches.length === 1 ? branches[0] : undefined);
  if (branch !== undefined && branches.includes(branch)) return branch;
  const list = branches.length === 0 ? 'none' : branches.join(', ');
  const { label } = there.storage;
  if (wanted === undefined && branches.length > 0)
    throw new MoltError('AMBIGUOUS', `which branch? ${label} has ${list}`, { hint: 'give one with --branch' });
  const what =
    wanted === undefined ? `${label} has no branch yet` : `${label} has no branch "${wanted}"; it has ${list}`;
  throw new MoltError('NOT_FOUND', what, { hint: 'molt push sends one there' });
}

/** Makes the agent of what its newest commit says of itself. */
export async function describeAgent(
  context: OpsContext,
  here: Repository,
  agent: Agent,
  options: Pick<AdoptOptions, 'label' | 'stateDir'> & { readonly branch: string; readonly commit: CommitId },
): Promise<Agent> {
  const view = await readCommitView(here, options.commit);
  const said = await readDescription(here, view, AGENT_FILE);
  const label = options.label ?? (typeof said['agent'] === 'string' ? said['agent'] : 'agent');
  checkLabel(label);
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
