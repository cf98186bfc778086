// Fetches from a remote and brings the agent's branch together with the one there: forward if nothing was saved here since, else by a
// merge. Live files stay as they are.

import type { CommitId, GitId } from '../model/ids.ts';
import { isAncestor } from './ancestry.ts';
import { isOnOtherBranch } from './branch.ts';
import type { OpsContext } from './context.ts';
import { exchangeOutcome, type ExchangeResult } from './exchange.ts';
import { fetchNoted } from './fetch.ts';
import { branchRef, type Incarnation } from './home.ts';
import { mergeInto, type MergeConflict } from './merge.ts';
import { fencedError, findFence, findKnownFence, incarnationRef, readIncarnationTag } from './incarnation.ts';
import { openAgent, type OpenAgent } from './open.ts';
import { recordRun, type RunNote } from './record-run.ts';

/** What pulling came to. */
export interface PullResult extends ExchangeResult {
  /** `replaced`: the branch was restored elsewhere since; it is as there now, and what it was is on another branch. */
  readonly outcome: 'up-to-date' | 'forward' | 'merged' | 'replaced';
  readonly branch: string;
  /** The tip of the agent's branch now. */
  readonly commit: CommitId | undefined;
  readonly conflicts: readonly MergeConflict[];
}

/**
 * Pulls an agent's branch from a remote.
 * @throws {MoltError} FENCED when it was restored elsewhere since and has commits here that are on no other branch; what fetching throws
 */
export async function pull(context: OpsContext, label: string | undefined, name?: string): Promise<PullResult> {
  return recordRun(
    context,
    { verb: 'pull', label, remote: name },
    (quiet, note) => pullNoted(quiet, label, name, note),
    (result) => ({ ...exchangeOutcome(result, 'received'), commit: result.commit, detail: result.outcome }),
  );
}

async function pullNoted(
  context: OpsContext,
  label: string | undefined,
  name: string | undefined,
  note: RunNote,
): Promise<PullResult> {
  const startedMs = context.clock.now();
  const fetched = await fetchNoted(context, label, name, note);
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
  const fence = await findFenceAfter(open, fetched.remoteRefs);
  if (fence !== undefined) {
    if (!(await isOnOtherBranch(repository, agent.branch, ours)))
      throw fencedError(agent, fence, 'what was saved here since is not merged into it');
    await repository.transact({ packs: false }, async (transaction) =>
      transaction.publish([{ name: ref, from: ours, to: theirs }], []),
    );
    return result('replaced', theirs);
  }
  const merged = await mergeInto(context, open, theirs, `${fetched.remote}/${agent.branch}`);
  return result('merged', merged.commit, merged.conflicts);
}

/** Returns the incarnation that fences an agent off after a fetch: the one of the remote may be as high as the one that is known here. */
async function findFenceAfter(
  open: OpenAgent,
  remoteRefs: ReadonlyMap<string, GitId>,
): Promise<Incarnation | undefined> {
  const there = remoteRefs.get(incarnationRef(open.agent.branch));
  const known = there === undefined ? undefined : await readIncarnationTag(open.repository, there);
  return findFence(open.agent, known) ?? (await findKnownFence(open));
}
