// What `molt cost` shows.

import type { AgentCost, CostCase, CountedMonth, Quota } from '../ops/cost.ts';
import type { Output } from './output.ts';
import { formatInterval } from './schedule-text.ts';
import { formatCount, formatSize, formatTable } from './text.ts';

/** Returns the JSON document. */
export function costDocument({ wanted, quota, ...cost }: AgentCost): object {
  return { ...cost, wanted: wanted ?? null, quota: quota ?? null };
}

/** Returns what to warn of, or undefined. */
export function describeQuota({
  warning,
  storedBytes,
  expectedBytes,
  mostBytes,
  backups,
  mostBackups,
}: Quota): string | undefined {
  const most = `the ${formatSize(mostBytes)} of the plan free`;
  switch (warning) {
    case 'full':
      return `${formatSize(storedBytes)} are stored, more than ${most}`;
    case 'near':
      return `${formatSize(storedBytes)} of ${most} are used`;
    case 'growing':
      return `about ${formatSize(expectedBytes)} will be stored, more than ${most}`;
    case 'backups':
      return `there are ${backups} backups, more than the ${mostBackups} of the plan free; molt prune lets the older ones go`;
    case null:
      return undefined;
  }
}

/** Returns the lines of a result. */
export function formatCost(output: Output, cost: AgentCost): string[] {
  const { agent, load, measuredDays, remotes, now, wanted, others, restore, prices, counted } = cost;
  const { currency } = prices;
  const cases = [now, ...(wanted === undefined ? [] : [wanted]), ...others];
  const rows = [
    ['a month', 'stored', 'requests', 'downloaded', 'storage', 'lock', 'requests', 'egress', 'in all'],
    ...cases.map((one) => rowOf(output, one, currency)),
  ];
  const place = remotes.length === 0 ? 'no remote yet: what one would cost' : remotes.join(', ');
  const days =
    measuredDays < 2 ? formatInterval(Math.round(measuredDays * 24) * 3_600_000) : `${Math.round(measuredDays)} days`;
  return [
    `${agent}: ${describe(now)}; ${place}`,
    `measured over ${days}: ${load.ticksADay.toFixed(0)} commits a day of ${formatSize(load.tickBytes)}, ` +
      `full backups that add ${formatSize(load.fullBytes)} each, ${formatSize(load.wholeBytes)} by themselves`,
    '',
    ...formatTable(rows, [1, 2, 3, 4, 5, 6, 7, 8]),
    '',
    `a restore of everything downloads ${formatSize(restore.bytes)}: ${money(restore.cost, currency)}`,
    ...(now.month.growthBytes === 0
      ? []
      : [`nothing expires: it grows by ${formatSize(now.month.growthBytes)} a month`]),
    ...(counted.days < 1 / 24 ? [] : [formatCounted(counted, currency)]),
  ];
}

function rowOf(output: Output, one: CostCase, currency: string): string[] {
  const { change, month } = one;
  const { cost, storedBytes, requests, egressBytes } = month;
  const name = change === '' ? 'as it is' : change === 'as wanted' ? describe(one) : change;
  return [
    change === '' || change === 'as wanted' ? output.style('bold', name) : name,
    formatSize(storedBytes),
    String(Math.round(sum(requests))),
    formatSize(egressBytes),
    ...[cost.storage, cost.lock, cost.requests, cost.egress, cost.total].map((value) => money(value, currency)),
  ];
}

function describe({ everyMs, retention, copies, lockDays }: CostCase): string {
  const kept =
    retention === undefined
      ? 'kept for ever'
      : /^\s*\d/.test(retention)
        ? `kept for ${retention}`
        : `plan ${retention}`;
  const locked = lockDays === 0 ? '' : `, locked for ${formatCount(lockDays, 'day')}`;
  return `every ${formatInterval(everyMs)}, ${kept}, ${formatCount(copies, 'copy', 'copies')}${locked}`;
}

function formatCounted(
  { days, requests, sentBytes, receivedBytes, restoredBytes, cost }: CountedMonth,
  currency: string,
): string {
  const restored = restoredBytes === 0 ? '' : `, ${formatSize(restoredBytes)} by restores`;
  const span = days < 2 ? `${Math.round(days * 24)} hours` : `${Math.round(days)} days`;
  return (
    `counted in the last ${span}: ${formatCount(Math.round(sum(requests)), 'request')}, ${formatSize(sentBytes)} sent, ` +
    `${formatSize(receivedBytes)} downloaded${restored}: ${money(cost.requests + cost.egress, currency)} beside storage`
  );
}

function sum(requests: CountedMonth['requests']): number {
  return Object.values(requests).reduce((total, count) => total + count, 0);
}

/** Returns an amount: cents, and of less than ten of them, more digits. */
function money(amount: number, currency: string): string {
  if (amount === 0) return `${currency}0`;
  const digits = amount >= 0.1 ? 2 : amount >= 0.001 ? 4 : 6;
  return `${currency}${amount.toFixed(digits)}`;
}
