// What backups cost, decided by numbers alone.

import test from 'ava';
import {
  estimateMonth,
  priceOf,
  PRODUCT_PRICES,
  rescale,
  restoreCost,
  type Load,
  type Saving,
} from '../../src/policy/cost.ts';
import { keptBy } from '../../src/policy/kept-share.ts';
import { parsePrices } from '../../src/policy/prices.ts';
import { judgeQuota } from '../../src/policy/quota.ts';
import { PLANS, type RetentionRules } from '../../src/policy/retention-rules.ts';
import type { MoltError } from '../../src/model/error.ts';

const NOTHING = { put: 0, get: 0, list: 0, head: 0, delete: 0 };
const LOAD: Load = {
  ticksADay: 287,
  tickBytes: 60_000,
  fullsADay: 1,
  fullBytes: 5_000_000,
  wholeBytes: 250_000_000,
  otherBytes: 1_000_000,
  storedBytes: 400_000_000,
  everyMs: 300_000,
};
const PRO: RetentionRules = { plan: PLANS.pro };
const SAVING: Saving = { everyMs: 300_000, rules: PRO, copies: 1, lockDays: 0 };

test('ten gigabytes cost what the product page says', (t) => {
  const totals = { storedBytes: 10e9, lockedBytes: 0, requests: NOTHING, egressBytes: 0 };
  t.is(priceOf(totals, PRODUCT_PRICES).total.toFixed(2), '0.30');
  const download = { ...totals, storedBytes: 0, egressBytes: 10e9 };
  t.is(priceOf(download, PRODUCT_PRICES).egress.toFixed(2), '0.90');
  t.is(restoreCost(LOAD, PRODUCT_PRICES).cost, 0);
});

test('what a lock keeps is a sum of its own', (t) => {
  const totals = { storedBytes: 3e9, lockedBytes: 1e9, requests: NOTHING, egressBytes: 0 };
  const { storage, lock, total } = priceOf(totals, PRODUCT_PRICES);
  t.deepEqual([storage, lock, total], [0.06, 0.03, 0.09]);
});

const keeps = test.macro<[RetentionRules, number, { fulls: number; followers: number; loose: number }]>({
  exec(t, rules, lockDays, expected) {
    t.deepEqual(keptBy({ ticksADay: 24, fullsADay: 1 }, rules, lockDays), expected);
  },
  title: (given) => `${given}: so much is kept`,
});

// Half a day more of incrementals lies there until the next prune, on average.
test('free', keeps, { plan: PLANS.free }, 0, { fulls: 3, followers: 2 * 24 + 12, loose: 0 });
test('pro', keeps, PRO, 0, { fulls: 30, followers: 29 * 24 + 12, loose: 0 });
test('free under a lock of ten days', keeps, { plan: PLANS.free }, 10, {
  fulls: 10,
  followers: 10 * 24 + 11,
  loose: 1,
});
test('the last of each of ten days', keeps, { daily: 10 }, 0, { fulls: 1, followers: 12, loose: 9 });

test('half as many commits hold twice the change each', (t) => {
  const slow = rescale(LOAD, 600_000);
  t.is(slow.ticksADay, 143.5);
  t.is(slow.tickBytes, 4096 + 2 * (60_000 - 4096));
  t.is(rescale(LOAD, 300_000 * 10_000).tickBytes, LOAD.fullBytes, 'never more than all that changed in a day');
  t.true(rescale(LOAD, 60_000).tickBytes < LOAD.tickBytes);
});

test('longer retention, more copies and locks cost more, fewer commits less', (t) => {
  const of = (change: Partial<Saving>): number =>
    estimateMonth(LOAD, { ...SAVING, ...change }, PRODUCT_PRICES, SAVING).cost.total;
  const now = of({});
  t.true(of({ rules: { plan: PLANS.enterprise } }) > 3 * now);
  t.true(of({ rules: { plan: PLANS.free } }) < now);
  t.is((of({ copies: 3 }) / now).toFixed(6), '3.000000');
  t.true(of({ lockDays: 90 }) > 1.5 * now);
  t.is(of({ lockDays: 7 }), now, 'a lock that ends before retention does costs nothing');
  t.true(of({ everyMs: 3_600_000 }) < now);
});

test('what never expires grows', (t) => {
  const month = estimateMonth(LOAD, { ...SAVING, rules: undefined }, PRODUCT_PRICES);
  t.is(month.growthBytes, 30 * (287 * 60_000 + 5_000_000));
  t.is(month.storedBytes, 400_000_000 + month.growthBytes / 2);
  t.is(month.requests.delete, 0);
});

test('what was counted stands for the model, and other ways of saving follow it', (t) => {
  const counted = { requests: { put: 1000, get: 500, list: 10, head: 5, delete: 0 }, egressBytes: 1e6 };
  const load = { ...LOAD, counted };
  const now = estimateMonth(load, SAVING, PRODUCT_PRICES, SAVING);
  t.is(Math.round(now.requests.put), 30_000);
  t.is(Math.round(now.egressBytes), 30e6);
  const slow = estimateMonth(load, { ...SAVING, everyMs: 600_000 }, PRODUCT_PRICES, SAVING);
  t.true(slow.requests.put > 14_000 && slow.requests.put < 17_000, `${slow.requests.put}`);
});

test('prices are those of the user where given, else the product page’s', (t) => {
  t.is(parsePrices(undefined, 'x'), PRODUCT_PRICES);
  const prices = parsePrices({ currency: '€', storageGbMonth: 0.02, put: 0.005 }, 'x');
  t.like(prices, { currency: '€', storageGbMonth: 0.02, egressGb: 0.09, thousand: { put: 0.005, get: 0 } });
  for (const wrong of [
    [],
    'free',
    null,
    { storageGbMonth: -1 },
    { get: '1' },
    { put: NaN },
    { currency: '' },
    { puts: 1 },
  ])
    t.throws(() => parsePrices(wrong, '"prices"'), { code: 'USAGE' } as MoltError);
  t.throws(() => parsePrices({ egresGb: 1 }, '"prices"'), { message: /no price "egresGb"/ });
});

test('a quota warns before it is reached', (t) => {
  const judge = (stored: number, expected: number, backups: number): string | null =>
    judgeQuota(stored, expected, backups).warning;
  t.is(judge(1e9, 1e9, 3), null);
  t.is(judge(3.9e9, 3.9e9, 3), null);
  t.is(judge(4e9, 4e9, 3), 'near');
  t.is(judge(1e9, 6e9, 3), 'growing');
  t.is(judge(6e9, 1e9, 9), 'full');
  t.is(judge(1e9, 1e9, 4), 'backups');
});
