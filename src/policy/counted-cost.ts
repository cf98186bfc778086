// What remotes were really asked and sent, by the backup log, and what that costs.

import { type RunEntry, type RunRequests, NO_REQUESTS } from '../model/run-entry.ts';
import { MONTH_DAYS, priceOf, type Prices, type Sums } from './cost.ts';

const DAY_MS = 86_400_000;

/** What was counted. */
export interface CountedMonth {
  /** Over how many days: since the log's first line, at most a month. */
  readonly days: number;
  readonly requests: RunRequests;
  readonly sentBytes: number;
  /** Downloaded, but for what restores downloaded. */
  readonly receivedBytes: number;
  readonly restoredBytes: number;
  /** Without what is stored, which no run tells. */
  readonly cost: Pick<Sums, 'requests' | 'egress'>;
}

/**
 * Counts the runs of the last month.
 * @param entries of one agent, in any order
 */
export function countMonth(entries: readonly RunEntry[], prices: Prices, nowMs: number): CountedMonth {
  const sinceMs = nowMs - MONTH_DAYS * DAY_MS;
  const lately = entries.filter(({ startedMs }) => startedMs > sinceMs && startedMs <= nowMs);
  const firstMs = lately.reduce((first, { startedMs }) => Math.min(first, startedMs), nowMs);
  const requests = { ...NO_REQUESTS };
  let [sentBytes, receivedBytes, restoredBytes] = [0, 0, 0];
  for (const { verb, bytes, requests: asked } of lately) {
    for (const kind of ['put', 'get', 'list', 'head', 'delete'] as const) requests[kind] += asked[kind];
    sentBytes += bytes.sent;
    if (verb === 'restore' || verb === 'drill') restoredBytes += bytes.received;
    else receivedBytes += bytes.received;
  }
  const totals = { storedBytes: 0, lockedBytes: 0, requests, egressBytes: receivedBytes };
  const { requests: asked, egress } = priceOf(totals, prices);
  const restored = (restoredBytes / 1e9) * prices.restoreGb;
  return {
    days: (nowMs - firstMs) / DAY_MS,
    requests,
    sentBytes,
    receivedBytes,
    restoredBytes,
    cost: { requests: asked, egress: egress + restored },
  };
}
