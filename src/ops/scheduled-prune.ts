// Prunes an agent as its schedule's retention says; the daemon does so after each full backup.

import type { OpsContext } from './context.ts';
import { prune } from './prune.ts';

/** What pruning by a schedule let go here. */
export interface ScheduledPrune {
  readonly expired: number;
  readonly freedBytes: number;
}

/**
 * Prunes an agent, here and on its remotes.
 * @throws {MoltError} what pruning throws; what a remote could not be pruned for, once all others are
 */
export async function pruneByRetention(context: OpsContext, label: string, retention: string): Promise<ScheduledPrune> {
  const { backups, here, remotes } = await prune(context, label, {
    retention,
    isDryRun: false,
    isLocal: false,
    trigger: 'scheduled',
  });
  const failed = remotes.find(({ error }) => error !== undefined);
  if (failed?.error !== undefined) throw failed.error;
  return { expired: backups.filter(({ kept }) => !kept).length, freedBytes: here.freedBytes };
}
