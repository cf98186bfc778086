// How safe an agent's backups are, told without looking at its files or asking a remote: for a line that is always on the screen.

import type { ObjectLock } from '../storage/remote.ts';
import { readHistoryCommit } from './ancestry.ts';
import type { OpsContext } from './context.ts';
import type { OpenAgent } from './open.ts';
import { listRemoteStatus, type RemoteStatus } from './remote-status.ts';
import { listRemotes } from './remotes.ts';
import { getHead } from './revision.ts';
import { loadCommitCache } from './stat-cache-file.ts';

/** How safe an agent's backups are. */
export interface Safety {
  /** When the live agent was last known to be what the newest backup holds, in milliseconds since the Unix epoch. */
  readonly newestMs: number;
  /** As of the last push or fetch. */
  readonly remotes: readonly (RemoteStatus & { readonly url: string; readonly lock: ObjectLock | undefined })[];
}

/** Reads how safe an agent's backups are. */
export async function readSafety(context: OpsContext, open: OpenAgent): Promise<Safety> {
  const { agent, repository } = open;
  const head = getHead(open);
  const { text } = await readHistoryCommit(repository, head);
  const cache = await loadCommitCache(context.home, agent, repository);
  const newestMs = Math.max(text.timeMs, cache?.head === head ? Number(cache.stat.scanStartNs / 1_000_000n) : 0);
  const known = new Map((await listRemotes(context.home, agent.repository)).map((remote) => [remote.name, remote]));
  const remotes = await listRemoteStatus(context, open, head, newestMs);
  return {
    newestMs,
    remotes: remotes.map((status) => ({
      ...status,
      url: known.get(status.name)?.url ?? '',
      lock: known.get(status.name)?.lock,
    })),
  };
}
