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
}

/** Lists how an agent's branch stands to its remotes. */
export async function listRemoteStatus(
  context: OpsContext,
  { agent, repository }: OpenAgent,
  head: CommitId,
): Promise<RemoteStatus[]> {
  const remotes = await listRemotes(context.home, agent.repository);
  const found: RemoteStatus[] = [];
  for (const { name } of remotes) {
    // oxlint-disable-next-line no-await-in-loop -- few
    const { refs } = await loadState(context.home, agent.repository, name);
    const tip = refs.get(branchRef(agent));
    // oxlint-disable-next-line no-await-in-loop -- the same
    found.push({ name, ...(await compareTips(repository, head, tip)) });
  }
  return found;
}

async function compareTips(
  repository: Repository,
  head: CommitId,
  tip: CommitId | undefined,
): Promise<Omit<RemoteStatus, 'name'>> {
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
