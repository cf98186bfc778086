// Lists what a place holds, for whoever is about to clone from it.

import type { CommitId } from '../model/ids.ts';
import { formatJsonTime } from '../model/time-format.ts';
import { readHistoryCommit } from './ancestry.ts';
import { AGENT_FILE, readCommitView, readDescription } from './commit-files.ts';
import type { OpsContext } from './context.ts';
import { openPlace } from './open-place.ts';
import { listRefNames, refName } from './ref-name.ts';

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
  await using open = await openPlace(context, text);
  const { repository } = open;
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
      repository: repository.id,
      branch,
      profile: textOf(said['profile']),
      head,
      headTime: formatJsonTime(commit.timeMs),
    });
  }
  return agents;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
