// How a branch stands to each remote, as far as this machine knows: no remote is asked.

import type { CommitId } from '../model/ids.ts';
import { formatJsonTime } from '../model/time-format.ts';
import { findMergeBases } from '../repo/git.ts';
import { gitKey } from '../repo/keys.ts';
import type { Repository } from '../repo/repository.ts';
import { countSince, readHistoryCommit } from './ancestry.ts';
import type { OpsContext } from './context.ts';
import { branchRef } from './home.ts';
import type { OpenAgent } from './open.ts';
import { listRemotes, loadState } from './remotes.ts';

/** A remote in `status`: CLI.md's JSON. */
export interface RemoteStatus {
  readonly name: string;
  /** Commits that are here and were not there when it was last seen; undefined if that can't be told before a fetch. */
  readonly ahead: number | undefined;
  readonly behind: number | undefined;
  /** When the newest commit there was captured; undefined if there is none, or it is not known here. */
  readonly newestTime: string | undefined;
  /**
   * How old the newest backup there is, as of the last push or fetch; milliseconds. What has everything that is here is as new as what is
   * here. Undefined where there is none, or that can't be told.
   */
  readonly ageMs: number | undefined;
}

/** A remote in comparison with a branch. */
type Comparison = Omit<RemoteStatus, 'name' | 'ageMs'>;

/**
 * Lists how an agent's branch stands to its remotes.
 * @param checkedMs when the live agent was last known to be what the head holds
 */
export async function listRemoteStatus(
  context: OpsContext,
  { agent, repository }: OpenAgent,
  head: CommitId,
  checkedMs: number,
): Promise<RemoteStatus[]> {
  const remotes = await listRemotes(context.home, agent.repository);
  const found: RemoteStatus[] = [];
  for (const { name } of remotes) {
    // oxlint-disable-next-line no-await-in-loop -- few
    const { refs } = await loadState(context.home, agent.repository, name);
    const tip = refs.get(branchRef(agent));
    // oxlint-disable-next-line no-await-in-loop -- the same
    const compared = await compareTips(repository, head, tip);
    const { ahead, newestTime } = compared;
    const sinceMs = newestTime === undefined ? undefined : ahead === 0 ? checkedMs : Date.parse(newestTime);
    found.push({ name, ...compared, ageMs: sinceMs === undefined ? undefined : context.clock.now() - sinceMs });
  }
  return found;
}

async function compareTips(repository: Repository, head: CommitId, tip: CommitId | undefined): Promise<Comparison> {
  if (tip === undefined) {
    return { ahead: (await repository.index.readCommits()).count, behind: 0, newestTime: undefined };
  }
  if ((await repository.index.find(gitKey(tip))) === undefined)
    return { ahead: undefined, behind: undefined, newestTime: undefined };
  const newestTime = formatJsonTime((await readHistoryCommit(repository, tip)).text.timeMs);
  const ahead = await countSince(repository, head, tip);
  if (ahead !== undefined) return { ahead, behind: 0, newestTime };
  const behind = await countSince(repository, tip, head);
  if (behind !== undefined) return { ahead: 0, behind, newestTime };
  const [base] = await findMergeBases(repository, head, tip);
  if (base === undefined) return { ahead: undefined, behind: undefined, newestTime };
  return {
    ahead: await countSince(repository, head, base),
    behind: await countSince(repository, tip, base),
    newestTime,
  };
}
