// Lists what a place holds, for whoever is about to clone from it.

import type { CommitId } from '../model/ids.ts';
import { formatJsonTime } from '../model/time-format.ts';
import { readFormat, Repository } from '../repo/repository.ts';
import { openRemoteStorage } from '../storage/open-remote.ts';
import { blankAgent } from './adopt.ts';
import { readHistoryCommit } from './ancestry.ts';
import { AGENT_FILE, readCommitView, readDescription } from './commit-files.ts';
import type { OpsContext } from './context.ts';
import { openKeys } from './open-keys.ts';
import { listRefNames, refName } from './ref-name.ts';
import { normalizeRemoteUrl } from './remotes.ts';

/** An agent at a place: a line of history there. */
export interface RemoteAgent {
  /** What the newest commit says that it is called. */
  readonly agent: string;
  readonly repository: string;
  readonly branch: string;
  readonly profile: string;
  readonly head: CommitId;
  readonly headTime: string;
}

/**
 * Lists the agents that a place holds, by branch.
 * @throws {MoltError} NO_REPOSITORY when it is empty, WRONG_PASSPHRASE, and what the place fails with
 */
export async function listRemoteAgents(context: OpsContext, text: string): Promise<RemoteAgent[]> {
  const url = normalizeRemoteUrl(text);
  const storage = await openRemoteStorage(url, { ...context.remoteOptions, clock: context.clock });
  try {
    const { repositoryId } = await readFormat(storage);
    const known = (await context.home.listAgents()).find(({ repository }) => repository === repositoryId);
    const { keyring, roots } = await openKeys(context, storage, known ?? blankAgent(context, url, repositoryId));
    const repository = await Repository.open(storage, { roots, generation: keyring.generation }, context);
    const agents: RemoteAgent[] = [];
    for (const branch of listRefNames(repository, 'branch')) {
      const head = repository.refs.get(refName('branch', branch));
      if (head === undefined) continue;
      // oxlint-disable-next-line no-await-in-loop -- few
      const said = await readDescription(repository, await readCommitView(repository, head), AGENT_FILE);
      // oxlint-disable-next-line no-await-in-loop -- the same
      const { text: commit } = await readHistoryCommit(repository, head);
      agents.push({
        agent: textOf(said['agent']),
        repository: repositoryId,
        branch,
        profile: textOf(said['profile']),
        head,
        headTime: formatJsonTime(commit.timeMs),
      });
    }
    return agents;
  } finally {
    await storage.close();
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
