// Saves an agent by its name: what `commit` and `backup create` do.

import { isLoss } from '../agent/scan.ts';
import type { SkippedPath } from '../model/entry.ts';
import { MoltError } from '../model/error.ts';
import { displayPath } from '../model/name.ts';
import { lockAgent } from './agent-lock.ts';
import { commitAgent, type CommitOptions, type CommitResult } from './commit.ts';
import type { OpsContext } from './context.ts';
import { openAgent } from './open.ts';
import { recordRun, type Run, type RunOutcome } from './record-run.ts';
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
  const isScheduled = options.trigger === 'schedule';
  const run: Run = { verb: 'backup', label, detail: options.kind, ...(isScheduled && { trigger: 'scheduled' }) };
  return recordRun(
    context,
    run,
    async (quiet, note) => {
      if (options.name !== undefined) await checkNewRefName(quiet, 'tag', options.name);
      await using open = await openAgent(quiet, label);
      note.opened(open);
      if (options.name !== undefined) checkRefIsFree(open.repository, 'tag', options.name);
      using _ = lockAgent(quiet.home, open.agent, 'commit');
      await dropStoppedIfUp(quiet.home, open.agent);
      const result = await commitAgent(quiet, open.agent, open.repository, options);
      const made = { agent: open.agent.label, ...result };
      if (result.unchanged) return made;
      const { inspectCommit } = await import('./suspicion.ts');
      const suspicion = await inspectCommit(quiet, open, result);
      return { ...made, ...(suspicion !== undefined && { suspicion }) };
    },
    outcomeOf,
  );
}

function outcomeOf({ id, unchanged, bytes, skipped }: BackupResult): RunOutcome {
  const losses = listLosses(skipped);
  const [first] = losses;
  const error =
    first && new MoltError('PARTIAL', `${losses.length} not saved, ${displayPath(first.path)} first: ${first.reason}`);
  return { commit: id, bytes, result: first !== undefined ? 'partial' : unchanged ? 'unchanged' : 'ok', error };
}

/** Returns the skipped paths that hold something which the commit lacks, or has only in an older version. */
export function listLosses(skipped: readonly SkippedPath[]): SkippedPath[] {
  return skipped.filter((path) => isLoss(path));
}
