// Saves what a restore in place is about to replace, so that it can be undone; and keeps copies of what the restore can make use of.

import { isLoss } from '../agent/scan.ts';
import { MoltError } from '../model/error.ts';
import type { CommitId } from '../model/ids.ts';
import { displayPath } from '../model/name.ts';
import type { CapturedAgent } from './capture-agent.ts';
import { commitCaptured } from './commit.ts';
import { readCommitView, TreeFinder } from './commit-files.ts';
import type { OpsContext } from './context.ts';
import type { Wanted } from './in-place-plan.ts';
import { KeptCopies } from './kept-copies.ts';
import type { OpenAgent } from './open.ts';
import type { Staged } from './stage.ts';

/** What was saved. */
export interface Saved {
  readonly safety: CommitId;
  readonly captured: CapturedAgent;
  readonly copies: KeptCopies | undefined;
}

/**
 * Commits what there is before a moment is restored in its place.
 * @param early what is staged already: of that no copy is kept
 * @throws {MoltError} PARTIAL when something can't be saved; what committing throws
 */
export async function saveFirst(
  context: OpsContext,
  { agent, repository }: OpenAgent,
  { commit, components }: Wanted,
  dirs: ReadonlyMap<string, string>,
  early: Staged | undefined,
): Promise<Saved> {
  const copies = new KeptCopies({
    dirs,
    wanted: new TreeFinder(repository, await readCommitView(repository, commit)),
    components,
    isStaged: (path, blob) => early?.get(path)?.blob === blob,
  });
  const { result, captured } = await commitCaptured(context, agent, repository, {
    kind: 'safety',
    trigger: 'restore',
    message: 'what was there before a restore in place',
    witness: copies,
  });
  const lost = result.skipped.find((one) => isLoss(one));
  if (lost === undefined) return { safety: result.id, captured, copies };
  throw new MoltError('PARTIAL', `"${displayPath(lost.path)}" can't be saved first: ${lost.reason}`, {
    hint: 'make it readable, or restore into a new folder: --to DIR',
  });
}
