// Fetches from a remote and brings the agent's branch together with the one there: forward if nothing was saved here since, else by a
// merge. Live files stay as they are.

import type { CommitId } from '../model/ids.ts';
import { isAncestor } from './ancestry.ts';
import type { OpsContext } from './context.ts';
import type { ExchangeResult } from './exchange.ts';
import { fetchRemote } from './fetch.ts';
import { branchRef } from './home.ts';
import { mergeInto, type MergeConflict } from './merge.ts';
import { openAgent } from './open.ts';

/** What pulling came to. */
export interface PullResult extends ExchangeResult {
  readonly outcome: 'up-to-date' | 'forward' | 'merged';
  readonly branch: string;
  /** The tip of the agent's branch now. */
  readonly commit: CommitId | undefined;
  readonly conflicts: readonly MergeConflict[];
}

/**
 * Pulls an agent's branch from a remote.
 * @throws {MoltError} what fetching throws
 */
export async function pull(context: OpsContext, label: string | undefined, name?: string): Promise<PullResult> {
  const startedMs = context.clock.now();
  const fetched = await fetchRemote(context, label, name);
  await using open = await openAgent(context, fetched.agent);
  const { agent, repository } = open;
  const ref = branchRef(agent);
  const ours = repository.refs.get(ref);
  const theirs = fetched.remoteRefs.get(ref);
  const result = (
    outcome: PullResult['outcome'],
    commit: CommitId | undefined,
    conflicts: readonly MergeConflict[] = [],
  ): PullResult => {
    const moved = commit === ours ? [] : [{ name: ref, from: ours, to: commit }];
    const durationMs = context.clock.now() - startedMs;
    return {
      ...fetched,
      refs: [...fetched.refs, ...moved],
      outcome,
      branch: agent.branch,
      commit,
      conflicts,
      durationMs,
    };
  };
  if (theirs === undefined || theirs === ours) return result('up-to-date', ours);
  if (ours !== undefined && (await isAncestor(repository, theirs, ours))) return result('up-to-date', ours);
  if (ours === undefined || (await isAncestor(repository, ours, theirs))) {
    await repository.transact({ packs: false }, async (transaction) =>
      transaction.publish([{ name: ref, from: ours, to: theirs }], []),
    );
    return result('forward', theirs);
  }
  const merged = await mergeInto(context, open, theirs, `${fetched.remote}/${agent.branch}`);
  return result('merged', merged.commit, merged.conflicts);
}
