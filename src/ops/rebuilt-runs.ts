// What a repository's history tells of runs: every commit was one. How long it took, what failed and what was pushed only the log knew.

import type { RunEntry } from '../model/run-entry.ts';
import { NO_BYTES, NO_REQUESTS, runText } from '../model/run-entry.ts';
import { walkHistory } from './ancestry.ts';
import type { OpsContext } from './context.ts';
import type { Agent } from './home.ts';
import { openRepositoryOf } from './open.ts';
import { getHead } from './revision.ts';

/** Who wants older ones has molt log. */
const MOST_COMMITS = 10_000;

/** Lists the backups of an agent's branch as entries of the log, newest first. @throws {MoltError} what opening and reading throw */
export async function listRebuiltRuns(context: OpsContext, agent: Agent): Promise<RunEntry[]> {
  await using open = await openRepositoryOf(context, agent);
  const entries: RunEntry[] = [];
  for await (const { commit, text } of walkHistory(open.repository, getHead(open))) {
    entries.push({
      id: commit.id.slice(0, 32),
      agent: agent.label,
      repository: agent.repository,
      host: '',
      verb: 'backup',
      trigger: triggerOf(text.trigger),
      startedMs: Math.max(0, text.timeMs),
      lastMs: Math.max(0, text.timeMs),
      count: 1,
      durationMs: undefined,
      result: 'ok',
      bytes: NO_BYTES,
      requests: NO_REQUESTS,
      error: undefined,
      commit: commit.id,
      remote: undefined,
      detail: runText(text.kind),
      isRebuilt: true,
    });
    if (entries.length >= MOST_COMMITS) break;
  }
  return entries;
}

/** A commit's own word for what set it off is older than the log's. */
function triggerOf(trigger: string): RunEntry['trigger'] {
  if (trigger === 'schedule') return 'scheduled';
  return trigger === 'run' ? 'run' : 'manual';
}
