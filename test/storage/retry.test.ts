// How many requests run at a time, and how fast their bodies move.

import test from 'ava';
import { RateLimit } from '../../src/storage/rate-limit.ts';
import { RequestLimiter } from '../../src/storage/retry.ts';

test('no more requests run at a time than the limit, and all of them run', async (t) => {
  const limiter = new RequestLimiter(3);
  let running = 0;
  let most = 0;
  let done = 0;
  const work = async (): Promise<void> => {
    running += 1;
    most = Math.max(most, running);
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    running -= 1;
    done += 1;
  };
  await Promise.all(Array.from({ length: 20 }, async () => limiter.run(work)));
  t.is(most, 3);
  t.is(done, 20);
});

test('a failed request gives its place back', async (t) => {
  const limiter = new RequestLimiter(1);
  await t.throwsAsync(limiter.run(async () => Promise.reject(new Error('no'))));
  t.is(await limiter.run(async () => 'next'), 'next');
});

test('throttling halves the limit down to one, and successes raise it again to where it was', (t) => {
  const limiter = new RequestLimiter(8);
  const limits = Array.from({ length: 4 }, () => {
    limiter.throttled();
    return limiter.limit;
  });
  t.deepEqual(limits, [4, 2, 1, 1]);
  let successes = 0;
  for (; limiter.limit < 8; successes += 1) limiter.succeeded();
  t.is(successes, 1 + 2 + 3 + 4 + 5 + 6 + 7);
  for (let extra = 0; extra < 100; extra += 1) limiter.succeeded();
  t.is(limiter.limit, 8);
});

test('bytes move at the rate, after a burst of a quarter of a second, whoever asks', async (t) => {
  let nowMs = 0;
  const limit = new RateLimit(1_000_000, {
    now: () => nowMs,
    pause: async (ms) => {
      nowMs = Math.max(nowMs, nowMs + ms);
    },
  });
  for (let taken = 0; taken < 10_000_000; taken += 50_000) await limit.take(50_000);
  t.is(Math.round(nowMs), 9_750);
  nowMs += 60_000;
  const restedMs = nowMs;
  for (let taken = 0; taken < 1_000_000; taken += 50_000) await limit.take(50_000);
  t.is(Math.round(nowMs - restedMs), 750);
});

test('a rate of nothing is a mistake', (t) => {
  for (const rate of [0, -1, Number.NaN]) t.throws(() => new RateLimit(rate), { instanceOf: RangeError });
});
