// What a month costs, estimated, and what was counted of the days that followed.

import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { Simulation } from '../../scripts/year/simulate.ts';
import type { StoreSizes } from '../../scripts/year/store.ts';
import type { RunEntry } from '../../src/model/run-entry.ts';
import { readRuns } from '../../src/cli/runs.ts';
import { estimateCost } from '../../src/ops/cost.ts';
import { MONTH_DAYS, PRODUCT_PRICES, priceOf, REQUEST_KINDS, type Prices } from '../../src/policy/cost.ts';
import { countMonth } from '../../src/policy/counted-cost.ts';

const TICKS_A_DAY = 6;
const PRICES: Prices = {
  ...PRODUCT_PRICES,
  thousand: { put: 0.005, get: 0.0004, list: 0.005, head: 0.0004, delete: 0 },
};

test('the estimate of a month is near what the days after it really took', async (t) => {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'molt-cost-')));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const retention = '3d';
  const simulation = await Simulation.begin({ dir, seed: 'cost', ticksADay: TICKS_A_DAY, retention, isNoted: true });
  t.teardown(() => simulation.close());
  const { context } = simulation;
  const { put, get, list, head } = PRICES.thousand;
  writeFileSync(join(context.home.dir, 'config.json'), JSON.stringify({ prices: { put, get, list, head } }));
  const runsSince = async (sinceMs: number): Promise<RunEntry[]> => {
    const { entries, problems } = await readRuns(context, 'year', { sinceMs: 0, limit: 10_000 }, undefined);
    t.deepEqual(problems, []);
    return entries.filter(({ startedMs }) => startedMs > sinceMs);
  };
  // Until retention holds it, and then as long as the log is to tell of it.
  for (let day = 0; day < 6; day += 1) await simulation.live();
  const steadyMs = simulation.nowMs;
  for (let day = 0; day < 5; day += 1) await simulation.live();
  const cost = await estimateCost(context, 'year', { runs: await runsSince(steadyMs) });
  t.is(cost.wanted, undefined);
  t.is(cost.now.retention, retention);
  const [sinceMs, stored]: [number, number[]] = [simulation.nowMs, []];
  for (let day = 0; day < 4; day += 1) {
    const { far, farPeak } = await simulation.live();
    stored.push((total(far) + total(farPeak)) / 2);
  }
  const counted = countMonth(await runsSince(sinceMs), PRICES, simulation.nowMs);
  const share = MONTH_DAYS / stored.length;
  const requests = { ...counted.requests };
  for (const kind of REQUEST_KINDS) requests[kind] *= share;
  const storedBytes = stored.reduce((sum, bytes) => sum + bytes, 0) / stored.length;
  const totals = { storedBytes, lockedBytes: 0, requests, egressBytes: counted.receivedBytes * share };
  const real = priceOf(totals, PRICES);
  const { month } = cost.now;
  // Where chunks end depends on a repository's key, and of three days' fulls one chunk more or less is several percent.
  // `npm run campaign:year` compares whole months.
  for (const [what, estimate, took, most] of [
    ['stored', month.storedBytes, storedBytes, 0.2],
    ['put', month.requests.put, requests.put, 0.1],
    ['sum for storage', month.cost.storage, real.storage, 0.2],
    ['sum for requests', month.cost.requests, real.requests, 0.1],
    ['sum but for downloads', month.cost.total - month.cost.egress, real.total - real.egress, 0.1],
  ] as const)
    t.true(Math.abs(estimate / took - 1) <= most, `${what}: ${estimate} was estimated, ${took} counted`);
  // What pushes read of packs that prunes wrote differs from day to day, and a month has many.
  t.true(Math.abs(month.egressBytes / totals.egressBytes - 1) <= 0.4, `${month.egressBytes} ${totals.egressBytes}`);
  // Without what was counted, the model alone tells the order of magnitude of requests, and storage as well.
  const plain = (await estimateCost(context, 'year', {})).now.month;
  t.true(plain.storedBytes > 0.8 * storedBytes, `${plain.storedBytes} ${storedBytes}`);
  t.true(Math.abs(plain.requests.put / requests.put - 1) <= 0.15, `${plain.requests.put} ${requests.put}`);
  const wanted = await estimateCost(context, 'year', { copies: 3, lockDays: 90, retention: '7d' });
  t.like(wanted.wanted, { copies: 3, lockDays: 90, retention: '7d' });
  t.true((wanted.wanted?.month.cost.lock ?? 0) > (wanted.wanted?.month.cost.storage ?? Infinity));
});

function total(sizes: StoreSizes): number {
  return [...sizes.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}
