// What `molt prune` shows: what is kept and why, what goes, and what that frees.

import { shortId } from '../model/ids.ts';
import { formatTime } from '../model/time-format.ts';
import type { PrunedRemote, PruneResult } from '../ops/prune.ts';
import type { PrunedStorage } from '../ops/prune-report.ts';
import type { PrunedBackup } from '../ops/prune-decide.ts';
import type { Output } from './output.ts';
import { formatCount, formatSize, formatTable } from './text.ts';

/** Returns the lines of a result. */
export function formatPrune(output: Output, result: PruneResult): string[] {
  const { backups, dryRun, agent } = result;
  const shown = backups.filter(({ kind, kept, reasons }) => kind !== 'incremental' || isSpecial(kept, reasons));
  const rest = backups.filter((backup) => !shown.includes(backup));
  const rows = shown.map(({ id, kind, time, kept, reasons }) => [
    `${formatTime(Date.parse(time))} [${kind.toUpperCase()}]`,
    output.style('yellow', shortId(id)),
    kept ? 'keep' : output.style('bold', dryRun ? 'would go' : 'expired'),
    output.style('dim', reasons.join('; ')),
  ]);
  return [
    ...formatTable(rows),
    ...summarize('incrementals', rest),
    `${agent}: ${summary(backups, dryRun)}`,
    `here: ${describePlace(result.here, dryRun).join('; ')}`,
    ...result.remotes.map((remote) => `${remote.name}: ${describeRemote(remote, dryRun).join('; ')}`),
  ];
}

function describeRemote({ storage, keptByLock, error }: PrunedRemote, isDryRun: boolean): string[] {
  if (storage === undefined) return [`not pruned: ${error?.message ?? ''}`];
  const parts = describePlace(storage, isDryRun);
  if (keptByLock === undefined) return parts;
  const { backups, until } = keptByLock;
  const stay = backups === 1 ? 'stays only because it is locked' : 'stay only because they are locked, the last';
  return [...parts, `${formatCount(backups, 'backup')} ${stay} until ${formatTime(Date.parse(until))}`];
}

/** An incremental is worth a line of its own if it stays for a reason of its own. */
function isSpecial(isKept: boolean, reasons: readonly string[]): boolean {
  return isKept && reasons.some((reason) => /^it is (held|tagged|locked|the newest of a branch)/.test(reason));
}

function summarize(what: string, backups: readonly PrunedBackup[]): string[] {
  const count = (isKept: boolean): number => backups.filter(({ kept }) => kept === isKept).length;
  return backups.length === 0 ? [] : [`${what}: ${count(true)} kept, ${count(false)} not`];
}

function summary(backups: readonly PrunedBackup[], isDryRun: boolean): string {
  const gone = backups.filter(({ kept }) => !kept).length;
  if (gone === 0) return backups.length === 1 ? 'its only backup is kept' : `all ${backups.length} backups are kept`;
  const verb = isDryRun ? 'would expire' : gone === 1 ? 'has expired' : 'have expired';
  return `${formatCount(gone, 'backup')} ${verb}, ${backups.length - gone} are kept; what expires stays in molt log without its content`;
}

function describePlace(place: PrunedStorage, isDryRun: boolean): string[] {
  const { freedBytes, writtenBytes, deletedBytes, deletedObjects, laterBytes, laterObjects, refused, locked } = place;
  const copied = writtenBytes === 0 ? '' : `, of which about ${formatSize(writtenBytes)} are written anew`;
  if (isDryRun) return [freedBytes === 0 ? 'nothing to free' : `would free ${formatSize(freedBytes)}${copied}`];
  const parts = [`${formatCount(deletedObjects, 'object')} deleted, ${formatSize(deletedBytes)}`];
  if (laterObjects > refused.length)
    parts.push(`${formatSize(laterBytes - (locked?.bytes ?? 0))} more once nobody can need it any more`);
  if (locked !== undefined) {
    const { objects, bytes, until } = locked;
    const stay = objects === 1 ? 'is locked' : 'are locked, the last';
    parts.push(
      `${formatCount(objects, 'object')} to go, ${formatSize(bytes)}, ${stay} until ${formatTime(Date.parse(until))}`,
    );
  }
  const others = refused.filter(({ lockedUntil }) => lockedUntil === undefined);
  const [first] = others;
  if (first !== undefined) parts.push(`${formatCount(others.length, 'object')} could not be deleted: ${first.why}`);
  return parts;
}
