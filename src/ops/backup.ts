// Saves an agent by its name: what `commit` and `backup create` do.

import { isLoss } from '../agent/scan.ts';
import type { SkippedPath } from '../model/entry.ts';
import { lockAgent } from './agent-lock.ts';
import { commitAgent, type CommitOptions, type CommitResult } from './commit.ts';
import type { OpsContext } from './context.ts';
import { openAgent } from './open.ts';
import { checkNewRefName, checkRefIsFree } from './ref-name.ts';
import { dropStoppedIfUp } from './stopped-note.ts';
import type { Suspicion } from './suspicion.ts';

/** What was saved, and of which agent. */
export interface BackupResult extends CommitResult {
  readonly agent: string;
  /** What of it looks like a loss, if anything does. */
  readonly suspicion?: Suspicion;
}

/**
 * Commits an agent.
 * @throws {MoltError} USAGE when the backup's name can't be a tag, EXISTS when it is one already, LOCKED while the agent is restored
 *   in place, and what commitAgent throws
 */
export async function backUp(
  context: OpsContext,
  label: string | undefined,
  options: CommitOptions,
): Promise<BackupResult> {
  if (options.name !== undefined) await checkNewRefName(context, 'tag', options.name);
  await using open = await openAgent(context, label);
  if (options.name !== undefined) checkRefIsFree(open.repository, 'tag', options.name);
  using _ = lockAgent(context.home, open.agent, 'commit');
  await dropStoppedIfUp(context.home, open.agent);
  const result = await commitAgent(context, open.agent, open.repository, options);
  const made = { agent: open.agent.label, ...result };
  if (result.unchanged) return made;
  const { inspectCommit } = await import('./suspicion.ts');
  const suspicion = await inspectCommit(context, open, result);
  return { ...made, ...(suspicion !== undefined && { suspicion }) };
}

/** Returns the skipped paths that hold something which the commit lacks, or has only in an older version. */
export function listLosses(skipped: readonly SkippedPath[]): SkippedPath[] {
  return skipped.filter((path) => isLoss(path));
}
