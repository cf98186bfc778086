// Agents as labels: renaming one, forgetting one, and giving a repository another one. The folder that an agent lives in is never
// touched by any of it.

import { readdir, realpath, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { detectProfile } from '../agent/profile.ts';
import { isSystemError, MoltError } from '../model/error.ts';
import type { RepositoryId } from '../model/ids.ts';
import { systemFailure } from '../model/system-error.ts';
import { lockAgent, lockRestore } from './agent-lock.ts';
import type { OpsContext } from './context.ts';
import { agentExists, checkLabel, type Agent, type Incarnation } from './home.ts';
import { readIncarnation } from './incarnation.ts';
import { openRepositoryOf, resolveAgent } from './open.ts';
import { writePodRecord } from './pod-record.ts';
import { findPodOf } from './pod-look.ts';
import { listRefNames } from './ref-name.ts';
import { dropRestoreNote, moveRestoreNote } from './restore-journal.ts';
import { dropWatchNote } from './watch-note.ts';
import { forgetRemotes } from './remotes.ts';
import { dropSchedule, moveSchedule } from './schedule.ts';
import { dropSeen } from './seen.ts';
import { dropCommitCache } from './stat-cache-file.ts';
import { dropStopped, moveStopped } from './stopped-note.ts';

/** What removing an agent takes away, and what it leaves. */
export interface AgentRemoval {
  readonly agent: string;
  readonly repository: RepositoryId;
  /** The folder of the repository; absolute. */
  readonly repositoryDir: string;
  readonly branch: string;
  /** The folder that the agent lives in, which stays. */
  readonly stateDir: string;
  /** Whether the repository goes too. */
  readonly removesRepository: boolean;
  /** Other agents of this machine in the same repository. */
  readonly others: readonly string[];
}

/** How a repository is called that is about to go. */
const REMOVED_PREFIX = '.removed-';

/**
 * Gives an agent another name. Its repository, branch and files stay what they are; commits keep the name that they were made under.
 * @throws {MoltError} NOT_FOUND, EXISTS, LOCKED while it is restored in place, or USAGE when it can't be a name
 */
export async function renameAgent(context: OpsContext, label: string, name: string): Promise<Agent> {
  const { home } = context;
  const agent = await resolveAgent(context, label);
  checkLabel(name);
  if ((await home.findAgent(name)) !== undefined) throw agentExists(name);
  using _ = lockRestore(home, agent.label);
  using __ = lockAgent(home, agent, 'restore');
  const renamed: Agent = { ...agent, label: name };
  // First the new label, then the old one away: after a crash in between there are two for one agent, and none is lost.
  await home.addAgent(renamed);
  await rename(home.cacheFile(agent), home.cacheFile(renamed)).catch((error: unknown) => {
    // Derived: without it the next commit reads every file.
    if (!isSystemError(error)) throw error;
  });
  await moveRestoreNote(home, agent, renamed);
  await moveStopped(home, agent.label, name);
  await dropWatchNote(home, agent);
  await moveSchedule(home, agent.label, name);
  const pod = await findPodOf(context, agent.label);
  if (pod !== undefined) await writePodRecord(home, { ...pod, agent: name }, { replace: true });
  await home.removeAgent(agent.label);
  return renamed;
}

/**
 * Tells what removing an agent would take away.
 * @param options.repository whether the repository is to go too
 * @throws {MoltError} NOT_FOUND; CONFLICT when the repository is to go and another agent uses it
 */
export async function planAgentRemoval(
  context: OpsContext,
  label: string,
  options: { readonly repository: boolean },
): Promise<AgentRemoval> {
  const { home } = context;
  const agent = await resolveAgent(context, label);
  const agents = await home.listAgents();
  const others = agents
    .filter((other) => other.repository === agent.repository && other.label !== agent.label)
    .map((other) => other.label);
  if (options.repository && others.length > 0) {
    throw new MoltError('CONFLICT', `the repository of agent "${label}" is also that of ${others.join(', ')}`, {
      hint: `molt agent remove ${label} removes the name alone`,
    });
  }
  const { repository, branch, stateDir } = agent;
  return {
    agent: agent.label,
    repository,
    repositoryDir: home.repositoryDir(repository),
    branch,
    stateDir,
    removesRepository: options.repository,
    others,
  };
}

/** Removes an agent as planned: first its name, so that no name ever leads to a repository that is half gone. */
export async function applyAgentRemoval(context: OpsContext, plan: AgentRemoval): Promise<void> {
  const { home } = context;
  const agent = await resolveAgent(context, plan.agent);
  if (plan.removesRepository) await planAgentRemoval(context, plan.agent, { repository: true });
  using _ = lockRestore(home, agent.label);
  using __ = lockAgent(home, agent, 'restore');
  await dropCommitCache(home, agent);
  await dropRestoreNote(home, agent);
  await dropStopped(home, agent.label);
  await dropWatchNote(home, agent);
  await dropSchedule(home, agent.label);
  await home.removeAgent(plan.agent);
  if (!plan.removesRepository) return;
  await forgetRemotes(home, agent.repository);
  await dropSeen(home, agent.repository);
  await rm(join(home.dir, 'runs', agent.repository), { recursive: true, force: true });
  const folder = join(home.dir, 'repositories');
  const aside = join(folder, `${REMOVED_PREFIX}${plan.repository}`);
  try {
    await rename(plan.repositoryDir, aside);
    await rm(join(home.dir, 'cache', plan.repository), { recursive: true, force: true });
    // What an earlier removal left when it was interrupted goes with it.
    const names = await readdir(folder);
    for (const name of names.filter((one) => one.startsWith(REMOVED_PREFIX))) {
      // oxlint-disable-next-line no-await-in-loop -- seldom more than one
      await rm(join(folder, name), { recursive: true, force: true });
    }
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return;
    throw systemFailure(error, `the repository could not be removed whole`, aside);
  }
}

/** What to make an agent of. */
export interface AddAgentOptions {
  readonly label: string;
  /** The beginning of a repository's id. */
  readonly repository: string;
  readonly stateDir: string;
  readonly branch: string;
  readonly include: readonly string[];
  readonly exclude: readonly string[];
}

/**
 * Makes a name for an agent whose repository is there already, as `agent remove` leaves it.
 * @throws {MoltError} NOT_FOUND or AMBIGUOUS for the repository, EXISTS, USAGE
 */
export async function addAgent(context: OpsContext, options: AddAgentOptions): Promise<Agent> {
  const { home } = context;
  const { label, branch } = options;
  checkLabel(label);
  if ((await home.findAgent(label)) !== undefined) throw agentExists(label);
  const repository = await findRepository(context, options.repository);
  const stateDir = await realpath(options.stateDir).catch((cause: unknown) => {
    throw new MoltError('NOT_FOUND', `there is no state folder "${options.stateDir}"`, { cause });
  });
  const agents = await home.listAgents();
  const user = agents.find((agent) => agent.repository === repository && agent.branch === branch);
  if (user !== undefined) {
    throw new MoltError('CONFLICT', `agent "${user.label}" is on branch "${branch}" of that repository`, {
      hint: 'give another branch with --branch',
    });
  }
  const { name: profile } = await detectProfile(stateDir, 'auto');
  const agent: Agent = {
    label,
    repository,
    branch,
    stateDir,
    profile,
    include: options.include,
    exclude: options.exclude,
    pod: undefined,
    createdMs: context.clock.now(),
  };
  const incarnation = await checkBranch(context, agent);
  const added: Agent = { ...agent, ...(incarnation && { incarnations: { [branch]: incarnation } }) };
  await home.addAgent(added);
  return added;
}

/** Checks that the agent's branch is there, and returns its incarnation. */
async function checkBranch(context: OpsContext, agent: Agent): Promise<Incarnation | undefined> {
  await using open = await openRepositoryOf(context, agent);
  const names = listRefNames(open.repository, 'branch');
  if (names.includes(agent.branch)) return await readIncarnation(open.repository, agent.branch);
  throw new MoltError(
    'NOT_FOUND',
    `the repository has no branch "${agent.branch}"; there ${names.length === 1 ? 'is' : 'are'} ${names.join(', ')}`,
    { hint: 'give one with --branch' },
  );
}

/** Lists the repositories of this machine that no agent leads to. */
export async function listUnnamedRepositories(context: OpsContext): Promise<RepositoryId[]> {
  const agents = await context.home.listAgents();
  const known = new Set<string>(agents.map((agent) => agent.repository));
  return (await listRepositories(context)).filter((id) => !known.has(id));
}

async function listRepositories({ home }: OpsContext): Promise<RepositoryId[]> {
  const names = await readdir(join(home.dir, 'repositories')).catch((error: unknown) => {
    if (isSystemError(error, 'ENOENT')) return [];
    throw error;
  });
  return names.filter((name) => /^[0-9a-f]{32}$/.test(name)).toSorted() as RepositoryId[];
}

async function findRepository(context: OpsContext, prefix: string): Promise<RepositoryId> {
  const all = await listRepositories(context);
  const found = all.filter((id) => id.startsWith(prefix.toLowerCase()));
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  const list = (found.length > 0 ? found : all).map((id) => id.slice(0, 12)).join(', ');
  if (found.length > 1) throw new MoltError('AMBIGUOUS', `"${prefix}" begins the ids of several repositories: ${list}`);
  throw new MoltError('NOT_FOUND', `there is no repository "${prefix}"${list === '' ? '' : `; there are ${list}`}`);
}
