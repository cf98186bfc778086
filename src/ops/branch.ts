// Branches: lines of history. An agent commits onto one of them; to switch never touches the agent's files, it only says what the
// next commit follows.

import type { CommitKind, RefMove } from '../format/segment.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { CommitId } from '../model/ids.ts';
import { findNearest } from '../model/nearest.ts';
import { formatJsonTime } from '../model/time-format.ts';
import type { Repository } from '../repo/repository.ts';
import { readHistoryCommit } from './ancestry.ts';
import type { OpsContext } from './context.ts';
import type { Agent } from './home.ts';
import { openAgent } from './open.ts';
import { checkNewRefName, checkRefIsFree, listRefNames, refExists, refName } from './ref-name.ts';
import { resolveRevision } from './revision.ts';

/** A branch and the commit at its tip. */
export interface BranchSummary {
  readonly name: string;
  readonly commit: CommitId;
  /** When the commit was captured. */
  readonly time: string;
  readonly kind: CommitKind;
  readonly message: string;
  /** The agent that was asked about commits onto it. */
  readonly current: boolean;
  /** The agents of this machine that commit onto it. */
  readonly agents: readonly string[];
}

/** What switching came to. */
export interface SwitchResult extends BranchSummary {
  readonly agent: string;
  /** The branch that the agent was on. */
  readonly from: string;
  /** Whether the branch was made just now. */
  readonly created: boolean;
}

/** Clocks may be set back: so much older than what is looked for, an ancestor is not searched any further. */
const CLOCK_SLACK_MS = 7 * 86_400_000;

/** Lists the branches of an agent's repository by name. */
export async function listBranches(context: OpsContext, label: string | undefined): Promise<BranchSummary[]> {
  await using open = await openAgent(context, label);
  const branches: BranchSummary[] = [];
  for (const name of listRefNames(open.repository, 'branch')) {
    // oxlint-disable-next-line no-await-in-loop -- neighbouring commits share blocks
    branches.push(await summarizeBranch(context, open, name));
  }
  return branches;
}

/**
 * Makes a branch at a commit. The agent stays on its own.
 * @throws {MoltError} EXISTS when the name is taken, USAGE when it can't be one, and what looking up the revision throws
 */
export async function createBranch(
  context: OpsContext,
  label: string | undefined,
  branch: { readonly name: string; readonly revision: string },
): Promise<BranchSummary> {
  await checkNewRefName(context, 'branch', branch.name);
  await using open = await openAgent(context, label);
  await makeBranch(open.repository, branch.name, await resolveRevision(context, open, branch.revision));
  return await summarizeBranch(context, open, branch.name);
}

/**
 * Removes a branch. Its commits stay stored, but only their ids lead to them unless something else does.
 * @param options.force also when it holds commits that no other branch has
 * @throws {MoltError} NOT_FOUND, CONFLICT when an agent is on it or it holds commits of its own
 */
export async function removeBranch(
  context: OpsContext,
  label: string | undefined,
  options: { readonly name: string; readonly force: boolean },
): Promise<{ readonly name: string; readonly commit: CommitId }> {
  await using open = await openAgent(context, label);
  const { repository } = open;
  const { name, force } = options;
  const ref = refName('branch', name);
  const tip = repository.refs.get(ref);
  if (tip === undefined) throw unknownBranch(repository, name);
  const [user] = await usersOf(context, repository, name);
  if (user !== undefined) {
    throw new MoltError('CONFLICT', `agent "${user}" is on branch "${name}"`, {
      hint: `molt switch ${user} OTHER first, or molt agent remove ${user}`,
    });
  }
  if (!force && !(await isOnOtherBranch(repository, name, tip))) {
    throw new MoltError('CONFLICT', `branch "${name}" has commits that no other branch has`, {
      hint: `to remove it all the same: molt branch --delete --force ${name}; or first give its tip a name: molt tag NAME ${name}`,
      details: { commit: tip },
    });
  }
  await moveRef(repository, { name: ref, from: tip, to: undefined });
  return { name, commit: tip };
}

/**
 * Puts an agent onto a branch. Nothing but the label changes: the agent's files stay as they are, and its next commit follows
 * the branch's newest.
 * @param options.create makes the branch first, at this revision
 * @throws {MoltError} NOT_FOUND, CONFLICT when another agent is on it, and what createBranch throws
 */
export async function switchBranch(
  context: OpsContext,
  label: string | undefined,
  options: { readonly name: string; readonly create?: string | undefined },
): Promise<SwitchResult> {
  const { name, create } = options;
  if (create !== undefined) await checkNewRefName(context, 'branch', name);
  await using open = await openAgent(context, label);
  const { agent, repository } = open;
  if (create !== undefined) await makeBranch(repository, name, await resolveRevision(context, open, create));
  else if (!repository.refs.has(refName('branch', name))) throw unknownBranch(repository, name);
  const other = (await usersOf(context, repository, name)).find((user) => user !== agent.label);
  if (other !== undefined) {
    throw new MoltError('CONFLICT', `agent "${other}" is on branch "${name}", and one branch follows one agent`, {
      hint: `begin a branch there: molt switch ${agent.label} --create NEW ${name}`,
    });
  }
  const moved: Agent = { ...agent, branch: name };
  if (name !== agent.branch) await context.home.updateAgent(moved);
  const summary = await summarizeBranch(context, { agent: moved, repository }, name);
  return { agent: agent.label, from: agent.branch, created: create !== undefined, ...summary };
}

async function summarizeBranch(
  context: OpsContext,
  { agent, repository }: { readonly agent: Agent; readonly repository: Repository },
  name: string,
): Promise<BranchSummary> {
  const tip = repository.refs.get(refName('branch', name));
  if (tip === undefined) throw unknownBranch(repository, name);
  const { commit, text } = await readHistoryCommit(repository, tip);
  return {
    name,
    commit: commit.id,
    time: formatJsonTime(text.timeMs),
    kind: text.kind,
    message: text.message,
    current: agent.branch === name,
    agents: await usersOf(context, repository, name),
  };
}

async function usersOf(context: OpsContext, { id }: Repository, branch: string): Promise<string[]> {
  const agents = await context.home.listAgents();
  return agents.filter((agent) => agent.repository === id && agent.branch === branch).map(({ label }) => label);
}

async function makeBranch(repository: Repository, name: string, commit: CommitId): Promise<void> {
  checkRefIsFree(repository, 'branch', name);
  try {
    await moveRef(repository, { name: refName('branch', name), from: undefined, to: commit });
  } catch (error) {
    if (isMoltError(error, 'CONFLICT')) throw refExists('branch', name, error);
    throw error;
  }
}

/** Moves a ref in a commit of its own. */
export async function moveRef(repository: Repository, move: RefMove): Promise<void> {
  await repository.transact({ packs: false }, async (transaction) => transaction.publish([move], []));
}

/** Says whether another branch than the named one has a commit, at its tip or before. */
export async function isOnOtherBranch(repository: Repository, branch: string, wanted: CommitId): Promise<boolean> {
  const ref = refName('branch', branch);
  const { text } = await readHistoryCommit(repository, wanted);
  const tips = [...repository.refs].filter(([name]) => name.startsWith('refs/heads/') && name !== ref);
  const waiting = tips.map(([, id]) => id);
  const seen = new Set(waiting);
  for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) {
    if (id === wanted) return true;
    // oxlint-disable-next-line no-await-in-loop -- each commit names the ones before it
    const entry = await readHistoryCommit(repository, id);
    if (entry.text.timeMs < text.timeMs - CLOCK_SLACK_MS) continue;
    for (const parent of entry.commit.parents) {
      if (seen.has(parent)) continue;
      seen.add(parent);
      waiting.push(parent);
    }
  }
  return false;
}

function unknownBranch(repository: Repository, name: string): MoltError {
  const names = listRefNames(repository, 'branch');
  const tag = repository.refs.has(refName('tag', name));
  const nearest = findNearest(name, names);
  const hint = tag
    ? `"${name}" is a tag; to begin a branch there: molt switch --create NEW ${name}`
    : nearest === undefined
      ? `to begin one: molt switch --create ${name}`
      : `did you mean ${nearest}`;
  return new MoltError('NOT_FOUND', `there is no branch "${name}"; there ${listed(names)}`, { hint });
}

function listed(names: readonly string[]): string {
  if (names.length === 0) return 'are none';
  return `${names.length === 1 ? 'is' : 'are'} ${names.join(', ')}`;
}
